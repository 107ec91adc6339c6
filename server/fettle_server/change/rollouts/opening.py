"""The store's windows, freezes and calendars put together: when a place takes changes next."""

from __future__ import annotations

import datetime as dt
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field

import sqlalchemy as sa

from fettle_server.change.rollouts import windows
from fettle_server.change.rollouts.rules import When
from fettle_server.change.rollouts.tables import ChangeWindow, Freeze
from fettle_server.change.rollouts.windows import Frozen, Opening, Place, Placed, Window
from fettle_server.estate.calendars.queries import calendars
from fettle_server.estate.calendars.rules import DAY_MINUTES, Calendar, Entry, Kind
from fettle_server.estate.calendars.tables import CalendarMark

_Key = tuple[Place, When]


_NONE_FOR = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Reckoned:
    """A place's next window, when it was looked for, and how long that answer is good."""

    reckoned_at: dt.datetime
    good_until: dt.datetime
    opening: Opening | None


@dataclass(slots=True)
class _Kept:
    """What was reckoned while windows, freezes and calendars stood like this."""

    mark: object = None
    found: dict[_Key, _Reckoned] = field(default_factory=dict)


_kept: weakref.WeakKeyDictionary[sa.Engine, _Kept] = weakref.WeakKeyDictionary()


class Openings:
    """When places take changes, as the store stands now; what was reckoned is remembered while it holds."""

    def __init__(self, tx: sa.Connection, now: dt.datetime, since: dt.datetime | None = None) -> None:
        """`since`: from when on freezes matter (None: now)."""
        self._tx = tx
        self._now = now
        self._placed = _placed(tx)
        self._freezes = _freezes(tx, since or now)
        self._calendars: dict[int, Calendar] = {}
        self._kept = _remembered(tx, (self._placed, self._freezes, tx.scalar(sa.select(CalendarMark.mark))))

    def calendar(self, school_id: int) -> Calendar:
        """The school's calendar."""
        if school_id not in self._calendars:
            self._calendars |= calendars(self._tx, (school_id,))
        return self._calendars[school_id]

    @property
    def known(self) -> frozenset[int]:
        """The schools whose calendars were read."""
        return frozenset(self._calendars)

    def read_calendars(self, school_ids: Iterable[int]) -> None:
        """The calendars of those schools at once."""
        missing = set(school_ids) - set(self._calendars)
        if missing:
            self._calendars |= calendars(self._tx, missing)

    def at(self, place: Place, when: When) -> Opening | None:
        """The window of the place that is open now, or its next one."""
        known = self._kept.found.get((place, when))
        if known is not None and known.reckoned_at <= self._now and self._now <= known.good_until:
            found = known.opening
            return found and Opening(found.begins, max(found.begins, self._now), found.end)
        found = self.after(place, when, self._now)
        good_until = self._now + _NONE_FOR if found is None else found.end - windows.LEAST
        self._kept.found[place, when] = _Reckoned(self._now, good_until, found)
        return found

    def after(self, place: Place, when: When, moment: dt.datetime) -> Opening | None:
        """The window of the place that was open at that moment, or the first one after it."""
        calendar = self.calendar(place.school_id)
        own = windows.windows_of(self._placed, place)
        frozen = windows.freezes_of(self._freezes, place)
        return windows.next_window(own, calendar, frozen, place.room_id, moment, when=when)

    def end_of_patience(self, place: Place, start: dt.datetime, patience: dt.timedelta) -> dt.datetime:
        """So long after the start, where time in which the place is frozen, or examined for whole days, is not counted."""
        calendar = self.calendar(place.school_id)
        exams = [one for one in calendar.entries if one.kind is Kind.EXAM and one.from_minute is None]
        frozen = [_of_days(one, calendar) for one in exams if one.room_id in (None, place.room_id)]
        return windows.end_of_patience([*windows.freezes_of(self._freezes, place), *frozen], start, patience)

    def has_exam(self, place: Place, at: dt.datetime) -> bool:
        """True on a day of an exam in that room or school: then nobody is disturbed more than need be."""
        calendar = self.calendar(place.school_id)
        exams = calendar.exams_on(at.astimezone(calendar.zone).date())
        return any(exam.room_id in (None, place.room_id) for exam in exams)

    def frozen(self, place: Place) -> str:
        """The title of the freeze that is on at the place now, else empty."""
        own = windows.freezes_of(self._freezes, place)
        return next((one.title for one in own if one.starts <= self._now < one.ends), "")


def _of_days(exam: Entry, calendar: Calendar) -> Frozen:
    """The days of an exam as a freeze."""
    first, last = (calendar.moments(date, 0, DAY_MINUTES) for date in (exam.starts_on, exam.ends_on))
    return Frozen(None, exam.room_id, exam.title, first[0][0], last[-1][1])


def _remembered(tx: sa.Connection, mark: object) -> _Kept:
    kept = _kept.get(tx.engine)
    if kept is None or kept.mark != mark:
        kept = _kept[tx.engine] = _Kept(mark)
    return kept


def _placed(tx: sa.Connection) -> tuple[Placed, ...]:
    columns = (
        ChangeWindow.school_id, ChangeWindow.room_id, ChangeWindow.endpoint_class, ChangeWindow.days, ChangeWindow.from_minute,
        ChangeWindow.to_minute, ChangeWindow.when,
    )  # fmt: skip
    rows = tx.execute(sa.select(*columns).order_by(ChangeWindow.id))
    return tuple(Placed(row[0], row[1], row[2], Window(tuple(row[3]), row[4], row[5], row[6])) for row in rows)


def _freezes(tx: sa.Connection, since: dt.datetime) -> tuple[Frozen, ...]:
    """Those that end after that; one that a person ended counts until then."""
    columns = (Freeze.school_id, Freeze.room_id, Freeze.title, Freeze.starts_at, Freeze.ends_at, Freeze.ended_at)
    found = []
    for row in tx.execute(sa.select(*columns).where(Freeze.ends_at > since).order_by(Freeze.id)):
        ends = row.ends_at if row.ended_at is None else min(row.ends_at, row.ended_at)
        if row.starts_at < ends and ends > since:
            found.append(Frozen(row.school_id, row.room_id, row.title, row.starts_at, ends))
    return tuple(found)
