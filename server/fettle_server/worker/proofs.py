"""The worker's jobs of proving that alerts work: follow the proofs under way, begin those that are due."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fettle_server.proactive.proofs import actions
from fettle_server.proactive.proofs.tables import Proof

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work


def follow(work: Work, now: dt.datetime) -> bool:
    """Proofs under way. Where there is none, this only reads."""
    with work.reading.connect() as tx:
        if tx.scalar(sa.select(Proof.id).where(Proof.ended_at.is_(None)).limit(1)) is None:
            return False
    with work.engine.begin() as tx:
        actions.follow(tx, now)
    return False


def begin(work: Work, now: dt.datetime) -> bool:
    """Proofs that are due, looked for on the side that blocks nobody; the next few wait for the next turn."""
    every = dt.timedelta(days=work.settings.proof_every_days)
    if every:
        with work.reading.connect() as tx:
            due = actions.due(tx, every, now)
        if due:
            with work.engine.begin() as tx:
                actions.begin_due(tx, due, now)
    return False
