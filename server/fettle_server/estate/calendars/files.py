"""iCalendar files: a school's calendar written as one, and any such file read into entries. Knows no store.

Owns the format and what in a stranger's file means what. A file is text from anywhere: it is bounded in bytes, events and
depth before the parser sees it, and its own time zones are left out (their rules can be made to run for hours).
Source: RFC 5545; X-FETTLE-KIND, X-FETTLE-ENDS-ON are ours, so that our own export is read back exactly.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import icalendar

from fettle_server.estate.calendars import recurrence, words
from fettle_server.estate.calendars.rules import DAY_MINUTES, CalendarError, Kind
from fettle_server.estate.enrolment.rules import visible

MAX_BYTES = 512 * 1024
MAX_EVENTS = 2000
MAX_ENTRIES = 2000
MAX_RECURRING = 100
_MAX_DEPTH = 4
_BACK, _AHEAD = dt.timedelta(days=2 * 366), dt.timedelta(days=5 * 366)
_DAMAGED = "This calendar file cannot be read: it is damaged or not whole."
_SHORTEST = dt.timedelta(hours=4)
"""What is shorter does not make a day a holiday or a closure."""
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Dated:
    """An entry as a file has it: `room` is a name, `uid` the entry's own, `series` that of the event it came from."""

    kind: Kind
    title: str
    starts_on: dt.date
    ends_on: dt.date
    uid: str
    series: str
    from_minute: int | None = None
    to_minute: int | None = None
    room: str = ""


@dataclass(frozen=True, slots=True)
class Unplaced:
    """An event that was not taken, and why not, as a sentence."""

    title: str
    starts_on: dt.date | None
    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds: entries, what could not be placed, and the events that it says are cancelled."""

    taken: tuple[Dated, ...]
    unplaced: tuple[Unplaced, ...]
    cancelled: frozenset[str] = frozenset()


class _Unread(Exception):
    """One event of a file that is no entry; the message says why not."""


@dataclass(frozen=True, slots=True)
class _Event:
    """An event with its times in the school's wall clock, without a zone; `end` is the first moment after it."""

    body: Any
    title: str
    uid: str
    start: dt.datetime
    end: dt.datetime
    is_timed: bool
    kind: Kind | None
    is_ours: bool


def write(name: str, entries: Iterable[Dated], zone: ZoneInfo, now: dt.datetime) -> bytes:
    """The entries as an iCalendar file."""
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Fettle//School calendar//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", name)
    calendar.add("x-wr-timezone", zone.key)
    is_timed = False
    for entry in entries:
        calendar.add_component(_written(entry, zone, now))
        is_timed = is_timed or entry.from_minute is not None
    if is_timed:
        calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


class _Text(icalendar.vText):
    """A text as RFC 5545 (3.3.11) escapes it: the library takes a backslash before an N for the end of a line."""

    def to_ical(self) -> bytes:
        escaped = str(self).replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")
        return escaped.encode()


def _written(entry: Dated, zone: ZoneInfo, now: dt.datetime) -> icalendar.Event:
    event = icalendar.Event()
    event.add("uid", entry.uid)
    event.add("dtstamp", now)
    event["summary"] = _Text(entry.title)
    event.add("categories", [entry.kind.value.replace("_", " ")])
    event.add("x-fettle-kind", entry.kind.value)
    if entry.room:
        event["location"] = _Text(entry.room)
    if entry.from_minute is None or entry.to_minute is None:
        event.add("dtstart", entry.starts_on)
        event.add("dtend", entry.ends_on + _DAY)
        return event
    event.add("dtstart", _wall(entry.starts_on, entry.from_minute).replace(tzinfo=zone))
    event.add("dtend", _wall(entry.starts_on, entry.to_minute).replace(tzinfo=zone))
    if entry.ends_on > entry.starts_on:
        event.add("rrule", {"freq": "daily", "count": (entry.ends_on - entry.starts_on).days + 1})
        event.add("x-fettle-ends-on", entry.ends_on.isoformat())
    return event


def _wall(date: dt.date, minute: int) -> dt.datetime:
    return dt.datetime.combine(date, dt.time()) + dt.timedelta(minutes=minute)


def read(content: bytes, zone: ZoneInfo, today: dt.date) -> Reading:
    """What an iCalendar file holds, for a school in that zone.

    Raises:
        CalendarError: no iCalendar file, or one that is too large or too tangled to be a school's calendar.
    """
    events, unplaced = [], []
    cancelled = set()
    for body in _bodies(_bounded(content)):
        title = visible(str(body.get("SUMMARY", "")), 200) or "(without a title)"
        try:
            event = _event(body, title, zone)
        except _Unread as error:
            unplaced.append(Unplaced(title, None, str(error)))
            continue
        if str(body.get("STATUS", "")).upper() == "CANCELLED":
            cancelled.add(event.uid)
            unplaced.append(Unplaced(title, event.start.date(), "The file says that it is cancelled."))
        else:
            events.append(event)
    taken, left = _taken(events, today)
    return Reading(taken, (*unplaced, *left), frozenset(cancelled))


