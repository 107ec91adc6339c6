"""Reads about rooms: a school's rooms with the PCs in each, and the rooms that PCs' names speak of. Bounded."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from fettle_server.estate.endpoints.rules import Health
from fettle_server.estate.people.rules import Act, Person, demand, sees
from fettle_server.estate.rooms.rules import Named, Proposal, proposals
from fettle_server.estate.tables import Endpoint, Room, School

PCS_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Placed:
    """A PC in a list of a room: what it is called, its state, and its class with who said so ("guessed", "set")."""

    id: str
    name: str
    state: Health
    room_id: int | None
    endpoint_class: str
    class_source: str


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room, and how many PCs that are not revoked stand in it, in all and ill."""

    id: int
    school_id: int
    name: str
    kind: str
    created_at: dt.datetime
    endpoints: int
    ill: int


def rooms_of(tx: sa.Connection, person: Person, school_id: int) -> tuple[RoomRow, ...]:
    """The rooms of a school by name; none where the person does not see it."""
    demand(person, Act.VIEW)
    if not sees(person, school_id):
        return ()
    inside = (Endpoint.room_id == Room.id) & Endpoint.revoked_at.is_(None)
    count, ill = sa.func.count(Endpoint.pk), sa.func.count(sa.case((Endpoint.state == Health.ILL, 1)))
    columns = (Room.id, Room.school_id, Room.name, Room.kind, Room.created_at)
    statement = sa.select(*columns, count, ill).outerjoin(Endpoint, inside).where(Room.school_id == school_id)
    found = tx.execute(statement.group_by(*columns).order_by(Room.name))
    return tuple(RoomRow(*row) for row in found)


def placed(tx: sa.Connection, person: Person, school_id: int) -> tuple[Placed, ...]:
    """The PCs of a school with their rooms and classes, by name; the first 2,000."""
    if not sees(person, school_id):
        return ()
    columns = (
        Endpoint.id, Endpoint.name, Endpoint.state, Endpoint.room_id, Endpoint.endpoint_class, Endpoint.class_source,
    )  # fmt: skip
    statement = sa.select(*columns).where(Endpoint.school_id == school_id, Endpoint.revoked_at.is_(None))
    rows = tx.execute(statement.order_by(Endpoint.name, Endpoint.pk).limit(PCS_SHOWN))
    return tuple(Placed(row[0], row[1], Health(row[2]), *row[3:]) for row in rows)


def room_proposals(tx: sa.Connection, person: Person, school_id: int) -> tuple[Proposal, ...]:
    """The rooms that the names of PCs without a room speak of, most PCs first."""
    if not sees(person, school_id):
        return ()
    statement = sa.select(Endpoint.id, Endpoint.name).where(
        Endpoint.school_id == school_id, Endpoint.room_id.is_(None), Endpoint.revoked_at.is_(None)
    )
    unplaced = [Named(*row) for row in tx.execute(statement.order_by(Endpoint.name, Endpoint.pk).limit(PCS_SHOWN))]
    rooms = tx.execute(sa.select(Room.id, Room.name).where(Room.school_id == school_id))
    return proposals(unplaced, [(row.id, row.name) for row in rooms])


def room_named(tx: sa.Connection, person: Person, school_id: int, name: str) -> int | None:
    """The key of the room of that name, whatever its letters' case."""
    if not sees(person, school_id):
        return None
    return tx.scalar(sa.select(Room.id).where(Room.school_id == school_id, sa.func.lower(Room.name) == name.strip().lower()))


def room_names(tx: sa.Connection, person: Person) -> dict[int, tuple[str, str]]:
    """The names of all rooms that the person sees, each with its school's."""
    statement = sa.select(Room.id, Room.name, School.name).join(School, School.id == Room.school_id)
    if person.schools is not None:
        statement = statement.where(Room.school_id.in_(person.schools))
    return {room_id: (room, school) for room_id, room, school in tx.execute(statement.order_by(Room.name).limit(5000))}
