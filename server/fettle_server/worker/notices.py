"""The worker's job of telling people: the routes look at the outbox, and what is due is sent beside the loop.

Receivers may be slow, so each channel that has something to send gets a thread, one at a time; the loop never waits for one.
Owns no rule of routing or sending: it passes in what notify, which lies below the wings, cannot know.
"""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from fettle_server import clock, observed
from fettle_server.config import Settings
from fettle_server.estate.calendars.queries import calendar_of
from fettle_server.estate.calendars.rules import Calendar
from fettle_server.estate.tables import School
from fettle_server.notify import dispatch, sending
from fettle_server.notify.channels import MailServer
from fettle_server.notify.rules import Hours
from fettle_server.notify.sending import Pages, Parcel, Result
from fettle_server.reactive.rules import OPEN_STATES
from fettle_server.reactive.tables import Incident, IncidentSchool

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work

PIECE = 500
_AT_ONCE = 4
_RUN = 50
"""Deliveries of one channel in one go; then another channel has its turn."""
_NOTE_TRIES = 5
_HOME = ZoneInfo("Europe/London")


def tell(work: Work, now: dt.datetime) -> bool:
    """Let the routes look at what is new, and have sent what is due. Where nothing is, this only reads."""
    with work.reading.connect() as tx:
        new, due = dispatch.is_anything_new(tx, now), sending.due_channels(tx, now)
    more = False
    if new:
        with work.engine.begin() as tx:
            around = _around(tx)
            more = dispatch.dispatch(tx, around, now)
            more = dispatch.escalate(tx, around, now) >= dispatch.PIECE or more
            due = sending.due_channels(tx, now)
    for channel_id, kind in due:
        if kind == "log":
            more = _log(work, channel_id, now) or more
        else:
            _SENDERS.start(work, channel_id)
    return more


def drop_old(work: Work, now: dt.datetime) -> bool:
    """Notices past their age."""
    before = now - dt.timedelta(days=work.settings.notice_days)
    with work.engine.begin() as tx:
        return sending.drop_before(tx, before, PIECE) >= PIECE


def pages(tx: sa.Connection, settings: Settings) -> Pages:
    """The console's address and the names of schools, for what is composed in this transaction."""
    url = sending.console_address(settings)
    return Pages(url, cache(lambda school: str(tx.scalar(sa.select(School.name).where(School.id == school)) or "")))


def _around(tx: sa.Connection) -> dispatch.Around:
    def hours(school_id: int | None) -> Hours:
        return Calendar(_HOME) if school_id is None else calendar_of(tx, school_id)

    def schools_of(number: int) -> frozenset[int]:
        of_incident = sa.select(IncidentSchool.school_id).where(IncidentSchool.incident_number == number)
        return frozenset(tx.scalars(of_incident))

    def is_unanswered(number: int) -> bool:
        open_ones = sa.select(Incident.number).where(Incident.number == number, Incident.state.in_(OPEN_STATES))
        return tx.scalar(open_ones.where(Incident.acknowledged_at.is_(None))) is not None

    return dispatch.Around(cache(hours), schools_of, is_unanswered)


def _log(work: Work, channel_id: int, now: dt.datetime) -> bool:
    """A channel that reaches nobody needs no thread and no claim that outlives the transaction."""
    with work.engine.begin() as tx:
        for _ in range(PIECE):
            parcel = sending.claim(tx, channel_id, pages(tx, work.settings), now)
            if parcel is None:
                return False
            sending.note(tx, parcel, sending.send(parcel, MailServer()), now)
    return True


class _Senders:
    """The threads that send, at most one for each channel."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._busy: set[int] = set()
        self._lock = threading.Lock()

    def start(self, work: Work, channel_id: int) -> None:
        """Send what the channel has, unless that is going on already."""
        with self._lock:
            if channel_id in self._busy:
                return
            self._busy.add(channel_id)
            self._pool = self._pool or ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="notices")
        self._pool.submit(self._drain, work, channel_id)

    def _drain(self, work: Work, channel_id: int) -> None:
        try:
            for _ in range(_RUN):
                if not _send_next(work, channel_id):
                    break
        except Exception:
            observed.log().error("notices could not be sent", channel=channel_id, exc_info=True)
        finally:
            with self._lock:
                self._busy.discard(channel_id)


def _send_next(work: Work, channel_id: int) -> bool:
    """Send the channel's next delivery; True where another may follow at once."""
    with work.engine.begin() as tx:
        parcel = sending.claim(tx, channel_id, pages(tx, work.settings), clock.utc_now())
    if parcel is None:
        return False
    result = sending.send(parcel, MailServer.of(work.settings))
    _note(work, parcel, result)
    return sending.is_to_go_on(result)


def _note(work: Work, parcel: Parcel, result: Result) -> None:
    """Keep the result, even where the store is busy for a while: a lost note would send the notice again."""
    for attempt in range(1, _NOTE_TRIES + 1):
        try:
            with work.engine.begin() as tx:
                sending.note(tx, parcel, result, clock.utc_now())
            return
        except sa.exc.DBAPIError:
            if attempt == _NOTE_TRIES:
                raise
            clock.sleep(attempt)


_SENDERS = _Senders()
