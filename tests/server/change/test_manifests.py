"""Keys, manifests and signatures: what may be signed by whom, and that the file of commands really signs."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_protocol import signing
from fettle_protocol.manifests import Target, decode
from fettle_server.change.manifests import actions, queries, signing_file
from fettle_server.change.manifests.rules import Purpose, SigningError, Wanted, next_floor
from fettle_server.change.manifests.tables import Manifest
from fettle_server.change.tables import Change
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role
from hypothesis import given
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 23, 18, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def key_of(tx: sa.Connection, name: str = "head of ICT") -> signing.Ed25519PrivateKey:
    """A fresh key that the server trusts."""
    key = signing.new_key()
    actions.add_key(tx, SYSTEM, name, signing.public_pem(signing.public_bytes(key)), NOW)
    return key


def change_of(tx: sa.Connection, **columns: Any) -> int:
    values = {"kind": "normal", "state": "approved", "title": "Editors", "why": "holes", "proposer": "user:kim", "schools": []}
    made = tx.execute(sa.insert(Change).values(**(values | columns), created_at=NOW, updated_at=NOW))
    return int(made.inserted_primary_key[0])


def wanted(change_id: int = 1, **fields: Any) -> Wanted:
    step = {"kind": "upgrade", "provider": "apt", "packages": [{"name": "nano", "version": "7.2-1"}]}
    values: dict[str, Any] = {
        "purpose": Purpose.FORWARD, "change_id": change_id, "rollout_id": 4, "title": "Editors",
        "target": Target(schools=("Harbour School",)),
        "steps": (step,), "not_before": NOW, "expires": NOW + 10 * DAY,
    }  # fmt: skip
    return Wanted(**(values | fields))


def test_the_file_of_commands_signs_with_the_real_openssl(store: Any, tmp_path: Path) -> None:
    with store.begin() as tx:
        key = key_of(tx)
        change_id = change_of(tx)
        hostile = "$(touch owned) `touch owned`\n' FETTLE \u202e\x1b[31m"
        ids = [actions.prepare(tx, wanted(change_id, title=title), NOW) for title in ("Editors", hostile)]
        text = actions.signing_file(tx, SYSTEM, change_id, NOW)
    (tmp_path / "key").write_bytes(signing.private_pem(key))
    (tmp_path / "sign.sh").write_text(text)
    ran = subprocess.run(
        ["sh", "sign.sh"],
        cwd=tmp_path,
        env={"KEY": str(tmp_path / "key"), "PATH": os.environ["PATH"]},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "owned").exists()
    assert all(digest in ran.stderr for digest in _digests(store, ids))
    comments = [line for line in text.split("\n") if line.startswith("#")]
    assert all(line.isprintable() for line in comments)
    with store.begin() as tx:
        assert actions.bring_signatures(tx, SYSTEM, f"as told:\n{ran.stdout}", NOW) == ids
        assert [queries.why_not_ready(tx, number, NOW) for number in ids] == ["", ""]


def _digests(store: Any, ids: list[int]) -> list[str]:
    with store.begin() as tx:
        return [row.sha256 for number in ids if (row := queries.manifest(tx, number))]


def test_the_file_says_in_words_what_would_be_done_and_can_be_read_without_running_it(store: Any) -> None:
    with store.begin() as tx:
        change_id = change_of(tx)
        number = actions.prepare(tx, wanted(change_id), NOW)
        text = actions.signing_file(tx, SYSTEM, change_id, NOW)
        body = queries.body_of(tx, number)
    assert "#   Step 1: upgrade by apt: nano 7.2-1" in text
    assert "#   For: all PCs of Harbour School" in text
    assert "until 03 December 2026 18:00 UTC" in text
    assert signing_file.bodies(text) == [body]
    assert signing_file.bodies(body.decode()) == [body]


def test_an_altered_file_signs_nothing(store: Any, tmp_path: Path) -> None:
    with store.begin() as tx:
        key = key_of(tx)
        change_id = change_of(tx)
        actions.prepare(tx, wanted(change_id), NOW)
        text = actions.signing_file(tx, SYSTEM, change_id, NOW)
    (tmp_path / "key").write_bytes(signing.private_pem(key))
    (tmp_path / "sign.sh").write_text(text.replace('"nano"', '"nono"'))
    ran = subprocess.run(
        ["sh", "sign.sh"],
        cwd=tmp_path,
        env={"KEY": "key", "PATH": os.environ["PATH"]},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert "fetch this file again" in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize("trouble", ["other bytes", "other key", "retired key", "garbage", "expired", "withdrawn"])
def test_a_signature_that_does_not_stand_is_refused_with_its_reason(store: Any, trouble: str) -> None:
    words = {
        "other bytes": "no signature of a known key", "other key": "no signature of a known key", "retired key": "is retired",
        "garbage": "64 bytes", "expired": "is over", "withdrawn": "is over",
    }  # fmt: skip
    with store.begin() as tx:
        key = key_of(tx)
        number = actions.prepare(tx, wanted(change_of(tx)), NOW)
        body = queries.body_of(tx, number)
        signature: bytes = signing.sign(key, body + b" " if trouble == "other bytes" else body)
        if trouble == "other key":
            signature = signing.sign(signing.new_key(), body)
        elif trouble == "retired key":
            actions.retire_key(tx, SYSTEM, signing.key_id(signing.public_bytes(key)), "lost", NOW)
        elif trouble == "garbage":
            signature = b"\xff*"
        elif trouble == "withdrawn":
            actions.withdraw(tx, number, NOW)
        with pytest.raises(SigningError, match=words[trouble]):
            actions.bring_signature(tx, SYSTEM, number, signature, NOW + (11 * DAY if trouble == "expired" else 0 * DAY))
        assert queries.why_not_ready(tx, number, NOW) != ""


def test_any_active_key_may_sign_and_serials_go_on_over_all_of_them(store: Any) -> None:
    with store.begin() as tx:
        first, second = key_of(tx, "first"), key_of(tx, "second")
        change_id = change_of(tx)
        ids = [actions.prepare(tx, wanted(change_id), NOW) for _ in range(3)]
        for number, key in zip(ids, (first, second, first), strict=True):
            signed_by = actions.bring_signature(tx, SYSTEM, number, signing.sign(key, queries.body_of(tx, number)), NOW)
            assert signed_by == signing.key_id(signing.public_bytes(key))
        serials = [row.serial for row in queries.of_change(tx, change_id)]
    assert serials == [serials[0], serials[0] + 1, serials[0] + 2]


def test_a_store_from_a_backup_gives_no_serial_out_again(store: Any) -> None:
    with store.begin() as tx:
        before = queries.manifest(tx, actions.prepare(tx, wanted(), NOW))
        tx.execute(sa.delete(Manifest))
        after = queries.manifest(tx, actions.prepare(tx, wanted(), NOW + DAY))
    assert before is not None
    assert after is not None
    assert after.serial > before.serial


def test_what_was_withdrawn_falls_below_the_floor_once_nothing_older_is_wanted(store: Any) -> None:
    with store.begin() as tx:
        older, bad = actions.prepare(tx, wanted(), NOW), actions.prepare(tx, wanted(), NOW)
        actions.withdraw(tx, bad, NOW)
        held = queries.manifest(tx, actions.prepare(tx, wanted(), NOW))
        actions.withdraw(tx, older, NOW)
        free = queries.manifest(tx, actions.prepare(tx, wanted(), NOW))
        withdrawn, kept = queries.manifest(tx, bad), queries.manifest(tx, older)
    assert None not in (held, free, withdrawn, kept)
    assert held.said.floor <= kept.serial
    assert free.said.floor > withdrawn.serial


@given(st.lists(st.integers(1, 50), max_size=8), st.integers(0, 60), st.integers(51, 90))
def test_no_floor_ever_falls_or_refuses_what_is_wanted(live: list[int], before: int, serial: int) -> None:
    floor = next_floor(serial, before, live)
    assert floor >= before
    assert all(floor <= wanted for wanted in live if wanted >= before)


def test_a_rotation_names_keys_in_full_and_never_leaves_none(store: Any) -> None:
    store.school()
    with store.begin() as tx:
        old, new = key_of(tx, "old"), key_of(tx, "new")
        old_id, new_id = (signing.key_id(signing.public_bytes(key)) for key in (old, new))
        with pytest.raises(SigningError, match="leave no key"):
            actions.rotate(tx, SYSTEM, (), (old_id, new_id), NOW)
        number = actions.rotate(tx, SYSTEM, (new_id,), (old_id,), NOW)
        said = decode(queries.body_of(tx, number))
    assert (said.kind, said.add, said.retire) == ("keys", (signing.public_bytes(new).hex(),), (old_id,))
    assert said.target.schools == ("Harbour School",)


def test_only_administrators_of_all_schools_touch_keys(store: Any) -> None:
    pem = signing.public_pem(signing.public_bytes(signing.new_key()))
    for person in (Person(1, "kim", Role.TECHNICIAN, None), Person(2, "jo", Role.ADMINISTRATOR, frozenset({1}))):
        with store.begin() as tx, pytest.raises(Forbidden):
            actions.add_key(tx, person, "k", pem, NOW)


def test_nobody_fetches_what_reaches_other_schools(store: Any) -> None:
    here, there = store.school(), store.school("Hill School")
    with store.begin() as tx:
        change_id = change_of(tx, schools=[here, there])
        actions.prepare(tx, wanted(change_id), NOW)
        with pytest.raises(Forbidden):
            actions.signing_file(tx, Person(1, "kim", Role.TECHNICIAN, frozenset({here})), change_id, NOW)


def test_a_private_key_is_not_taken_for_a_public_one(store: Any) -> None:
    with store.begin() as tx, pytest.raises(SigningError, match="never the private key"):
        actions.add_key(tx, SYSTEM, "k", signing.private_pem(signing.new_key()), NOW)


def test_what_no_manifest_can_hold_is_refused(store: Any) -> None:
    with store.begin() as tx:
        for bad in ({"expires": NOW + 300 * DAY}, {"title": "\ud800"}, {"target": Target(endpoints=("f" * 32,) * 2001)}):
            with pytest.raises(SigningError, match="cannot be put into one"):
                actions.prepare(tx, wanted(**bad), NOW)
    assert store.value(sa.select(sa.func.count()).select_from(Manifest)) == 0
