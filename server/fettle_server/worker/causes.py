"""The worker's jobs about causes: what becomes of faults that are held back, and the problems that alike incidents propose."""

from __future__ import annotations

import datetime as dt
import weakref
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fettle_server.proactive import causes
from fettle_server.proactive.problems import actions as problems

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work

_looked_at: weakref.WeakKeyDictionary[sa.Engine, int] = weakref.WeakKeyDictionary()


def triage(work: Work, now: dt.datetime) -> bool:
    """Tell what has waited enough, at the level where its cause is. Looked for on the side that blocks nobody."""
    with work.reading.connect() as tx:
        if not causes.is_due(tx, now):
            return False
    with work.engine.begin() as tx:
        return causes.triage(tx, now=now, reopen_within=work.settings.reopen_within)


def propose_problems(work: Work, now: dt.datetime) -> bool:
    """What the incidents of the last days have in common: looked for where another one was opened since the last time."""
    with work.reading.connect() as tx:
        newest = problems.newest_incident(tx)
    if newest != _looked_at.get(work.engine):
        with work.engine.begin() as tx:
            problems.propose(tx, now)
        _looked_at[work.engine] = newest
    return False
