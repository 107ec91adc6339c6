"""What is done with keys and manifests: add and retire keys, make manifests, hand out what to sign, take signatures back."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from fettle_protocol import signing
from fettle_protocol.manifests import Manifest as Said
from fettle_protocol.manifests import ManifestError, ManifestKind, Target, encode
from fettle_protocol.signing import SignatureError

from fettle_server.change import record
from fettle_server.change.manifests import queries, words
from fettle_server.change.manifests import signing_file as files
from fettle_server.change.manifests.rules import Purpose, SigningError, Wanted, next_floor
from fettle_server.change.manifests.tables import Manifest, SigningKey
from fettle_server.change.manifests.views import ManifestRow
from fettle_server.change.tables import Change
from fettle_server.db import from_ms, to_ms
from fettle_server.estate.people.rules import Act, Forbidden, Person, demand, may
from fettle_server.estate.tables import School
from fettle_server.journal import actions as journal

KEYS_LIFE = dt.timedelta(days=180)
"""How long a PC may be away and still learn of a change of keys."""
_LOCK = 0x6B657973
_NAME_LIMIT = 120


def add_key(tx: sa.Connection, person: Person, name: str, public_pem: bytes, now: dt.datetime) -> str:
    """Trust an approver's key from now on (Act.MANAGE_KEYS); returns its id. Raises SigningError, Forbidden."""
    _demand_everywhere(person)
    name = words.visible(name).strip()
    if not 1 <= len(name) <= _NAME_LIMIT:
        raise SigningError(f"A key's name says whose it is, in 1 to {_NAME_LIMIT} characters.")
    try:
        public = signing.read_public(public_pem)
    except SignatureError as error:
        raise SigningError(f"{error} Give the .pub file that `fettle key create` wrote, never the private key.") from error
    key_id = signing.key_id(public)
    there = tx.execute(sa.select(SigningKey.retired_at).where(SigningKey.id == key_id)).one_or_none()
    if there is not None and there.retired_at is not None:
        raise SigningError(f"Key {key_id} was retired; a retired key does not come back. Make a new one.")
    if there is not None:
        raise SigningError(f"Key {key_id} is trusted already.")
    row = {"id": key_id, "public": public, "name": name, "added_by": person.actor, "added_at": now}
    tx.execute(sa.insert(SigningKey).values(row))
    journal.record(tx, "key.added", person.actor, f"key:{key_id}", None, {"name": name}, now)
    return key_id


def retire_key(tx: sa.Connection, person: Person, key_id: str, why: str, now: dt.datetime) -> None:
    """Take no more signatures of a key and tell no new machine to trust it; machines that trust it need `rotate`."""
    _demand_everywhere(person)
    found = sa.and_(SigningKey.id == key_id, SigningKey.retired_at.is_(None))
    if not tx.execute(sa.update(SigningKey).where(found).values(retired_at=now)).rowcount:
        raise SigningError(f"There is no active key {words.visible(key_id)}.")
    journal.record(tx, "key.retired", person.actor, f"key:{key_id}", None, {"why": words.visible(why)}, now)


def rotate(tx: sa.Connection, person: Person, add: tuple[str, ...], retire: tuple[str, ...], now: dt.datetime) -> int:
    """Make the manifest of kind KEYS by which agents pin the keys `add` and drop the keys `retire` (ids); returns its number.

    It needs a signature of a key that the agents trust already; then the worker hands it to every endpoint.
    """
    _demand_everywhere(person)
    known = {row.id: row for row in queries.keys(tx)}
    unknown = [key_id for key_id in (*add, *retire) if key_id not in known]
    if unknown or not (add or retire):
        raise SigningError(
            f"There is no key {words.visible(unknown[0])}." if unknown else "Say which keys to add or to retire."
        )
    inactive = [key_id for key_id in add if not known[key_id].is_active]
    if inactive or set(add) & set(retire):
        raise SigningError("A key that is retired, or is to be, cannot be added.")
    if all(row.id in retire for row in known.values() if row.is_active):
        raise SigningError("That would leave no key: add the new one first (`fettle key add`).")
    schools = tuple(tx.scalars(sa.select(School.name).order_by(School.id)))
    said = {
        "kind": ManifestKind.KEYS.value,
        "title": f"Change of keys: {len(add)} to trust, {len(retire)} to trust no more",
        "target": Target(schools=schools),
        "add": tuple(known[key_id].public.hex() for key_id in add),
        "retire": tuple(retire),
        "not_before_ms": to_ms(now),
        "expires_ms": to_ms(now + KEYS_LIFE),
    }
    number = _make(tx, said, Purpose.KEYS, None, None, now)
    detail = {"add": list(add), "retire": list(retire)}
    journal.record(tx, "key.rotation_prepared", person.actor, f"manifest:{number}", None, detail, now)
    return number


