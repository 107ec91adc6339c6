"""What a rollout's picture is drawn from: counts by ring, school and step, small however many PCs it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.change.jobs.tables import Job
from fettle_server.change.rollouts.rules import TargetState
from fettle_server.change.rollouts.tables import Rollout, RolloutRing, RolloutTarget
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import School

_JOB = sa.func.coalesce(Job.state, "")


@dataclass(frozen=True, slots=True)
class Cell:
    """How many PCs of a school and a ring are at one step: the state of each and that of its job ("": it has none yet)."""

    ring: int
    school_id: int
    school: str
    state: TargetState
    job_state: str
    count: int


def cells(tx: sa.Connection, person: Person, rollout_id: int) -> list[Cell]:
    """The counts in the person's schools, by ring and school; those that left are not counted."""
    keys = (RolloutTarget.ring, RolloutTarget.school_id, School.name, RolloutTarget.state, _JOB)
    counted = _joined(sa.select(*keys, sa.func.count()), rollout_id).join(School, School.id == RolloutTarget.school_id)
    rows = tx.execute(_seen(counted, person).group_by(*keys).order_by(RolloutTarget.ring, School.name))
    return [Cell(row[0], row[1], row[2], TargetState(row[3]), row[4], row[5]) for row in rows]


def pulse(tx: sa.Connection, person: Person, rollout_id: int) -> tuple[Any, ...]:
    """Something that is otherwise as soon as a PC of the person's made a step, a ring or its gate changed, or the rollout did.

    Empty where none of the person's PCs is in it.
    """
    keys = (RolloutTarget.ring, RolloutTarget.state, _JOB)
    newest = sa.func.max(RolloutTarget.since)
    counted = _seen(_joined(sa.select(*keys, sa.func.count(), newest), rollout_id), person)
    steps = tx.execute(counted.group_by(*keys).order_by(*keys)).all()
    if not steps:
        return ()
    columns = (RolloutRing.number, RolloutRing.state, RolloutRing.gate)
    rings = tx.execute(sa.select(*columns).where(RolloutRing.rollout_id == rollout_id).order_by(RolloutRing.number)).all()
    whole = tx.execute(sa.select(Rollout.state, Rollout.why).where(Rollout.id == rollout_id)).one_or_none()
    gates = [(row.number, row.state, (row.gate or {}).get("why", "")) for row in rings]
    return tuple(map(tuple, steps)), tuple(gates), tuple(whole or ())


def _seen(statement: sa.Select[Any], person: Person) -> sa.Select[Any]:
    return statement if person.schools is None else statement.where(RolloutTarget.school_id.in_(person.schools))


def _joined(statement: Any, rollout_id: int) -> Any:
    return (
        statement.select_from(RolloutTarget)
        .outerjoin(Job, Job.id == RolloutTarget.job_id)
        .where(RolloutTarget.rollout_id == rollout_id, RolloutTarget.state != TargetState.GONE)
    )
