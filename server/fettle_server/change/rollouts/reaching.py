"""Who a rollout is for: endpoints of its reach, those that came or left since, and where people placed some by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import CLASSES, SYSTEMS

from fettle_server.change.rollouts.places import Candidate
from fettle_server.change.rollouts.rules import OPEN, RolloutError, TargetState
from fettle_server.change.rollouts.tables import RingPlace, RolloutTarget
from fettle_server.change.rollouts.views import Reach
from fettle_server.db import as_json, bulk_insert, to_ms
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import Endpoint, Room

MOST_NAMED = 20_000
_TOUCHED = (TargetState.RUNNING.value, TargetState.CHANGED.value, TargetState.SICK.value, TargetState.FAILED.value)
_ADD = bulk_insert(
    RolloutTarget, "rollout_id", "endpoint_pk", "school_id", "ring", "state", "why", "sick", "joined_at", "since"
)
_COLUMNS = (
    Endpoint.pk, Endpoint.id, Endpoint.school_id, Endpoint.room_id, Endpoint.endpoint_class, Endpoint.model,
    Endpoint.system_version,
)  # fmt: skip


def reach_from(said: Mapping[str, Any]) -> Reach:
    """The reach in a JSON object.

    Raises:
        RolloutError: it cannot be; the message names the field.
    """
    unknown = sorted(set(said) - set(Reach.__dataclass_fields__))
    if unknown:
        raise RolloutError(f"A reach has no field “{unknown[0][:60]}”.")
    if not all(isinstance(values, list | tuple) for values in said.values()):
        raise RolloutError("Each field of a reach is a list.")
    reach = Reach(**{name: tuple(values) for name, values in said.items()})
    check(reach)
    return reach


def check(reach: Reach) -> None:
    """Nothing, where the reach can be.

    Raises:
        RolloutError: it is empty, too long, or names what is not.
    """
    if not (reach.endpoints or reach.schools or reach.rooms):
        raise RolloutError("Say which PCs: some by name, or schools, or rooms.")
    if len(reach.endpoints) > MOST_NAMED:
        raise RolloutError(f"A rollout names at most {MOST_NAMED} PCs; for more, say their schools.")
    if not all(isinstance(one, str) for one in (*reach.endpoints, *reach.classes, *reach.systems)):
        raise RolloutError("PCs, classes and systems are said by name.")
    if not all(type(one) is int for one in (*reach.schools, *reach.rooms)):
        raise RolloutError("Schools and rooms are said by number.")
    if any(one not in CLASSES for one in reach.classes):
        raise RolloutError(f"Classes of endpoint are {', '.join(CLASSES)}.")
    if any(one not in SYSTEMS for one in reach.systems):
        raise RolloutError(f"Systems are {', '.join(SYSTEMS)}.")


def candidates(tx: sa.Connection, reach: Reach) -> list[Candidate]:
    """All endpoints of the reach that are not revoked."""
    found: dict[int, Candidate] = {}
    for condition in _conditions(reach):
        for row in tx.execute(sa.select(*_COLUMNS).where(Endpoint.revoked_at.is_(None), condition)):
            found[row.pk] = Candidate(*row)
    return list(found.values())


def joined(tx: sa.Connection, rollout_id: int, reach: Reach, limit: int) -> list[Candidate]:
    """Endpoints of the reach's schools and rooms that are no targets yet; named ones do not join late."""
    known = _targets_of(rollout_id)
    found: list[Candidate] = []
    for condition in _places(reach):
        new = sa.select(*_COLUMNS).where(Endpoint.revoked_at.is_(None), condition, Endpoint.pk.not_in(known))
        found += [Candidate(*row) for row in tx.execute(new.order_by(Endpoint.pk).limit(limit))]
    return found