def prepare(tx: sa.Connection, wanted: Wanted, now: dt.datetime) -> int:
    """Make a manifest with its uid, serial and floor, to be signed with any active key; returns its number.

    Needs no key yet. Raises SigningError where the manifest would be out of bounds (too many endpoints named, too long a life).
    """
    said = {
        "kind": ManifestKind.WORK.value,
        "title": wanted.title,
        "target": wanted.target,
        "steps": wanted.steps,
        "people": wanted.people,
        "needs": wanted.needs,
        "hours": wanted.hours,
        "attempts": wanted.attempts,
        "change": wanted.change_id,
        "rollout": wanted.rollout_id,
        "not_before_ms": to_ms(wanted.not_before),
        "expires_ms": to_ms(wanted.expires),
    }
    return _make(tx, said, wanted.purpose, wanted.change_id, wanted.rollout_id, now)


def withdraw(tx: sa.Connection, manifest_id: int, now: dt.datetime) -> None:
    """No job of it is handed out any more, and later manifests carry the higher floor that this allows."""
    stands = sa.and_(Manifest.id == manifest_id, Manifest.withdrawn_at.is_(None))
    tx.execute(sa.update(Manifest).where(stands).values(withdrawn_at=now))


def signing_file(tx: sa.Connection, person: Person, change_id: int, now: dt.datetime) -> str:
    """Commands for an approver's own machine that sign every unsigned manifest of a change."""
    rows = [row for row in queries.of_change(tx, change_id) if not row.is_signed and row.expires_at > now]
    if not rows:
        raise SigningError(f"Change {change_id} has nothing to sign: its manifests are made when it is approved.")
    return _file(tx, person, f"change {change_id}", rows)


def signing_file_of(tx: sa.Connection, person: Person, manifest_ids: Sequence[int], now: dt.datetime) -> str:
    """The same for the manifests named (those of a rollout, or of a rotation of keys)."""
    found = [queries.manifest(tx, manifest_id) for manifest_id in manifest_ids]
    rows = [row for row in found if row is not None and row.withdrawn_at is None and row.expires_at > now]
    if not rows:
        raise SigningError("There is nothing to sign.")
    return _file(tx, person, ", ".join(f"manifest {row.id}" for row in rows), rows)


def bring_signature(tx: sa.Connection, person: Person, manifest_id: int, signature: bytes | str, now: dt.datetime) -> str:
    """Check and keep the signature (64 bytes, or their base64 as text) of any active key; returns the key's id.

    Raises SigningError where it is no active key's signature over this manifest's bytes, or the manifest is over.
    """
    row = queries.manifest(tx, manifest_id)
    if row is None:
        raise SigningError(f"There is no manifest {manifest_id}.")
    _demand_of(tx, person, row)
    if row.withdrawn_at is not None or row.expires_at <= now:
        raise SigningError(f"Manifest {row.uid} is over: it was withdrawn or its time has passed. Make a new one.")
    raw = _raw(signature)
    body = queries.body_of(tx, manifest_id)
    key_id = _whose(tx, body, raw, row.uid)
    if row.key_id == key_id:
        return key_id
    tx.execute(
        sa.update(Manifest)
        .where(Manifest.id == manifest_id)
        .values(signature=raw, key_id=key_id, signed_at=now, signature_brought_by=person.actor)
    )
    raised = {"serial": _larger(SigningKey.serial, row.serial), "floor": _larger(SigningKey.floor, row.said.floor)}
    tx.execute(sa.update(SigningKey).where(SigningKey.id == key_id).values(raised))
    _tell(tx, person, row, key_id, now)
    return key_id


def bring_signatures(tx: sa.Connection, person: Person, pasted: str, now: dt.datetime, *, of_keys: bool = False) -> list[int]:
    """Take what the signing file printed: lines of "<manifest uid>:<base64>". Returns the manifests' numbers; all or none.

    With `of_keys` nothing but changes of keys is taken.
    """
    lines = files.signatures(pasted)
    if not lines:
        raise SigningError("There is no signature in this: paste the lines that the signing file printed, as they are.")
    numbers = []
    for uid, signature in lines:
        row = queries.by_uid(tx, uid)
        if row is None:
            raise SigningError(f"There is no manifest {uid}.")
        if of_keys and row.purpose != Purpose.KEYS:
            raise SigningError(f"Manifest {uid} is no change of keys: bring its signature back with its rollout.")
        bring_signature(tx, person, row.id, signature, now)
        numbers.append(row.id)
    return numbers


