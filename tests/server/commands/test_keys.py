"""`fettle key`, `fettle sign` and `fettle job` as people run them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fettle_server import clock, db
from fettle_server.change.manifests import actions as manifests

from tests.server.change.test_manifests import DAY, change_of, wanted


@pytest.fixture
def data(fettle: Any, tmp_path: Path) -> Path:
    assert fettle("init", tmp_path / "data", "--school", "Bow Primary").status == 0
    return tmp_path / "data"


def made(fettle: Any, path: Path, data: Path | None = None) -> str:
    """A new key's id; with a data directory it is trusted there."""
    key_id = str(fettle("key", "create", path).out.split()[1].rstrip(":"))
    if data is not None:
        assert fettle("key", "add", data, f"{path}.pub").status == 0
    return key_id


def test_a_private_key_is_its_owners_alone_and_never_written_over(fettle: Any, tmp_path: Path) -> None:
    path = tmp_path / "key"
    made(fettle, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = fettle("key", "create", path)
    assert (again.status, "ever written over another" in again.err) == (1, True)


def test_init_makes_no_private_key(data: Path, fettle: Any) -> None:
    assert json.loads(fettle("key", "list", data, "--json").out) == {"keys": []}
    assert not any(b"PRIVATE" in path.read_bytes() for path in data.iterdir() if path.name != "ca.key" and path.is_file())


def test_a_private_key_is_not_brought_to_the_server(data: Path, fettle: Any, tmp_path: Path) -> None:
    made(fettle, tmp_path / "key")
    answer = fettle("key", "add", data, tmp_path / "key")
    assert (answer.status, "never the private key" in answer.err) == (1, True)


@pytest.mark.parametrize("way", ["openssl", "fettle sign", "at once"])
def test_a_change_of_keys_is_signed_and_brought_back(data: Path, fettle: Any, tmp_path: Path, way: str) -> None:
    old, new = made(fettle, tmp_path / "old", data), made(fettle, tmp_path / "new", data)
    words = ["key", "rotate", data, "--add", new, "--retire", old]
    if way == "at once":
        assert fettle(*words, "--key", tmp_path / "old").status == 0
        return
    assert fettle(*words).status == 0
    (tmp_path / "sign.sh").write_text(fettle("key", "file", data).out)
    if way == "openssl":
        env = {"KEY": str(tmp_path / "old"), "PATH": os.environ["PATH"]}
        lines = subprocess.run(["sh", tmp_path / "sign.sh"], env=env, check=True, capture_output=True, text=True).stdout
    else:
        signed = fettle("sign", "--key", tmp_path / "old", tmp_path / "sign.sh", "--yes")
        assert f"Trust no more: the key named {old}" in signed.err
        lines = signed.out
    assert fettle("key", "bring", data, *lines.split()).status == 0
    empty = fettle("key", "file", data)
    assert (empty.status, "nothing to sign" in empty.err) == (1, True)


def test_a_key_with_a_password_needs_it(fettle: Any, data: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse battery staple\n")
    path = tmp_path / "key"
    assert fettle("key", "create", path, "--password-file", tmp_path / "password").status == 0
    assert b"ENCRYPTED" in path.read_bytes()
    assert fettle("key", "add", data, f"{path}.pub").status == 0
    other = made(fettle, tmp_path / "other", data)
    assert "password" in fettle("key", "rotate", data, "--retire", other, "--key", path).err
    answer = fettle("key", "rotate", data, "--retire", other, "--key", path, "--password-file", tmp_path / "password")
    assert answer.status == 0, answer.err


def test_nothing_is_signed_that_is_no_manifest(fettle: Any, tmp_path: Path) -> None:
    made(fettle, tmp_path / "key")
    (tmp_path / "file").write_bytes(b"\xff\x00 rm -rf /")
    answer = fettle("sign", "--key", tmp_path / "key", tmp_path / "file")
    assert (answer.status, answer.out, "holds no manifest" in answer.err) == (1, "", True)


def test_jobs_that_are_not_there_are_said_so(fettle: Any, data: Path) -> None:
    assert fettle("job", "list", data, "--rollout", 7, "--json").out.strip() == '{"jobs": []}'
    assert "--rollout N or --endpoint NAME" in fettle("job", "list", data).err
    assert "There is no job" in fettle("job", "show", data, "0" * 32).err
    assert "No PC is named" in fettle("job", "list", data, "--endpoint", "pc-1").err


@pytest.fixture
def rollout(data: Path) -> int:
    """A rollout's manifest that waits for a signature."""
    engine = db.open_engine(f"sqlite:///{data / 'fettle.db'}")
    with engine.begin() as tx:
        manifests.prepare(
            tx, wanted(change_of(tx), not_before=clock.utc_now(), expires=clock.utc_now() + 9 * DAY), clock.utc_now()
        )
    engine.dispose()
    return 4


@pytest.mark.parametrize("way", ["elsewhere", "here"])
def test_a_rollout_is_signed_and_its_signature_brought_back(
    fettle: Any, data: Path, tmp_path: Path, rollout: int, way: str
) -> None:
    made(fettle, tmp_path / "key", data)
    if way == "here":
        answer = fettle("rollout", "sign", data, rollout, "--key", tmp_path / "key")
        assert "Signed 1 manifests" in answer.out, answer.err
    else:
        assert fettle("rollout", "manifest", data, rollout, "--out", tmp_path / "sign.sh").status == 0
        lines = fettle("sign", "--key", tmp_path / "key", tmp_path / "sign.sh", "--yes").out.split()
        wrong = fettle("rollout", "bring", data, rollout + 1, *lines)
        assert (wrong.status, "nothing was taken" in wrong.err) == (1, True)
        assert fettle("rollout", "bring", data, rollout, *lines).status == 0
    again = fettle("rollout", "sign", data, rollout, "--key", tmp_path / "key")
    assert (again.status, "nothing to sign" in again.err) == (1, True)
