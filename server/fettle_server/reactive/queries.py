"""Reads about incidents: the queue, those that are over, one with its story, what is alike, and the trend.

Faults are the proactive wing's, which stands above this one: they are read by their table's name, never written here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.db import EPOCH, Utc, from_ms, to_ms
from fettle_server.estate.endpoints.rules import search_words
from fettle_server.estate.endpoints.scope import FEW_SCHOOLS, endpoint_pk, scoped
from fettle_server.estate.people.queries import people_for
from fettle_server.estate.people.rules import Act, Person, may
from fettle_server.estate.tables import Endpoint, Room, School, User
from fettle_server.paging import COUNT_CAP, Page, PageError, bounded, mark, unmark
from fettle_server.reactive import rules
from fettle_server.reactive.reach import reached, touches
from fettle_server.reactive.rules import DEFAULT_PRIORITIES, OPEN_STATES, Deed, IncidentState, Scope
from fettle_server.reactive.tables import Incident, IncidentEntry, PriorityCell
from fettle_server.reactive.views import (
    Alike,
    Child,
    DayCount,
    FaultOfIncident,
    IncidentDetail,
    IncidentFilter,
    IncidentQueryError,
    IncidentRow,
    TimelineEntry,
)

__all__ = [
    "Alike",
    "Child",
    "DayCount",
    "FaultOfIncident",
    "IncidentDetail",
    "IncidentFilter",
    "IncidentQueryError",
    "IncidentRow",
    "Page",
    "TimelineEntry",
    "alike",
    "faults_of",
    "incident",
    "incidents",
    "open_by_priority",
    "priorities",
    "trend",
]

TREND_DAYS = 400
ALIKE = 20
ALIKE_WITHIN = dt.timedelta(days=30)
CHILDREN = 500
FAULTS_EACH = 200
"""Faults told with each incident: a wider one may have thousands."""
_TIMELINE = 1000
_DAY_MS = 86_400_000
_OVER = (IncidentState.RESOLVED, IncidentState.CLOSED)

_FAULTS = sa.table(
    "faults",
    sa.column("id", sa.BigInteger),
    sa.column("rule", sa.String),
    sa.column("instance", sa.String),
    sa.column("severity", sa.String),
    sa.column("since_at", Utc),
    sa.column("raised_at", Utc),
    sa.column("cleared_at", Utc),
    sa.column("clear_reason", sa.String),
    sa.column("value", sa.Float),
    sa.column("detail", sa.String),
    sa.column("evidence", sa.JSON),
    sa.column("incident_number", sa.BigInteger),
    sa.column("endpoint_pk", sa.BigInteger),
)
_FAULT = tuple(_FAULTS.c)[:-1]
_MEMBERS = sa.select(sa.func.count(sa.distinct(_FAULTS.c.endpoint_pk))).where(_FAULTS.c.incident_number == Incident.number)
_REACHED = sa.case((Incident.scope == Scope.ENDPOINT, 0), else_=_MEMBERS.correlate(Incident).scalar_subquery())
_ROW = (
    Incident.number,
    Incident.state,
    Incident.priority,
    Incident.title,
    Incident.school_id,
    sa.func.coalesce(School.name, "").label("school"),
    sa.func.coalesce(Endpoint.id, "").label("endpoint_id"),
    sa.func.coalesce(Endpoint.name, "").label("endpoint"),
    Incident.rule,
    Incident.opened_at,
    Incident.acknowledged_at,
    Incident.resolved_at,
    Incident.updated_at,
    User.name.label("assignee"),
    Incident.open_faults,
    Incident.reopened,
    Incident.is_test,
    Incident.scope,
    sa.func.coalesce(Room.name, "").label("room"),
    _REACHED.label("endpoints"),
    Incident.merged_into,
    Incident.quiet_until,
)
_MORE = (Incident.impact, Incident.urgency, Incident.origin, Incident.closed_at)
_IS_REAL = sa.and_(Incident.is_test.is_(sa.false()), Incident.merged_into.is_(None))
"""What counts: no proof, and nothing that became part of a wider incident."""
_RESOLVED_MS = sa.type_coerce(Incident.resolved_at, sa.BigInteger)
_OPENED_MS = sa.type_coerce(Incident.opened_at, sa.BigInteger)


@dataclass(frozen=True, slots=True)
class _Order:
    """How a list is sorted: the columns, whether the largest come first, and the word that marks its pages."""

    word: str
    columns: tuple[Any, ...]
    falling: bool

    def sorted(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        return statement.order_by(*(column.desc() if self.falling else column.asc() for column in self.columns))

    def past(self, statement: sa.Select[Any], after: str) -> sa.Select[Any]:
        word, *key = unmark(after, str, *(int for _ in self.columns))
        if word != self.word:
            raise PageError("`after` is a mark of another list; begin again without it")
        here, there = sa.tuple_(*self.columns), sa.tuple_(*key)
        return statement.where(here < there if self.falling else here > there)


_URGENT = _Order("urgent", (Incident.priority, Incident.number), falling=False)
_LATEST = _Order("latest", (_RESOLVED_MS, Incident.priority, Incident.number), falling=True)
_NEWEST = _Order("newest", (Incident.number,), falling=True)


def incidents(
    tx: sa.Connection, person: Person, wanted: IncidentFilter, after: str | None = None, limit: int = 50
) -> Page[IncidentRow]:
    """A page of the incidents that fit: open ones by priority, those that are over latest first, all together newest first.

    Raises:
        IncidentQueryError: an unknown state, or an `after` that no page gave out.
    """
    order, limit = _order(wanted.state), bounded(limit)
    fitting = sa.select(*order.columns).where(*_where(tx, person, wanted))
    try:
        rest = fitting if after is None else order.past(fitting, after)
        found = tx.execute(order.sorted(rest).limit(limit + 1)).all()
    except PageError as error:
        raise IncidentQueryError(str(error)) from error
    shown = found[:limit]
    more = len(found) > limit
    total = len(shown) if after is None and not more else _capped_count(tx, fitting)
    return Page(_rows(tx, [key[-1] for key in shown]), mark((order.word, *shown[-1])) if more else None, total)


def incident(tx: sa.Connection, person: Person, number: int) -> IncidentDetail | None:
    """One incident with its whole story; None where there is none of that number among the person's schools."""
    if not 0 < number < 2**63:
        return None
    row = tx.execute(_joined(*_ROW, *_MORE).where(Incident.number == number, *_scoped(person))).one_or_none()
    if row is None:
        return None
    return IncidentDetail(
        **row._asdict(),
        faults=faults_of(tx, [number]).get(number, ()),
        timeline=_timeline(tx, person, number),
        assignees=people_for(tx, Act.WORK_INCIDENTS, *reached(tx, number, row.school_id)),
        allowed=frozenset(deed.value for deed in _allowed(person, row)),
        children=_children(tx, person, number) if row.scope != Scope.ENDPOINT else (),
        took_over=tuple(tx.scalars(sa.select(Incident.number).where(Incident.merged_into == number).limit(CHILDREN))),
    )


