"""The demo estate's rooms, classes and calendars: a school year around now, and PCs where they would stand."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable

import sqlalchemy as sa
from fettle_server.estate.calendars import actions as calendars
from fettle_server.estate.calendars.rules import Kind, school_year
from fettle_server.estate.calendars.views import BellRow, Lesson, NewEntry
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.rooms import actions as rooms
from fettle_server.estate.rooms import classes

from demo.pcs import Pc

ROOM_OF = 16
LARGE = 30
"""Schools with so many PCs are taken for secondary schools: lessons, exams, ICT suites."""
_LESSONS = ("Registration", "Period 1", "Period 2", "Break", "Period 3", "Lunch", "Period 4", "Period 5")
_STARTS = (520, 540, 600, 660, 680, 740, 790, 850, 910)


def fill(tx: sa.Connection, pcs: list[Pc], now: dt.datetime) -> None:
    """Rooms with their PCs, classes, and the calendars of all schools."""
    _common(tx, now)
    by_school: dict[int, list[Pc]] = {}
    for pc in pcs:
        by_school.setdefault(pc.school_id, []).append(pc)
    for school_id, own in by_school.items():
        _rooms(tx, school_id, own, now)
        if len(own) > LARGE:
            _secondary(tx, school_id, now)
    classes.guess(tx, [pc.pk for pc in pcs], now)


def _common(tx: sa.Connection, now: dt.datetime) -> None:
    """The borough's terms of this school year, for all schools."""
    year = school_year(now.date())
    first, next_year = dt.date(year, 9, 1), year + 1
    for kind, title, start, end in (
        (Kind.TERM, "Autumn term", first + dt.timedelta(days=1), dt.date(year, 12, 18)),
        (Kind.HALF_TERM, "Autumn half term", dt.date(year, 10, 26), dt.date(year, 10, 30)),
        (Kind.TERM, "Spring term", dt.date(next_year, 1, 4), dt.date(next_year, 3, 25)),
        (Kind.HALF_TERM, "Spring half term", dt.date(next_year, 2, 15), dt.date(next_year, 2, 19)),
        (Kind.TERM, "Summer term", dt.date(next_year, 4, 12), dt.date(next_year, 7, 21)),
        (Kind.HALF_TERM, "Summer half term", dt.date(next_year, 5, 31), dt.date(next_year, 6, 4)),
    ):
        calendars.add_entry(tx, SYSTEM, None, NewEntry(kind, title, start, end), now)


def _secondary(tx: sa.Connection, school_id: int, now: dt.datetime) -> None:
    year = school_year(now.date())
    hall = rooms.make_room(tx, SYSTEM, school_id, "Main hall", now=now)
    for entry in (
        NewEntry(Kind.INSET, "INSET day", dt.date(year, 11, 27), dt.date(year, 11, 27)),
        NewEntry(Kind.EXAM, "Year 11 mocks", dt.date(year, 12, 7), dt.date(year, 12, 11), 540, 690, hall),
        NewEntry(Kind.EXAM, "GCSE exams", dt.date(year + 1, 5, 10), dt.date(year + 1, 6, 18), 540, 720, hall),
    ):
        calendars.add_entry(tx, SYSTEM, school_id, entry, now)
    lessons = tuple(Lesson(name, *times) for name, times in zip(_LESSONS, itertools.pairwise(_STARTS), strict=True))
    calendars.set_bells(tx, SYSTEM, school_id, [BellRow(day, 510, 920, lessons) for day in range(5)], now)


def _rooms(tx: sa.Connection, school_id: int, own: list[Pc], now: dt.datetime) -> None:
    """Desktops in suites, half of the small laptops on a trolley; staff laptops and the last few PCs in no room."""
    yogas = [pc for pc in own if "Yoga" in pc.model]
    desktops = [pc for pc in own if not pc.name.startswith(("LT", "MAC"))]
    if len(yogas) > 1:
        _stand(tx, school_id, "Blue trolley", yogas[: ROOM_OF * 2], now, kind="trolley")
    for number, start in enumerate(range(0, len(desktops) - 3, ROOM_OF), start=1):
        name = "ICT suite" if len(own) <= LARGE else f"IT {number}"
        name = name if number == 1 or len(own) > LARGE else f"Classroom {number}"
        _stand(tx, school_id, name, desktops[start : start + ROOM_OF], now)


def _stand(
    tx: sa.Connection, school_id: int, name: str, members: Iterable[Pc], now: dt.datetime, *, kind: str = "room"
) -> None:
    room = rooms.make_room(tx, SYSTEM, school_id, name, now=now, kind=kind)
    rooms.set_rooms(tx, SYSTEM, [pc.id for pc in members], room, now)
