"""Schools by the 14-day clock, what a freeze or an exam will bring about, and the estate on one line. Bounded reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from fettle_server.change.patches.rules import SOON_DAYS, STALE_DAYS, Quiet, Standing, freeze_warning
from fettle_server.change.patches.tables import PatchCount, PatchScan
from fettle_server.change.patches.views import Compliance, PatchSummary
from fettle_server.db import to_ms
from fettle_server.estate.calendars.queries import calendars
from fettle_server.estate.calendars.rules import Kind
from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint, School

_LOOKED_AHEAD_DAYS = 21
_MOST_QUIET = 10
_FIELDS = {
    Standing.ON_TIME: "on_time",
    Standing.SOON: "soon",
    Standing.OVERDUE: "overdue",
    Standing.UNKNOWN: "unknown",
    Standing.EXCEPTED: "excepted",
}


def compliance(tx: sa.Connection, person: Person, now: dt.datetime) -> tuple[Compliance, ...]:
    """The person's schools by the 14-day clock, the worst first."""
    found: dict[int, dict[str, Any]] = {}
    for row in tx.execute(_by_school(person, now)):
        school = found.setdefault(row.school_id, {"due_on": None, "restart": 0, **dict.fromkeys(_FIELDS.values(), 0)})
        school[_FIELDS[Standing(row.standing)]] += row.endpoints
        school["restart"] += row.restart
        if row.standing in (Standing.SOON, Standing.ON_TIME) and row.due is not None:
            school["due_on"] = row.due if school["due_on"] is None else min(row.due, school["due_on"])
    names = sa.select(School.id, School.name)
    if person.schools is not None:
        names = names.where(School.id.in_(person.schools))
    rows = [_school(school_id, name, found[school_id]) for school_id, name in tx.execute(names) if school_id in found]
    return tuple(sorted(rows, key=lambda row: (-row.overdue, -row.unknown, -row.soon, row.school)))


def summary(tx: sa.Connection, person: Person, now: dt.datetime) -> PatchSummary:
    """The person's estate on one line."""
    counts = dict.fromkeys(_FIELDS.values(), 0)
    for row in tx.execute(_by_school(person, now)):
        counts[_FIELDS[Standing(row.standing)]] += row.endpoints
    today = now.date().toordinal()
    late = sa.case((sa.and_(PatchCount.due_day > 0, PatchCount.due_day < today), PatchCount.update_id))
    columns = (sa.func.count(sa.distinct(PatchCount.update_id)), sa.func.count(sa.distinct(late)))
    statement = sa.select(*columns).where(PatchCount.endpoints > 0)
    if person.schools is not None:
        statement = statement.where(PatchCount.school_id.in_(person.schools))
    updates, overdue = tx.execute(statement).one()
    return PatchSummary(**counts, updates=updates, updates_overdue=overdue)


def warned(tx: sa.Connection, rows: Sequence[Compliance], freezes: Iterable[Quiet], now: dt.datetime) -> tuple[Compliance, ...]:
    """The schools, each with what falls due while nothing may be installed there: a freeze does not stop the clock."""
    last, zones = now.date() + dt.timedelta(days=_LOOKED_AHEAD_DAYS), calendars(tx, [row.school_id for row in rows])
    coming = [one for one in freezes if one.ends_on >= now.date() and one.starts_on <= last]
    found = []
    for row in rows:
        exams = (
            Quiet(row.school_id, entry.title, entry.starts_on, entry.ends_on)
            for entry in (zones[row.school_id].entries if row.school_id in zones else ())
            if entry.kind is Kind.EXAM and entry.room_id is None and now.date() <= entry.ends_on and entry.starts_on <= last
        )
        mine = sorted({one for one in (*coming, *exams) if one.school_id in (None, row.school_id)}, key=_begins)[:_MOST_QUIET]
        counted = ((one, _due_between(tx, row.school_id, max(one.starts_on, now.date()), one.ends_on)) for one in mine)
        texts = tuple(freeze_warning(one, number, now.date()) for one, number in counted if number)
        found.append(replace(row, warnings=texts))
    return tuple(found)


def _begins(one: Quiet) -> tuple[dt.date, str]:
    return one.starts_on, one.title


def _due_between(tx: sa.Connection, school_id: int, first: dt.date, last: dt.date) -> int:
    joined = sa.select(sa.func.count()).select_from(PatchScan).join(Endpoint, Endpoint.pk == PatchScan.endpoint_pk)
    which = (Endpoint.school_id == school_id, Endpoint.revoked_at.is_(None), PatchScan.due_on.between(first, last))
    return int(tx.scalar(joined.where(*which)) or 0)


def standing_of(now: dt.datetime) -> sa.Case[str]:
    """change.patches.rules.standing as the store says it, for lists of many thousand."""
    today, soon = now.date(), now.date() + dt.timedelta(days=SOON_DAYS)
    stale = to_ms(now) - dt.timedelta(days=STALE_DAYS) // dt.timedelta(milliseconds=1)
    seen = sa.type_coerce(Endpoint.last_seen, sa.BigInteger)
    is_here = sa.or_(Endpoint.connected, seen >= stale)
    return sa.case(
        (sa.or_(PatchScan.endpoint_pk.is_(None), sa.not_(sa.func.coalesce(is_here, sa.false()))), Standing.UNKNOWN.value),
        (PatchScan.due_on < today, Standing.OVERDUE.value),
        (sa.not_(PatchScan.worked), Standing.UNKNOWN.value),
        (PatchScan.due_on <= soon, Standing.SOON.value),
        (PatchScan.excepted, Standing.EXCEPTED.value),
        else_=Standing.ON_TIME.value,
    )


def _by_school(person: Person, now: dt.datetime) -> Any:
    standing = standing_of(now).label("standing")
    columns = (
        Endpoint.school_id,
        standing,
        sa.func.count().label("endpoints"),
        sa.func.count(sa.case((PatchScan.restart > 0, 1))).label("restart"),
        sa.func.min(PatchScan.due_on).label("due"),
    )
    joined = sa.select(*columns).select_from(Endpoint).outerjoin(PatchScan, PatchScan.endpoint_pk == Endpoint.pk)
    return joined.where(Endpoint.revoked_at.is_(None), *scoped(person)).group_by(Endpoint.school_id, standing)


def _school(school_id: int, name: str, counts: dict[str, Any]) -> Compliance:
    known = counts["on_time"] + counts["soon"] + counts["overdue"] + counts["excepted"]
    percent = None if not known else 100 * (known - counts["overdue"]) // known
    return Compliance(school_id=school_id, school=name, percent=percent, **counts)
