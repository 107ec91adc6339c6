"""Calendars' tables: entries, bell times, and the mark that says when either last changed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc


class CalendarEntry(Model):
    """An entry of a school's calendar, or of all schools' (`school_id` NULL).

    `kind` is a rules.Kind; both days are included; minutes of the day and the room are an exam's. `uid` is the entry's own,
    `series` that of the imported event which it came from (an event that recurs makes many entries), `source` the name of
    the file, or empty where a person entered it.
    """

    __tablename__ = "calendar_entries"
    __table_args__ = (sa.Index("ix_calendar_entries_school_id_series", "school_id", "series"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    school_id: Mapped[int | None] = mapped_column(sa.ForeignKey("schools.id"))
    kind: Mapped[str] = mapped_column(sa.String(20))
    title: Mapped[str] = mapped_column(sa.String(200))
    starts_on: Mapped[dt.date] = mapped_column(sa.Date)
    ends_on: Mapped[dt.date] = mapped_column(sa.Date)
    from_minute: Mapped[int | None] = mapped_column(sa.Integer)
    to_minute: Mapped[int | None] = mapped_column(sa.Integer)
    room_id: Mapped[int | None] = mapped_column(sa.Integer)
    uid: Mapped[str] = mapped_column(sa.String(255))
    series: Mapped[str] = mapped_column(sa.String(255))
    source: Mapped[str] = mapped_column(sa.String(200), default="")
    changed_at: Mapped[dt.datetime] = mapped_column(Utc)


class BellTimes(Model):
    """When a school opens and closes on a weekday (0: Monday), in minutes of the day, and its lessons in between.

    A school without any has the usual hours; one with some is shut on the weekdays that have none. A lesson is
    {"name", "starts", "ends"}, again in minutes.
    """

    __tablename__ = "bells"

    school_id: Mapped[int] = mapped_column(sa.ForeignKey("schools.id"), primary_key=True)
    weekday: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    opens: Mapped[int] = mapped_column(sa.Integer)
    closes: Mapped[int] = mapped_column(sa.Integer)
    lessons: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON, default=list)


class CalendarMark(Model):
    """One row whose `mark` is another one after each change: what processes know by that their copies are old.

    It is random and no count, so that a change which was rolled back and one that came instead never look alike.
    """

    __tablename__ = "calendar_mark"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    mark: Mapped[str] = mapped_column(sa.String(32))
