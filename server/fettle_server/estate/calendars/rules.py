"""What a calendar says of a day and a moment: open or shut and why, exams, opening hours in seconds. Pure: no store, no clock.

A calendar thinks in the school's own wall time, and answers in moments that hold across the clock changes of spring and autumn.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from zoneinfo import ZoneInfo

from fettle_server.estate.calendars.bank_holidays import bank_holiday

DAY_MINUTES = 24 * 60
TERM_REACH = dt.timedelta(days=70)
"""How far a first or last term tells of a holiday before or after it: longer than any summer. Beyond it nothing is known."""
_VERSION_REACH = dt.timedelta(days=28)
HORIZON_DAYS = 400
_WORK = (8 * 60, 17 * 60)
_MINUTE = dt.timedelta(minutes=1)


class CalendarError(Exception):
    """Something about a calendar that cannot be; the message is for the person who asked."""


class Kind(StrEnum):
    """What an entry of a calendar means."""

    TERM = "term"
    HALF_TERM = "half_term"
    HOLIDAY = "holiday"
    INSET = "inset"
    BANK_HOLIDAY = "bank_holiday"
    EXAM = "exam"
    CLOSURE = "closure"


class DayKind(StrEnum):
    """What a day is at a school."""

    SCHOOL_DAY = "school_day"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"
    HALF_TERM = "half_term"
    INSET = "inset"
    BANK_HOLIDAY = "bank_holiday"
    CLOSURE = "closure"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: its first and last day, both included; for an exam also the minutes of the day and the room, if it has one.

    `everywhere` is true of an entry that counts for all schools.
    """

    kind: Kind
    title: str
    starts_on: dt.date
    ends_on: dt.date
    from_minute: int | None = None
    to_minute: int | None = None
    room_id: int | None = None
    everywhere: bool = False

    def covers(self, date: dt.date) -> bool:
        """True where the day is one of the entry's."""
        return self.starts_on <= date <= self.ends_on


@dataclass(frozen=True, slots=True)
class Bell:
    """When a school opens and closes on a day of the week (0: Monday), in minutes of the day."""

    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Day:
    """What a day is, what it is called, and when the school opens and closes on it (UTC; None on a day that it is shut)."""

    kind: DayKind
    title: str
    opens: dt.datetime | None
    closes: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Exam:
    """An exam that is on: its name, its room (None: the whole school), and when this sitting begins and ends (UTC)."""

    title: str
    room_id: int | None
    starts: dt.datetime
    ends: dt.datetime


DEFAULT_BELLS: Mapping[int, Bell] = {weekday: Bell(8 * 60 + 30, 15 * 60 + 30) for weekday in range(5)}
_SHUT = (Kind.CLOSURE, Kind.INSET, Kind.BANK_HOLIDAY, Kind.HALF_TERM, Kind.HOLIDAY)
"""The entries that shut a school, in the order in which one names the day."""
_VARYING = (Kind.TERM, Kind.HALF_TERM, Kind.HOLIDAY)
_Span = tuple[dt.datetime, dt.datetime]


