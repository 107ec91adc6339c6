"""How a rollout stops: what has not begun is taken back, an incident is opened and stands with the change."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from fettle_server.change import record
from fettle_server.change.jobs import actions as jobs
from fettle_server.change.jobs.rules import JobState
from fettle_server.change.jobs.tables import Job
from fettle_server.change.rollouts.looks import Look
from fettle_server.change.rollouts.rules import LIVE, RingState, RolloutState, TargetState
from fettle_server.change.rollouts.tables import Rollout, RolloutTarget
from fettle_server.change.rollouts.telling import WHY_LIMIT, tell
from fettle_server.change.rules import ChangeState, Linked
from fettle_server.change.tables import Change
from fettle_server.estate.calendars.queries import HOME
from fettle_server.notify.actions import Message, enqueue
from fettle_server.reactive.intake import Cause, open_for_cause
from fettle_server.reactive.reach import touch
from fettle_server.reactive.rules import Scope

HANDED = (JobState.RELEASED.value, JobState.RECEIVED.value, JobState.DEFERRED.value)
_NOT_BEGUN = (JobState.WAITING.value, *HANDED)
PIECE = 1000
"""So many jobs are taken back in one transaction."""
_SAID = {RolloutState.HALTED: "The rollout was halted: ", RolloutState.CANCELLED: "The rollout was cancelled. "}
_TITLE_LIMIT = 300
_PRIORITY = 2


def cause_key(rollout_id: int) -> str:
    """What names the incident of a halted rollout."""
    return f"rollout:{rollout_id}"


def halt(look: Look, actor: str, why: str) -> None:
    """No ring and no job is let go any more, and what has not begun is taken back; an incident says why."""
    text = f"{why} Halted at {look.now.astimezone(HOME):%H:%M}."
    look.write_ring(look.rings[look.ring], state=RingState.HALTED.value)
    number = _open_incident(look, text)
    taken = stop(look, RolloutState.HALTED, text, halted_at=look.now, incident_number=number)
    tell(look.tx, look.rollout_id, look.change_id, "halted", actor, text, look.now, taken_back=taken, incident=number)
    _notify(look, text)
    record.link_incident(look.tx, look.change_id, number, Linked.HALTED, text[:300], actor, look.now)
    if record.state_of(look.tx, look.change_id) in (ChangeState.SCHEDULED, ChangeState.RUNNING, ChangeState.REVIEW):
        record.set_state(look.tx, look.change_id, ChangeState.HALTED, look.now, actor, text)


def stop(look: Look, state: RolloutState, why: str, **more: Any) -> int:
    """Halt, pause or cancel it, and begin to take back; returns how many jobs are taken back, the looks that follow included.

    One transaction that took back the jobs of 20,000 PCs would keep agents' messages waiting for half a second and more. So
    this one makes sure that nothing more is let go, takes back what begins soonest, and leaves the rest to the worker.
    """
    look.state, look.why = state, why[:WHY_LIMIT]
    values = {"state": state.value, "why": look.why, **more}
    look.tx.execute(sa.update(Rollout).where(Rollout.id == look.rollout_id).values(values))
    if state is RolloutState.CANCELLED:
        _withdraw(look, RolloutTarget.state == TargetState.WAITING, RolloutTarget.job_id.is_(None))
    count = look.tx.scalar(sa.select(sa.func.count()).select_from(Job).where(*_to_take_back(look)))
    take_back(look)
    return int(count or 0)


def take_back(look: Look) -> bool:
    """Cancel some of what a rollout that does not run handed out, what begins soonest first; True where there may be more.

    Jobs that were never handed out may wait, unless it is over for good.
    """
    due = sa.select(Job.id).where(*_to_take_back(look)).order_by(Job.start_at, Job.id).limit(PIECE)
    ids = jobs.cancel(look.tx, look.tx.scalars(due).all(), _said(look), look.now)
    if ids:
        _withdraw(look, RolloutTarget.job_id.in_(ids))
    return len(ids) >= PIECE


def _to_take_back(look: Look) -> tuple[Any, ...]:
    states = HANDED if look.state in (RolloutState.HALTED, RolloutState.PAUSED) else _NOT_BEGUN
    return Job.rollout_id == look.rollout_id, Job.state.in_(states)


def _withdraw(look: Look, *which: Any) -> None:
    values = {"state": TargetState.WITHDRAWN.value, "why": _said(look), "since": look.now}
    look.tx.execute(sa.update(RolloutTarget).where(RolloutTarget.rollout_id == look.rollout_id, *which).values(values))


def _said(look: Look) -> str:
    return f"{_SAID.get(look.state, '')}{look.why}"[:WHY_LIMIT]


def others_live(tx: sa.Connection, change_id: int, rollout_id: int) -> bool:
    """True where another rollout of the change is under way."""
    others = sa.select(Rollout.id).where(Rollout.change_id == change_id, Rollout.id != rollout_id, Rollout.state.in_(LIVE))
    return tx.scalar(others.limit(1)) is not None


def _open_incident(look: Look, text: str) -> int:
    schools = _hit(look)
    title = look.tx.scalar(sa.select(Change.title).where(Change.id == look.change_id)) or ""
    one = schools[0] if len(schools) == 1 else None
    cause = Cause(
        key=cause_key(look.rollout_id),
        scope=Scope.SCHOOL if one is not None else Scope.SERVICE,
        school_id=one,
        room_id=None,
        title=f"Rollout {look.rollout_id} was halted: {title}"[:_TITLE_LIMIT],
        impact="school" if len(schools) > 1 else "room",
        urgency="high",
        text=text,
        rule="rollout-halted",
    )
    number = open_for_cause(look.tx, cause, look.now)
    if one is None:
        touch(look.tx, [(number, school_id) for school_id in schools])
    return number


def _notify(look: Look, text: str) -> None:
    """Tell each school whose PCs it reached, once for each halt."""
    title = look.tx.scalar(sa.select(Change.title).where(Change.id == look.change_id)) or ""
    said = f"Rollout {look.rollout_id} of change {look.change_id} was halted: {title}"
    enqueue(
        look.tx,
        [
            Message("change.halted", None, school_id, _PRIORITY, said, False, look.now, text, look.change_id)
            for school_id in _hit(look)
        ],
    )


def _hit(look: Look) -> list[int]:
    """The schools of the PCs that are unwell or silent, else of those that were changed, else of all."""
    bad = (TargetState.FAILED, TargetState.SICK, TargetState.SILENT)
    every = sa.select(RolloutTarget.school_id).where(RolloutTarget.rollout_id == look.rollout_id).distinct()
    for condition in (RolloutTarget.state.in_(bad), RolloutTarget.begun_at.is_not(None), sa.true()):
        found = sorted(look.tx.scalars(every.where(condition)))
        if found:
            return found
    return []
