"""Reads about endpoints: lists by keyset pages, one endpoint, schools in numbers. Made to be quick at 150,000.

A list is read in two steps: the keys of a page from an index that holds all that is filtered by, then those rows.
What an endpoint reported is read by readings.py and gathered here under the same roof.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from fettle_server.estate.endpoints.readings import chart, inventory, live, vitals
from fettle_server.estate.endpoints.rules import ORDER, Health, search_words
from fettle_server.estate.endpoints.scope import scoped, scoped_widely
from fettle_server.estate.endpoints.views import (
    SORTS,
    AgentView,
    CollectorView,
    EndpointDetail,
    EndpointFilter,
    EndpointQueryError,
    EndpointRow,
    EstateCounts,
    EventRow,
    InventoryView,
    LiveView,
    ReadingView,
    SchoolTile,
    SeriesView,
    VitalsView,
)
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Certificate, Endpoint, EndpointEvent, Room, School
from fettle_server.paging import COUNT_CAP, Page, PageError, bounded, mark, unmark

__all__ = [
    "AgentView",
    "CollectorView",
    "EndpointDetail",
    "EndpointFilter",
    "EndpointQueryError",
    "EndpointRow",
    "EstateCounts",
    "EventRow",
    "InventoryView",
    "LiveView",
    "Page",
    "ReadingView",
    "SchoolTile",
    "SeriesView",
    "VitalsView",
    "chart",
    "counts",
    "endpoint",
    "endpoints",
    "events",
    "inventory",
    "live",
    "schools",
    "vitals",
]

_ROW = (
    Endpoint.id,
    Endpoint.name,
    Endpoint.school_id,
    School.name.label("school"),
    Endpoint.system,
    Endpoint.system_version,
    Endpoint.model,
    Endpoint.state,
    Endpoint.state_since,
    Endpoint.connected,
    Endpoint.last_seen,
    Endpoint.open_incidents,
    Endpoint.watch_faults,
    Endpoint.ill_faults,
)
_MORE = (
    Endpoint.pk,
    Endpoint.serial,
    Endpoint.agent_version,
    Endpoint.address,
    Endpoint.connected_since,
    Endpoint.enrolled_at,
    Endpoint.revoked_at,
    Endpoint.policy_version,
    Endpoint.room_id,
    sa.func.coalesce(Room.name, "").label("room"),
    Endpoint.endpoint_class,
    Endpoint.class_source,
)
_HEARD = sa.func.coalesce(sa.type_coerce(Endpoint.last_seen, sa.BigInteger), 0)
_Keys = list[tuple[Any, ...]]


def endpoints(
    tx: sa.Connection, person: Person, wanted: EndpointFilter, after: str | None = None, limit: int = 50
) -> Page[EndpointRow]:
    """A page of the endpoints that fit and that the person may see, in the filter's order.

    Raises:
        EndpointQueryError: an unknown state or order, or an `after` that no page gave out.
    """
    where, limit = _where(person, wanted), bounded(limit)
    try:
        keys = _READ[wanted.sort](tx, where, wanted, after, limit + 1)
    except PageError as error:
        raise EndpointQueryError(str(error)) from error
    shown = keys[:limit]
    rows = _rows(tx, [key[-1] for key in shown])
    total = len(shown) if after is None and len(keys) <= limit else _capped_count(tx, where, wanted)
    return Page(rows, mark(shown[-1]) if len(keys) > limit else None, total)


def endpoint(tx: sa.Connection, person: Person, id: str) -> EndpointDetail | None:
    """One endpoint, revoked or not; None where there is none of that id among the person's schools."""
    statement = sa.select(*_ROW, *_MORE).join(School, School.id == Endpoint.school_id)
    statement = statement.outerjoin(Room, Room.id == Endpoint.room_id)
    row = tx.execute(statement.where(Endpoint.id == id, *scoped(person))).one_or_none()
    if row is None:
        return None
    good = (Certificate.endpoint_pk == row.pk, Certificate.revoked_at.is_(None))
    not_after = tx.scalar(sa.select(sa.func.max(Certificate.not_after)).where(*good))
    return EndpointDetail(**_values(row), certificate_not_after=not_after)


