"""What is done to maintenance tasks: proposed and withdrawn by Fettle, done and opened again by people."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from fettle_server.estate.people.rules import SYSTEM, Act, Person, demand, sees
from fettle_server.journal.actions import record
from fettle_server.proactive.maintenance import rules
from fettle_server.proactive.maintenance.rules import AGAIN_AFTER, Task, TaskState
from fettle_server.proactive.maintenance.tables import MaintenanceTask
from fettle_server.reactive.rules import Refused

_REFRESHED = ("title", "reason", "due_on", "room_id")


def propose(tx: sa.Connection, task: Task, now: dt.datetime, *, again_after: dt.timedelta = AGAIN_AFTER) -> int:
    """The number of the open task of that key: the one that is there, told anew, or a new one.

    Where somebody did it within `again_after`, it rests: nothing is opened, and the number is that task's.
    """
    values = _values(task)
    present = tx.execute(sa.select(MaintenanceTask).where(MaintenanceTask.key == values["key"], _IS_OPEN)).one_or_none()
    if present is not None:
        changes = {name: values[name] for name in _REFRESHED if getattr(present, name) != values[name]}
        if changes:
            tx.execute(sa.update(MaintenanceTask).where(MaintenanceTask.id == present.id).values(**changes))
        return int(present.id)
    done = tx.execute(
        sa.select(MaintenanceTask.id, MaintenanceTask.done_at)
        .where(MaintenanceTask.key == values["key"], MaintenanceTask.state == TaskState.DONE)
        .order_by(MaintenanceTask.done_at.desc())
        .limit(1)
    ).one_or_none()
    if done is not None and rules.rests(done.done_at, now, again_after):
        return int(done.id)
    statement = sa.insert(MaintenanceTask).values(**values, state=TaskState.OPEN, opened_at=now).returning(MaintenanceTask.id)
    number = int(tx.execute(statement).scalar_one())
    _tell(tx, "task.proposed", SYSTEM, number, values["school_id"], {"title": values["title"]}, now)
    return number


def withdraw(tx: sa.Connection, key: str, reason: str, now: dt.datetime) -> bool:
    """Nobody need do the open task of that key any more; False where there is none."""
    columns = (MaintenanceTask.id, MaintenanceTask.school_id, MaintenanceTask.title)
    row = tx.execute(sa.select(*columns).where(MaintenanceTask.key == key, _IS_OPEN)).one_or_none()
    if row is None:
        return False
    values = {"state": TaskState.WITHDRAWN, "done_at": now, "done_by": SYSTEM.actor, "note": reason[: rules.REASON_MAXIMUM]}
    tx.execute(sa.update(MaintenanceTask).where(MaintenanceTask.id == row.id).values(**values))
    _tell(tx, "task.withdrawn", SYSTEM, row.id, row.school_id, {"title": row.title, "reason": reason}, now)
    return True


def complete(tx: sa.Connection, person: Person, number: int, note: str, now: dt.datetime) -> None:
    """Say that it is done.

    Raises:
        Forbidden: the person may not. Refused: there is no such task, or it is not open.
    """
    row = _task(tx, person, number, TaskState.DONE)
    values = {"state": TaskState.DONE, "done_at": now, "done_by": person.actor, "note": note.strip()[: rules.REASON_MAXIMUM]}
    tx.execute(sa.update(MaintenanceTask).where(MaintenanceTask.id == number).values(**values))
    _tell(tx, "task.done", person, number, row.school_id, {"title": row.title}, now)


def reopen(tx: sa.Connection, person: Person, number: int, now: dt.datetime) -> None:
    """Open a task again that was done: by mistake, or in vain.

    Raises:
        Forbidden: the person may not. Refused: there is no such task, it was not done, or another one is open for its reason.
    """
    row = _task(tx, person, number, TaskState.OPEN)
    if tx.scalar(sa.select(MaintenanceTask.id).where(MaintenanceTask.key == row.key, _IS_OPEN)) is not None:
        raise Refused("Another task is open for the same reason.")
    values = {"state": TaskState.OPEN, "done_at": None, "done_by": "", "note": ""}
    tx.execute(sa.update(MaintenanceTask).where(MaintenanceTask.id == number).values(**values))
    _tell(tx, "task.reopened", person, number, row.school_id, {"title": row.title}, now)


_IS_OPEN = sa.text("maintenance_tasks.state = 'open'")


def _values(task: Task) -> dict[str, Any]:
    return {
        "kind": str(task.kind),
        "key": task.key[:200],
        "title": task.title[: rules.TITLE_MAXIMUM],
        "reason": task.reason[: rules.REASON_MAXIMUM],
        "school_id": task.school_id,
        "room_id": task.room_id,
        "endpoint_pk": task.endpoint_pk,
        "due_on": task.due_on,
    }


def _task(tx: sa.Connection, person: Person, number: int, wanted: TaskState) -> Any:
    row = tx.execute(sa.select(MaintenanceTask).where(MaintenanceTask.id == number).with_for_update()).one_or_none()
    if row is None or not _visible(person, row.school_id):
        raise Refused(f"There is no task {number}.")
    demand(person, Act.WORK_TASKS, row.school_id)
    reason = rules.refusal(TaskState(row.state), wanted)
    if reason is not None:
        raise Refused(reason)
    return row


def _visible(person: Person, school_id: int | None) -> bool:
    """A task of no school is the service's own: of those who see all schools."""
    return person.schools is None if school_id is None else sees(person, school_id)


def _tell(
    tx: sa.Connection, kind: str, person: Person, number: int, school_id: int | None, detail: dict[str, Any], now: dt.datetime
) -> None:
    record(tx, kind, person.actor, f"task:{number}", school_id, detail, now)
