"""What queries about calendars return: plain frozen values, safe to hold after the transaction."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from fettle_server.estate.calendars.files import Unplaced
from fettle_server.estate.calendars.rules import Kind


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry in a list; `school_id` None: it counts for all schools; `room` is the name of an exam's room."""

    id: int
    school_id: int | None
    kind: Kind
    title: str
    starts_on: dt.date
    ends_on: dt.date
    from_minute: int | None
    to_minute: int | None
    room_id: int | None
    room: str
    uid: str
    series: str
    source: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson of a weekday, in minutes of the day."""

    name: str
    starts: int
    ends: int


@dataclass(frozen=True, slots=True)
class BellRow:
    """A weekday's opening hours and lessons (0: Monday), in minutes of the day."""

    weekday: int
    opens: int
    closes: int
    lessons: tuple[Lesson, ...] = ()


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be, as a person or a file gives it; checked by actions before it is kept."""

    kind: Kind
    title: str
    starts_on: dt.date
    ends_on: dt.date
    from_minute: int | None = None
    to_minute: int | None = None
    room_id: int | None = None
    uid: str = ""
    series: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would do: entries to add (each with a word where one is due), how many go, what is left."""

    taken: tuple[tuple[NewEntry, str], ...]
    unplaced: tuple[Unplaced, ...]
    replaces: int
    series: frozenset[str]