def _make(
    tx: sa.Connection,
    said: dict[str, object],
    purpose: Purpose,
    change_id: int | None,
    rollout_id: int | None,
    now: dt.datetime,
) -> int:
    """Serials follow the clock, so that a store restored from a backup does not give those out again that agents know."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    newest, floor = queries.marks(tx)
    serial = max(newest + 1, to_ms(now) // 1000)
    uid = uuid.uuid4().hex
    try:
        made = Said(id=uid, serial=serial, floor=next_floor(serial, floor, queries.live_serials(tx, now)), **said)  # type: ignore[arg-type]
        body = encode(made)
    except (ManifestError, UnicodeEncodeError) as error:
        raise SigningError(f"This cannot be put into one signed manifest. {error}") from error
    row = {
        "uid": uid,
        "serial": serial,
        "purpose": purpose.value,
        "change_id": change_id,
        "rollout_id": rollout_id,
        "body": body,
        "expires_at": from_ms(made.expires_ms),
        "created_at": now,
    }
    return int(tx.execute(sa.insert(Manifest).values(row).returning(Manifest.id)).scalar_one())


def _file(tx: sa.Connection, person: Person, title: str, rows: Sequence[ManifestRow]) -> str:
    for row in rows:
        _demand_of(tx, person, row)
    sheets = [files.Sheet(row.uid, queries.body_of(tx, row.id), tuple(words.describe(row.said))) for row in rows]
    rollout = rows[0].rollout_id
    command = f"fettle rollout bring DIR {rollout}" if rollout else "fettle key bring DIR"
    return files.write(title, sheets, f"paste them into the console, or give them to: {command} LINE...")


def _whose(tx: sa.Connection, body: bytes, signature: bytes, uid: str) -> str:
    """The id of the active key that made the signature."""
    for key in queries.keys(tx):
        try:
            signing.check(key.public, body, signature)
        except SignatureError:
            continue
        if not key.is_active:
            raise SigningError(f"Manifest {uid} was signed with the key {key.name} ({key.id}), which is retired.")
        return key.id
    raise SigningError(
        f"This is no signature of a known key over manifest {uid} as it is here: was the right file signed, and is the "
        "key's public half here (`fettle key list`)?"
    )


def _raw(signature: bytes | str) -> bytes:
    if isinstance(signature, bytes) and len(signature) == 64:
        return signature
    try:
        return base64.b64decode(signature.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SigningError("A signature is 64 bytes, or their base64.") from error


def _larger(column: Any, value: int) -> sa.ColumnElement[int]:
    return sa.case((column < value, value), else_=column)


def _tell(tx: sa.Connection, person: Person, row: ManifestRow, key_id: str, now: dt.datetime) -> None:
    detail = {"manifest": row.uid, "purpose": row.purpose, "key": key_id}
    if row.change_id is None:
        journal.record(tx, "manifest.signed", person.actor, f"manifest:{row.id}", None, detail, now)
        return
    record.say(
        tx, row.change_id, "signed", person.actor, f"The {row.purpose} manifest was signed by the key {key_id}.", detail, now
    )


def _demand_everywhere(person: Person) -> None:
    demand(person, Act.MANAGE_KEYS)
    if person.schools is not None:
        raise Forbidden(f"Keys count for all schools; {person.name} may act only in some.")


def _demand_of(tx: sa.Connection, person: Person, row: ManifestRow) -> None:
    """Whoever may run the rollout, or approve its change, may carry its signing file and its signature."""
    if row.change_id is None:
        _demand_everywhere(person)
        return
    change = tx.execute(sa.select(Change.schools, Change.everywhere).where(Change.id == row.change_id)).one_or_none()
    act = Act.APPROVE_CHANGE if may(person, Act.APPROVE_CHANGE) is None else Act.RUN_ROLLOUT
    demand(person, act)
    if person.schools is None:
        return
    if change is None or change.everywhere or not set(change.schools) <= person.schools:
        raise Forbidden(f"Change {row.change_id} reaches schools in which {person.name} may not act.")
