"""What presence remembers: that the server lives, how far its own looks have got, how often each PC, room and school came."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc


class ServerWatch(Model):
    """The mark of the one that hears agents (`name` "writer"): since when it hears without a gap, and when it lived last.

    `offset_ms` is what its wall clock was ahead of its count of seconds then: another difference is a clock that jumped.
    """

    __tablename__ = "server_watch"

    name: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    since_at: Mapped[dt.datetime] = mapped_column(Utc)
    alive_at: Mapped[dt.datetime] = mapped_column(Utc)
    offset_ms: Mapped[int] = mapped_column(sa.BigInteger)


class ServerAway(Model):
    """A time in which the server did not hear its agents; `why` is "restart", "clock" or "cut"."""

    __tablename__ = "server_away"
    __table_args__ = (sa.Index("ix_server_away_to_at", "to_at"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    from_at: Mapped[dt.datetime] = mapped_column(Utc)
    to_at: Mapped[dt.datetime] = mapped_column(Utc)
    why: Mapped[str] = mapped_column(sa.String(10))


class PresenceMark(Model):
    """How far presence has looked (one row, id 1).

    `since_at` is the server's watch as it was at the last look. `cut_lost` is how many endpoints went at once when the server
    itself seemed to be cut off, 0 when it is not; `cut_at` when that was noticed.
    """

    __tablename__ = "presence_mark"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    looked_at: Mapped[dt.datetime] = mapped_column(Utc)
    since_at: Mapped[dt.datetime] = mapped_column(Utc)
    cut_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    cut_lost: Mapped[int] = mapped_column(sa.Integer, default=0)


class SchoolLook(Model):
    """When a school is looked at next, and up to which day its attendance is counted and its PCs' hours are learned."""

    __tablename__ = "school_looks"

    school_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    due_at: Mapped[dt.datetime] = mapped_column(Utc)
    counted_to: Mapped[dt.date] = mapped_column(sa.Date)
    learned_to: Mapped[dt.date] = mapped_column(sa.Date)


class Attendance(Model):
    """How often an endpoint was there on the days on which its room (or school) was in use; old days count less and less.

    `missed` is the run of such days since it was last there: they are not yet in `in_use`. `hours` as in rules.learn.
    `asked` is true while a task asks somebody to wake and charge it.
    """

    __tablename__ = "attendance"

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    in_use: Mapped[float] = mapped_column(sa.Float, server_default="0")
    present: Mapped[float] = mapped_column(sa.Float, server_default="0")
    missed: Mapped[int] = mapped_column(sa.Integer, server_default="0")
    hours: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    asked: Mapped[bool] = mapped_column(sa.Boolean, server_default=sa.false())


class PlaceAttendance(Model):
    """The same for a place: a room ("room:3") on days on which its school was in use, a school ("school:1") on school days."""

    __tablename__ = "place_attendance"

    place: Mapped[str] = mapped_column(sa.String(30), primary_key=True)
    school_id: Mapped[int] = mapped_column(sa.Integer, index=True)
    in_use: Mapped[float] = mapped_column(sa.Float, server_default="0")
    present: Mapped[float] = mapped_column(sa.Float, server_default="0")
    missed: Mapped[int] = mapped_column(sa.Integer, server_default="0")
    asked: Mapped[bool] = mapped_column(sa.Boolean, server_default=sa.false())
