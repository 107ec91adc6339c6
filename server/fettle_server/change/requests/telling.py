"""Who is told of changes, and when: deciders that they are waited for, schools what is planned, and again shortly before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from fettle_server.change import record
from fettle_server.change.requests.proceedings import proceedings
from fettle_server.change.requests.rules import STEP_WORDS, next_steps
from fettle_server.change.rules import ChangeKind, ChangeState, Step
from fettle_server.change.tables import Change, ChangeEntry
from fettle_server.estate.calendars.queries import HOME, calendars
from fettle_server.estate.tables import School
from fettle_server.notify.actions import Message, enqueue

OVERDUE = dt.timedelta(hours=24)
"""A decision that waits for so long is asked for again."""
REMIND = dt.timedelta(hours=2)
PIECE = 50
_PRIORITY = 4
_ASKED = "asked"
_SOON = (ChangeState.APPROVED, ChangeState.SCHEDULED, ChangeState.RUNNING)


def ask(tx: sa.Connection, change_id: int, step: Step, school_id: int | None, now: dt.datetime, *, again: bool = False) -> None:
    """Tell those who decide that a decision waits for them."""
    row = _row(tx, change_id)
    only = school_id if school_id is not None else row.schools[0] if len(row.schools) == 1 else None
    priority = 1 if row.kind == ChangeKind.EMERGENCY and step is Step.IMPLEMENT else 3
    title = f"Change {change_id} {'still ' if again else ''}waits for the {STEP_WORDS[step]}: {row.title}"
    text = f"{row.reach}. Why: {row.why}"
    enqueue(tx, [Message("change.approval", None, only, priority, title, False, now, text, change_id)])
    detail = {"step": step.value, "school": school_id, "again": again}
    record.say(tx, change_id, _ASKED, "system", f"Asked for the {STEP_WORDS[step]}{' again' if again else ''}", detail, now)


def updates_of(tx: sa.Connection, change_id: int) -> list[int]:
    """The updates that the change brings, as it was proposed."""
    proposed = sa.select(ChangeEntry.detail).where(ChangeEntry.change_id == change_id, ChangeEntry.kind == "proposed")
    detail = tx.scalar(proposed.order_by(ChangeEntry.id).limit(1))
    return list((detail or {}).get("updates", ()))


def is_anything_due(tx: sa.Connection, now: dt.datetime) -> bool:
    """Whether `tell_schools` or `ask_again` would do anything: two small reads."""
    return bool(_due_notices(tx, now) or _due_reminders(tx, now) or _overdue(tx, now))


def tell_schools(tx: sa.Connection, now: dt.datetime) -> int:
    """Give the notices and reminders that are due, each once, to every school of the change; returns how many changes."""
    notices, reminders = _due_notices(tx, now), _due_reminders(tx, now)
    for row in notices:
        _tell(tx, row, "change.notice", "noticed", "Schools were told", now)
        tx.execute(sa.update(Change).where(Change.id == row.id).values(noticed_at=now))
    for row in reminders:
        _tell(tx, row, "change.reminder", "reminded", "Schools were reminded", now)
        tx.execute(sa.update(Change).where(Change.id == row.id).values(reminded_at=now))
    return len(notices) + len(reminders)


def ask_again(tx: sa.Connection, now: dt.datetime) -> int:
    """Ask again for decisions that have waited for a day since they were last asked for; returns how many."""
    due = _overdue(tx, now)
    for change_id, step, school_id in due:
        ask(tx, change_id, step, school_id, now, again=True)
    return len(due)


def _due_notices(tx: sa.Connection, now: dt.datetime) -> list[Any]:
    """Approved changes whose notice is due: so many hours before they are planned, or now where no time is planned."""
    waiting = sa.select(*Change.__table__.c).where(Change.state.in_(_SOON), Change.noticed_at.is_(None))
    rows = tx.execute(waiting.order_by(Change.id).limit(1000)).all()
    due = [row for row in rows if row.planned_from is None or row.planned_from - _hours(row.notice_hours) <= now]
    return due[:PIECE]


def _due_reminders(tx: sa.Connection, now: dt.datetime) -> list[Any]:
    """Those that begin within two hours, unless the notice itself was given so lately."""
    waiting = sa.select(*Change.__table__.c).where(
        Change.state.in_(_SOON),
        Change.reminded_at.is_(None),
        Change.noticed_at < now - REMIND,
        Change.planned_from <= now + REMIND,
        Change.planned_from > now - REMIND,
    )
    return list(tx.execute(waiting.order_by(Change.id).limit(PIECE)).all())


def _overdue(tx: sa.Connection, now: dt.datetime) -> list[tuple[int, Step, int | None]]:
    """The decisions that wait, and that nobody was asked for within the last day."""
    asked = sa.select(sa.func.max(ChangeEntry.at)).where(ChangeEntry.change_id == Change.id, ChangeEntry.kind == _ASKED)
    open_states = (ChangeState.PROPOSED, *_SOON, ChangeState.HALTED, ChangeState.REVIEW)
    waiting = sa.select(Change.id).where(Change.state.in_(open_states), asked.scalar_subquery() < now - OVERDUE)
    found = []
    for change_id, change in proceedings(tx, tx.scalars(waiting.order_by(Change.id).limit(PIECE)).all()).items():
        found += [(change_id, one.step, one.school_id) for one in next_steps(change)]
    return found


def _tell(tx: sa.Connection, row: Any, kind: str, entry: str, words: str, now: dt.datetime) -> None:
    schools: Iterable[int] = row.schools or tx.scalars(sa.select(School.id).order_by(School.id)).all()
    zones = calendars(tx, schools)
    messages = [
        Message(
            kind, None, school, _PRIORITY, f"Change {row.id}: {row.title}", False, now, _text(row, zones[school].zone), row.id
        )
        for school in schools
        if school in zones
    ]
    enqueue(tx, messages)
    record.say(tx, row.id, entry, "system", words, {"schools": len(messages)}, now)


def _text(row: Any, zone: dt.tzinfo) -> str:
    when = "In the next change windows of your school, outside lessons."
    if row.planned_from is not None:
        until = f" to {_clock(row.planned_until, zone)}" if row.planned_until is not None else ""
        when = f"From {_clock(row.planned_from, zone)}{until}."
    return f"{when} {row.what or row.why} If it goes wrong: {row.back_out_plan}"


def _clock(at: dt.datetime, zone: dt.tzinfo) -> str:
    return at.astimezone(zone or HOME).strftime("%a %-d %b %H:%M")


def _hours(count: int) -> dt.timedelta:
    return dt.timedelta(hours=count)


def _row(tx: sa.Connection, change_id: int) -> Any:
    columns = (Change.kind, Change.title, Change.why, Change.reach, Change.schools)
    return tx.execute(sa.select(*columns).where(Change.id == change_id)).one()