def _children(tx: sa.Connection, person: Person, number: int) -> tuple[Child, ...]:
    """The endpoints of a wider cause, in the person's schools."""
    fault = _FAULTS.c
    statement = (
        sa.select(
            fault.id, Endpoint.id, Endpoint.name, School.name, Endpoint.state, fault.severity, fault.rule, fault.instance,
            fault.since_at, fault.cleared_at,
        )
        .join(Endpoint, Endpoint.pk == fault.endpoint_pk)
        .join(School, School.id == Endpoint.school_id)
        .where(fault.incident_number == number, *scoped(person))
        .order_by(fault.cleared_at.is_not(None), School.name, Endpoint.name, fault.id)
        .limit(CHILDREN)
    )  # fmt: skip
    return tuple(Child(*row) for row in tx.execute(statement))


def faults_of(tx: sa.Connection, numbers: Iterable[int]) -> dict[int, tuple[FaultOfIncident, ...]]:
    """The faults of each of those incidents, oldest first, at most 200. Ask only for incidents that the person may see."""
    found: dict[int, list[FaultOfIncident]] = {}
    belongs, order = _FAULTS.c.incident_number, (_FAULTS.c.raised_at, _FAULTS.c.id)
    place = sa.func.row_number().over(partition_by=belongs, order_by=order).label("place")
    each = sa.select(_FAULTS.c.id, place).where(belongs.in_(list(numbers))).subquery()
    shown = sa.select(*_FAULT).join(each, each.c.id == _FAULTS.c.id).where(each.c.place <= FAULTS_EACH)
    for *fields, number in tx.execute(shown.order_by(belongs, *order)):
        found.setdefault(number, []).append(FaultOfIncident(*fields))
    return {number: tuple(faults) for number, faults in found.items()}


