"""Who comes on which days: counted for each PC, room and school after closing, and learned hour by hour after midnight.

Owns the store's side of habits. What a habit says of a missing PC is in rules.py, what is made of it in noshows.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import sqlalchemy as sa

from fettle_server.db import bulk_upsert
from fettle_server.estate.calendars.rules import Calendar, DayKind
from fettle_server.estate.tables import Endpoint, Stay
from fettle_server.proactive.presence import rules
from fettle_server.proactive.presence.rules import BEFORE_OPENING, Expectation, Turnout
from fettle_server.proactive.presence.tables import Attendance, PlaceAttendance
from fettle_server.proactive.presence.watching import away_seconds

KEPT_DAYS = 15
"""Stays are kept so long, and days that nobody counted are made up for so far back."""
_TOO_LONG_AWAY = 0.25
"""A day of which the server missed so much says nothing about who was there."""
_DAY = dt.timedelta(days=1)
_TELLING = 3
"""PCs that a room must have to say by the others whether it is in use."""


class Member(NamedTuple):
    """An endpoint of a school."""

    pk: int
    id: str
    name: str
    room_id: int | None
    endpoint_class: str
    fingerprint: str
    enrolled_at: dt.datetime
    connected: bool
    connected_since: dt.datetime | None
    last_seen: dt.datetime | None
    leave: str
    left_at: dt.datetime | None

    @property
    def expected(self) -> Expectation:
        """When its class is expected."""
        return rules.expectation(self.endpoint_class)


@dataclass(slots=True)
class Record:
    """What is kept of one endpoint or place."""

    turnout: Turnout = field(default_factory=Turnout)
    hours: bytes | None = None
    asked: bool = False


@dataclass(slots=True)
class Register:
    """A school's members and habits while they are counted; `moved` are those whose record is to be written."""

    school_id: int
    calendar: Calendar
    members: tuple[Member, ...]
    endpoints: dict[int, Record]
    places: dict[str, Record]
    moved: set[int] = field(default_factory=set)
    moved_places: set[str] = field(default_factory=set)

    @property
    def school(self) -> str:
        """The school's own key among the places."""
        return f"school:{self.school_id}"

    def record(self, pk: int) -> Record:
        """The endpoint's record, to be changed."""
        self.moved.add(pk)
        return self.endpoints.setdefault(pk, Record())

    def place(self, key: str) -> Record:
        """The place's record, to be changed."""
        self.moved_places.add(key)
        return self.places.setdefault(key, Record())

    def turnout(self, pk: int) -> Turnout:
        """How often the endpoint was there."""
        found = self.endpoints.get(pk)
        return found.turnout if found else Turnout()

    def place_turnout(self, key: str) -> Turnout:
        """How often anybody was there."""
        found = self.places.get(key)
        return found.turnout if found else Turnout()


def room_key(room_id: int) -> str:
    """A room's key among the places."""
    return f"room:{room_id}"


def read(tx: sa.Connection, school_id: int, calendar: Calendar) -> Register:
    """The school's members that may connect, and what is known of their habits."""
    columns = (
        Endpoint.pk, Endpoint.id, Endpoint.name, Endpoint.room_id, Endpoint.endpoint_class, Endpoint.fingerprint,
        Endpoint.enrolled_at, Endpoint.connected, Endpoint.connected_since, Endpoint.last_seen, Endpoint.leave,
        Endpoint.left_at,
    )  # fmt: skip
    is_member = (Endpoint.school_id == school_id, Endpoint.revoked_at.is_(None), Endpoint.last_seen.is_not(None))
    members = tuple(Member._make(row) for row in tx.execute(sa.select(*columns).where(*is_member).order_by(Endpoint.pk)))
    known = sa.select(Attendance).join(Endpoint, Endpoint.pk == Attendance.endpoint_pk).where(*is_member)
    endpoints = {
        row.endpoint_pk: Record(Turnout(row.in_use, row.present, row.missed), row.hours, row.asked) for row in tx.execute(known)
    }
    places = {
        row.place: Record(Turnout(row.in_use, row.present, row.missed), None, row.asked)
        for row in tx.execute(sa.select(PlaceAttendance).where(PlaceAttendance.school_id == school_id))
    }
    return Register(school_id, calendar, members, endpoints, places)


def write(tx: sa.Connection, register: Register) -> None:
    """Store what was changed."""
    dialect = tx.dialect.name
    rows = [(pk, *_figures(register.endpoints[pk]), register.endpoints[pk].hours) for pk in sorted(register.moved)]
    bulk_upsert(dialect, Attendance, "endpoint_pk", "in_use", "present", "missed", "asked", "hours").run(tx, rows)
    places = [(key, *_figures(register.places[key]), register.school_id) for key in sorted(register.moved_places)]
    bulk_upsert(dialect, PlaceAttendance, "place", "in_use", "present", "missed", "asked", "school_id").run(tx, places)


def _figures(record: Record) -> tuple[float, float, int, bool]:
    turnout = record.turnout
    return turnout.in_use, turnout.present, turnout.missed, record.asked