@dataclass(frozen=True, slots=True)
class Calendar:
    """One school's calendar. Without entries it is term all year, on weekdays but English bank holidays.

    An exam without times is on all day. Exams of several days are on at school days only, those of a single day whatever it is.
    """

    zone: ZoneInfo
    entries: tuple[Entry, ...] = ()
    bells: Mapping[int, Bell] = field(default_factory=lambda: DEFAULT_BELLS)
    _days: dict[dt.date, tuple[DayKind, str, tuple[_Span, ...]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def is_open(self, at: dt.datetime) -> bool:
        """True between the bells of a school day: when PCs of lessons are expected to be on."""
        return any(start <= at < end for start, end in self._read(self._date(at))[2])

    def day(self, date: dt.date) -> Day:
        """What that day is."""
        kind, title, spans = self._read(date)
        return Day(kind, title, spans[0][0] if spans else None, spans[-1][1] if spans else None)

    def in_exam(self, at: dt.datetime, room_id: int | None = None) -> Exam | None:
        """The exam that is on at that moment in that room (None: no room), be it the room's own or the whole school's."""
        date = self._date(at)
        for entry in self.exams_on(date):
            if entry.room_id not in (None, room_id):
                continue
            minutes = (entry.from_minute or 0, DAY_MINUTES if entry.to_minute is None else entry.to_minute)
            spans = _spans(self.zone, date, *minutes)
            if any(start <= at < end for start, end in spans):
                return Exam(entry.title, entry.room_id, spans[0][0], spans[-1][1])
        return None

    def exams_on(self, date: dt.date) -> tuple[Entry, ...]:
        """The exams of that day, in all rooms."""
        return tuple(
            entry
            for entry in self.entries
            if entry.kind is Kind.EXAM
            and entry.covers(date)
            and (entry.starts_on == entry.ends_on or self._read(date)[0] is DayKind.SCHOOL_DAY)
        )

    def moments(self, date: dt.date, from_minute: int, to_minute: int) -> tuple[_Span, ...]:
        """The moments between two minutes of a day's wall clock at the school: two pieces where the clock is put back."""
        return _spans(self.zone, date, from_minute, to_minute)

    def next_open(self, at: dt.datetime) -> dt.datetime | None:
        """The first moment after `at` at which the school opens; None where it does not within 400 days."""
        return next((start for start, _ in self._spans_from(at) if start > at), None)

    def next_close(self, at: dt.datetime) -> dt.datetime | None:
        """The first moment after `at` at which the school closes; None where it does not within 400 days."""
        return next((end for _, end in self._spans_from(at) if end > at), None)

    def open_seconds(self, start: dt.datetime, end: dt.datetime) -> float:
        """How long the school is open between two moments."""
        total, date, last = 0.0, self._date(start), self._date(end)
        while date <= last:
            total += sum(max(0.0, (min(end, b) - max(start, a)).total_seconds()) for a, b in self._read(date)[2])
            date += dt.timedelta(days=1)
        return total

    def is_working(self, at: dt.datetime) -> bool:
        """True in the support service's hours: weekdays from 08:00 to 17:00, but not on bank holidays."""
        local = at.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        return local.weekday() < 5 and _WORK[0] <= minute < _WORK[1] and not self._bank_holiday(local.date())

    def _date(self, at: dt.datetime) -> dt.date:
        return at.astimezone(self.zone).date()

    def _spans_from(self, at: dt.datetime) -> Iterator[_Span]:
        date = self._date(at)
        for days in range(HORIZON_DAYS):
            yield from self._read(date + dt.timedelta(days=days))[2]

    def _read(self, date: dt.date) -> tuple[DayKind, str, tuple[_Span, ...]]:
        """The day's kind, title and opening hours; remembered, since the same days are asked for again and again."""
        found = self._days.get(date)
        if found is None:
            kind, title = self._kind(date)
            bell = self.bells.get(date.weekday())
            spans = _spans(self.zone, date, bell.opens, bell.closes) if bell and kind is DayKind.SCHOOL_DAY else ()
            found = self._days[date] = (kind, title, spans)
        return found

    def _kind(self, date: dt.date) -> tuple[DayKind, str]:
        covering = {entry.kind: entry for entry in reversed(self.entries) if entry.covers(date)}
        named = self._bank_holiday(date)
        for kind in _SHUT:
            if kind in covering:
                return DayKind(kind.value), covering[kind].title
            if kind is Kind.BANK_HOLIDAY and named:
                return DayKind.BANK_HOLIDAY, named
        if Kind.TERM not in covering and self._is_between_terms(date):
            return DayKind.HOLIDAY, "School holidays"
        if date.weekday() not in self.bells:
            return DayKind.WEEKEND, "Weekend" if date.weekday() >= 5 else "No school on this day of the week"
        return DayKind.SCHOOL_DAY, covering[Kind.TERM].title if Kind.TERM in covering else "School day"

    def _is_between_terms(self, date: dt.date) -> bool:
        """True outside all terms, as far as they tell: a calendar that ends in July knows nothing of next November."""
        ended = max((entry.ends_on for entry in self.entries if entry.kind is Kind.TERM and entry.ends_on < date), default=None)
        begins = min(
            (entry.starts_on for entry in self.entries if entry.kind is Kind.TERM and entry.starts_on > date), default=None
        )
        if ended and begins:
            return True
        return bool((ended and date - ended <= TERM_REACH) or (begins and begins - date <= TERM_REACH))

    def _bank_holiday(self, date: dt.date) -> str:
        own = next((entry for entry in self.entries if entry.kind is Kind.BANK_HOLIDAY and entry.covers(date)), None)
        return own.title if own else bank_holiday(date)


def school_year(date: dt.date) -> int:
    """The year in which the day's school year began (on 1 September)."""
    return date.year if date.month >= 9 else date.year - 1


def own_first(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries that count for one school: a term or holiday for all schools gives way to the school's own version of it.

    That is its own entry of that kind which overlaps the common one or begins within four weeks of it; so a school that has
    entered its autumn only still has the common spring.
    """
    every = tuple(entries)
    own = [entry for entry in every if not entry.everywhere and entry.kind in _VARYING]
    return tuple(entry for entry in every if not (entry.everywhere and any(_is_version(one, entry) for one in own)))


def _is_version(own: Entry, common: Entry) -> bool:
    if own.kind is not common.kind:
        return False
    overlaps = own.starts_on <= common.ends_on and common.starts_on <= own.ends_on
    return overlaps or abs(own.starts_on - common.starts_on) <= _VERSION_REACH


def _spans(zone: ZoneInfo, date: dt.date, opens: int, closes: int) -> tuple[_Span, ...]:
    """The moments between two minutes of a day's wall clock: two pieces where the clock is put back across one of them."""
    midnight = dt.datetime.combine(date, dt.time(), zone).astimezone(dt.UTC)
    next_midnight = dt.datetime.combine(date + dt.timedelta(days=1), dt.time(), zone).astimezone(dt.UTC)
    plain = dt.datetime.combine(date, dt.time(), dt.UTC)
    before, after = _offset(zone, midnight), _offset(zone, next_midnight - _MINUTE)
    change = next_midnight if before == after else _change(zone, midnight, next_midnight, after)
    pieces = ((before, midnight, change), (after, change, next_midnight))
    cut = (
        (max(first, plain + opens * _MINUTE - offset), min(last, plain + closes * _MINUTE - offset))
        for offset, first, last in pieces
    )
    return _joined([(start, end) for start, end in cut if start < end])


def _joined(spans: list[_Span]) -> tuple[_Span, ...]:
    if len(spans) == 2 and spans[0][1] == spans[1][0]:
        return ((spans[0][0], spans[1][1]),)
    return tuple(spans)


def _offset(zone: ZoneInfo, at: dt.datetime) -> dt.timedelta:
    return at.astimezone(zone).utcoffset() or dt.timedelta()


def _change(zone: ZoneInfo, start: dt.datetime, end: dt.datetime, after: dt.timedelta) -> dt.datetime:
    """The minute between two moments from which the zone has its new offset."""
    minutes = range(int((end - start) / _MINUTE))
    return start + bisect_left(minutes, True, key=lambda minute: _offset(zone, start + minute * _MINUTE) == after) * _MINUTE
