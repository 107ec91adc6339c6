"""The settings: file, environment over it, words for what is wrong, and a document that says them all."""

from __future__ import annotations

from pathlib import Path

import pytest
from fettle_agent import config
from fettle_agent.collectors import Collected, Collector, Lane
from fettle_agent.errors import ConfigError
from fettle_agent.loop import adjusted


def load(folder: Path, text: str, **environment: str) -> config.Settings:
    (folder / "agent.toml").write_text(text)
    return config.load(folder, environment)


def test_without_a_file_all_is_default(tmp_path: Path) -> None:
    assert config.load(tmp_path, {}) == config.Settings()


def test_environment_goes_before_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, 'server = "a:1"\nservices = ["cups"]', FETTLE_AGENT_SERVER="b:2", FETTLE_AGENT_SERVICES="x, y")
    assert (settings.server, settings.services) == ("b:2", ("x", "y"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server = 5", "server must be text"),
        ('server = "nowhere"', "server must be HOST:PORT"),
        ("sever = 'a:1'", "no setting sever"),
        ("interval_factor = 0", "interval_factor must be a number above 0"),
        ("log_level = 'loud'", "log_level must be one of"),
        ("services = 'x'\nservices = 'y'", "cannot be read"),
        ("[collectors.cpu]\nevery = 5", "no setting every"),
        ("collectors = 5", "must be tables"),
        ("services = [5]", "services must be a list"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(tmp_path, text)


def test_intervals_are_stretched_set_and_switched_off(tmp_path: Path) -> None:
    settings = load(
        tmp_path, "interval_factor = 2\n[collectors.b]\nevery_s = 3\ntimeout_s = 4\n[collectors.c]\nenabled = false\n"
    )
    made = [Collector(name, Lane.CHEAP, 10, 1, Collected) for name in "abc"]
    assert [(one.name, one.every_s, one.timeout_s) for one in adjusted(made, settings)] == [("a", 20, 1), ("b", 3, 4)]


def test_document_lists_every_setting() -> None:
    document = Path(__file__).parents[2] / "docs/agent-settings.md"
    assert config.table_markdown() in document.read_text()
