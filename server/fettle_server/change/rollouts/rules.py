"""What a rollout does next, from what is known of its current ring; and the states of rollouts, rings and targets.

Pure: no store, no clock. The plan is in plans.py, the gate's arithmetic in gate.py, time in windows.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fettle_server.change.jobs.rules import BEGUN, JobState
from fettle_server.change.rollouts.gate import Compared, Ruling, Tally, Verdict, judge
from fettle_server.change.rollouts.plans import Gate, Plan, RingPlan, RolloutError, When

__all__ = [
    "DONE",
    "LIVE",
    "OPEN",
    "UNBEGUN",
    "Compared",
    "Direction",
    "Finish",
    "Gate",
    "Halt",
    "Plan",
    "Release",
    "RingPlan",
    "RingState",
    "RolloutError",
    "RolloutState",
    "Ruling",
    "Standing",
    "Step",
    "Tally",
    "TargetState",
    "Verdict",
    "Wait",
    "When",
    "next_step",
    "outcome",
]


class Direction(StrEnum):
    """Which way a rollout goes."""

    FORWARD = "forward"
    BACK_OUT = "back out"


class RolloutState(StrEnum):
    """How far a rollout is.

    DRAFT: its change is not approved. READY: its manifests are made; it starts once they are signed and a person says so.
    HALTED: by its gate or a person. PAUSED: nothing new begins. CANCELLED: given up; what was changed stays changed.
    """

    DRAFT = "draft"
    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class RingState(StrEnum):
    """How far a ring is."""

    WAITING = "waiting"
    RELEASED = "released"
    SOAKING = "soaking"
    PASSED = "passed"
    HALTED = "halted"


class TargetState(StrEnum):
    """What came of one PC.

    WAITING: its ring was not let go, or it has not begun. RUNNING: it is at it. CHANGED: done and well so far. SICK: done, and
    with new faults that count. SILENT: it said nothing until its deadline; WITHDRAWN: taken back before it began; GONE: it
    left the reach or the estate.
    """

    WAITING = "waiting"
    RUNNING = "running"
    CHANGED = "changed"
    SICK = "sick"
    FAILED = "failed"
    SILENT = "silent"
    WITHDRAWN = "withdrawn"
    GONE = "gone"


OPEN = (TargetState.WAITING, TargetState.RUNNING)
DONE = (TargetState.CHANGED, TargetState.SICK)
UNBEGUN = (RolloutState.DRAFT, RolloutState.READY)
LIVE = (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.HALTED)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done before `until` (None: before something is reported)."""

    until: dt.datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Release:
    """Let that ring go; the one before it has passed."""

    ring: int
    why: str


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop: nothing that has not begun may begin."""

    why: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The last ring has passed."""

    why: str


_OUTCOMES = {
    JobState.DONE: TargetState.CHANGED,
    JobState.FAILED: TargetState.FAILED,
    JobState.REFUSED: TargetState.FAILED,
    JobState.EXPIRED: TargetState.SILENT,
    JobState.CANCELLED: TargetState.WITHDRAWN,
}
Step = Wait | Release | Halt | Finish


@dataclass(frozen=True, slots=True)
class Standing:
    """The current ring as it stands. `released_at` None: not let go. `opens_at`: when the next window of its waiting PCs opens.

    `deadline_at`: when those that say nothing are silent.
    """

    number: int
    tally: Tally
    compared: Compared
    released_at: dt.datetime | None = None
    deadline_at: dt.datetime | None = None
    settled_at: dt.datetime | None = None
    opens_at: dt.datetime | None = None


def next_step(plan: Plan, ring: Standing, now: dt.datetime, earlier: Sequence[Standing] = ()) -> Step:
    """What the rollout does now. `earlier` are rings that passed: what comes up there later still halts it."""
    for one in earlier:
        ruling = judge(plan.rings[one.number].gate, one.tally, one.compared)
        if ruling.verdict is Verdict.HALT and one.tally.failed + one.tally.sick > ruling.limit:
            return Halt(f"In the ring {_name(plan, one.number)}, which had passed: {ruling.why}")
    if ring.released_at is None:
        return Release(ring.number, f"The ring {_name(plan, ring.number)} begins.")
    if ring.tally.counted == 0:
        return _onwards(plan, ring, f"The ring {_name(plan, ring.number)} has no PC: it passes at once.")
    ruling = judge(plan.rings[ring.number].gate, ring.tally, ring.compared)
    if ruling.verdict is Verdict.HALT:
        return Halt(ruling.why)
    if not is_settled(ring):
        return Wait(_sooner(ring.opens_at, ring.deadline_at, now), _pending(ring, now))
    soaked_at = soak_ends(plan, ring)
    if soaked_at is None or now < soaked_at:
        return Wait(soaked_at, f"All are through; it soaks. {ruling.why}")
    if ruling.verdict is Verdict.WAIT:
        return Wait(None, ruling.why)
    return _onwards(plan, ring, ruling.why)


def outcome(job: JobState) -> TargetState:
    """What came of the PC whose job stands so."""
    return _OUTCOMES.get(job, TargetState.RUNNING if job in BEGUN else TargetState.WAITING)


def is_settled(ring: Standing) -> bool:
    """True where nothing more is expected of those that were in the ring when it was let go."""
    return ring.tally.pending == 0


def soak_ends(plan: Plan, ring: Standing) -> dt.datetime | None:
    """When the ring has soaked; None before it settled."""
    if ring.settled_at is None:
        return None
    return ring.settled_at + dt.timedelta(seconds=plan.rings[ring.number].soak_s)


def _onwards(plan: Plan, ring: Standing, why: str) -> Release | Finish:
    following = ring.number + 1
    return Finish(why) if following >= len(plan.rings) else Release(following, why)


def _name(plan: Plan, number: int) -> str:
    return plan.rings[number].name


def _pending(ring: Standing, now: dt.datetime) -> str:
    tally = ring.tally
    parts = [f"{tally.done + tally.failed + tally.silent} of {tally.counted} are through"]
    if tally.running:
        parts.append(f"{tally.running} are at it")
    if tally.waiting:
        parts.append(f"{tally.waiting} have not begun")
    if tally.waiting and ring.opens_at is not None and ring.opens_at > now:
        parts.append("the next change window has not opened")
    return f"{'; '.join(parts)}."


def _sooner(first: dt.datetime | None, second: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
    return min((one for one in (first, second) if one is not None and one > now), default=None)
