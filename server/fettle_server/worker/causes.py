"""The worker's jobs about causes: what becomes of faults that are held back, and the problems that alike incidents propose."""

from __future__ import annotations

import datetime as dt
import weakref
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fettle_server import clock, observed
from fettle_server.proactive import causes
from fettle_server.proactive.causes import Piece
from fettle_server.proactive.problems import actions as problems

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work

_TURN_S = 5.0
"""Then the worker's other jobs have their turn."""
_BREATH_S = 0.02
"""Between the pieces of a storm, so that agents' batches get the store in between."""
_looked_at: weakref.WeakKeyDictionary[sa.Engine, int] = weakref.WeakKeyDictionary()


def triage(work: Work, now: dt.datetime) -> bool:
    """Tell what has waited enough, at the level where its cause is. Looked for on the side that blocks nobody."""
    with work.reading.connect() as tx:
        pieces = causes.plan(tx, now)
    until = clock.monotonic() + _TURN_S
    more = False
    for done, piece in enumerate(pieces):
        if done:
            if clock.monotonic() >= until:
                return True
            clock.sleep(_BREATH_S)
        more = _carry_out(work, piece, now) or more
    return more


def _carry_out(work: Work, piece: Piece, now: dt.datetime) -> bool:
    """Decide a piece; what cannot be decided is found by halving, and keeps nothing else from being told."""
    try:
        with work.engine.begin() as tx:
            return causes.carry_out(tx, piece, now=now, reopen_within=work.settings.reopen_within)
    except sa.exc.OperationalError:
        raise
    except Exception:
        halves = piece.halves()
        if halves is None:
            facts = {"faults": [fault.id for fault in piece.due], "causes": [group.key for group in piece.groups]}
            said = "triage cannot decide something; it goes on with the rest"
            observed.log().error(said, **facts, incidents=list(piece.quiet), exc_info=True)
            return False
        first, second = (_carry_out(work, half, now) for half in halves)
        return first or second


def propose_problems(work: Work, now: dt.datetime) -> bool:
    """What the incidents of the last days have in common: looked for where another one was opened since the last time."""
    with work.reading.connect() as tx:
        newest = problems.newest_incident(tx)
    if newest != _looked_at.get(work.engine):
        with work.engine.begin() as tx:
            problems.propose(tx, now)
        _looked_at[work.engine] = newest
    return False
