"""What is written to the journal: one entry for each thing that happened, in the transaction that made it happen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, TypedDict

import sqlalchemy as sa

from fettle_server.db import as_json, bulk_insert, to_ms
from fettle_server.journal.tables import Entry

_ADD = bulk_insert(Entry, "at", "kind", "actor", "subject", "school_id", "detail")


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
    rows = [
        (to_ms(line["at"]), line["kind"], line["actor"], line["subject"], line["school_id"], as_json(line["detail"]))
        for line in lines
    ]
    _ADD.run(tx, rows)


def drop_before(tx: sa.Connection, before: dt.datetime, limit: int) -> int:
    """Drop entries from before that time, the oldest first; returns how many."""
    old = tx.scalars(sa.select(Entry.id).where(Entry.at < before).order_by(Entry.at).limit(limit)).all()
    if old:
        tx.execute(sa.delete(Entry).where(Entry.id.in_(old)))
    return len(old)