def events(
    tx: sa.Connection, person: Person, id: str, start: dt.datetime, end: dt.datetime, limit: int = 200
) -> tuple[EventRow, ...]:
    """What happened to an endpoint in that time besides faults, newest first."""
    rows = tx.execute(
        sa.select(EndpointEvent.id, EndpointEvent.at, EndpointEvent.kind, EndpointEvent.detail)
        .join(Endpoint, Endpoint.pk == EndpointEvent.endpoint_pk)
        .where(Endpoint.id == id, EndpointEvent.at >= start, EndpointEvent.at <= end, *scoped(person))
        .order_by(EndpointEvent.at.desc(), EndpointEvent.id.desc())
        .limit(bounded(limit))
    )
    return tuple(EventRow(*row) for row in rows)


def schools(tx: sa.Connection, person: Person) -> tuple[SchoolTile, ...]:
    """The person's schools in numbers, by name; also those that have no endpoint yet."""
    states: dict[int, dict[str, int]] = {}
    for school_id, state, count in tx.execute(_tally(person, Endpoint.school_id, Endpoint.state)):
        states.setdefault(school_id, {})[state] = count
    incidents = {school_id: int(count) for school_id, count in tx.execute(_open_incidents(person, Endpoint.school_id))}
    statement = sa.select(School.id, School.name).order_by(School.name)
    if person.schools is not None:
        statement = statement.where(School.id.in_(person.schools))
    return tuple(_tile(row.id, row.name, states.get(row.id, {}), incidents.get(row.id, 0)) for row in tx.execute(statement))


def counts(tx: sa.Connection, person: Person) -> EstateCounts:
    """The person's whole estate in numbers."""
    by_state = {row[0]: row[1] for row in tx.execute(_tally(person, Endpoint.state))}
    open_incidents = sum(int(count) for _, count in tx.execute(_open_incidents(person, Endpoint.school_id)))
    each = {state.value: by_state.get(state, 0) for state in Health}
    return EstateCounts(endpoints=sum(each.values()), open_incidents=open_incidents, **each)


def _where(person: Person, wanted: EndpointFilter) -> list[sa.ColumnElement[bool]]:
    if wanted.state is not None and wanted.state not in ORDER:
        raise EndpointQueryError(f"state is one of {', '.join(ORDER)}")
    if wanted.sort not in SORTS:
        raise EndpointQueryError(f"sort is one of {', '.join(SORTS)}")
    where = scoped_widely(person)
    if not wanted.revoked:
        where.append(Endpoint.revoked_at.is_(None))
    if wanted.school_id is not None:
        where.append(Endpoint.school_id == wanted.school_id)
    if wanted.system is not None:
        where.append(Endpoint.system == wanted.system)
    if wanted.room_id is not None:  # by its own index: a room is small
        where.append(Endpoint.pk.in_(sa.select(Endpoint.pk).where(Endpoint.room_id == wanted.room_id)))
    if wanted.endpoint_class is not None:
        where.append(Endpoint.endpoint_class == wanted.endpoint_class)
    where.extend(Endpoint.search.contains(word, autoescape=True) for word in search_words(wanted.search))
    return where


def _by_state(
    tx: sa.Connection, where: list[sa.ColumnElement[bool]], wanted: EndpointFilter, after: str | None, limit: int
) -> _Keys:
    """One walk of the index for each state, worst first, until the page is full: no sorting, whatever the size."""
    states: Iterable[str] = ORDER if wanted.state is None else (wanted.state,)
    begin: tuple[Any, ...] | None = None
    if after is not None:
        first, *begin_at = unmark(after, str, str, int)
        states, begin = _states_from(states, str(first)), tuple(begin_at)
    keys: _Keys = []
    for state in states:
        statement = sa.select(Endpoint.name, Endpoint.pk).where(Endpoint.state == state, *where)
        if begin is not None:
            statement = statement.where(sa.tuple_(Endpoint.name, Endpoint.pk) > sa.tuple_(*begin))
        rows = tx.execute(statement.order_by(Endpoint.name, Endpoint.pk).limit(limit - len(keys)))
        keys.extend((str(state), row.name, row.pk) for row in rows)
        begin = None
        if len(keys) >= limit:
            break
    return keys