def alike(tx: sa.Connection, person: Person, number: int) -> tuple[Alike, ...]:
    """Other incidents of the same rule that are open, or began within 30 days of this one, at most 20.

    Those whose PC shares most with this one's come first, then the newest.
    """
    columns = (Incident.rule, Incident.opened_at, Endpoint.model, Endpoint.room_id, Endpoint.system_version)
    this = (Incident.number == number, *_scoped(person))
    row = tx.execute(sa.select(*columns).outerjoin(Endpoint, Endpoint.pk == Incident.endpoint_pk).where(*this)).one_or_none()
    if row is None or not row.rule:
        return ()
    near = Incident.opened_at.between(row.opened_at - ALIKE_WITHIN, row.opened_at + ALIKE_WITHIN)
    own = (Endpoint.model.label("own_model"), Endpoint.room_id.label("own_room"), Endpoint.system_version.label("own_build"))
    statement = _joined(*_ROW, *own).where(Incident.rule == row.rule, Incident.number != number, *_scoped(person))
    rows = tx.execute(
        statement.where(sa.or_(Incident.resolved_at.is_(None), near)).order_by(Incident.number.desc()).limit(ALIKE)
    )
    mine = (("model", row.model), ("room", row.room_id), ("build", row.system_version))
    found = [
        Alike(
            IncidentRow(*fields),
            tuple(name for (name, value), their in zip(mine, (model, room, build), strict=True) if value and value == their),
        )
        for *fields, model, room, build in rows
    ]
    return tuple(sorted(found, key=lambda one: -len(one.shares)))


def trend(tx: sa.Connection, person: Person, days: int, now: dt.datetime) -> tuple[DayCount, ...]:
    """For each of the last days (UTC, today included, oldest first) how many incidents were opened and how many resolved.

    Tests do not count.
    """
    last = to_ms(now) // _DAY_MS
    first = last - max(1, min(days, TREND_DAYS)) + 1
    opened = _by_day(tx, person, Incident.opened_at, _OPENED_MS, first)
    resolved = _by_day(tx, person, Incident.resolved_at, _RESOLVED_MS, first)
    return tuple(
        DayCount((EPOCH + dt.timedelta(days=day)).date(), opened.get(day, 0), resolved.get(day, 0))
        for day in range(first, last + 1)
    )


def priorities(tx: sa.Connection) -> dict[tuple[str, str], int]:
    """The priority of each (impact, urgency), 1 first."""
    rows = tx.execute(sa.select(PriorityCell.impact, PriorityCell.urgency, PriorityCell.priority))
    return dict(DEFAULT_PRIORITIES) | {(row.impact, row.urgency): row.priority for row in rows}


def open_by_priority(tx: sa.Connection, person: Person) -> dict[int, int]:
    """How many incidents of the person's schools are open, by priority; a priority without any is left out, as are tests."""
    counted = (
        sa.select(Incident.priority, sa.func.count())
        .where(Incident.resolved_at.is_(None), _IS_REAL, *_scoped(person))
        .group_by(Incident.priority)
    )
    return {row[0]: row[1] for row in tx.execute(counted)}


def _order(state: str) -> _Order:
    if state == "all":
        return _NEWEST
    if state == "resolved" or state in _OVER:
        return _LATEST
    if state == "open" or state in OPEN_STATES:
        return _URGENT
    raise IncidentQueryError(f"state is open, resolved, all, or one of {', '.join(IncidentState)}")


def _joined(*columns: Any) -> sa.Select[Any]:
    return (
        sa.select(*columns)
        .select_from(Incident)
        .outerjoin(School, School.id == Incident.school_id)
        .outerjoin(Room, Room.id == Incident.room_id)
        .outerjoin(Endpoint, Endpoint.pk == Incident.endpoint_pk)
        .outerjoin(User, User.id == Incident.assignee_id)
    )


def _where(tx: sa.Connection, person: Person, wanted: IncidentFilter) -> list[sa.ColumnElement[bool]]:
    where = [*_scoped(person), *_in_state(wanted.state)]
    if wanted.priority is not None:
        where.append(Incident.priority == wanted.priority)
    if wanted.school_id is not None:
        where.append(_of_schools([wanted.school_id]))
    if wanted.assignee is not None:
        where.append(_assigned_to(person, wanted.assignee))
    if wanted.endpoint_id is not None:
        pk = endpoint_pk(tx, person, wanted.endpoint_id) or 0
        part_of = sa.select(_FAULTS.c.incident_number).where(
            _FAULTS.c.endpoint_pk == pk, _FAULTS.c.incident_number.is_not(None)
        )
        where.append(sa.or_(Incident.endpoint_pk == pk, Incident.number.in_(part_of)))
    where.extend(_has(word) for word in search_words(wanted.search))
    return where


def _rows(tx: sa.Connection, numbers: list[int]) -> tuple[IncidentRow, ...]:
    found = {row.number: IncidentRow(*row) for row in tx.execute(_joined(*_ROW).where(Incident.number.in_(numbers)))}
    return tuple(found[number] for number in numbers if number in found)


