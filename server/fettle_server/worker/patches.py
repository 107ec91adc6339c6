"""The worker's jobs about updates and the library: ask software of what is no longer offered, hold endpoints against builds."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from fettle_server.change.library import sweeping
from fettle_server.change.patches import actions, exceptions, ledger

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work

_PIECE = 50
_DROP_PIECE = 5000


def settle(work: Work, now: dt.datetime) -> bool:
    """Updates that are no longer offered, and endpoints that were revoked. Where there is none, this only reads."""
    with work.reading.connect() as tx:
        unsettled, revoked = ledger.unsettled(tx, now, 1), ledger.revoked(tx, 1)
    if not unsettled and not revoked:
        return False
    with work.engine.begin() as tx:
        return max(actions.settle(tx, now, _PIECE), actions.forget_revoked(tx, now, _PIECE)) >= _PIECE


def end_exceptions(work: Work, now: dt.datetime) -> bool:
    """Exceptions that are past their day."""
    with work.engine.begin() as tx:
        return exceptions.end_due(tx, now, _PIECE) >= _PIECE


def drop_closed(work: Work, now: dt.datetime) -> bool:
    """What was proven or gone for longer than events are kept."""
    before = now - dt.timedelta(days=work.settings.event_days)
    with work.reading.connect() as tx:
        keys = ledger.closed_before(tx, before, _DROP_PIECE)
    with work.engine.begin() as tx:
        ledger.drop(tx, keys, before)
    return len(keys) >= _DROP_PIECE


def hold_against_builds(work: Work, now: dt.datetime) -> bool:
    """Endpoints that told their software anew, then the next of today's look at all. Read and reckoned on the side."""
    with work.reading.connect() as tx:
        told, until = sweeping.new_ones(tx)
        pks = sweeping.next_ones(tx, now.date())
        if not told and pks is None and not sweeping.is_behind(tx, until):
            return False
        wanted = sorted({*told, *(pks or ())})
        found = sweeping.look(tx, sweeping.shelf(tx), wanted) if wanted else []
    with work.engine.begin() as tx:
        sweeping.keep(tx, found, now)
        sweeping.note_new(tx, until)
        if pks is not None:
            sweeping.note_next(tx, pks, now.date())
    return bool(told or pks)