def _bounded(content: bytes) -> str:
    """The file's text with its lines unfolded and its time zones left out."""
    if len(content) > MAX_BYTES:
        raise CalendarError(f"This file is larger than a calendar may be ({MAX_BYTES // 1024} KiB).")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CalendarError("This is not a calendar file: its text is not UTF-8.") from error
    if not text.lstrip().upper().startswith("BEGIN:VCALENDAR") or "\0" in text:
        raise CalendarError("This is not a calendar file: it does not begin with BEGIN:VCALENDAR.")
    kept, path, events = [], [], 0
    for line in re.sub(r"\r?\n[ \t]", "", text).splitlines():
        word, _, name = line.strip().upper().partition(":")
        if word == "BEGIN":
            path.append(name)
            events += name == "VEVENT"
        if "VTIMEZONE" not in path:
            kept.append(line)
        if word == "END" and (not path or path.pop() != name):
            raise CalendarError(_DAMAGED)
        if len(path) > _MAX_DEPTH or events > MAX_EVENTS:
            raise CalendarError(f"This file is too long or too tangled: a calendar has at most {MAX_EVENTS} events.")
    if path:
        raise CalendarError(_DAMAGED)
    return "\r\n".join(kept)


def _bodies(text: str) -> list[Any]:
    try:
        return [body for calendar in icalendar.Calendar.from_ical(text, multiple=True) for body in calendar.walk("VEVENT")]
    except Exception as error:  # the parser meets text from anywhere; whatever it stumbles over, the file is to blame
        raise CalendarError(_DAMAGED) from error


def _event(body: Any, title: str, zone: ZoneInfo) -> _Event:
    try:
        start, is_timed = _local(body.decoded("DTSTART"), zone)
        end = _end(body, start, is_timed, zone)
    except Exception as error:  # as above: one damaged event does not cost the others
        raise _Unread("Its dates cannot be read.") from error
    if not 2000 <= start.year <= end.year <= 2100 or end < start:
        raise _Unread("Its dates are not of this century, or it ends before it begins.")
    told = str(body.get("X-FETTLE-KIND", ""))
    is_ours = told in tuple(Kind)
    kind = Kind(told) if is_ours else words.kind_of(_categories(body), title)
    uid = visible(str(body.get("UID", "")), 500) or f"{title} {start.isoformat()}"
    if len(uid) > 200:
        uid = hashlib.sha256(uid.encode()).hexdigest()
    return _Event(body, title, uid, start, end, is_timed, kind, is_ours)


def _local(value: Any, zone: ZoneInfo) -> tuple[dt.datetime, bool]:
    """The wall clock's time at the school, and whether it is a time at all and not a whole day."""
    if not isinstance(value, dt.datetime):
        return dt.datetime.combine(value, dt.time()), False
    return (value.astimezone(zone).replace(tzinfo=None) if value.tzinfo else value), True


def _end(body: Any, start: dt.datetime, is_timed: bool, zone: ZoneInfo) -> dt.datetime:
    if "DTEND" in body:
        end, _ = _local(body.decoded("DTEND"), zone)
        return max(end, start + _DAY) if not is_timed and end == start else end
    if "DURATION" in body:
        return start + body.decoded("DURATION")  # type: ignore[no-any-return]
    return start if is_timed else start + _DAY


def _categories(body: Any) -> list[str]:
    found = body.get("CATEGORIES", [])
    lists = found if isinstance(found, list) else [found]
    return [str(name) for one in lists for name in getattr(one, "cats", [one])]


def _taken(events: list[_Event], today: dt.date) -> tuple[tuple[Dated, ...], list[Unplaced]]:
    moved = {(event.uid, _moved_from(event)) for event in events if "RECURRENCE-ID" in event.body}
    taken: list[Dated] = []
    unplaced: list[Unplaced] = []
    markers, recurring = [], 0
    for event in events:
        recurring += "RRULE" in event.body
        try:
            if "RRULE" in event.body and recurring > MAX_RECURRING:
                raise _Unread(f"Only the first {MAX_RECURRING} events that recur are read.")
            if event.kind is None and words.ends_of_term(event.title):
                markers.append(event)
                continue
            entries = [one for one in _entries(event, today) if (event.uid, one.starts_on) not in moved or _is_moved(event)]
            if len(taken) + len(entries) > MAX_ENTRIES:
                raise _Unread(f"Only the first {MAX_ENTRIES} entries are read.")
            taken += entries
        except _Unread as error:
            unplaced.append(Unplaced(event.title, event.start.date(), str(error)))
    terms, left = _paired(markers)
    return tuple(sorted((*taken, *terms), key=lambda one: (one.starts_on, one.title))), unplaced + left


def _is_moved(event: _Event) -> bool:
    return "RECURRENCE-ID" in event.body


