"""What is to be told: written to the outbox in the transaction that made it happen, so that neither is without the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from fettle_server.db import bulk_insert, to_ms
from fettle_server.notify.tables import Outbox

_TITLE_LIMIT = 300
_ADD = bulk_insert(Outbox, "at", "kind", "incident_number", "school_id", "priority", "title", "text", "is_test", "change_id")


class Message(NamedTuple):
    """Something that people may want to hear of.

    `kind` is "incident.opened", "incident.reopened", "incident.resolved", "incident.promoted", "incident.escalated", "proof",
    "problem", "change.notice", "change.reminder", "change.approval" or "change.halted" (these with `change_id`); `text` what
    is known beyond the title. `school_id` None: several schools, or none.
    """

    kind: str
    incident_number: int | None
    school_id: int | None
    priority: int
    title: str
    is_test: bool
    at: dt.datetime
    text: str = ""
    change_id: int | None = None


def enqueue(tx: sa.Connection, rows: Sequence[Message]) -> None:
    """Put messages into the outbox, in this order; the worker tells them once the transaction is committed."""
    _ADD.run(
        tx,
        [
            (
                to_ms(row.at), row.kind, row.incident_number, row.school_id, row.priority, row.title[:_TITLE_LIMIT], row.text,
                row.is_test, row.change_id,
            )
            for row in rows
        ],
    )  # fmt: skip
