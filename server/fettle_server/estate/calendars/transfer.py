"""Calendars out of the store as files, and what taking a file in would do to one. Reads only; actions.take_in does it.

Apart from queries, so that processes which only ask whether a school is open load no reader of files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from fettle_server.estate.calendars import files, queries
from fettle_server.estate.calendars.views import NewEntry, Preview
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Room, School


def as_file(tx: sa.Connection, person: Person, school_id: int | None, now: dt.datetime) -> bytes:
    """A school's calendar, with the entries for all schools, as an iCalendar file; of None: only the latter."""
    zone = queries.HOME if school_id is None else queries.calendar_of(tx, school_id).zone
    name = "All schools" if school_id is None else tx.scalar(sa.select(School.name).where(School.id == school_id)) or "School"
    dated = (
        files.Dated(
            row.kind, row.title, row.starts_on, row.ends_on, row.uid, row.series, row.from_minute, row.to_minute, row.room
        )
        for row in queries.entries(tx, person, school_id)
    )
    return files.write(name, dated, zone, now)


def preview(tx: sa.Connection, person: Person, school_id: int | None, content: bytes, now: dt.datetime) -> Preview:
    """What taking in an iCalendar file would do to a school's calendar.

    Raises:
        CalendarError: no iCalendar file, or one that is too large or too tangled.
    """
    zone = queries.HOME if school_id is None else queries.calendar_of(tx, school_id).zone
    reading = files.read(content, zone, now.astimezone(zone).date())
    there = queries.entries(tx, person, school_id)
    common = {row.uid for row in there if row.school_id is None} if school_id is not None else set()
    rooms = _rooms(tx, school_id)
    taken = tuple(_new(one, rooms) for one in reading.taken if one.uid not in common)
    left = tuple(
        files.Unplaced(one.title, one.starts_on, "It is in the calendar of all schools already.")
        for one in reading.taken
        if one.uid in common
    )
    series = frozenset(entry.series for entry, _ in taken) | reading.cancelled
    replaces = sum(row.school_id == school_id and bool({row.series, row.uid} & series) for row in there)
    return Preview(taken, (*reading.unplaced, *left), replaces, series)


def _new(one: files.Dated, rooms: Mapping[str, int]) -> tuple[NewEntry, str]:
    new = NewEntry(one.kind, one.title, one.starts_on, one.ends_on, one.from_minute, one.to_minute, None, one.uid, one.series)
    if not one.room:
        return new, ""
    room_id = rooms.get(one.room.lower())
    if room_id is None:
        return new, f"There is no room named {one.room} here: it is taken to be for the whole school."
    return replace(new, room_id=room_id), one.room


def _rooms(tx: sa.Connection, school_id: int | None) -> dict[str, int]:
    found = tx.execute(sa.select(Room.name, Room.id).where(Room.school_id == school_id))
    return {row.name.lower(): row.id for row in found}