def count(tx: sa.Connection, register: Register, upto: dt.date, after: dt.date, now: dt.datetime) -> dt.date:
    """Count the school days after `after` that are over; returns the last day that needs no counting any more."""
    done = max(after, upto - KEPT_DAYS * _DAY)
    for date in _days(done, upto):
        day = register.calendar.day(date)
        if day.opens is not None and day.closes is not None and day.kind is DayKind.SCHOOL_DAY:
            if day.closes + rules.CLOSED_FOR > now:
                break
            length_s = (day.closes - day.opens).total_seconds()
            if away_seconds(tx, day.opens, day.closes) <= _TOO_LONG_AWAY * length_s:
                _count_day(register, day.opens, heard(tx, register, day.opens - BEFORE_OPENING, day.closes))
        done = date
    return done


def heard(tx: sa.Connection, register: Register, start: dt.datetime, end: dt.datetime) -> frozenset[int]:
    """Which members were connected at any time between the two moments."""
    return frozenset(_stays(tx, register, start, end))


def _stays(
    tx: sa.Connection, register: Register, start: dt.datetime, end: dt.datetime
) -> dict[int, list[tuple[dt.datetime, dt.datetime]]]:
    """When each member was connected between the two moments, cut to them."""
    which = (Stay.school_id == register.school_id, Stay.went_at > start, Stay.came_at < end)
    found: dict[int, list[tuple[dt.datetime, dt.datetime]]] = {}
    for row in tx.execute(sa.select(Stay.endpoint_pk, Stay.came_at, Stay.went_at).where(*which)):
        found.setdefault(row.endpoint_pk, []).append((max(row.came_at, start), min(row.went_at, end)))
    for member in register.members:
        if member.connected and member.connected_since is not None and member.connected_since < end:
            found.setdefault(member.pk, []).append((max(member.connected_since, start), end))
    return found


def rooms(members: Iterable[Member]) -> dict[int, list[Member]]:
    """The PCs of fixed suites by their rooms. One or two are left out: where one of two is missing, nobody tells."""
    found: dict[int, list[Member]] = {}
    for member in members:
        if member.room_id is not None and member.expected is Expectation.LESSONS:
            found.setdefault(member.room_id, []).append(member)
    return {room_id: some for room_id, some in found.items() if len(some) >= _TELLING}


def _count_day(register: Register, opens: dt.datetime, there: frozenset[int]) -> None:
    fixed = [member for member in register.members if member.expected is Expectation.LESSONS and member.enrolled_at < opens]
    if not fixed:
        return
    in_use = rules.is_school_in_use(sum(member.pk in there for member in fixed), len(fixed))
    school = register.place(register.school)
    school.turnout = rules.counted(school.turnout, is_there=in_use)
    if not in_use:
        return
    by_room = rooms(fixed)
    used = {room_id for room_id, some in by_room.items() if _is_used(some, there)}
    for room_id, some in by_room.items():
        room = register.place(room_key(room_id))
        room.turnout = rules.counted(room.turnout, is_there=any(member.pk in there for member in some))
    for member in fixed:
        is_there = member.pk in there
        counts = member.room_id in used if member.room_id in by_room else True
        if counts or (is_there and register.turnout(member.pk).missed):
            record = register.record(member.pk)
            record.turnout = rules.counted(record.turnout, is_there=is_there)


def _is_used(some: Sequence[Member], there: frozenset[int]) -> bool:
    return rules.is_room_in_use(sum(member.pk in there for member in some), len(some))


def learn(tx: sa.Connection, register: Register, upto: dt.date, after: dt.date) -> dt.date:
    """Learn the hours of the days after `after`, of school days and weekends; returns the last day that is learned."""
    for date in _days(max(after, upto - KEPT_DAYS * _DAY), upto):
        if register.calendar.day(date).kind not in (DayKind.SCHOOL_DAY, DayKind.WEEKEND):
            continue
        start, end = (_midnight(register.calendar, date + days * _DAY) for days in (0, 1))
        if away_seconds(tx, start, end) > _TOO_LONG_AWAY * (end - start).total_seconds():
            continue
        _learn_day(register, date.weekday(), _stays(tx, register, start, end))
    return upto


def _learn_day(register: Register, weekday: int, stays: Mapping[int, list[tuple[dt.datetime, dt.datetime]]]) -> None:
    """The hours in which each was there; those that are known and were not there, were there in none."""
    zone = register.calendar.zone
    silent = [pk for pk, record in register.endpoints.items() if record.hours is not None and pk not in stays]
    for pk in (*stays, *silent):
        record = register.record(pk)
        local = [(came.astimezone(zone), went.astimezone(zone)) for came, went in stays.get(pk, ())]
        record.hours = rules.learn(record.hours, weekday, rules.hours_of(local))


def drop_stays(tx: sa.Connection, school_id: int, now: dt.datetime) -> None:
    """Forget the school's stays that everything was learned from."""
    tx.execute(sa.delete(Stay).where(Stay.school_id == school_id, Stay.went_at < now - (KEPT_DAYS + 1) * _DAY))


def _midnight(calendar: Calendar, date: dt.date) -> dt.datetime:
    return dt.datetime.combine(date, dt.time(), calendar.zone).astimezone(dt.UTC)


def _days(after: dt.date, upto: dt.date) -> list[dt.date]:
    return [after + days * _DAY for days in range(1, (upto - after).days + 1)]
