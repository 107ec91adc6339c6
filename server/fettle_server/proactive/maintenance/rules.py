"""What may become of a maintenance task, and whether it may be proposed again. Pure: no store, no clock."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

AGAIN_AFTER = dt.timedelta(days=30)
"""A task that somebody did is not proposed again sooner: what it changes takes time to be seen."""
DUE_SOON = dt.timedelta(days=7)
TITLE_MAXIMUM = 300
REASON_MAXIMUM = 1000


class TaskState(StrEnum):
    """Where a task stands; withdrawn: its reason is gone, so nobody need do it."""

    OPEN = "open"
    DONE = "done"
    WITHDRAWN = "withdrawn"


class TaskKind(StrEnum):
    """What sort of work it is, in the order in which lists offer it."""

    BATTERY = "battery"
    DISK = "disk"
    WARRANTY = "warranty"
    CERTIFICATE = "certificate"
    CHARGE = "charge"
    CHECK = "check"
    CLEANING = "cleaning"


class Due(StrEnum):
    """How a task's day lies to today."""

    OVERDUE = "overdue"
    TODAY = "today"
    SOON = "this week"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Task:
    """Work that somebody should do. `key` names its reason ("battery/endpoint:17"): one open task for each."""

    kind: str
    key: str
    title: str
    reason: str
    school_id: int | None
    endpoint_pk: int | None
    room_id: int | None
    due_on: dt.date


def due(due_on: dt.date, today: dt.date) -> Due:
    """How the day lies to today."""
    if due_on < today:
        return Due.OVERDUE
    if due_on == today:
        return Due.TODAY
    return Due.SOON if due_on - today <= DUE_SOON else Due.LATER


def rests(done_at: dt.datetime | None, now: dt.datetime, again_after: dt.timedelta) -> bool:
    """True where the task was done so lately that it is not to be proposed again yet."""
    return done_at is not None and now - done_at < again_after


def refusal(state: TaskState, wanted: TaskState) -> str | None:
    """None where a person may bring a task from one state into the other; else a sentence that says why not."""
    if wanted is TaskState.DONE and state is not TaskState.OPEN:
        return f"This task is {state} already."
    if wanted is TaskState.OPEN and state is not TaskState.DONE:
        return "This task is open already." if state is TaskState.OPEN else "This task was withdrawn: its reason is gone."
    return None