def _scoped(person: Person) -> list[sa.ColumnElement[bool]]:
    """Of many schools, one walk in the list's order beats each school's index: adding nothing keeps SQLite from the latter."""
    if person.schools is None:
        return []
    return [_of_schools(person.schools, by_index=len(person.schools) <= FEW_SCHOOLS)]


def _of_schools(schools: Iterable[int], *, by_index: bool = True) -> sa.ColumnElement[bool]:
    """Incidents of those schools, and of several schools that touch one of them."""
    wanted = list(schools)
    school = Incident.school_id if by_index else Incident.school_id + 0
    return sa.or_(school.in_(wanted), touches(wanted))


def _in_state(state: str) -> list[sa.ColumnElement[bool]]:
    """An incident is open just as long as it has no resolved_at: by that column both lists come sorted from one index."""
    if state == "all":
        return []
    if state == "open":
        return [Incident.resolved_at.is_(None)]
    if state == "resolved":
        return [Incident.resolved_at.is_not(None)]
    if state in _OVER:
        return [Incident.resolved_at.is_not(None), sa.func.coalesce(Incident.state, "") == state]
    return [Incident.state == state]


def _assigned_to(person: Person, assignee: str | int) -> sa.ColumnElement[bool]:
    if assignee == "nobody":
        return Incident.assignee_id.is_(None)
    if assignee == "me":
        return Incident.assignee_id == person.id
    if isinstance(assignee, str) and not (assignee.isascii() and assignee.isdigit() and len(assignee) < 10):
        raise IncidentQueryError("assignee is me, nobody, or a person's number")
    return Incident.assignee_id == int(assignee)


def _has(word: str) -> sa.ColumnElement[bool]:
    """The word stands in the title, in what one may search an endpoint by, or is the number ("12" or "#12")."""
    text = sa.func.lower(Incident.title).contains(word, autoescape=True)
    endpoints = sa.select(Endpoint.pk).where(Endpoint.search.contains(word, autoescape=True))
    either = [text, Incident.endpoint_pk.in_(endpoints)]
    digits = word.removeprefix("#")
    if digits.isascii() and digits.isdigit() and len(digits) < 18:
        either.append(Incident.number == int(digits))
    return sa.or_(*either)


def _capped_count(tx: sa.Connection, fitting: sa.Select[Any]) -> int | None:
    some = fitting.limit(COUNT_CAP + 1).subquery()
    count = tx.scalar(sa.select(sa.func.count()).select_from(some)) or 0
    return count if count <= COUNT_CAP else None


def _timeline(tx: sa.Connection, person: Person, number: int) -> tuple[TimelineEntry, ...]:
    """Oldest first; of a story without end the newest thousand lines. What PCs of other schools did is not told."""
    columns = (
        IncidentEntry.id,
        IncidentEntry.at,
        IncidentEntry.kind,
        IncidentEntry.actor,
        IncidentEntry.text,
        IncidentEntry.detail,
    )
    newest = (
        sa.select(*columns).where(IncidentEntry.incident_number == number).order_by(IncidentEntry.id.desc()).limit(_TIMELINE)
    )
    entries = [TimelineEntry(*row) for row in reversed(tx.execute(newest).all())]
    named = {str(entry.detail["endpoint_id"]) for entry in entries if entry.detail.get("endpoint_id")}
    hidden = named - _seen_endpoints(tx, person, named)
    return tuple(entry for entry in entries if entry.detail.get("endpoint_id") not in hidden)


def _seen_endpoints(tx: sa.Connection, person: Person, ids: set[str]) -> set[str]:
    if person.schools is None or not ids:
        return ids
    return set(tx.scalars(sa.select(Endpoint.id).where(Endpoint.id.in_(sorted(ids)), *scoped(person))))


def _allowed(person: Person, row: Any) -> frozenset[Deed]:
    if may(person, Act.WORK_INCIDENTS, row.school_id) is not None:
        return frozenset()
    return rules.allowed(IncidentState(row.state), acknowledged=row.acknowledged_at is not None)


def _by_day(tx: sa.Connection, person: Person, column: Any, milliseconds: Any, first: int) -> dict[int, int]:
    day = sa.cast(milliseconds // _DAY_MS, sa.Integer).label("day")
    fitting = (column >= from_ms(first * _DAY_MS), _IS_REAL, *_scoped(person))
    return {row[0]: row[1] for row in tx.execute(sa.select(day, sa.func.count()).where(*fitting).group_by(day))}
