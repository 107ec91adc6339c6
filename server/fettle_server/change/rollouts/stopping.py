"""How a rollout stops: what has not begun is taken back, an incident is opened and stands with the change."""

from __future__ import annotations

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
_TITLE_LIMIT = 300
_PRIORITY = 2


def cause_key(rollout_id: int) -> str:
    """What names the incident of a halted rollout."""
    return f"rollout:{rollout_id}"


def halt(look: Look, actor: str, why: str) -> None:
    """Nothing that has not begun begins; an incident says why, and stands with the change."""
    text = f"{why} Halted at {look.now.astimezone(HOME):%H:%M}."
    look.write_ring(look.rings[look.ring], state=RingState.HALTED.value)
    taken = take_back(look, HANDED, f"The rollout was halted: {why}")
    number = _open_incident(look, text)
    values = {"state": RolloutState.HALTED.value, "why": text[:WHY_LIMIT], "halted_at": look.now, "incident_number": number}
    look.tx.execute(sa.update(Rollout).where(Rollout.id == look.rollout_id).values(values))
    look.state = RolloutState.HALTED
    tell(look.tx, look.rollout_id, look.change_id, "halted", actor, text, look.now, taken_back=taken, incident=number)
    _notify(look, text)
    record.link_incident(look.tx, look.change_id, number, Linked.HALTED, text[:300], actor, look.now)
    if record.state_of(look.tx, look.change_id) in (ChangeState.SCHEDULED, ChangeState.RUNNING, ChangeState.REVIEW):
        record.set_state(look.tx, look.change_id, ChangeState.HALTED, look.now, actor, text)


def take_back(look: Look, states: tuple[str, ...], why: str) -> int:
    """Cancel the rollout's jobs in those states; returns how many. Those never handed out may simply wait instead."""
    held = sa.select(Job.id).where(Job.rollout_id == look.rollout_id, Job.state.in_(states))
    ids = jobs.cancel(look.tx, look.tx.scalars(held).all(), why[:WHY_LIMIT], look.now)
    for at in range(0, len(ids), 5000):
        is_one = (RolloutTarget.rollout_id == look.rollout_id, RolloutTarget.job_id.in_(ids[at : at + 5000]))
        values = {"state": TargetState.WITHDRAWN.value, "why": why[:WHY_LIMIT], "since": look.now}
        look.tx.execute(sa.update(RolloutTarget).where(*is_one).values(values))
    return len(ids)


def give_up(look: Look, why: str) -> int:
    """Cancel all that has not begun, and withdraw the targets that had no job yet; returns how many jobs were cancelled."""
    count = take_back(look, _NOT_BEGUN, why)
    waits = (RolloutTarget.rollout_id == look.rollout_id, RolloutTarget.state == TargetState.WAITING)
    values = {"state": TargetState.WITHDRAWN.value, "why": why[:WHY_LIMIT], "since": look.now}
    look.tx.execute(sa.update(RolloutTarget).where(*waits).values(values))
    return count


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