def _states_from(states: Iterable[str], first: str) -> list[str]:
    left = list(states)
    if first not in left:
        raise PageError("`after` is a mark of another list; begin again without it")
    return left[left.index(first) :]


def _by_name(
    tx: sa.Connection, where: list[sa.ColumnElement[bool]], wanted: EndpointFilter, after: str | None, limit: int
) -> _Keys:
    statement = sa.select(Endpoint.name, Endpoint.pk).where(*where, *_of_state(wanted))
    if after is not None:
        statement = statement.where(sa.tuple_(Endpoint.name, Endpoint.pk) > sa.tuple_(*unmark(after, str, int)))
    return [tuple(row) for row in tx.execute(statement.order_by(Endpoint.name, Endpoint.pk).limit(limit))]


def _by_last_seen(
    tx: sa.Connection, where: list[sa.ColumnElement[bool]], wanted: EndpointFilter, after: str | None, limit: int
) -> _Keys:
    """Longest unheard first. Reads the table: an index on what changes with every message would cost more than it gives."""
    statement = sa.select(_HEARD, Endpoint.pk).where(*where, *_of_state(wanted))
    if after is not None:
        statement = statement.where(sa.tuple_(_HEARD, Endpoint.pk) > sa.tuple_(*unmark(after, int, int)))
    return [tuple(row) for row in tx.execute(statement.order_by(_HEARD, Endpoint.pk).limit(limit))]


_READ = {"state": _by_state, "name": _by_name, "last_seen": _by_last_seen}


def _of_state(wanted: EndpointFilter) -> list[sa.ColumnElement[bool]]:
    return [] if wanted.state is None else [Endpoint.state == wanted.state]


def _rows(tx: sa.Connection, pks: list[int]) -> tuple[EndpointRow, ...]:
    found = tx.execute(sa.select(*_ROW, Endpoint.pk).join(School, School.id == Endpoint.school_id).where(Endpoint.pk.in_(pks)))
    by_pk = {row.pk: _values(row) for row in found}
    for values in by_pk.values():
        del values["pk"]
    return tuple(EndpointRow(**by_pk[pk]) for pk in pks if pk in by_pk)


def _values(row: Any) -> dict[str, Any]:
    values: dict[str, Any] = row._asdict()
    return values | {"state": Health(row.state)}


def _capped_count(tx: sa.Connection, where: list[sa.ColumnElement[bool]], wanted: EndpointFilter) -> int | None:
    some = sa.select(Endpoint.pk).where(*where, *_of_state(wanted)).limit(COUNT_CAP + 1).subquery()
    count = tx.scalar(sa.select(sa.func.count()).select_from(some)) or 0
    return count if count <= COUNT_CAP else None


def _tally(person: Person, *by: Any) -> sa.Select[Any]:
    return sa.select(*by, sa.func.count()).where(Endpoint.revoked_at.is_(None), *scoped(person)).group_by(*by)


def _open_incidents(person: Person, by: Any) -> sa.Select[Any]:
    total = sa.func.sum(Endpoint.open_incidents)
    return sa.select(by, total).where(sa.text("open_incidents > 0"), *scoped(person)).group_by(by)


def _tile(school_id: int, name: str, states: dict[str, int], open_incidents: int) -> SchoolTile:
    each = {state.value: states.get(state, 0) for state in Health}
    worst = next((state for state in ORDER if each[state]), None)
    return SchoolTile(id=school_id, name=name, endpoints=sum(each.values()), open_incidents=open_incidents, worst=worst, **each)
