"""What is done with faults that are held back: joined to a wider cause, told by themselves, or let go."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fettle_server.proactive.tables import Fault

_HELD = sa.text("stage <> '' AND cleared_at IS NULL")


def triage(tx: sa.Connection, *, now: dt.datetime, reopen_within: dt.timedelta) -> bool:
    """Decide what is due; True where there is more to do at once."""
    return False


def next_due(tx: sa.Connection) -> dt.datetime | None:
    """The earliest moment at which triage could change anything; None: only something new could."""
    return tx.scalar(sa.select(sa.func.min(Fault.held_until, type_=Fault.held_until.type)).where(_HELD))
