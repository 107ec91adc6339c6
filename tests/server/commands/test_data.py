"""`fettle init`, and what every command does with errors."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server import db
from fettle_server.commands.data import settings_file
from fettle_server.config import Settings, load
from fettle_server.estate.people import actions
from fettle_server.estate.tables import School


def test_init_prints_a_password_that_signs_the_administrator_in(fettle: Callable[..., Any], tmp_path: Path, now: Any) -> None:
    made = fettle("init", tmp_path / "data", "--school", "Harbour School")
    password = re.search(r"One-time password: (\S+)", made.out)
    assert password is not None
    engine = db.open_engine(load(tmp_path / "data").database_url)
    with engine.begin() as tx:
        person = actions.sign_in(tx, "admin", password[1], now)
        assert tx.scalar(sa.select(School.name)) == "Harbour School"
    engine.dispose()
    assert person is not None
    assert person.must_change_password


def test_init_keeps_secrets_from_other_users(data: Path) -> None:
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {stat.S_IMODE((data / name).stat().st_mode) for name in ("ca.key", "fettle.toml")} == {0o600}


def test_init_refuses_an_existing_directory(fettle: Callable[..., Any], data: Path) -> None:
    before = (data / "ca.pem").read_bytes()
    again = fettle("init", data)
    assert again.status == 1
    assert "is a data directory already" in again.err
    assert again.err.count("\n") == 1
    assert (data / "ca.pem").read_bytes() == before


def test_init_that_fails_leaves_nothing_behind(fettle: Callable[..., Any], tmp_path: Path) -> None:
    failed = fettle("init", tmp_path / "data", "--database", "postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    assert failed.status == 1
    assert failed.err.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_init_keeps_the_database_in_the_settings(fettle: Callable[..., Any], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    assert fettle("init", tmp_path / "data", "--database", url).status == 0
    assert load(tmp_path / "data").database_url == url
    assert not (tmp_path / "data" / "fettle.db").exists()


def test_settings_file_names_every_setting_and_holds_the_defaults() -> None:
    text = settings_file("")
    settings = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    defaults = {name: field.default for name, field in Settings.model_fields.items() if not field.exclude}
    assert settings == defaults


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "nowhere"),
        ("token", "create", "nowhere", "--school", "A"),
        ("endpoint", "revoke", "nowhere", "ab"),
        ("doctor", "nowhere"),
        ("migrate", "nowhere"),
        ("endpoints", "nowhere"),
    ],
)
def test_missing_data_directory_is_one_line_that_says_what_to_do(fettle: Callable[..., Any], words: tuple[str, ...]) -> None:
    failed = fettle(*words)
    assert failed.status == 1
    assert "fettle init nowhere" in failed.err
    assert failed.err.count("\n") == 1


@pytest.mark.parametrize("words", [("serve",), ("token", "create", "--school", "A"), ("doctor",), ("migrate",), ("endpoints",)])
def test_directory_that_init_did_not_make_is_refused_and_left_alone(
    fettle: Callable[..., Any], tmp_path: Path, words: tuple[str, ...]
) -> None:
    failed = fettle(*words, tmp_path)
    assert failed.status == 1
    assert "fettle init" in failed.err
    assert failed.err.count("\n") == 1
    assert not (tmp_path / "fettle.db").exists()


@pytest.mark.parametrize("url", ["nonsense", "mysql://fettle:secret@host/name"])
def test_database_that_is_none_is_one_line_without_its_password(fettle: Callable[..., Any], tmp_path: Path, url: str) -> None:
    failed = fettle("init", tmp_path / "data", "--database", url)
    assert failed.status == 1
    assert "postgresql+psycopg://" in failed.err
    assert failed.err.count("\n") == 1
    assert "secret" not in failed.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("words", [("nonsense",), ("serve",), ("serve", "a", "--only", "nothing"), ("token", "create", "a")])
def test_wrong_usage_is_status_2(fettle: Callable[..., Any], words: tuple[str, ...]) -> None:
    assert fettle(*words).status == 2


def test_wrong_setting_is_named(fettle: Callable[..., Any], data: Path) -> None:
    (data / "fettle.toml").write_text("batch_limit = -1\n")
    failed = fettle("serve", data)
    assert failed.status == 1
    assert "batch_limit" in failed.err