def touched(tx: sa.Connection, rollout_id: int, but_of: int | None = None) -> list[Candidate]:
    """The endpoints on which a rollout was begun, that are still here and no targets of that other rollout."""
    begun = sa.or_(RolloutTarget.begun_at.is_not(None), RolloutTarget.state.in_(_TOUCHED))
    found = sa.select(*_COLUMNS).join(RolloutTarget, RolloutTarget.endpoint_pk == Endpoint.pk)
    found = found.where(RolloutTarget.rollout_id == rollout_id, begun, Endpoint.revoked_at.is_(None))
    if but_of is not None:
        found = found.where(Endpoint.pk.not_in(_targets_of(but_of)))
    return [Candidate(*row) for row in tx.execute(found)]


def add(tx: sa.Connection, rollout_id: int, placed: Iterable[tuple[Candidate, int]], now: dt.datetime) -> None:
    """Make them targets, each in its ring, with nothing done yet."""
    state, at = TargetState.WAITING.value, to_ms(now)
    _ADD.run(tx, [(rollout_id, one.pk, one.school_id, ring, state, "", as_json([]), at, at) for one, ring in placed])


def left(tx: sa.Connection, rollout_id: int, limit: int) -> list[Any]:
    """Targets (endpoint_pk, job_id) of which something was still expected and whose endpoints were revoked since."""
    revoked = (
        sa.select(RolloutTarget.endpoint_pk, RolloutTarget.job_id)
        .join(Endpoint, Endpoint.pk == RolloutTarget.endpoint_pk)
        .where(
            RolloutTarget.rollout_id == rollout_id,
            RolloutTarget.state.in_((*OPEN, TargetState.SILENT)),
            Endpoint.revoked_at.is_not(None),
        )
    )
    return list(tx.execute(revoked.limit(limit)).all())


def placed_by_hand(tx: sa.Connection, found: Iterable[Candidate]) -> dict[int, str]:
    """The ring's name for each of them that a person placed, itself or with its room; its own place goes before its room's."""
    rows = tx.execute(sa.select(RingPlace.ring, RingPlace.endpoint_pk, RingPlace.room_id).order_by(RingPlace.id)).all()
    own = {row.endpoint_pk: row.ring for row in rows if row.endpoint_pk is not None}
    rooms = {row.room_id: row.ring for row in rows if row.room_id is not None}
    named = ((one.pk, own.get(one.pk) or rooms.get(one.room_id or 0)) for one in found)
    return {pk: ring for pk, ring in named if ring}


def demand_all(person: Person, act: Act, school_ids: Iterable[int]) -> None:
    """Nothing, where the person may do it in every one of those schools.

    Raises:
        Forbidden: the person may not.
    """
    demand(person, act)
    for school_id in school_ids:
        demand(person, act, school_id)


def schools_of(tx: sa.Connection, rollout_id: int) -> list[int]:
    """The schools that a rollout's targets stand in."""
    of = sa.select(RolloutTarget.school_id).where(RolloutTarget.rollout_id == rollout_id).distinct()
    return sorted(tx.scalars(of))


def places_schools(tx: sa.Connection, reach: Reach) -> set[int]:
    """The schools that late joiners may come from."""
    rooms = set(tx.scalars(sa.select(Room.school_id).where(Room.id.in_(reach.rooms)))) if reach.rooms else set()
    return rooms | set(reach.schools)


def _targets_of(rollout_id: int) -> Any:
    return sa.select(RolloutTarget.endpoint_pk).where(RolloutTarget.rollout_id == rollout_id)


def _conditions(reach: Reach) -> list[sa.ColumnElement[bool]]:
    chunks = [reach.endpoints[at : at + 5000] for at in range(0, len(reach.endpoints), 5000)]
    return [Endpoint.id.in_(chunk) for chunk in chunks] + _places(reach)


def _places(reach: Reach) -> list[sa.ColumnElement[bool]]:
    """Of the schools and rooms, narrowed by class and system."""
    where = [Endpoint.school_id.in_(reach.schools)] if reach.schools else []
    where += [Endpoint.room_id.in_(reach.rooms)] if reach.rooms else []
    if not where:
        return []
    narrowed = [sa.or_(*where)]
    narrowed += [Endpoint.endpoint_class.in_(reach.classes)] if reach.classes else []
    narrowed += [Endpoint.system.in_(reach.systems)] if reach.systems else []
    return [sa.and_(*narrowed)]
