"""Documented builds: made, tested, assigned to places, retired. A build is never changed: a new version is. Never commits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import EndpointClass

from fettle_server.change.library import rules, sweeping
from fettle_server.change.library.rules import LibraryError
from fettle_server.change.library.tables import Build, BuildPlace, Drift
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import Room, School
from fettle_server.journal import actions as journal


@dataclass(frozen=True, slots=True)
class NewBuild:
    """A documented build to be. `packages` are {provider, name, version} (version "": any), `absent` names.

    `checklist` is what is tried before it counts as tested.
    """

    name: str
    version: str
    system: str
    description: str = ""
    packages: Sequence[dict[str, str]] = field(default_factory=tuple)
    absent: Sequence[str] = field(default_factory=tuple)
    checklist: Sequence[str] = field(default_factory=tuple)


def create(tx: sa.Connection, person: Person, new: NewBuild, now: dt.datetime) -> int:
    """Document a build; returns its id.

    Raises:
        LibraryError: it cannot be, or that version of it is there already.
        Forbidden: the person may not.
    """
    demand(person, Act.EDIT_LIBRARY)
    values = rules.checked_build(new.name, new.version, new.system, new.description)
    values |= rules.checked_content(new.packages, new.absent, new.checklist)
    if tx.scalar(sa.select(Build.id).where(Build.name == values["name"], Build.version == values["version"])) is not None:
        raise LibraryError(f"Build {values['name']} {values['version']} is documented already: give it another version.")
    inserted = sa.insert(Build).values(**values, created_by=person.actor, created_at=now)
    build_id = tx.execute(inserted.returning(Build.id)).scalar_one()
    detail = {"name": values["name"], "version": values["version"], "system": values["system"]}
    journal.record(tx, "build.created", person.actor, f"build:{build_id}", None, detail, now)
    return build_id


def assign(
    tx: sa.Connection, person: Person, build_id: int, now: dt.datetime, *, school_id: int | None = None,
    room_id: int | None = None, endpoint_class: str | None = None,
) -> int:  # fmt: skip
    """Say where a build belongs (None: everywhere); returns the place's id. The narrowest place wins.

    Raises:
        LibraryError: no such build, school, room or class, or the build is retired.
        Forbidden: the person may not.
    """
    demand(person, Act.EDIT_LIBRARY, school_id)
    row = _build(tx, build_id)
    if row.retired_at is not None:
        raise LibraryError("This build is retired; assign a newer one.")
    if room_id is not None:
        school_id = _school_of_room(tx, person, room_id, school_id)
    elif school_id is not None and tx.scalar(sa.select(School.id).where(School.id == school_id)) is None:
        raise LibraryError(f"There is no school {school_id}.")
    if school_id is None and person.schools is not None:
        raise LibraryError("Only somebody who sees all schools may assign a build everywhere: name a school.")
    if endpoint_class is not None and endpoint_class not in tuple(EndpointClass):
        raise LibraryError(f"A class is one of: {', '.join(EndpointClass)}.")
    place = {"school_id": school_id, "room_id": room_id, "endpoint_class": endpoint_class}
    same = [getattr(BuildPlace, name).is_not_distinct_from(value) for name, value in place.items()]
    found = tx.scalar(sa.select(BuildPlace.id).where(BuildPlace.build_id == build_id, *same))
    if found is not None:
        return int(found)
    inserted = sa.insert(BuildPlace).values(build_id=build_id, **place).returning(BuildPlace.id)
    place_id = tx.execute(inserted).scalar_one()
    sweeping.again(tx)
    journal.record(tx, "build.assigned", person.actor, f"build:{build_id}", school_id, {"name": row.name, **place}, now)
    return place_id


def unassign(tx: sa.Connection, person: Person, place_id: int, now: dt.datetime) -> None:
    """A build no longer belongs there.

    Raises:
        LibraryError: no such place among the person's schools.
        Forbidden: the person may not.
    """
    row = tx.execute(sa.select(BuildPlace).where(BuildPlace.id == place_id)).one_or_none()
    if row is None or (person.schools is not None and row.school_id not in person.schools):
        raise LibraryError("There is no such place of a build.")
    demand(person, Act.EDIT_LIBRARY, row.school_id)
    tx.execute(sa.delete(BuildPlace).where(BuildPlace.id == place_id))
    sweeping.again(tx)
    journal.record(tx, "build.unassigned", person.actor, f"build:{row.build_id}", row.school_id, {"place": place_id}, now)


def check(tx: sa.Connection, person: Person, build_id: int, done: Collection[int], now: dt.datetime) -> None:
    """Note which points of the checklist (by number, from 0) were tried; when all are, the build counts as tested.

    Raises:
        LibraryError: no such build.
        Forbidden: the person may not.
    """
    demand(person, Act.EDIT_LIBRARY)
    row = _build(tx, build_id)
    checklist = [{"text": point["text"], "done": number in done} for number, point in enumerate(row.checklist)]
    tested = bool(checklist) and all(point["done"] for point in checklist)
    values: dict[str, Any] = {"checklist": checklist, "tested_by": "", "tested_at": None}
    if tested:
        values |= {"tested_by": row.tested_by or person.actor, "tested_at": row.tested_at or now}
    tx.execute(sa.update(Build).where(Build.id == build_id).values(**values))
    detail = {"name": row.name, "done": sorted(set(done) & set(range(len(checklist)))), "tested": tested}
    journal.record(tx, "build.checked", person.actor, f"build:{build_id}", None, detail, now)


def retire(tx: sa.Connection, person: Person, build_id: int, now: dt.datetime) -> None:
    """No PC is held against the build any more. Nothing where that was done.

    Raises:
        LibraryError: no such build.
        Forbidden: the person may not.
    """
    demand(person, Act.EDIT_LIBRARY)
    row = _build(tx, build_id)
    rules.demand_own(person.schools, person.actor, row.created_by)
    if row.retired_at is not None:
        return
    tx.execute(sa.update(Build).where(Build.id == build_id).values(retired_at=now))
    tx.execute(sa.delete(BuildPlace).where(BuildPlace.build_id == build_id))
    tx.execute(sa.delete(Drift).where(Drift.build_id == build_id))
    sweeping.again(tx)
    journal.record(tx, "build.retired", person.actor, f"build:{build_id}", None, {"name": row.name}, now)


def _build(tx: sa.Connection, build_id: int) -> Any:
    row = tx.execute(sa.select(Build).where(Build.id == build_id)).one_or_none()
    if row is None:
        raise LibraryError(f"There is no build {build_id}.")
    return row


def _school_of_room(tx: sa.Connection, person: Person, room_id: int, school_id: int | None) -> int:
    found = tx.scalar(sa.select(Room.school_id).where(Room.id == room_id))
    if found is None or (school_id is not None and found != school_id):
        raise LibraryError(f"There is no room {room_id} in that school.")
    demand(person, Act.EDIT_LIBRARY, found)
    return int(found)
