"""Each school's looks of the day: an hour and two after opening, after closing, and after midnight; a few schools at a time."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fettle_server.db import Utc
from fettle_server.estate.calendars.queries import calendar_of, calendars
from fettle_server.estate.calendars.rules import Calendar
from fettle_server.estate.tables import School
from fettle_server.proactive.presence import attendance, evidence, noshows
from fettle_server.proactive.presence.looks import Look
from fettle_server.proactive.presence.rules import BEFORE_OPENING, CLOSED_FOR, ROOM_AFTER, SCHOOL_AFTER
from fettle_server.proactive.presence.tables import SchoolLook

AT_ONCE = 4
"""Schools that one transaction looks at: it must not keep agents' batches waiting."""
_DAY = dt.timedelta(days=1)
_AFTER_MIDNIGHT = dt.timedelta(minutes=30)


def look_at(tx: sa.Connection, look: Look) -> bool:
    """Look at the schools that are due; True where more are."""
    if look.now < look.ready:
        return False
    _begin_new(tx, look)
    columns = (SchoolLook.school_id, SchoolLook.counted_to, SchoolLook.learned_to)
    which = sa.select(*columns).where(SchoolLook.due_at <= look.now).order_by(SchoolLook.due_at, SchoolLook.school_id)
    due = tx.execute(which.limit(AT_ONCE)).all()
    for row in due:
        _look_at(tx, look, row)
    return len(due) >= AT_ONCE


def next_due(tx: sa.Connection, look: Look) -> dt.datetime | None:
    """When the next school is due."""
    if _new(tx):
        return look.ready
    first = tx.scalar(sa.select(sa.func.min(SchoolLook.due_at, type_=Utc())))
    return None if first is None else max(first, look.ready)


def _new(tx: sa.Connection) -> list[int]:
    known = sa.select(SchoolLook.school_id).where(SchoolLook.school_id == School.id).exists()
    return list(tx.scalars(sa.select(School.id).where(~known)))


def _begin_new(tx: sa.Connection, look: Look) -> None:
    new = _new(tx)
    for school_id, calendar in calendars(tx, new).items() if new else ():
        before = look.now.astimezone(calendar.zone).date() - _DAY
        row = {"school_id": school_id, "due_at": look.now, "counted_to": before, "learned_to": before}
        tx.execute(sa.insert(SchoolLook).values(**row))


def _look_at(tx: sa.Connection, look: Look, row: sa.Row[int, dt.date, dt.date]) -> None:
    calendar = calendar_of(tx, row.school_id)
    register = attendance.read(tx, row.school_id, calendar)
    today = look.now.astimezone(calendar.zone).date()
    counted_to = attendance.count(tx, register, today, min(row.counted_to, today), look.now)
    learned_to = attendance.learn(tx, register, today - _DAY, min(row.learned_to, today - _DAY))
    if learned_to != row.learned_to:
        evidence.ask(tx, look, register)
        evidence.ask_to_look(tx, look, register)
        attendance.drop_stays(tx, row.school_id, look.now)
    day = noshows.begun(look, calendar)
    if day is not None:
        noshows.judge(look, register, day, attendance.heard(tx, register, day.opens - BEFORE_OPENING, look.now))
    attendance.write(tx, register)
    values = {"due_at": next_look(calendar, look.now, look.ready), "counted_to": counted_to, "learned_to": learned_to}
    tx.execute(sa.update(SchoolLook).where(SchoolLook.school_id == row.school_id).values(**values))


def next_look(calendar: Calendar, now: dt.datetime, ready: dt.datetime) -> dt.datetime:
    """When the school is to be looked at next."""
    date = now.astimezone(calendar.zone).date()
    midnight = dt.datetime.combine(date + _DAY, dt.time(), calendar.zone).astimezone(dt.UTC)
    times = [midnight + _AFTER_MIDNIGHT]
    day = calendar.day(date)
    if day.opens is not None and day.closes is not None:
        opened = max(day.opens, ready)
        times += [opened + SCHOOL_AFTER, opened + ROOM_AFTER, day.closes + CLOSED_FOR]
    return min(at for at in times if at > now)
