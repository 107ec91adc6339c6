"""What is written to the journal: one entry for each thing that happened, in the transaction that made it happen."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from fettle_server.journal.tables import Entry


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
    tx.execute(
        sa.insert(Entry),
        {"at": now, "kind": kind, "actor": actor, "subject": subject, "school_id": school_id, "detail": detail},
    )
