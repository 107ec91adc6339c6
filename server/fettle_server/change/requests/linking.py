"""Incidents in a change's reach and soon after it: they stand with it by themselves, until a person says no."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from fettle_server.change import record
from fettle_server.change.requests.rules import AFTER, Came, Changed, after_it
from fettle_server.change.rollouts.tables import Rollout, RolloutTarget
from fettle_server.change.rules import ChangeState, Linked
from fettle_server.change.tables import Change, ChangeIncident
from fettle_server.estate.tables import Endpoint, Room
from fettle_server.reactive.reach import touched
from fettle_server.reactive.tables import Incident

PIECE = 500
_ACTIVE = (ChangeState.RUNNING, ChangeState.HALTED, ChangeState.REVIEW, ChangeState.CLOSED)


def found(tx: sa.Connection, now: dt.datetime) -> list[tuple[int, int, str]]:
    """The incidents that came after a change and do not stand with it: (change, incident number, why), the oldest first."""
    result: list[tuple[int, int, str]] = []
    for change_id in _lately(tx, now):
        result += [(change_id, number, why) for number, why in _after(tx, change_id, now)]
    return result[:PIECE]


def link_incidents(tx: sa.Connection, now: dt.datetime) -> int:
    """Put them beside their changes; returns how many."""
    return sum(
        record.link_incident(tx, change_id, number, Linked.AFTER_IT, why, "system", now)
        for change_id, number, why in found(tx, now)
    )


def _lately(tx: sa.Connection, now: dt.datetime) -> list[int]:
    recent = sa.or_(Change.ended_at.is_(None), Change.ended_at > now - AFTER - dt.timedelta(hours=1))
    begun = sa.select(Change.id).where(Change.state.in_(_ACTIVE), Change.begun_at.is_not(None), recent)
    return list(tx.scalars(begun.order_by(Change.id).limit(200)))


def _after(tx: sa.Connection, change_id: int, now: dt.datetime) -> Iterable[tuple[int, str]]:
    reached = _changed(tx, change_id)
    if not reached:
        return
    first = min(one.at for one in reached)
    known = sa.select(ChangeIncident.incident_number).where(ChangeIncident.change_id == change_id)
    rows = tx.execute(
        sa.select(
            Incident.number, Incident.opened_at, Incident.endpoint_pk, Incident.room_id, Incident.school_id, Incident.scope,
            sa.func.coalesce(Room.name, "").label("room"),
        )
        .outerjoin(Room, Room.id == Incident.room_id)
        .where(
            Incident.opened_at > max(first, now - AFTER - dt.timedelta(hours=1)),
            Incident.is_test.is_(sa.false()),
            Incident.number.not_in(known),
        )
        .order_by(Incident.number)
        .limit(5000)
    ).all()  # fmt: skip
    schools = touched(tx, [row.number for row in rows if row.school_id is None])
    sizes = _sizes(tx, {one.school_id for one in reached})
    for row in rows:
        places = (row.school_id,) if row.school_id is not None else schools.get(row.number, ())
        came = Came(row.opened_at, row.endpoint_pk, row.room_id, row.room, frozenset(places))
        why = after_it(came, reached, sizes)
        if why is not None:
            yield row.number, why


def _changed(tx: sa.Connection, change_id: int) -> list[Changed]:
    rows: Any = tx.execute(
        sa.select(RolloutTarget.endpoint_pk, Endpoint.name, Endpoint.room_id, Endpoint.school_id, RolloutTarget.changed_at)
        .join(Rollout, Rollout.id == RolloutTarget.rollout_id)
        .join(Endpoint, Endpoint.pk == RolloutTarget.endpoint_pk)
        .where(Rollout.change_id == change_id, RolloutTarget.changed_at.is_not(None))
    )
    return [Changed(*row) for row in rows]


def _sizes(tx: sa.Connection, schools: set[int]) -> dict[int, int]:
    counted = sa.select(Endpoint.school_id, sa.func.count()).where(Endpoint.revoked_at.is_(None))
    rows = tx.execute(counted.where(Endpoint.school_id.in_(schools)).group_by(Endpoint.school_id))
    return {row[0]: row[1] for row in rows}
