"""What is written to the journal: one entry for each thing that happened, in the transaction that made it happen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, TypedDict

import sqlalchemy as sa

from fettle_server.journal.tables import Entry


class Line(TypedDict):
    """One entry to be; see journal.tables.Entry for the form of each field."""

    at: dt.datetime
    kind: str
    actor: str
    subject: str
    school_id: int | None
    detail: dict[str, Any]


def record(
    tx: sa.Connection,
    kind: str,
    actor: str,
    subject: str,
    school_id: int | None,
    detail: dict[str, Any],
    now: dt.datetime,
) -> None:
    """Add one entry; see journal.tables.Entry for the form of each field. Never put a secret into `detail`."""
    record_all(tx, [Line(at=now, kind=kind, actor=actor, subject=subject, school_id=school_id, detail=detail)])


def record_all(tx: sa.Connection, lines: Sequence[Line]) -> None:
    """Add many entries, in this order."""
    if lines:
        tx.execute(sa.insert(Entry), lines)


def drop_before(tx: sa.Connection, before: dt.datetime, limit: int) -> int:
    """Drop entries from before that time, the oldest first; returns how many."""
    old = tx.scalars(sa.select(Entry.id).where(Entry.at < before).order_by(Entry.at).limit(limit)).all()
    if old:
        tx.execute(sa.delete(Entry).where(Entry.id.in_(old)))
    return len(old)
