"""A stolen server: whoever holds its TLS keys and its database, but no approver's key, can stop work and command no PC.

A real agent is enrolled with a real server and does what an approver signed. Then rows are put into the server's own database
as a thief would, and the server hands them out over its own TLS: the agent refuses each, and says why.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_protocol import signing
from fettle_protocol.manifests import Manifest as Said
from fettle_protocol.manifests import Needs, Target, encode
from fettle_server import clock, config, db
from fettle_server.change.jobs import actions, keys
from fettle_server.change.jobs.tables import Job
from fettle_server.change.manifests import actions as manifests
from fettle_server.change.manifests import queries
from fettle_server.change.manifests.tables import Manifest
from fettle_server.db import to_ms
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.tables import Endpoint

SCHOOL = "Bow Primary"
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def store(server: Any) -> Iterator[sa.Engine]:
    """The server's own database, as whoever stole the server holds it."""
    engine = db.open_engine(config.load(server.data).database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def approver(store: sa.Engine) -> Any:
    """An approver's key, of which the server knows the public half alone."""
    key = signing.new_key()
    trust(store, key)
    return key


def trust(store: sa.Engine, key: Any) -> None:
    with store.begin() as tx:
        manifests.add_key(tx, SYSTEM, "approver", signing.public_pem(signing.public_bytes(key)), clock.utc_now())


def id_of(key: Any) -> str:
    return signing.key_id(signing.public_bytes(key))


def order(mark: Path, serial: int, **fields: Any) -> Said:
    """An order that leaves a mark on the PC when it is run."""
    body = f"touch {mark}\n"
    step = {
        "kind": "script", "name": "mark", "version": "1", "sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body,
        "interpreter": "sh", "idempotent": True,
    }  # fmt: skip
    now_ms = to_ms(clock.utc_now())
    said = Said(
        kind="work", id=uuid.uuid4().hex, serial=serial, not_before_ms=now_ms - 3_600_000, expires_ms=now_ms + 3_600_000,
        title="mark", target=Target(schools=(SCHOOL,)), steps=(step,), needs=Needs(0, 0),
    )  # fmt: skip
    return dataclasses.replace(said, **fields)


def hand_out(store: sa.Engine, name: str, body: bytes, signature: bytes, key_id: str) -> int:
    """Have the server hand such an order to its one endpoint, whatever it is; the job's number."""
    now = clock.utc_now()
    row = {
        "uid": uuid.uuid4().hex, "key_id": None, "serial": 1, "purpose": "forward", "body": body, "signature": signature,
        "expires_at": now + HOUR, "created_at": now, "signed_at": now,
    }  # fmt: skip
    with store.begin() as tx:
        known = tx.scalar(sa.text("SELECT count(*) FROM signing_keys WHERE id = :id").bindparams(id=key_id))
        if not known:
            columns = "id, public, name, serial, floor, added_by, added_at"
            values = sa.text(f"INSERT INTO signing_keys ({columns}) VALUES (:id, :public, :name, 0, 0, 'thief', 0)")
            tx.execute(values.bindparams(id=key_id, public=b"", name=name))
        number = tx.execute(sa.insert(Manifest).values(**(row | {"key_id": key_id})).returning(Manifest.id)).scalar_one()
        place = tx.execute(sa.select(Endpoint.pk, Endpoint.school_id)).one()
        made = actions.create(tx, number, [(place.pk, place.school_id)], None, now + HOUR, False, now)
        actions.release(tx, list(made.values()), now - HOUR, now + HOUR, False, now)
    return made[place.pk]


def ended(store: sa.Engine, jobs: list[int]) -> dict[int, tuple[str, str]] | None:
    """How each job ended; None while one of them has not."""
    with store.begin() as tx:
        rows = tx.execute(sa.select(Job.id, Job.state, Job.why, Job.ended_at).where(Job.id.in_(jobs))).all()
    return {row.id: (row.state, row.why) for row in rows} if all(row.ended_at for row in rows) else None


def test_a_stolen_server_cannot_command_a_pc(
    store: sa.Engine, approver: Any, connected: Any, wait_for: Callable[..., Any], place: Path
) -> None:
    thief = signing.new_key()
    good, bad = place / "good", place / "bad"

    def by(key: Any, said: Said) -> tuple[bytes, bytes, str]:
        body = encode(said)
        return body, signing.sign(key, body), id_of(key)

    honest = by(approver, order(good, 100))
    first = hand_out(store, "honest", *honest)
    assert wait_for(lambda: ended(store, [first]), 60)[first][0] == "done"
    assert good.exists()
    good.unlink()

    never_run = by(approver, order(bad, 101))
    raised = by(approver, order(good, 103, floor=102))
    elsewhere = by(approver, order(bad, 104, target=Target(endpoints=("f" * 32,), schools=("Hill School",))))
    past_ms = to_ms(clock.utc_now()) - 7_200_000
    expired = by(approver, order(bad, 105, not_before_ms=past_ms, expires_ms=past_ms + 3_600_000))
    stolen = order(bad, 106)
    turn = Said(
        kind="keys", id=uuid.uuid4().hex, serial=107, not_before_ms=past_ms, expires_ms=past_ms + 10_800_000, title="keys",
        target=Target(schools=(SCHOOL,)), add=(signing.public_bytes(thief).hex(),), retire=(id_of(approver),),
    )  # fmt: skip
    forged = encode(stolen)
    tampered = honest[0].replace(str(good).encode(), str(bad).encode()).replace(b'"mark"', b'"Mark"')
    second = hand_out(store, "floor", *raised)
    assert wait_for(lambda: ended(store, [second]), 60)[second][0] == "done"

    cases = {
        "never signed": ((forged, b"", id_of(approver)), "changed after it was signed, or never signed"),
        "signed by the thief in the approver's name": (
            (forged, signing.sign(thief, forged), id_of(approver)),
            "changed after it was signed, or never signed",
        ),
        "the thief's own key": (by(thief, stolen), "a key that this PC does not trust"),
        "a signed order with other steps": ((tampered, *honest[1:]), "changed after it was signed, or never signed"),
        "another PC's order": (elsewhere, "for other PCs than this one"),
        "one that was done": (raised, "has done this order already"),
        "one whose time is over": (expired, "it expired before it could begin"),
        "one that was withdrawn": (never_run, "withdrawn by whoever signed it"),
        "the thief's key, brought by a change of keys": (by(thief, turn), "a key that this PC does not trust"),
        "an order of the key so brought": (by(thief, order(bad, 200)), "a key that this PC does not trust"),
        "no manifest at all": (((b"rm -rf /"), signing.sign(thief, b"rm -rf /"), id_of(approver)), "not in a form"),
    }
    jobs = {name: hand_out(store, name, *what) for name, (what, _) in cases.items()}
    found = wait_for(lambda: ended(store, list(jobs.values())), 90)
    for name, (_, words) in cases.items():
        state, why = found[jobs[name]]
        assert (state, words in why) == ("refused", True), f"{name}: {state}, {why}"
    assert not bad.exists()
    assert good.exists()
    good.unlink()

    still = by(approver, order(good, 300))
    last = hand_out(store, "still", *still)
    assert wait_for(lambda: ended(store, [last]), 60)[last][0] == "done"
    assert good.exists()


def test_a_change_of_keys_that_an_approver_signed_reaches_a_pc(
    store: sa.Engine, approver: Any, connected: Any, wait_for: Callable[..., Any], place: Path
) -> None:
    successor, now = signing.new_key(), clock.utc_now()
    trust(store, successor)
    with store.begin() as tx:
        number = manifests.rotate(tx, SYSTEM, (id_of(successor),), (id_of(approver),), now)
        manifests.bring_signature(tx, SYSTEM, number, signing.sign(approver, queries.body_of(tx, number)), now)
        assert keys.hand_out_keys(tx, now) == 1
        turned = tx.scalar(sa.select(Job.id).where(Job.manifest_id == number))
    assert wait_for(lambda: ended(store, [turned]), 60)[turned] == ("done", "")
    serial = to_ms(now) // 1000 + 10
    orders = [(encode(order(place / name, serial)), key) for name, key in (("old", approver), ("new", successor))]
    jobs = [hand_out(store, "order", body, signing.sign(key, body), id_of(key)) for body, key in orders]
    found = wait_for(lambda: ended(store, jobs), 60)
    assert found[jobs[0]] == ("refused", "The order is signed with a key that was retired.")
    assert found[jobs[1]][0] == "done"
    assert (place / "new").exists()
    assert not (place / "old").exists()


def test_a_pc_that_was_told_whom_to_trust_takes_no_signer_from_a_stolen_server(
    server: Any, store: sa.Engine, run: Callable[..., Any], place: Path
) -> None:
    approver, thief = signing.new_key(), signing.new_key()
    trust(store, thief)
    (place / "approver.pub").write_bytes(signing.public_pem(signing.public_bytes(approver)))
    words = ("fettle-agent", "enrol", "--server", server.grpc, "--state", place / "agent", "--token")
    run(*words, server.token(), "--signer", place / "approver.pub")
    listed = run("fettle-agent", "trust", "--list", "--state", place / "agent").stdout
    assert id_of(approver) in listed
    assert id_of(thief) not in listed
