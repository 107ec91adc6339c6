"""Reads of rollouts for pages, API and commands: bounded, and of a person's schools. A rollout's PCs are in targets.py."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from fettle_server.change.manifests.queries import is_live, why_not_ready
from fettle_server.change.rollouts.opening import Openings
from fettle_server.change.rollouts.plans import Plan, When, plan_from
from fettle_server.change.rollouts.rules import UNBEGUN, Direction, RingState, RolloutState, TargetState
from fettle_server.change.rollouts.tables import ChangeWindow, Freeze, RingPlace, Rollout, RolloutRing, RolloutTarget
from fettle_server.change.rollouts.targets import named, of_endpoint, of_schools, targets
from fettle_server.change.rollouts.views import (
    FreezeRow,
    GateView,
    Reach,
    RingPlaceRow,
    RingView,
    RolloutRow,
    RolloutView,
    WindowRow,
)
from fettle_server.change.rollouts.windows import Place
from fettle_server.change.tables import Change
from fettle_server.db import from_ms
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.paging import Page, bounded, mark, unmark

__all__ = ["freezes", "next_windows", "of_endpoint", "ring_places", "rollout", "rollouts", "targets", "windows", "windows_at"]

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
        may=_may(read, undone, can_undo=is_live(tx, read.back_out_manifest_id, now)),
    )


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


def windows_at(
    tx: sa.Connection, school_ids: Collection[int], now: dt.datetime
) -> dict[int, tuple[dt.datetime, dt.datetime, ZoneInfo]]:
    """By school: the window that is open for PCs of no room or else the next one, with the clock that it goes by."""
    openings = Openings(tx, now)
    openings.read_calendars(school_ids)
    found = {}
    for school_id in openings.known.intersection(school_ids):
        opening = openings.at(Place(school_id, None, ""), When.WINDOWS)
        if opening is not None:
            found[school_id] = (opening.start, opening.end, openings.calendar(school_id).zone)
    return found


def windows(tx: sa.Connection, person: Person) -> list[WindowRow]:
    """The change windows that people set, by place; the usual ones are in windows.py."""
    columns = (
        ChangeWindow.id, ChangeWindow.school_id, named(School), ChangeWindow.room_id, named(Room),
        ChangeWindow.endpoint_class, ChangeWindow.days, ChangeWindow.from_minute, ChangeWindow.to_minute, ChangeWindow.when,
    )  # fmt: skip
    found = sa.select(*columns).where(*_of_place(person, ChangeWindow.school_id))
    found = found.outerjoin(School, School.id == ChangeWindow.school_id).outerjoin(Room, Room.id == ChangeWindow.room_id)
    rows = tx.execute(found.order_by(named(School), named(Room), ChangeWindow.from_minute, ChangeWindow.id).limit(_MOST))
    return [WindowRow(row[0], row[1], row[2], row[3], row[4], row[5], tuple(row[6]), row[7], row[8], row[9]) for row in rows]


def freezes(tx: sa.Connection, person: Person, now: dt.datetime, *, past: bool = False) -> list[FreezeRow]:
    """Freezes that are on or to come, by their beginning; with `past` the newest old ones too."""
    columns = (
        Freeze.id, Freeze.school_id, named(School), Freeze.room_id, named(Room), Freeze.title, Freeze.starts_at,
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
        RingPlace.id, RingPlace.ring, Endpoint.id, named(Endpoint), RingPlace.room_id, named(Room), school_id, named(School),
        RingPlace.set_by, RingPlace.set_at,
    )  # fmt: skip
    found = (
        sa.select(*columns)
        .select_from(RingPlace)
        .outerjoin(Endpoint, Endpoint.pk == RingPlace.endpoint_pk)
        .outerjoin(Room, Room.id == RingPlace.room_id)
        .outerjoin(School, School.id == school_id)
        .where(*of_schools(person, school_id))
    )
    return [RingPlaceRow(*row) for row in tx.execute(found.order_by(RingPlace.ring, RingPlace.id).limit(_MOST))]


def _row(tx: sa.Connection, row: Any, counts: Mapping[int, Mapping[TargetState, int]], now: dt.datetime) -> RolloutRow:
    total: dict[TargetState, int] = defaultdict(int)
    for of_ring in counts.values():
        for state, count in of_ring.items():
            total[state] += count
    names = [ring["name"] for ring in row.plan["rings"]]
    waits = row.state in UNBEGUN
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


def _may(row: RolloutRow, undone: tuple[int, ...], *, can_undo: bool) -> tuple[str, ...]:
    acts = _MAY[row.state]
    if not can_undo or undone or row.started_at is None:
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
    if row.state in UNBEGUN:
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
        RolloutTarget.rollout_id.in_(list(numbers)), *of_schools(person, RolloutTarget.school_id)
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


def _of_place(person: Person, column: Any) -> list[sa.ColumnElement[bool]]:
    """What counts for all schools, and what counts for the person's."""
    return [] if person.schools is None else [sa.or_(column.is_(None), column.in_(person.schools))]
