"""The orders in force: the windows and silences that people gave, and the schools' calendars, as detection asks them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from fettle_server import observed
from fettle_server.estate.calendars.queries import HOME, calendars
from fettle_server.estate.calendars.rules import Calendar, Exam
from fettle_server.estate.tables import School
from fettle_server.proactive.stages import recurrence
from fettle_server.proactive.stages.rules import Order, Stage
from fettle_server.proactive.stages.tables import Suppression

LOOK_BACK = dt.timedelta(days=1)
"""Faults told late are judged by the windows of the day before."""
_AHEAD = dt.timedelta(minutes=1)
_NEAR = dt.timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Orders:
    """Everything that people ordered to be held back about now."""

    orders: tuple[Order, ...] = ()
    calendars: Mapping[int, Calendar] = field(default_factory=dict)

    def exam(self, school_id: int, room_id: int | None, now: dt.datetime) -> Exam | None:
        """The exam that is on there."""
        calendar = self.calendars.get(school_id)
        return calendar.in_exam(now, room_id) if calendar is not None else None


def in_force(tx: sa.Connection, now: dt.datetime) -> Orders:
    """The orders of now and of the day before, and all calendars: a few small reads."""
    zone = sa.select(School.time_zone).where(School.id == Suppression.school_id).scalar_subquery()
    statement = sa.select(*Suppression.__table__.c, zone.label("zone")).where(
        sa.or_(Suppression.ended_at.is_(None), Suppression.ended_at > now - LOOK_BACK),
        sa.or_(Suppression.ends_at.is_(None), Suppression.ends_at > now - LOOK_BACK),
        Suppression.starts_at <= now + _AHEAD,
    )
    orders = (_order(row, now) for row in tx.execute(statement.order_by(Suppression.id)))
    return Orders(tuple(order for order in orders if order is not None and order.spans), calendars(tx))


def count(tx: sa.Connection, ids: Iterable[int]) -> None:
    """Note that each of these orders (as often as it is named) held a fault back."""
    counts: dict[int, int] = {}
    for order in ids:
        counts[order] = counts.get(order, 0) + 1
    for order in sorted(counts):
        tx.execute(sa.update(Suppression).where(Suppression.id == order).values(held=Suppression.held + counts[order]))


def spans_of(row: Any, zone: ZoneInfo, begin: dt.datetime, end: dt.datetime) -> tuple[tuple[dt.datetime, dt.datetime], ...]:
    """The spans of a suppression that touch the time between two moments, cut where it was ended."""
    last = min((moment for moment in (row.ends_at, row.ended_at) if moment is not None), default=None)
    if row.rrule:
        series = (row.rrule, row.starts_at, dt.timedelta(seconds=row.duration_s), zone)
        is_near = end - begin <= _NEAR
        found = recurrence.of_days(*series, begin.date()) if is_near else recurrence.spans(*series, between=(begin, end))
    else:
        found = ((row.starts_at, row.ends_at),) if row.ends_at is not None else ()
    cut = ((start, stop if last is None else min(stop, last)) for start, stop in found)
    return tuple((start, stop) for start, stop in cut if start < stop and stop > begin and start <= end)


def _order(row: Any, now: dt.datetime) -> Order | None:
    """The order as the stages see it; None where it cannot be read: it then holds nothing back, and breaks nothing."""
    try:
        zone = ZoneInfo(row.zone) if row.zone else HOME
        spans = spans_of(row, zone, now - LOOK_BACK, now + _AHEAD)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        observed.log().error("a window cannot be read; it holds nothing back", id=row.id, error=type(error).__name__)
        return None
    return Order(
        id=row.id,
        stage=Stage(row.kind),
        title=row.title,
        reason=row.reason,
        spans=spans,
        school_id=row.school_id,
        room_id=row.room_id,
        endpoint_pk=row.endpoint_pk,
        rule=row.rule,
    )
