"""Reads of keys and manifests."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import sqlalchemy as sa
from fettle_protocol.manifests import decode

from fettle_server.change.manifests.rules import Purpose, SigningError
from fettle_server.change.manifests.tables import Manifest, SigningKey
from fettle_server.change.manifests.views import KeyRow, ManifestRow


def keys(tx: sa.Connection) -> list[KeyRow]:
    """Every approver's key, active ones first, the newest first."""
    columns = (
        SigningKey.id,
        SigningKey.name,
        SigningKey.public,
        SigningKey.added_by,
        SigningKey.added_at,
        SigningKey.retired_at,
    )
    rows = tx.execute(sa.select(*columns).order_by(SigningKey.added_at.desc(), SigningKey.id)).all()
    return sorted((KeyRow(*row) for row in rows), key=lambda row: not row.is_active)


def active_keys(tx: sa.Connection) -> list[bytes]:
    """The public bytes of the keys that machines are to trust at enrolment, the newest first."""
    return [row.public for row in keys(tx) if row.is_active]


def manifest(tx: sa.Connection, manifest_id: int) -> ManifestRow | None:
    """One manifest by its number."""
    found = _rows(tx, Manifest.id == manifest_id)
    return found[0] if found else None


def by_uid(tx: sa.Connection, uid: str) -> ManifestRow | None:
    """One manifest by the id that stands in it."""
    found = _rows(tx, Manifest.uid == uid)
    return found[0] if found else None


def of_change(tx: sa.Connection, change_id: int) -> list[ManifestRow]:
    """The manifests of a change that were not withdrawn, oldest first."""
    return _rows(tx, Manifest.change_id == change_id, Manifest.withdrawn_at.is_(None))


def of_rollout(tx: sa.Connection, rollout_id: int) -> list[ManifestRow]:
    """The manifests of a rollout that were not withdrawn, oldest first."""
    return _rows(tx, Manifest.rollout_id == rollout_id, Manifest.withdrawn_at.is_(None))


def unsigned(tx: sa.Connection, now: dt.datetime, limit: int = 100, purpose: Purpose | None = None) -> list[ManifestRow]:
    """Manifests (of that purpose) that wait for a signature, oldest first."""
    waiting = [Manifest.signed_at.is_(None), Manifest.withdrawn_at.is_(None), Manifest.expires_at > now]
    waiting += [Manifest.purpose == purpose.value] if purpose is not None else []
    return _rows(tx, *waiting, limit=limit)


def body_of(tx: sa.Connection, manifest_id: int) -> bytes:
    """The bytes that are to be signed. Raises SigningError where there is no such manifest."""
    body: bytes | None = tx.scalar(sa.select(Manifest.body).where(Manifest.id == manifest_id))
    if body is None:
        raise SigningError(f"There is no manifest {manifest_id}.")
    return body


def is_live(tx: sa.Connection, manifest_id: int | None, now: dt.datetime) -> bool:
    """True where it was made, was not withdrawn, and its time is not over; signed or not."""
    live = (Manifest.id == (manifest_id or 0), Manifest.withdrawn_at.is_(None), Manifest.expires_at > now)
    return tx.scalar(sa.select(Manifest.id).where(*live)) is not None


def why_not_ready(tx: sa.Connection, manifest_id: int | None, now: dt.datetime) -> str:
    """Why jobs of this manifest cannot be handed out (unmade, unsigned, expired, withdrawn), as a sentence; "": they can."""
    columns = (Manifest.signed_at, Manifest.withdrawn_at, Manifest.expires_at)
    row = tx.execute(sa.select(*columns).where(Manifest.id == (manifest_id or 0))).one_or_none()
    if row is None:
        return "Its manifest was not made yet."
    if row.withdrawn_at is not None:
        return "Its manifest was withdrawn: make a new one."
    if row.expires_at <= now:
        return f"Its manifest ended on {row.expires_at:%d %B %Y at %H:%M} UTC: make a new one."
    if row.signed_at is None:
        return "Its manifest is not signed yet: an approver signs it, and the signature is brought back here."
    return ""


def live_serials(tx: sa.Connection, now: dt.datetime) -> list[int]:
    """The serials of manifests that are still wanted."""
    is_live = (Manifest.withdrawn_at.is_(None), Manifest.expires_at > now)
    return list(tx.scalars(sa.select(Manifest.serial).where(*is_live)))


def marks(tx: sa.Connection) -> tuple[int, int]:
    """The largest serial ever given, and the largest floor that a signature stands on."""
    serial = tx.scalar(sa.select(sa.func.max(Manifest.serial))) or 0
    floor = tx.scalar(sa.select(sa.func.max(SigningKey.floor))) or 0
    return int(serial), int(floor)


def _rows(tx: sa.Connection, *where: Any, limit: int = 500) -> list[ManifestRow]:
    columns = (
        Manifest.id, Manifest.uid, Manifest.purpose, Manifest.change_id, Manifest.rollout_id, Manifest.serial, Manifest.body,
        Manifest.key_id, Manifest.created_at, Manifest.expires_at, Manifest.signed_at, Manifest.signature_brought_by,
        Manifest.withdrawn_at,
    )  # fmt: skip
    return [_row(row) for row in tx.execute(sa.select(*columns).where(*where).order_by(Manifest.id).limit(limit))]


def _row(row: Any) -> ManifestRow:
    values = dict(row._mapping)
    body: bytes = values.pop("body")
    return ManifestRow(**values, said=decode(body), sha256=hashlib.sha256(body).hexdigest(), size_bytes=len(body))
