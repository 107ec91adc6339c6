"""The worker's nightly work for forecasts, in small pieces, and the telling of what they say in working hours."""

from __future__ import annotations

import datetime as dt
import weakref
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fettle_server.proactive.forecasts import actions, judging, nightly
from fettle_server.proactive.forecasts.judging import Book
from fettle_server.proactive.queries import current_policy

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work

PIECE = 1000
_books: weakref.WeakKeyDictionary[sa.Engine, Book] = weakref.WeakKeyDictionary()


def summarise_days(work: Work, now: dt.datetime) -> bool:
    """One piece of the days that are over, made of their packed hours."""
    with work.reading.connect() as tx:
        folded = nightly.next_days(tx, now)
    if folded is None:
        return False
    with work.engine.begin() as tx:
        nightly.store_days(tx, folded)
    return True


def make_forecasts(work: Work, now: dt.datetime) -> bool:
    """One piece of the forecasts as of the newest day."""
    with work.reading.connect() as tx:
        mark = judging.due_day(tx, now)
        if mark is None:
            return False
        book = _books.get(work.reading)
        if book is None or book.day != mark.day:
            book = _books[work.reading] = judging.make_book(tx, mark.day)
        judged = judging.judge(tx, mark, current_policy(tx), book)
    with work.engine.begin() as tx:
        actions.store(tx, judged)
    return True


def tell_forecasts(work: Work, now: dt.datetime) -> bool:
    """What forecasts say becomes incidents and tasks, in working hours. Looked for on the side that blocks nobody."""
    with work.reading.connect() as tx:
        if not actions.untold(tx):
            return False
    with work.engine.begin() as tx:
        return actions.tell(tx, current_policy(tx), now, work.settings.reopen_within) >= actions.TELL


def drop_days(work: Work, now: dt.datetime) -> bool:
    """Days past their age, and what was coming to endpoints that are gone."""
    with work.engine.begin() as tx:
        dropped = nightly.drop_old(tx, now, PIECE)
        gone = actions.drop_revoked(tx, now, PIECE)
    return max(dropped, gone) >= PIECE