def _moved_from(event: _Event) -> dt.date | None:
    """The day of the recurring event that this one stands in for."""
    value = getattr(event.body.get("RECURRENCE-ID"), "dt", None)
    return value.date() if isinstance(value, dt.datetime) else value


def _entries(event: _Event, today: dt.date) -> list[Dated]:
    """The entries that an event makes: one, or one for each time that it recurs."""
    kind = _demand_kind(event)
    first = _dated(event, kind, event.start.date(), event.uid)
    if event.is_ours and (told := str(event.body.get("X-FETTLE-ENDS-ON", ""))):
        return [replace(first, ends_on=_told_end(told, first))]
    if event.is_ours and "RRULE" not in event.body:
        return [first]
    dates = sorted(_dates(event, today))
    if not dates:
        raise _Unread("It is too long ago, or too far ahead.")
    if dates == [event.start.date()] and not _is_moved(event):
        return [first]
    return [_dated(event, kind, date, f"{event.uid[:180]}/{date:%Y%m%d}") for date in dates]


def _demand_kind(event: _Event) -> Kind:
    if event.kind is None:
        raise _Unread(words.why_not(event.title))
    if event.is_timed and event.kind is not Kind.EXAM and event.end - event.start < _SHORTEST:
        raise _Unread("It lasts for part of a day only; enter other opening hours as bell times.")
    if event.kind is Kind.TERM and not event.is_ours and event.end - event.start < dt.timedelta(days=10):
        raise _Unread("A term lasts longer than that.")
    if event.end - event.start > dt.timedelta(days=400):
        raise _Unread("It lasts longer than a year.")
    return event.kind


def _told_end(told: str, first: Dated) -> dt.date:
    try:
        end = dt.date.fromisoformat(told)
    except ValueError as error:
        raise _Unread("Its last day cannot be read.") from error
    if not first.starts_on <= end <= first.starts_on + dt.timedelta(days=400):
        raise _Unread("Its last day cannot be.")
    return end


def _dated(event: _Event, kind: Kind, date: dt.date, uid: str) -> Dated:
    """The entry that begins on that day and lasts as long as the event does."""
    start = dt.datetime.combine(date, event.start.time())
    last = max(start, start + (event.end - event.start) - dt.timedelta(minutes=1))
    room = visible(str(event.body.get("LOCATION", "")), 120) if kind is Kind.EXAM else ""
    entry = Dated(kind, event.title, date, last.date(), uid, event.uid, room=room)
    if kind is Kind.EXAM and event.is_timed and last.date() == date:
        begins = start.hour * 60 + start.minute
        ends = min(DAY_MINUTES, begins + max(1, int((event.end - event.start).total_seconds() // 60)))
        return replace(entry, from_minute=begins, to_minute=ends)
    return entry


def _dates(event: _Event, today: dt.date) -> set[dt.date]:
    """The days on which the event begins, within a few years of today."""
    earliest, latest = today - _BACK, today + _AHEAD
    rule = _rule(event)
    recurring = recurrence.days(rule, event.start.date(), latest) if rule else ()
    found = {event.start.date(), *recurring, *_listed(event, "RDATE")} - _listed(event, "EXDATE")
    length = event.end - event.start
    return {date for date in found if date + length >= earliest and date <= latest}


def _rule(event: _Event) -> recurrence.Rule | None:
    if "RRULE" not in event.body:
        return None
    rule = recurrence.understood(event.body["RRULE"])
    if rule is None:
        raise _Unread("It recurs in a way that is not read here.")
    return rule


def _listed(event: _Event, name: str) -> set[dt.date]:
    found = event.body.get(name, [])
    lists = found if isinstance(found, list) else [found]
    values = [getattr(each, "dt", None) for one in lists for each in getattr(one, "dts", [])][: recurrence.MAX_OCCURRENCES]
    return {value.date() if isinstance(value, dt.datetime) else value for value in values if isinstance(value, dt.date)}


def _paired(markers: list[_Event]) -> tuple[list[Dated], list[Unplaced]]:
    """Terms from the days that begin and end them ("Autumn term starts", "Last day of term")."""
    terms, left = [], []
    begun: _Event | None = None
    for event in sorted(markers, key=lambda one: one.start):
        is_start = words.ends_of_term(event.title) == "start"
        if not is_start and begun is not None and event.start - begun.start < dt.timedelta(days=150):
            title = words.term_name(begun.title)
            terms.append(Dated(Kind.TERM, title, begun.start.date(), event.start.date(), begun.uid, begun.uid))
            begun = None
            continue
        if begun is not None or not is_start:
            left.append(_alone(begun if is_start and begun is not None else event))
        begun = event if is_start else begun
    return terms, left + ([_alone(begun)] if begun is not None else [])


def _alone(event: _Event) -> Unplaced:
    return Unplaced(event.title, event.start.date(), "It marks one end of a term, and the file does not have the other.")
