"""The forward schedule: what is planned, frozen, examined and open for changes in a time, and the same as an iCalendar feed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import icalendar
import sqlalchemy as sa

from fettle_server.change.requests.queries import planned_between
from fettle_server.change.requests.views import ScheduleItem
from fettle_server.change.rollouts.tables import ChangeWindow, Freeze
from fettle_server.estate.calendars.queries import HOME, calendars
from fettle_server.estate.calendars.rules import Calendar, DayKind, Entry, Kind
from fettle_server.estate.people.rules import Person, sees
from fettle_server.estate.tables import Room, School

LONGEST = dt.timedelta(days=400)
_USUAL = dt.timedelta(hours=1)
_HOLIDAYS = frozenset({DayKind.HOLIDAY, DayKind.HALF_TERM})
_MOST = 20_000


def schedule(
    tx: sa.Connection,
    person: Person,
    start: dt.datetime,
    end: dt.datetime,
    school_id: int | None = None,
    *,
    windows: bool = False,
) -> tuple[ScheduleItem, ...]:
    """What is in that time (400 days at most) at that school, or at all of the person's, by when it begins.

    Changes, freezes and exams; with `windows` also when one school's own change windows are open.
    """
    end = min(end, start + LONGEST)
    schools = {row.id: row.name for row in tx.execute(sa.select(School.id, School.name)) if _wanted(person, row.id, school_id)}
    known = calendars(tx, tuple(schools))
    items = [*_changes(tx, person, start, end, school_id), *_freezes(tx, schools, start, end)]
    items += _exams(known, schools, start, end)
    if windows and school_id in known:
        items += _windows(tx, school_id, known[school_id], schools[school_id], start, end)
    return tuple(sorted(items, key=lambda item: (item.starts_at, item.kind, item.title)))


def as_ics(items: Iterable[ScheduleItem], name: str, address: str, now: dt.datetime) -> bytes:
    """The schedule as iCalendar. `address` is where the console is served, "" where nothing links to it."""
    found = icalendar.Calendar()
    for key, value in (("prodid", "-//Fettle//Forward schedule of changes//EN"), ("version", "2.0"), ("x-wr-calname", name)):
        found.add(key, value)
    for item in items:
        found.add_component(_event(item, address, now))
    return bytes(found.to_ical())


def _event(item: ScheduleItem, address: str, now: dt.datetime) -> icalendar.Event:
    event = icalendar.Event()
    where = item.school or "all schools"
    key = (
        f"change-{item.change_id}"
        if item.change_id is not None
        else f"{item.kind}-{item.school}-{item.title}-{item.starts_at:%Y%m%d%H%M}"
    )
    event.add("uid", f"{key}@fettle".replace(" ", "-"))
    event.add("dtstamp", now)
    event.add("summary", _summary(item))
    event.add("location", where)
    event.add("dtstart", item.starts_at.astimezone(HOME).date() if item.all_day else item.starts_at)
    event.add("dtend", item.ends_at.astimezone(HOME).date() if item.all_day else item.ends_at)
    event.add("transp", "TRANSPARENT")
    event.add("categories", [item.kind])
    if item.change_id is not None:
        event.add("description", f"{item.change_kind.capitalize()} change, {item.state}, risk {item.risk}.")
        if address:
            event.add("url", f"{address}/changes/{item.change_id}")
    return event


def _summary(item: ScheduleItem) -> str:
    if item.change_id is not None:
        return f"Change {item.change_id}: {item.title}"
    return {"freeze": "No changes: ", "exam": "Exam: ", "window": ""}.get(item.kind, "") + item.title


def _wanted(person: Person, school_id: int, only: int | None) -> bool:
    return sees(person, school_id) and only in (None, school_id)


def _changes(
    tx: sa.Connection, person: Person, start: dt.datetime, end: dt.datetime, school_id: int | None
) -> Iterable[ScheduleItem]:
    for row, schools, begins, ends in planned_between(tx, person, start, end):
        if school_id is not None and schools and school_id not in schools:
            continue
        where = (
            row.schools[0] if row.school_count == 1 and row.schools else "" if row.everywhere else f"{row.school_count} schools"
        )
        yield ScheduleItem(
            "change", row.title, where, begins, max(ends, begins + _USUAL), False, row.id, row.state, row.risk, row.kind
        )


def _freezes(tx: sa.Connection, schools: dict[int, str], start: dt.datetime, end: dt.datetime) -> Iterable[ScheduleItem]:
    rows = tx.execute(
        sa.select(*Freeze.__table__.c, sa.func.coalesce(Room.name, "").label("room"))
        .outerjoin(Room, Room.id == Freeze.room_id)
        .where(Freeze.starts_at < end, Freeze.ends_at > start, Freeze.ended_at.is_(None))
        .order_by(Freeze.starts_at)
        .limit(_MOST)
    )
    for row in rows:
        if row.school_id is None or row.school_id in schools:
            where = "" if row.school_id is None else schools[row.school_id]
            title = f"{row.title} ({row.room})" if row.room else row.title
            yield ScheduleItem("freeze", title, where, row.starts_at, row.ends_at)


def _exams(known: dict[int, Calendar], schools: dict[int, str], start: dt.datetime, end: dt.datetime) -> Iterable[ScheduleItem]:
    common: set[Entry] = set()
    for school_id, calendar in known.items():
        for entry in calendar.entries:
            if entry.kind is not Kind.EXAM or entry in common:
                continue
            begins, ends = _span(entry, calendar.zone)
            if begins < end and ends > start:
                where = "" if entry.everywhere else schools[school_id]
                yield ScheduleItem("exam", entry.title, where, begins, ends, all_day=entry.from_minute is None)
            if entry.everywhere:
                common.add(entry)


def _span(entry: Entry, zone: dt.tzinfo) -> tuple[dt.datetime, dt.datetime]:
    if entry.from_minute is None or entry.to_minute is None:
        return _at(entry.starts_on, 0, zone), _at(entry.ends_on + dt.timedelta(days=1), 0, zone)
    return _at(entry.starts_on, entry.from_minute, zone), _at(entry.ends_on, entry.to_minute, zone)


def _windows(
    tx: sa.Connection, school_id: int, calendar: Calendar, school: str, start: dt.datetime, end: dt.datetime
) -> Iterable[ScheduleItem]:
    """When the school's own windows are open, or those of all schools where it has none; a room's or class's are left out."""
    whole = sa.and_(ChangeWindow.room_id.is_(None), ChangeWindow.endpoint_class.is_(None))
    mine = sa.or_(ChangeWindow.school_id == school_id, ChangeWindow.school_id.is_(None))
    rows = tx.execute(sa.select(*ChangeWindow.__table__.c).where(whole, mine)).all()
    rows = [row for row in rows if row.school_id is not None] or rows
    date = start.astimezone(calendar.zone).date() - dt.timedelta(days=1)
    while date <= end.astimezone(calendar.zone).date():
        holiday = calendar.day(date).kind in _HOLIDAYS
        for row in rows:
            if date.weekday() not in row.days or row.when_ not in ("", "holiday" if holiday else "term"):
                continue
            later = dt.timedelta(days=int(row.to_minute <= row.from_minute))
            begins, ends = _at(date, row.from_minute, calendar.zone), _at(date + later, row.to_minute, calendar.zone)
            if begins < end and ends > start:
                yield ScheduleItem("window", "Open for changes", school, begins, ends)
        date += dt.timedelta(days=1)


def _at(date: dt.date, minute: int, zone: dt.tzinfo) -> dt.datetime:
    whole = dt.datetime.combine(date + dt.timedelta(days=minute // 1440), dt.time(minute % 1440 // 60, minute % 60), zone)
    return whole.astimezone(dt.UTC)
