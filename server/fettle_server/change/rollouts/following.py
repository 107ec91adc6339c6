"""What came of a rollout's jobs, written to its targets; who fell silent; who left."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from fettle_server.change.jobs import actions as jobs
from fettle_server.change.jobs.rules import BEGUN, ENDS, NOT_BEGUN, JobState
from fettle_server.change.jobs.tables import Job
from fettle_server.change.rollouts.looks import Look, Ring
from fettle_server.change.rollouts.reaching import left
from fettle_server.change.rollouts.rules import OPEN, TargetState, outcome
from fettle_server.change.rollouts.tables import RolloutTarget
from fettle_server.change.rollouts.windows import HORIZON_DAYS, Place
from fettle_server.db import to_ms
from fettle_server.estate.tables import Endpoint

_PIECE = 1500
HEARD_LATELY = dt.timedelta(hours=1)
_ENDED = tuple(state.value for state in ENDS)
_STIRRED = tuple(state.value for state in (*BEGUN, JobState.DONE, JobState.FAILED, JobState.REFUSED))
_COMES_AGAIN = tuple(state.value for state in NOT_BEGUN)
_FOLLOW = (
    sa.update(RolloutTarget)
    .where(RolloutTarget.rollout_id == sa.bindparam("rollout"), RolloutTarget.endpoint_pk == sa.bindparam("pk"))
    .values(
        state=sa.bindparam("new_state"),
        why=sa.bindparam("new_why"),
        since=sa.bindparam("new_since"),
        begun_at=sa.bindparam("new_begun"),
        changed_at=sa.bindparam("new_changed"),
    )
)


def follow(look: Look) -> bool:
    """Bring targets up to what their jobs say; True where there are more than one look takes."""
    target = RolloutTarget
    moved = sa.or_(
        sa.and_(target.state == TargetState.WAITING, Job.state.in_((*_STIRRED, *_ENDED))),
        sa.and_(target.state == TargetState.RUNNING, Job.state.in_((*_ENDED, *_COMES_AGAIN))),
        sa.and_(target.state.in_((TargetState.SILENT, TargetState.WITHDRAWN)), Job.state.in_(_STIRRED)),
    )
    columns = (target.endpoint_pk, Job.state, Job.why, Job.started_at, Job.ended_at, Job.reported_at)
    found = sa.select(*columns).join(Job, Job.id == target.job_id).where(target.rollout_id == look.rollout_id, moved)
    rows = look.tx.execute(found.limit(_PIECE)).all()
    if rows:
        look.tx.execute(_FOLLOW, [_moved(look, row) for row in rows])
    return len(rows) >= _PIECE


def _moved(look: Look, row: Any) -> dict[str, Any]:
    state = outcome(JobState(row.state))
    touched = state in (TargetState.CHANGED, TargetState.FAILED) and row.started_at is not None
    why = "It took the change." if state is TargetState.CHANGED else row.why
    return {
        "rollout": look.rollout_id,
        "pk": row.endpoint_pk,
        "new_state": state.value,
        "new_why": why[:500],
        "new_since": row.ended_at or row.started_at or look.now,
        "new_begun": row.started_at,
        "new_changed": (row.ended_at or look.now) if touched or state is TargetState.CHANGED else None,
    }


def mark_silent(look: Look) -> None:
    """Whoever of the rings let go has said nothing until the deadline is silent; it may still take the change later."""
    for ring in look.rings[: look.ring + 1]:
        if ring.released_at is None or ring.deadline_at is None or look.now < ring.deadline_at:
            continue
        if not look.tx.scalar(sa.select(_overdue(look, ring).exists())):
            continue
        later = deadline(look, ring)
        if later > look.now:
            look.write_ring(ring, deadline_at=later)
            continue
        pks = look.tx.scalars(_overdue(look, ring)).all()
        values = {"state": TargetState.SILENT.value, "since": look.now, "why": "It said nothing until the ring's deadline."}
        for at in range(0, len(pks), _PIECE):
            is_one = (RolloutTarget.rollout_id == look.rollout_id, RolloutTarget.endpoint_pk.in_(pks[at : at + _PIECE]))
            look.tx.execute(sa.update(RolloutTarget).where(*is_one).values(values))


def _overdue(look: Look, ring: Ring) -> Any:
    """Targets of the ring that wait or are at it, whose own time is over and of which nothing was heard lately."""
    deadline_s = look.plan.rings[ring.number].deadline_s
    came = look.now - dt.timedelta(seconds=deadline_s)
    own_time = sa.or_(RolloutTarget.joined_at <= ring.released_at, RolloutTarget.joined_at <= came)
    at_it = sa.and_(RolloutTarget.state == TargetState.RUNNING, Job.reported_at > look.now - HEARD_LATELY)
    return (
        sa.select(RolloutTarget.endpoint_pk)
        .outerjoin(Job, Job.id == RolloutTarget.job_id)
        .where(
            RolloutTarget.rollout_id == look.rollout_id,
            RolloutTarget.ring == ring.number,
            RolloutTarget.state.in_(OPEN),
            own_time,
            sa.not_(sa.func.coalesce(at_it, sa.false())),
        )
    )


def deadline(look: Look, ring: Ring) -> dt.datetime:
    """When silence counts: so long after the last of its places had its first window since its PCs were asked.

    Freezes and exams that came in between are not counted, so that nobody is silent who could not speak.
    """
    asked_from = ring.asked_from
    assert asked_from is not None
    bears = dt.timedelta(seconds=look.plan.rings[ring.number].deadline_s)
    latest = asked_from + bears
    for place in _waiting_places(look, ring):
        opening = look.openings.after(place, look.plan.when, asked_from)
        start = look.now + dt.timedelta(days=HORIZON_DAYS) if opening is None else opening.start
        latest = max(latest, look.openings.end_of_patience(place, start, bears))
    return latest


def ask_anew(look: Look) -> None:
    """The time in which nothing was handed out was no silence: those of the rings let go have all of theirs again."""
    for ring in look.rings:
        if ring.released_at is not None:
            look.note_gate(ring, ring.gate | {"asked_from_ms": to_ms(look.now)})
            look.write_ring(ring, deadline_at=deadline(look, ring))


def _waiting_places(look: Look, ring: Ring) -> list[Place]:
    columns = (Endpoint.school_id, Endpoint.room_id, Endpoint.endpoint_class)
    rows = look.tx.execute(
        sa.select(*columns)
        .join(RolloutTarget, RolloutTarget.endpoint_pk == Endpoint.pk)
        .where(RolloutTarget.rollout_id == look.rollout_id, RolloutTarget.ring == ring.number, RolloutTarget.state.in_(OPEN))
        .distinct()
    )
    found = [Place(*row) for row in rows]
    look.openings.read_calendars({place.school_id for place in found})
    return found


def drop_left(look: Look) -> None:
    """Revoked endpoints leave the rollout, and their jobs end."""
    rows = left(look.tx, look.rollout_id, _PIECE)
    if not rows:
        return
    reason = "The PC left the estate."
    jobs.cancel(look.tx, [row.job_id for row in rows if row.job_id is not None], reason, look.now)
    is_one = (RolloutTarget.rollout_id == look.rollout_id, RolloutTarget.endpoint_pk.in_([row.endpoint_pk for row in rows]))
    values = {"state": TargetState.GONE.value, "since": look.now, "why": reason}
    look.tx.execute(sa.update(RolloutTarget).where(*is_one).values(values))
