"""Jobs made for the rings that were let go, handed out when each place's window opens, and why the others have none yet.

A job is handed only to a PC that is connected: so a school's turn-taking counts what really downloads. One that is off is woken
by a neighbour of its room.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fettle_protocol.steps import is_repeatable

from fettle_server.change import record
from fettle_server.change.jobs import actions as jobs
from fettle_server.change.jobs.rules import JobState
from fettle_server.change.jobs.tables import Job
from fettle_server.change.manifests.tables import Manifest
from fettle_server.change.rollouts import telling, waking
from fettle_server.change.rollouts.looks import Look
from fettle_server.change.rollouts.places import fraction
from fettle_server.change.rollouts.rules import TargetState
from fettle_server.change.rollouts.tables import RolloutTarget
from fettle_server.change.rollouts.windows import Opening, Place
from fettle_server.change.rules import ChangeState
from fettle_server.change.tables import Change, SchoolChange
from fettle_server.estate.tables import Endpoint

MAKE_PIECE = 2000
HAND_PIECE = 1000
WHY_PIECE = 2000
_STEPS = 30
"""The stagger has so many beginnings, so that thousands of jobs go out by a few statements."""
_HELD = (JobState.RELEASED.value, JobState.RECEIVED.value, JobState.DEFERRED.value)
_BUSY = (JobState.RELEASED.value, JobState.RECEIVED.value, JobState.RUNNING.value, JobState.RESTARTING.value)
_TAKES = (TargetState.WAITING.value, TargetState.SILENT.value)
_PLACE = (Endpoint.school_id, Endpoint.room_id, Endpoint.endpoint_class)


@dataclass(frozen=True, slots=True)
class Due:
    """A target that may be handed its job now."""

    job_id: int
    endpoint_id: str
    ring: int
    place: Place


def make_jobs(look: Look) -> bool:
    """A job for each target of the rings let go that has none; True where there are more than one look makes."""
    target = RolloutTarget
    new = look.tx.execute(
        sa.select(target.endpoint_pk, target.school_id)
        .where(
            target.rollout_id == look.rollout_id,
            target.ring <= look.ring,
            target.state == TargetState.WAITING,
            target.job_id.is_(None),
        )
        .limit(MAKE_PIECE)
    ).all()
    if not new or look.manifest_id is None:
        return False
    expires_at = look.tx.execute(sa.select(Manifest.expires_at).where(Manifest.id == look.manifest_id)).scalar_one()
    once = not all(map(is_repeatable, look.steps))
    places = [(row.endpoint_pk, row.school_id) for row in new]
    made = jobs.create(look.tx, look.manifest_id, places, look.rollout_id, expires_at, once, look.now)
    look.tx.execute(_TAKE, [{"rollout": look.rollout_id, "pk": pk, "job": job_id} for pk, job_id in made.items()])
    return len(new) >= MAKE_PIECE


_TAKE = (
    sa.update(RolloutTarget)
    .where(RolloutTarget.rollout_id == sa.bindparam("rollout"), RolloutTarget.endpoint_pk == sa.bindparam("pk"))
    .values(job_id=sa.bindparam("job"))
)


def opens_at(look: Look) -> dt.datetime | None:
    """When the next window opens for those of the current ring that wait."""
    rows = look.tx.execute(_waiting(sa.select(*_PLACE), look).where(RolloutTarget.ring == look.ring).distinct())
    found = _openings(look, (Place(*tuple(row)[:3]) for row in rows))
    return min((opening.start for opening in found.values() if opening is not None), default=None)


def hand_out(look: Look, *, full: bool) -> bool:
    """Hand out what is due, take back what a freeze overtook, wake who is off, and say why the rest waits."""
    counted = _waiting(sa.select(*_PLACE, _connected_count()), look).where(RolloutTarget.job_id.is_not(None))
    rows = look.tx.execute(counted.group_by(*_PLACE)).all()
    openings = _openings(look, (Place(*tuple(row)[:3]) for row in rows))
    is_open = {place: opening for place, opening in openings.items() if opening is not None and opening.start <= look.now}
    _rebook(look, openings)
    awake = {Place(*tuple(row)[:3]) for row in rows if row[3]}
    room = _room(look, {place.school_id for place in is_open.keys() & awake})
    due = _due(look, (place for place in is_open.keys() & awake if room.get(place.school_id, 1) > 0))
    handed = _in_turn(due, room)
    _release(look, handed, is_open)
    if full and look.plan.wake:
        waking.wake(look, is_open)
    if full:
        full_up = {school_id for school_id, left in room.items() if left <= 0}
        _say_why(look, openings, {one.job_id for one in due} - {one.job_id for one in handed}, full_up)
    return len(due) >= HAND_PIECE and len(handed) > 0


def _openings(look: Look, places: Iterable[Place]) -> dict[Place, Opening | None]:
    wanted = set(places)
    look.openings.read_calendars({place.school_id for place in wanted})
    return {place: look.openings.at(place, look.plan.when) for place in wanted}


def _waiting(statement: Any, look: Look) -> Any:
    """Targets of the rings let go that may still begin."""
    return (
        statement.select_from(RolloutTarget)
        .join(Endpoint, Endpoint.pk == RolloutTarget.endpoint_pk)
        .where(RolloutTarget.rollout_id == look.rollout_id, RolloutTarget.ring <= look.ring, RolloutTarget.state.in_(_TAKES))
    )


def _connected_count() -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((Endpoint.connected.is_(True), 1), else_=0))


def _due(look: Look, places: Iterable[Place]) -> list[Due]:
    """Connected targets in open windows whose jobs were never handed out, or were for a window that is over."""
    wanted = set(places)
    if not wanted:
        return []
    missed = sa.and_(Job.state.in_(_HELD), Job.until_at <= look.now)
    columns = (Job.id, Endpoint.id, RolloutTarget.ring, *_PLACE)
    found = (
        _waiting(sa.select(*columns), look)
        .join(Job, Job.id == RolloutTarget.job_id)
        .where(
            Endpoint.connected.is_(True),
            Endpoint.school_id.in_({place.school_id for place in wanted}),
            sa.func.coalesce(Endpoint.room_id, 0).in_({place.room_id or 0 for place in wanted}),
            sa.or_(Job.state == JobState.WAITING, missed),
        )
        .order_by(Job.id)
        .limit(HAND_PIECE)
    )
    rows = (Due(row[0], row[1], row[2], Place(*tuple(row)[3:])) for row in look.tx.execute(found))
    return [one for one in rows if one.place in wanted]


def _room(look: Look, school_ids: set[int]) -> dict[int, int]:
    """How many more may download now at each of those schools that has a limit."""
    return {school_id: limit - _busy(look, school_id) for school_id, limit in at_once(look.tx, school_ids).items()}


def _in_turn(due: list[Due], room: dict[int, int]) -> list[Due]:
    """As many of each school as there is room for; `room` is what is left then."""
    chosen = []
    for one in due:
        left = room.get(one.place.school_id)
        if left is not None:
            if left <= 0:
                continue
            room[one.place.school_id] = left - 1
        chosen.append(one)
    return chosen


def at_once(tx: sa.Connection, school_ids: Iterable[int]) -> dict[int, int]:
    """How many PCs of a school may download at the same time, for those schools that have a limit."""
    limited = sa.select(SchoolChange.school_id, SchoolChange.at_once)
    rows = tx.execute(limited.where(SchoolChange.school_id.in_(set(school_ids)), SchoolChange.at_once > 0))
    return {row.school_id: row.at_once for row in rows}


def _busy(look: Look, school_id: int) -> int:
    """Jobs of the school, of whatever rollout, that connected PCs have and are not through with."""
    busy = (
        sa.select(sa.func.count())
        .select_from(Job)
        .join(Endpoint, Endpoint.pk == Job.endpoint_pk)
        .where(
            Job.school_id == school_id,
            Job.state.in_(_BUSY),
            Job.ended_at.is_(None),
            Endpoint.connected.is_(True),
            sa.or_(Job.until_at > look.now, Job.state.in_((JobState.RUNNING, JobState.RESTARTING))),
        )
    )
    return int(look.tx.scalar(busy) or 0)


def _release(look: Look, handed: list[Due], openings: Mapping[Place, Opening]) -> None:
    groups: dict[tuple[dt.datetime, dt.datetime, bool], list[int]] = defaultdict(list)
    exams: dict[Place, bool] = {}
    for one in handed:
        opening = openings[one.place]
        if one.place not in exams:
            exams[one.place] = look.openings.has_exam(one.place, look.now)
        groups[_begins(look, one, opening), opening.end, exams[one.place]].append(one.job_id)
    for (start, end, exam), job_ids in groups.items():
        jobs.release(look.tx, job_ids, start, end, exam, look.now)
    if handed:
        _note_running(look)


def _begins(look: Look, one: Due, opening: Opening) -> dt.datetime:
    """When it may begin: PCs of a place are spread over the first while of their window, each time alike."""
    released_at = look.rings[one.ring].released_at or look.now
    base = max(opening.begins, released_at)
    width_s = min(look.plan.stagger_s, (opening.end - base).total_seconds() / 2)
    offset_s = int(fraction(f"{one.endpoint_id}/{look.rollout_id}") * _STEPS) / _STEPS * max(0.0, width_s)
    return max(look.now, base + dt.timedelta(seconds=offset_s))


def _note_running(look: Look) -> None:
    """The first job that goes out makes its change a running one."""
    state = look.tx.scalar(sa.select(Change.state).where(Change.id == look.change_id))
    if state in (ChangeState.APPROVED, ChangeState.SCHEDULED):
        record.set_state(look.tx, look.change_id, ChangeState.RUNNING, look.now)


def _rebook(look: Look, openings: Mapping[Place, Opening | None]) -> None:
    """Jobs that wait on PCs for a window which is now shut, or shorter (a freeze came in between), get the next one."""
    handed = _waiting(sa.select(*_PLACE, sa.func.min(Job.start_at), sa.func.max(Job.until_at)), look)
    handed = handed.join(Job, Job.id == RolloutTarget.job_id).where(Job.state.in_(_HELD), Job.until_at > look.now)
    for row in look.tx.execute(handed.group_by(*_PLACE)).all():
        place = Place(*tuple(row)[:3])
        opening = openings.get(place)
        if opening is not None and row[4] <= opening.end and (opening.start <= look.now or row[3] >= opening.start):
            continue
        start, end = (opening.start, opening.end) if opening is not None else _never(look)
        ids = look.tx.scalars(
            _waiting(sa.select(Job.id), look)
            .join(Job, Job.id == RolloutTarget.job_id)
            .where(
                Endpoint.school_id == place.school_id,
                Endpoint.room_id.is_not_distinct_from(place.room_id),
                Endpoint.endpoint_class == place.endpoint_class,
                Job.state.in_(_HELD),
                Job.until_at > look.now,
                sa.or_(Job.until_at > end, Job.start_at < start),
            )
        ).all()
        jobs.release(look.tx, ids, max(start, look.now), end, look.openings.has_exam(place, start), look.now)


def _never(look: Look) -> tuple[dt.datetime, dt.datetime]:
    """A window so far away that a new look comes first."""
    start = look.now + dt.timedelta(days=365)
    return start, start + dt.timedelta(hours=1)


def _say_why(look: Look, openings: Mapping[Place, Opening | None], in_turn: set[int], full_up: set[int]) -> None:
    """Write down why those that wait do, where it is not what stands there."""
    columns = (Job.id, Job.why, RolloutTarget.woken_at, Endpoint.connected, *_PLACE)
    waiting = _waiting(sa.select(*columns), look).join(Job, Job.id == RolloutTarget.job_id)
    limits = at_once(look.tx, {place.school_id for place in openings})
    said = []
    for row in look.tx.execute(waiting.where(Job.state == JobState.WAITING).order_by(Job.id)):
        place = Place(*tuple(row)[4:])
        turn = limits.get(place.school_id) if row.id in in_turn or place.school_id in full_up else None
        why = _why(look, place, openings.get(place), is_on=row.connected, woken_at=row.woken_at, turn=turn)
        if why and why != row.why:
            said.append((row.id, why))
        if len(said) >= WHY_PIECE:
            break
    jobs.say_why(look.tx, said)


def _why(
    look: Look, place: Place, opening: Opening | None, *, is_on: bool, woken_at: dt.datetime | None, turn: int | None
) -> str:
    zone = look.openings.calendar(place.school_id).zone
    if opening is None or opening.start > look.now:
        return telling.of_window(opening, look.openings.frozen(place), zone, look.now)
    if not is_on:
        return telling.of_absence(opening, zone, look.now, woken_at)
    return telling.of_turn(turn) if turn else ""
