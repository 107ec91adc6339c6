"""Reads of a rollout's PCs: each with its step, and why it has not run yet or how it ended; of a person's schools."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from fettle_server.change.jobs.tables import Job
from fettle_server.change.rollouts import telling
from fettle_server.change.rollouts.opening import Openings
from fettle_server.change.rollouts.plans import When
from fettle_server.change.rollouts.rules import UNBEGUN, Direction, RolloutState, TargetState
from fettle_server.change.rollouts.tables import Rollout, RolloutRing, RolloutTarget
from fettle_server.change.rollouts.views import OfEndpoint, TargetRow
from fettle_server.change.rollouts.windows import Place
from fettle_server.change.tables import Change
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.paging import Page, bounded, mark, unmark


def targets(
    tx: sa.Connection,
    person: Person,
    rollout_id: int,
    now: dt.datetime,
    *,
    ring: int | None = None,
    states: Collection[TargetState] = (),
    school_id: int | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Page[TargetRow]:
    """A rollout's PCs in the person's schools, by ring and name, each with why it has not run yet or how it ended."""
    demand(person, Act.VIEW)
    limit = bounded(limit)
    target = RolloutTarget
    where = [target.rollout_id == rollout_id, *of_schools(person, target.school_id)]
    where += [target.ring == ring] if ring is not None else []
    where += [target.state.in_([state.value for state in states])] if states else []
    where += [target.school_id == school_id] if school_id is not None else []
    if after is not None:
        where.append(
            sa.tuple_(target.ring, Endpoint.name, Endpoint.pk) > sa.tuple_(*map(sa.literal, unmark(after, int, str, int)))
        )
    order = (target.ring, Endpoint.name, Endpoint.pk)
    # the keys first: so only a page's rows are put together, and not all of tens of thousands to be sorted
    keys = sa.select(target.endpoint_pk).join(Endpoint, Endpoint.pk == target.endpoint_pk).where(*where).order_by(*order)
    pks = list(tx.scalars(keys.limit(limit + 1)))
    is_one = (target.rollout_id == rollout_id, target.endpoint_pk.in_(pks))
    rows = tx.execute(_target_select().where(*is_one).order_by(*order)).all()
    shown = rows[:limit]
    words = _Words(tx, rollout_id, now)
    following = mark((shown[-1].ring, shown[-1].name, shown[-1].pk)) if len(rows) > limit else None
    return Page(tuple(_target(row, words) for row in shown), following)


def of_endpoint(tx: sa.Connection, endpoint_pk: int, limit: int = 50) -> list[OfEndpoint]:
    """The rollouts that an endpoint is or was part of, the newest first."""
    target = RolloutTarget
    uid = sa.func.coalesce(Job.uid, "")
    why = sa.case((target.state == TargetState.WAITING, sa.func.coalesce(Job.why, target.why)), else_=target.why)
    columns = (
        Rollout.id, Rollout.change_id, Change.title, Rollout.direction, Rollout.state, RolloutRing.name, target.state, why,
        target.sick, target.joined_at, target.changed_at, uid,
    )  # fmt: skip
    is_ring = sa.and_(RolloutRing.rollout_id == target.rollout_id, RolloutRing.number == target.ring)
    found = (
        sa.select(*columns)
        .select_from(target)
        .join(Rollout, Rollout.id == target.rollout_id)
        .join(Change, Change.id == Rollout.change_id)
        .join(RolloutRing, is_ring)
        .outerjoin(Job, Job.id == target.job_id)
        .where(target.endpoint_pk == endpoint_pk)
    )
    rows = tx.execute(found.order_by(Rollout.id.desc()).limit(bounded(limit)))
    return [
        OfEndpoint(
            row[0], row[1], row[2], Direction(row[3]), RolloutState(row[4]), row[5], TargetState(row[6]), row[7], tuple(row[8]),
            row[9], row[10], row[11],
        )
        for row in rows
    ]  # fmt: skip


def of_schools(person: Person, column: Any) -> list[sa.ColumnElement[bool]]:
    """The condition that a school is one of the person's; none where they see all."""
    return [] if person.schools is None else [column.in_(person.schools)]


def named(table: Any) -> Any:
    """The name, empty where the outer join found none."""
    return sa.func.coalesce(table.name, "")


