"""Reads of rollouts for pages, API and commands: bounded, and of a person's schools."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from fettle_server.change.jobs.tables import Job
from fettle_server.change.manifests.queries import why_not_ready
from fettle_server.change.rollouts import telling
from fettle_server.change.rollouts.opening import Openings
from fettle_server.change.rollouts.plans import Plan, When, plan_from
from fettle_server.change.rollouts.rules import Direction, RingState, RolloutState, TargetState
from fettle_server.change.rollouts.tables import ChangeWindow, Freeze, RingPlace, Rollout, RolloutRing, RolloutTarget
from fettle_server.change.rollouts.views import (
    FreezeRow,
    GateView,
    OfEndpoint,
    Reach,
    RingPlaceRow,
    RingView,
    RolloutRow,
    RolloutView,
    TargetRow,
    WindowRow,
)
from fettle_server.change.rollouts.windows import Place
from fettle_server.change.tables import Change
from fettle_server.db import from_ms
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.paging import Page, bounded, mark, unmark

_Counts = dict[int, dict[int, dict[TargetState, int]]]
_MOST = 500
_MAY: Mapping[RolloutState, tuple[str, ...]] = {
    RolloutState.DRAFT: ("cancel",),
    RolloutState.READY: ("start", "cancel"),
    RolloutState.RUNNING: ("pause", "halt", "back out", "cancel"),
    RolloutState.PAUSED: ("resume", "halt", "back out", "cancel"),
    RolloutState.HALTED: ("resume", "back out", "cancel"),
    RolloutState.FINISHED: ("back out",),
    RolloutState.CANCELLED: ("back out",),
}


def rollouts(
    tx: sa.Connection,
    person: Person,
    now: dt.datetime,
    *,
    states: Collection[RolloutState] = (),
    change_id: int | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Page[RolloutRow]:
    """Rollouts with a target in the person's schools, the newest first."""
    demand(person, Act.VIEW)
    limit = bounded(limit)
    where = list(_seen(person))
    if states:
        where.append(Rollout.state.in_([state.value for state in states]))
    if change_id is not None:
        where.append(Rollout.change_id == change_id)
    if after is not None:
        where.append(Rollout.id < unmark(after, int)[0])
    found = sa.select(Rollout.__table__, Change.title).join(Change, Change.id == Rollout.change_id).where(*where)
    rows = tx.execute(found.order_by(Rollout.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    counts = _counts(tx, person, [row.id for row in shown])
    following = mark((shown[-1].id,)) if len(rows) > limit else None
    return Page(tuple(_row(tx, row, counts[row.id], now) for row in shown), following)


def rollout(tx: sa.Connection, person: Person, rollout_id: int, now: dt.datetime) -> RolloutView | None:
    """One rollout with its rings; counts are of the person's schools. None where there is none that the person sees."""
    demand(person, Act.VIEW)
    found = sa.select(Rollout.__table__, Change.title).join(Change, Change.id == Rollout.change_id)
    row = tx.execute(found.where(Rollout.id == rollout_id, *_seen(person))).one_or_none()
    if row is None:
        return None
    counts = _counts(tx, person, [rollout_id])[rollout_id]
    plan = plan_from(row.plan)
    undone = tuple(tx.scalars(sa.select(Rollout.id).where(Rollout.undoes_id == rollout_id).order_by(Rollout.id)))
    read = _row(tx, row, counts, now)
    return RolloutView(
        row=read,
        reach=Reach(**{name: tuple(values) for name, values in row.reach.items()}),
        steps=tuple(row.steps),
        plan=plan,
        rings=_rings(tx, read, plan, counts),
        back_outs=undone,
        may=_may(read, undone),
    )


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
    where = [target.rollout_id == rollout_id, *_of_schools(person, target.school_id)]
    where += [target.ring == ring] if ring is not None else []
    where += [target.state.in_([state.value for state in states])] if states else []
    where += [target.school_id == school_id] if school_id is not None else []
    if after is not None:
        where.append(
            sa.tuple_(target.ring, Endpoint.name, Endpoint.pk) > sa.tuple_(*map(sa.literal, unmark(after, int, str, int)))
        )
    order = (target.ring, Endpoint.name, Endpoint.pk)
    rows = tx.execute(_target_select().where(*where).order_by(*order).limit(limit + 1)).all()
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


def next_windows(tx: sa.Connection, school_id: int, now: dt.datetime, count: int = 5) -> list[tuple[dt.datetime, dt.datetime]]:
    """The next times in which PCs of a school (of no room) take changes: freezes and exams are left out."""
    openings, place = Openings(tx, now), Place(school_id, None, "")
    openings.read_calendars((school_id,))
    if school_id not in openings.known:
        return []
    found: list[tuple[dt.datetime, dt.datetime]] = []
    moment = now
    while len(found) < min(count, 50):
        opening = openings.after(place, When.WINDOWS, moment)
        if opening is None:
            break
        found.append((opening.start, opening.end))
        moment = opening.end
    return found


def windows(tx: sa.Connection, person: Person) -> list[WindowRow]:
    """The change windows that people set, by place; the usual ones are in windows.py."""
    columns = (
        ChangeWindow.id, ChangeWindow.school_id, _named(School), ChangeWindow.room_id, _named(Room),
        ChangeWindow.endpoint_class, ChangeWindow.days, ChangeWindow.from_minute, ChangeWindow.to_minute, ChangeWindow.when,
    )  # fmt: skip
    found = sa.select(*columns).where(*_of_place(person, ChangeWindow.school_id))
    found = found.outerjoin(School, School.id == ChangeWindow.school_id).outerjoin(Room, Room.id == ChangeWindow.room_id)
    rows = tx.execute(found.order_by(_named(School), _named(Room), ChangeWindow.from_minute, ChangeWindow.id).limit(_MOST))
    return [WindowRow(row[0], row[1], row[2], row[3], row[4], row[5], tuple(row[6]), row[7], row[8], row[9]) for row in rows]


def freezes(tx: sa.Connection, person: Person, now: dt.datetime, *, past: bool = False) -> list[FreezeRow]:
    """Freezes that are on or to come, by their beginning; with `past` the newest old ones too."""
    columns = (
        Freeze.id, Freeze.school_id, _named(School), Freeze.room_id, _named(Room), Freeze.title, Freeze.starts_at,
        Freeze.ends_at, Freeze.created_by, Freeze.ended_at,
    )  # fmt: skip
    where = _of_place(person, Freeze.school_id)
    where += [] if past else [Freeze.ends_at > now, Freeze.ended_at.is_(None)]
    found = sa.select(*columns).where(*where)
    found = found.outerjoin(School, School.id == Freeze.school_id).outerjoin(Room, Room.id == Freeze.room_id)
    order = Freeze.starts_at.desc() if past else Freeze.starts_at
    rows = [FreezeRow(*row) for row in tx.execute(found.order_by(order, Freeze.id).limit(_MOST))]
    return sorted(rows, key=lambda row: (row.starts_at, row.id))


def ring_places(tx: sa.Connection, person: Person) -> list[RingPlaceRow]:
    """Who always stands in an early ring."""
    school_id = sa.func.coalesce(Endpoint.school_id, Room.school_id)
    columns = (
        RingPlace.id, RingPlace.ring, Endpoint.id, _named(Endpoint), RingPlace.room_id, _named(Room), school_id, _named(School),
        RingPlace.set_by, RingPlace.set_at,
    )  # fmt: skip
    found = (
        sa.select(*columns)
        .select_from(RingPlace)
        .outerjoin(Endpoint, Endpoint.pk == RingPlace.endpoint_pk)
        .outerjoin(Room, Room.id == RingPlace.room_id)
        .outerjoin(School, School.id == school_id)
        .where(*_of_schools(person, school_id))
    )
    return [RingPlaceRow(*row) for row in tx.execute(found.order_by(RingPlace.ring, RingPlace.id).limit(_MOST))]


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
        if self._state in (RolloutState.DRAFT, RolloutState.READY):
            return "The rollout has not started."
        if self._state in (RolloutState.PAUSED, RolloutState.HALTED):
            return f"The rollout is {self._state}. {self._why}".strip()
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


def _target_select() -> sa.Select[Any]:
    target = RolloutTarget
    return (
        sa.select(
            Endpoint.pk, Endpoint.id, Endpoint.name, target.school_id, School.name.label("school"), _named(Room).label("room"),
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


def _row(tx: sa.Connection, row: Any, counts: Mapping[int, Mapping[TargetState, int]], now: dt.datetime) -> RolloutRow:
    total: dict[TargetState, int] = defaultdict(int)
    for of_ring in counts.values():
        for state, count in of_ring.items():
            total[state] += count
    names = [ring["name"] for ring in row.plan["rings"]]
    waits = row.state in (RolloutState.DRAFT, RolloutState.READY)
    return RolloutRow(
        id=row.id,
        change_id=row.change_id,
        change_title=row.title,
        direction=Direction(row.direction),
        undoes_id=row.undoes_id,
        state=RolloutState(row.state),
        why=row.why,
        ring=row.ring,
        ring_name=names[row.ring],
        rings=len(names),
        counts=dict(total),
        created_by=row.created_by,
        created_at=row.created_at,
        started_at=row.started_at,
        halted_at=row.halted_at,
        ended_at=row.ended_at,
        looked_at=row.looked_at,
        manifest_id=row.manifest_id,
        back_out_manifest_id=row.back_out_manifest_id,
        incident_number=row.incident_number,
        not_ready=why_not_ready(tx, row.manifest_id, now) if waits else "",
    )


def _may(row: RolloutRow, undone: tuple[int, ...]) -> tuple[str, ...]:
    acts = _MAY[row.state]
    if row.back_out_manifest_id is None or undone or row.started_at is None:
        acts = tuple(act for act in acts if act != "back out")
    return tuple(act for act in acts if act != "start") if row.not_ready else acts


def _rings(
    tx: sa.Connection, row: RolloutRow, plan: Plan, counts: Mapping[int, Mapping[TargetState, int]]
) -> tuple[RingView, ...]:
    rows = tx.execute(sa.select(RolloutRing.__table__).where(RolloutRing.rollout_id == row.id).order_by(RolloutRing.number))
    return tuple(
        RingView(
            number=ring.number,
            name=ring.name,
            state=RingState(ring.state),
            counts=dict(counts.get(ring.number, {})),
            released_at=ring.released_at,
            deadline_at=ring.deadline_at,
            settled_at=ring.settled_at,
            soaks_until=ring.settled_at and ring.settled_at + dt.timedelta(seconds=plan.rings[ring.number].soak_s),
            passed_at=ring.passed_at,
            gate=_gate(ring.gate),
            next_step=_next(row, ring),
        )
        for ring in rows
    )


def _next(row: RolloutRow, ring: Any) -> str:
    if ring.passed_at is not None:
        return "It has passed."
    if row.state in (RolloutState.DRAFT, RolloutState.READY):
        return row.not_ready or "The rollout has not started."
    if ring.number == row.ring:
        return row.why
    return f"It begins once the ring before it has passed: {row.ring_name} comes first."


def _gate(kept: Mapping[str, Any]) -> GateView:
    names = set(GateView.__dataclass_fields__) - {"at"}
    at_ms = kept.get("at_ms")
    return GateView(at=from_ms(at_ms) if at_ms else None, **{name: kept[name] for name in names if name in kept})


def _counts(tx: sa.Connection, person: Person, numbers: Iterable[int]) -> _Counts:
    """By rollout and ring: how many targets are in each state, of the person's schools."""
    keys = (RolloutTarget.rollout_id, RolloutTarget.ring, RolloutTarget.state)
    counted = sa.select(*keys, sa.func.count()).where(
        RolloutTarget.rollout_id.in_(list(numbers)), *_of_schools(person, RolloutTarget.school_id)
    )
    found: _Counts = defaultdict(lambda: defaultdict(dict))
    for number, ring, state, count in tx.execute(counted.group_by(*keys)):
        found[number][ring][TargetState(state)] = count
    return found


def _seen(person: Person) -> list[sa.ColumnElement[bool]]:
    if person.schools is None:
        return []
    mine = sa.exists().where(RolloutTarget.rollout_id == Rollout.id, RolloutTarget.school_id.in_(person.schools))
    return [mine]


def _of_schools(person: Person, column: Any) -> list[sa.ColumnElement[bool]]:
    return [] if person.schools is None else [column.in_(person.schools)]


def _of_place(person: Person, column: Any) -> list[sa.ColumnElement[bool]]:
    """What counts for all schools, and what counts for the person's."""
    return [] if person.schools is None else [sa.or_(column.is_(None), column.in_(person.schools))]


def _named(table: Any) -> Any:
    return sa.func.coalesce(table.name, "")
