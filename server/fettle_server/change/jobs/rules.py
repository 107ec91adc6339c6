"""The life of a job: which report of an agent may follow which state. Pure: no store, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class JobError(Exception):
    """Something that cannot be done to a job; the message tells a person why."""


class JobState(StrEnum):
    """How far a job is.

    WAITING: not handed out yet. RELEASED: on its way. RECEIVED: on the agent's disk; it waits for its window, power or disk.
    DEFERRED: somebody at the PC put it off. RUNNING; RESTARTING: the PC restarts for it. The rest are ends.
    """

    WAITING = "waiting"
    RELEASED = "released"
    RECEIVED = "received"
    DEFERRED = "deferred"
    RUNNING = "running"
    RESTARTING = "restarting"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


NOT_BEGUN = frozenset({JobState.WAITING, JobState.RELEASED, JobState.RECEIVED, JobState.DEFERRED})
"""States in which a job can still be cancelled, or let go again in a later window."""
BEGUN = frozenset({JobState.RUNNING, JobState.RESTARTING})
ENDS = frozenset({JobState.DONE, JobState.FAILED, JobState.REFUSED, JobState.EXPIRED, JobState.CANCELLED})
FINAL = frozenset({JobState.DONE, JobState.FAILED, JobState.REFUSED})
"""Ends that the agent told: nothing follows them. An end that the server decided (CANCELLED, EXPIRED) while it could not
reach the PC gives way to the agent's word that the job had begun: what happened to a PC is never hidden."""


class Told(StrEnum):
    """What an agent's report says (link.proto's JobReport.State)."""

    RECEIVED = "received"
    REFUSED = "refused"
    WAITING = "waiting"
    DEFERRED = "deferred"
    STARTED = "started"
    STEP_DONE = "step done"
    STEP_FAILED = "step failed"
    RESTARTING = "restarting"
    RESUMED = "resumed"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PROGRESS = "progress"


@dataclass(frozen=True, slots=True)
class Report:
    """One report of an agent, checked and cleaned. `job` is its uid; `words` the operating system's own."""

    job: str
    told: Told
    step: int = 0
    kind: str = ""
    percent: int = 0
    why: str = ""
    words: str = ""
    result: dict[str, Any] | None = field(default=None)
    attempt: int = 0


_BY_TOLD = {
    Told.RECEIVED: JobState.RECEIVED,
    Told.REFUSED: JobState.REFUSED,
    Told.WAITING: JobState.RECEIVED,
    Told.DEFERRED: JobState.DEFERRED,
    Told.STARTED: JobState.RUNNING,
    Told.STEP_DONE: JobState.RUNNING,
    Told.STEP_FAILED: JobState.RUNNING,
    Told.RESTARTING: JobState.RESTARTING,
    Told.RESUMED: JobState.RUNNING,
    Told.DONE: JobState.DONE,
    Told.FAILED: JobState.FAILED,
    Told.CANCELLED: JobState.CANCELLED,
    Told.PROGRESS: JobState.RUNNING,
}
_BEGAN = frozenset({JobState.RUNNING, JobState.RESTARTING, JobState.DONE, JobState.FAILED})


def follow(state: JobState, told: Told) -> JobState:
    """The state after a report; the same state where the report may not follow (it came twice, late, or makes no sense)."""
    said = _BY_TOLD[told]
    if state in FINAL:
        return state
    if state in (JobState.CANCELLED, JobState.EXPIRED):
        return said if said in _BEGAN else state
    if state in BEGUN and said not in _BEGAN:
        return state  # it may be put off, or wait for power, in the middle: it has begun all the same
    return said


def follow_former(state: JobState, told: Told, *, handed_out: bool) -> JobState:
    """The state after a report under a name that the job had before it was let wait anew: only a run counts.

    One that failed ends nothing while the present name may still go well: the job waits, or is on its way again.
    """
    if not tells_of_a_run(told):
        return state
    if told is Told.FAILED and state not in ENDS:
        return JobState.RELEASED if handed_out else JobState.WAITING
    return follow(state, told)


def tells_of_a_run(told: Told) -> bool:
    """True for what only an agent says that has begun the job."""
    return _BY_TOLD[told] in _BEGAN


def says_anything(state: JobState, told: Told) -> bool:
    """False for a report that adds nothing to a job in that state: one that came twice, or after the end."""
    return follow(state, told) is not state or (state not in ENDS and told not in (Told.RECEIVED, Told.CANCELLED))