class _Words:
    """Why targets of one rollout have not run yet, reckoned as they are read."""

    def __init__(self, tx: sa.Connection, rollout_id: int, now: dt.datetime) -> None:
        columns = (Rollout.state, Rollout.ring, Rollout.plan, Rollout.why)
        row = tx.execute(sa.select(*columns).where(Rollout.id == rollout_id)).one_or_none()
        self._state = RolloutState(row.state) if row else RolloutState.DRAFT
        self._ring = row.ring if row else 0
        self._why = row.why if row else ""
        self._when = When(row.plan.get("when", When.WINDOWS)) if row else When.WINDOWS
        self._names = [ring["name"] for ring in row.plan["rings"]] if row else []
        self._openings = Openings(tx, now)
        self._now = now

    def of(self, row: Any) -> str:
        """The sentence; never empty while the PC has not begun."""
        if row.state not in (TargetState.WAITING, TargetState.SILENT):
            return str(row.target_why)
        if self._state in UNBEGUN:
            return "The rollout has not started."
        if self._state in (RolloutState.PAUSED, RolloutState.HALTED):
            return f"The rollout is {self._state}. {_first(self._why)}".strip()
        if row.ring > self._ring:
            return telling.of_ring(self._names[row.ring], self._names[self._ring])
        if row.job_state not in ("", "waiting"):
            return str(row.job_why)
        return self._of_place(row)

    def _of_place(self, row: Any) -> str:
        place = Place(row.school_id, row.room_id, row.endpoint_class)
        opening, zone = self._openings.at(place, self._when), self._openings.calendar(row.school_id).zone
        if opening is None or opening.start > self._now:
            return telling.of_window(opening, self._openings.frozen(place), zone, self._now)
        if not row.connected:
            return telling.of_absence(opening, zone, self._now, row.woken_at)
        return str(row.job_why) or "It is handed out in a moment."


def _first(text: str) -> str:
    """The first sentence: a gate's whole arithmetic beside each PC would bury the rest."""
    sentence, more, _ = text.partition(". ")
    return f"{sentence}." if more else text


def _target_select() -> sa.Select[Any]:
    target = RolloutTarget
    return (
        sa.select(
            Endpoint.pk, Endpoint.id, Endpoint.name, target.school_id, School.name.label("school"), named(Room).label("room"),
            Endpoint.model, Endpoint.system_version, Endpoint.connected, Endpoint.last_seen, target.ring,
            RolloutRing.name.label("ring_name"), target.state, target.why.label("target_why"), target.sick, target.since,
            target.changed_at, target.woken_at, sa.func.coalesce(Job.uid, "").label("job_uid"),
            sa.func.coalesce(Job.state, "").label("job_state"), sa.func.coalesce(Job.why, "").label("job_why"),
            sa.func.coalesce(Job.step, 0).label("step"), sa.func.coalesce(Job.percent, 0).label("percent"), Job.start_at,
            Job.until_at, Endpoint.room_id, Endpoint.endpoint_class,
        )
        .select_from(target)
        .join(Endpoint, Endpoint.pk == target.endpoint_pk)
        .join(School, School.id == target.school_id)
        .join(RolloutRing, sa.and_(RolloutRing.rollout_id == target.rollout_id, RolloutRing.number == target.ring))
        .outerjoin(Room, Room.id == Endpoint.room_id)
        .outerjoin(Job, Job.id == target.job_id)
    )  # fmt: skip


def _target(row: Any, words: _Words) -> TargetRow:
    running = row.state == TargetState.RUNNING
    return TargetRow(
        endpoint_pk=row.pk,
        endpoint_id=row.id,
        name=row.name,
        school_id=row.school_id,
        school=row.school,
        room=row.room,
        model=row.model,
        build=row.system_version,
        connected=row.connected,
        last_seen=row.last_seen,
        ring=row.ring,
        ring_name=row.ring_name,
        state=TargetState(row.state),
        why=row.job_why if running else words.of(row),
        sick=tuple(row.sick),
        since=row.since,
        changed_at=row.changed_at,
        job_uid=row.job_uid,
        job_state=row.job_state,
        step=row.step,
        percent=row.percent,
        start_at=row.start_at,
        until_at=row.until_at,
    )
