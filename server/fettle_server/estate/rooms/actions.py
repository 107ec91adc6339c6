"""What people do about rooms: make, rename and remove them, put endpoints into them, say of which class one is.

Takes an open transaction and never commits. Each change is an entry in the journal.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from fettle_server.estate.calendars.tables import CalendarEntry
from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Act, Person, demand, sees
from fettle_server.estate.rooms import classes
from fettle_server.estate.rooms.rules import ClassSource, RoomError, check_class, check_kind, check_name
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.journal import actions as journal
from fettle_server.journal.actions import Line, record_all

MANY = 2000
"""How many endpoints one act may move."""
ROOMS_EACH = 500


def make_room(tx: sa.Connection, person: Person, school_id: int, name: str, *, now: dt.datetime, kind: str = "room") -> int:
    """Make a room or a trolley in a school; returns its key.

    Raises:
        RoomError: no such school, a name that cannot be or is taken, or too many rooms.
        Forbidden: the person may not change places there.
    """
    if tx.scalar(sa.select(School.id).where(School.id == school_id)) is None or not sees(person, school_id):
        raise RoomError("There is no such school.")
    demand(person, Act.EDIT_PLACES, school_id)
    name = check_name(name)
    _demand_free(tx, school_id, name)
    values = {"school_id": school_id, "name": name, "kind": check_kind(kind), "created_at": now}
    if (tx.scalar(sa.select(sa.func.count()).where(Room.school_id == school_id)) or 0) >= ROOMS_EACH:
        raise RoomError(f"A school has at most {ROOMS_EACH} rooms.")
    room_id = tx.execute(sa.insert(Room).values(values).returning(Room.id)).scalar_one()
    detail = {"name": name, "kind": kind}
    journal.record(tx, "room.made", person.actor, f"room:{room_id}", school_id, detail, now)
    return room_id


def change_room(tx: sa.Connection, person: Person, room_id: int, name: str, kind: str, *, now: dt.datetime) -> None:
    """Call a room by another name, or say that it is a trolley; the guessed classes in it follow.

    Raises:
        RoomError: no such room, or a name that cannot be or is taken.
        Forbidden: the person may not change places there.
    """
    room = _room(tx, person, room_id)
    name, kind = check_name(name), check_kind(kind)
    if (name, kind) == (room.name, room.kind):
        return
    if name != room.name:
        _demand_free(tx, room.school_id, name)
    tx.execute(sa.update(Room).where(Room.id == room_id).values(name=name, kind=kind))
    detail = {"name": name, "was": room.name, "kind": kind}
    journal.record(tx, "room.changed", person.actor, f"room:{room_id}", room.school_id, detail, now)
    if kind != room.kind:
        classes.guess(tx, tx.scalars(sa.select(Endpoint.pk).where(Endpoint.room_id == room_id)).all(), now)


def remove_room(tx: sa.Connection, person: Person, room_id: int, now: dt.datetime) -> None:
    """Remove a room: the PCs in it are in none then.

    Raises:
        RoomError: no such room, or an exam is entered for it.
        Forbidden: the person may not change places there.
    """
    room = _room(tx, person, room_id)
    if tx.scalar(sa.select(CalendarEntry.id).where(CalendarEntry.room_id == room_id).limit(1)) is not None:
        raise RoomError(f"{room.name} has exams in the calendar: remove those first.")
    inside = tx.scalars(sa.select(Endpoint.pk).where(Endpoint.room_id == room_id)).all()
    tx.execute(sa.update(Endpoint).where(Endpoint.room_id == room_id).values(room_id=None, classed_at=now))
    tx.execute(sa.delete(Room).where(Room.id == room_id))
    detail = {"name": room.name, "pcs": len(inside)}
    journal.record(tx, "room.removed", person.actor, f"room:{room_id}", room.school_id, detail, now)
    classes.guess(tx, inside, now)


def set_room(tx: sa.Connection, person: Person, endpoint_id: str, room_id: int | None, now: dt.datetime) -> None:
    """Put an endpoint into a room of its school (None: into no room).

    Raises:
        RoomError: no such endpoint or room, or a room of another school.
        Forbidden: the person may not change places there.
    """
    set_rooms(tx, person, (endpoint_id,), room_id, now)


def set_rooms(tx: sa.Connection, person: Person, endpoint_ids: Collection[str], room_id: int | None, now: dt.datetime) -> int:
    """Put endpoints into a room of their school (None: into no room); returns how many were elsewhere before.

    Raises:
        RoomError: an endpoint or a room that is not there, a room of another school, or more than 2,000 endpoints.
        Forbidden: the person may not change places there.
    """
    rows = _endpoints(tx, person, endpoint_ids)
    room = _room(tx, person, room_id) if room_id is not None else None
    for school_id in {row.school_id for row in rows}:
        demand(person, Act.EDIT_PLACES, school_id)
        if room is not None and room.school_id != school_id:
            raise RoomError(f"{room.name} is in another school.")
    moved = [row for row in rows if row.room_id != room_id]
    pks = [row.pk for row in moved]
    tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pks)).values(room_id=room_id, classed_at=now))
    record_all(tx, [_line("endpoint.room", person, row, {"room": room.name if room else None}, now) for row in moved])
    classes.guess(tx, pks, now)
    return len(moved)


def set_class(tx: sa.Connection, person: Person, endpoint_id: str, klass: str | None, now: dt.datetime) -> None:
    """Say of which class an endpoint is; None lets Fettle guess it again.

    Raises:
        RoomError: no such endpoint or class.
        Forbidden: the person may not change places there.
    """
    set_classes(tx, person, (endpoint_id,), klass, now)


def set_classes(tx: sa.Connection, person: Person, endpoint_ids: Collection[str], klass: str | None, now: dt.datetime) -> int:
    """Say of which class endpoints are (None: guess again); returns how many were of another, or only guessed to be.

    Raises:
        RoomError: an endpoint or a class that is not there, or more than 2,000 endpoints.
        Forbidden: the person may not change places there.
    """
    wanted = check_class(klass) if klass is not None else None
    rows = _endpoints(tx, person, endpoint_ids)
    for school_id in {row.school_id for row in rows}:
        demand(person, Act.EDIT_PLACES, school_id)
    if wanted is None:
        changed = [row for row in rows if row.class_source == ClassSource.SET]
        values: dict[str, Any] = {"class_source": ClassSource.GUESSED, "classed_at": now}
    else:
        changed = [row for row in rows if (row.endpoint_class, row.class_source) != (wanted, ClassSource.SET)]
        values = {"endpoint_class": wanted, "class_source": ClassSource.SET, "classed_at": now}
    pks = [row.pk for row in changed]
    tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pks)).values(values))
    source = {"source": values["class_source"]}
    details = [{"from": row.endpoint_class, "to": wanted or row.endpoint_class} | source for row in changed]
    record_all(tx, [_line("endpoint.class", person, row, each, now) for row, each in zip(changed, details, strict=True)])
    if wanted is None:
        classes.guess(tx, pks, now)
    return len(changed)


def _endpoints(tx: sa.Connection, person: Person, endpoint_ids: Collection[str]) -> list[Any]:
    wanted = set(endpoint_ids)
    if len(wanted) > MANY:
        raise RoomError(f"At most {MANY} PCs at a time.")
    columns = (
        Endpoint.pk, Endpoint.id, Endpoint.school_id, Endpoint.name, Endpoint.room_id, Endpoint.endpoint_class,
        Endpoint.class_source,
    )  # fmt: skip
    rows = list(tx.execute(sa.select(*columns).where(Endpoint.id.in_(wanted), *scoped(person)).order_by(Endpoint.pk)))
    missing = wanted - {row.id for row in rows}
    if missing:
        raise RoomError(f"There is no PC {min(missing)[:40]}.")
    return rows


def _room(tx: sa.Connection, person: Person, room_id: int) -> Any:
    room = tx.execute(sa.select(Room.id, Room.school_id, Room.name, Room.kind).where(Room.id == room_id)).one_or_none()
    if room is None or not sees(person, room.school_id):
        raise RoomError("There is no such room.")
    demand(person, Act.EDIT_PLACES, room.school_id)
    return room


def _demand_free(tx: sa.Connection, school_id: int, name: str) -> None:
    same = sa.select(Room.id).where(Room.school_id == school_id, sa.func.lower(Room.name) == name.lower())
    if tx.scalar(same.limit(1)) is not None:
        raise RoomError(f"There is a room named {name} already.")


def _line(kind: str, person: Person, row: Any, detail: dict[str, Any], now: dt.datetime) -> Line:
    subject = f"endpoint:{row.id}"
    detail = {"name": row.name} | detail
    return Line(at=now, kind=kind, actor=person.actor, subject=subject, school_id=row.school_id, detail=detail)
