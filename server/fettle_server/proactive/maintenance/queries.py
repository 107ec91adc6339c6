"""Reads about maintenance tasks: lists by due day, and one endpoint's."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.paging import Page, bounded, mark, unmark
from fettle_server.proactive.maintenance.rules import Due, TaskState, due
from fettle_server.proactive.maintenance.tables import MaintenanceTask


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task with its place; `school_id` None: the service's own. `due` is how its day lies to today."""

    id: int
    kind: str
    title: str
    reason: str
    school_id: int | None
    school: str
    room: str
    endpoint_id: str
    endpoint: str
    due_on: dt.date
    due: Due
    state: TaskState
    opened_at: dt.datetime
    done_at: dt.datetime | None
    done_by: str
    note: str


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks a list shows. `state` is a TaskState or "all"; `due_by` keeps those due on that day or before."""

    state: str = "open"
    school_id: int | None = None
    kind: str = ""
    due_by: dt.date | None = None
    search: str = ""
    endpoint_id: str = ""


def tasks(
    tx: sa.Connection, person: Person, wanted: TaskFilter, today: dt.date, *, after: str | None = None, limit: int = 50
) -> Page[TaskView]:
    """Tasks: the open ones by due day, the soonest first; others by number, the newest first.

    Raises:
        PageError: `after` is no mark of this list.
    """
    task = MaintenanceTask
    statement = _select().where(*_visible(person), *_filters(wanted))
    total = tx.scalar(sa.select(sa.func.count()).select_from(statement.subquery()))
    by_day = wanted.state == TaskState.OPEN
    if after is not None and by_day:
        day, last = unmark(after, str, int)
        due_on = _day(str(day))
        statement = statement.where(sa.or_(task.due_on > due_on, sa.and_(task.due_on == due_on, task.id > last)))
    elif after is not None:
        statement = statement.where(task.id < unmark(after, int)[0])
    order = (task.due_on, task.id) if by_day else (task.id.desc(),)
    limit = bounded(limit)
    rows = tx.execute(statement.order_by(*order).limit(limit + 1)).all()
    last_row = rows[limit - 1] if len(rows) > limit else None
    key = None if last_row is None else mark((last_row.due_on.isoformat(), last_row.id) if by_day else (last_row.id,))
    return Page(tuple(_view(row, today) for row in rows[:limit]), key, total)


def task(tx: sa.Connection, person: Person, number: int, today: dt.date) -> TaskView | None:
    """One task that the person may see."""
    row = tx.execute(_select().where(MaintenanceTask.id == number, *_visible(person))).one_or_none()
    return None if row is None else _view(row, today)


def _select() -> sa.Select[Any]:
    return (
        sa.select(
            *MaintenanceTask.__table__.c,
            School.name.label("school"),
            Room.name.label("room"),
            Endpoint.id.label("endpoint_id"),
            Endpoint.name.label("endpoint"),
        )
        .join(School, School.id == MaintenanceTask.school_id, isouter=True)
        .join(Room, Room.id == MaintenanceTask.room_id, isouter=True)
        .join(Endpoint, Endpoint.pk == MaintenanceTask.endpoint_pk, isouter=True)
    )


def _visible(person: Person) -> list[sa.ColumnElement[bool]]:
    return [] if person.schools is None else [MaintenanceTask.school_id.in_(person.schools)]


def _filters(wanted: TaskFilter) -> list[sa.ColumnElement[bool]]:
    task = MaintenanceTask
    found: list[sa.ColumnElement[bool]] = []
    if wanted.state != "all":
        found.append(task.state == wanted.state)
    if wanted.school_id is not None:
        found.append(task.school_id == wanted.school_id)
    if wanted.kind:
        found.append(task.kind == wanted.kind)
    if wanted.due_by is not None:
        found.append(task.due_on <= wanted.due_by)
    if wanted.endpoint_id:
        found.append(Endpoint.id == wanted.endpoint_id)
    words = wanted.search.lower().split()[:8]
    return found + [sa.func.lower(task.title).contains(word, autoescape=True) for word in words]


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return dt.date.min


def _view(row: Any, today: dt.date) -> TaskView:
    return TaskView(
        id=row.id,
        kind=row.kind,
        title=row.title,
        reason=row.reason,
        school_id=row.school_id,
        school=row.school or "The service itself",
        room=row.room or "",
        endpoint_id=row.endpoint_id or "",
        endpoint=row.endpoint or "",
        due_on=row.due_on,
        due=due(row.due_on, today),
        state=TaskState(row.state),
        opened_at=row.opened_at,
        done_at=row.done_at,
        done_by=row.done_by,
        note=row.note,
    )
