"""What becomes of faults with time: those that were cleared long ago are dropped, in pieces. Their incidents stay."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fettle_server.proactive.tables import Fault


def drop_cleared(tx: sa.Connection, before: dt.datetime, limit: int) -> int:
    """Drop faults that were cleared before that time, the oldest first; returns how many."""
    old = tx.scalars(sa.select(Fault.id).where(Fault.cleared_at < before).order_by(Fault.cleared_at).limit(limit)).all()
    if old:
        tx.execute(sa.delete(Fault).where(Fault.id.in_(old)))
    return len(old)
