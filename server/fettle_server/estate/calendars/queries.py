"""Reads about calendars: each school's as a value, and its entries and bell times as pages show them.

Every worker asks for calendars every few seconds, so they are kept in the process until the store's mark is another one.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa

from fettle_server.estate.calendars.rules import DEFAULT_BELLS, Bell, Calendar, Entry, Kind, own_first
from fettle_server.estate.calendars.tables import BellTimes, CalendarEntry, CalendarMark
from fettle_server.estate.calendars.views import BellRow, EntryRow, Lesson
from fettle_server.estate.people.rules import Person, sees
from fettle_server.estate.tables import Room, School

LIMIT = 5000
HOME = ZoneInfo("Europe/London")


@dataclass(slots=True)
class _Kept:
    """The calendars of one store as they were at a mark, each made when it was first asked for."""

    mark: str | None = None
    entries: dict[int | None, list[Entry]] = field(default_factory=dict)
    bells: dict[int, dict[int, Bell]] = field(default_factory=dict)
    calendars: dict[tuple[int, str], Calendar] = field(default_factory=dict)


_kept: weakref.WeakKeyDictionary[sa.Engine, _Kept] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def calendar_of(tx: sa.Connection, school_id: int) -> Calendar:
    """The school's calendar; the usual one where there is no such school."""
    return calendars(tx, (school_id,)).get(school_id) or Calendar(HOME)


def calendars(tx: sa.Connection, school_ids: Iterable[int] | None = None) -> dict[int, Calendar]:
    """The calendars of those schools (None: all). Two small reads where nothing changed since the last call."""
    statement = sa.select(School.id, School.time_zone)
    if school_ids is not None:
        statement = statement.where(School.id.in_(tuple(school_ids)))
    schools = tx.execute(statement).all()
    with _lock:
        kept = _current(tx)
        return {row.id: _calendar(kept, row.id, row.time_zone) for row in schools}


def entries(tx: sa.Connection, person: Person, school_id: int | None) -> tuple[EntryRow, ...]:
    """The entries of a school's own calendar and those for all schools, by day; of None: only the latter."""
    if school_id is not None and not sees(person, school_id):
        return ()
    entry = CalendarEntry
    where = entry.school_id.is_(None) if school_id is None else sa.or_(entry.school_id == school_id, entry.school_id.is_(None))
    columns = (
        entry.id, entry.school_id, entry.kind, entry.title, entry.starts_on, entry.ends_on, entry.from_minute, entry.to_minute,
        entry.room_id, sa.func.coalesce(Room.name, ""), entry.uid, entry.series, entry.source,
    )  # fmt: skip
    found = sa.select(*columns).outerjoin(Room, Room.id == entry.room_id).where(where)
    rows = tx.execute(found.order_by(entry.starts_on, entry.id).limit(LIMIT))
    return tuple(EntryRow(row[0], row[1], Kind(row[2]), *tuple(row)[3:]) for row in rows)


def bells(tx: sa.Connection, person: Person, school_id: int) -> tuple[BellRow, ...]:
    """A school's own bell times by weekday; none where it has the usual hours."""
    if not sees(person, school_id):
        return ()
    rows = tx.execute(sa.select(*BellTimes.__table__.c).where(BellTimes.school_id == school_id).order_by(BellTimes.weekday))
    return tuple(BellRow(row.weekday, row.opens, row.closes, tuple(Lesson(**one) for one in row.lessons)) for row in rows)


def _current(tx: sa.Connection) -> _Kept:
    mark = tx.scalar(sa.select(CalendarMark.mark)) or ""
    kept = _kept.get(tx.engine)
    if kept is None or kept.mark != mark:
        kept = _kept[tx.engine] = _load(tx, mark)
    return kept


def _load(tx: sa.Connection, mark: str) -> _Kept:
    kept = _Kept(mark)
    entry = CalendarEntry
    for row in tx.execute(sa.select(*entry.__table__.c).order_by(entry.starts_on, entry.id)):
        read = Entry(
            Kind(row.kind), row.title, row.starts_on, row.ends_on, row.from_minute, row.to_minute, row.room_id,
            everywhere=row.school_id is None,
        )  # fmt: skip
        kept.entries.setdefault(row.school_id, []).append(read)
    for bell in tx.execute(sa.select(BellTimes.school_id, BellTimes.weekday, BellTimes.opens, BellTimes.closes)):
        kept.bells.setdefault(bell.school_id, {})[bell.weekday] = Bell(bell.opens, bell.closes)
    return kept


def _calendar(kept: _Kept, school_id: int, time_zone: str) -> Calendar:
    found = kept.calendars.get((school_id, time_zone))
    if found is None:
        entries = own_first((*kept.entries.get(school_id, ()), *kept.entries.get(None, ())))
        found = Calendar(_zone(time_zone), entries, kept.bells.get(school_id, DEFAULT_BELLS))
        kept.calendars[(school_id, time_zone)] = found
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return HOME
