"""What people do to the library; builds are in builds.py. Never commits.

What is in it is never changed: another version is added, or it is withdrawn.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.change.library import rules, sweeping
from fettle_server.change.library.rules import ItemKind, LibraryError
from fettle_server.change.library.tables import LibraryItem
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.journal import actions as journal

TEXT_MAXIMUM = {"notes": 4000, "licence": 200, "source": 300}


@dataclass(frozen=True, slots=True)
class NewPackage:
    """A package version to be. `sha256` of its file, where one is known; `licences` None: it needs none."""

    provider: str
    name: str
    version: str
    sha256: str = ""
    systems: tuple[str, ...] = ()
    licences: int | None = None
    licence: str = ""
    source: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True)
class NewScript:
    """A script version to be. `idempotent`: it may be begun again after it was cut off."""

    name: str
    version: str
    body: str
    interpreter: str
    idempotent: bool = False
    systems: tuple[str, ...] = ()
    notes: str = ""


def add_package(tx: sa.Connection, person: Person, new: NewPackage, now: dt.datetime) -> int:
    """Add a package version; returns its id.

    Raises:
        LibraryError: it cannot be, or it is there already.
        Forbidden: the person may not.
    """
    demand(person, Act.EDIT_LIBRARY)
    values = rules.checked_package(new.provider, new.name, new.version, new.sha256, new.licences)
    rest = {"licence": new.licence, "source": new.source, "notes": new.notes, "systems": rules.checked_systems(new.systems)}
    return _add(tx, person, {"kind": ItemKind.PACKAGE.value, **values, **_texts(rest)}, now)


def add_script(tx: sa.Connection, person: Person, new: NewScript, now: dt.datetime) -> int:
    """Add a script version, with the digest by which agents know it; returns its id.

    Raises:
        LibraryError: it cannot be, or that version is there already: a body is never changed.
        Forbidden: the person may not.
    """
    demand(person, Act.EDIT_LIBRARY)
    values = rules.checked_script(new.name, new.version, new.body, new.interpreter)
    rest = {"notes": new.notes, "systems": rules.checked_systems(new.systems), "idempotent": new.idempotent}
    return _add(tx, person, {"kind": ItemKind.SCRIPT.value, **values, **_texts(rest)}, now)


def withdraw(tx: sa.Connection, person: Person, item_id: int, now: dt.datetime) -> None:
    """Take an item out of use; old changes go on to speak of it. Nothing where that was done.

    Raises:
        LibraryError: no such item.
        Forbidden: the person may not.
    """
    demand(person, Act.EDIT_LIBRARY)
    row = tx.execute(sa.select(LibraryItem).where(LibraryItem.id == item_id)).one_or_none()
    if row is None:
        raise LibraryError(f"There is no item {item_id} in the library.")
    rules.demand_own(person.schools, person.actor, row.added_by)
    if row.withdrawn_at is not None:
        return
    tx.execute(sa.update(LibraryItem).where(LibraryItem.id == item_id).values(withdrawn_at=now))
    detail = {"kind": row.kind, "name": row.name, "version": row.version}
    journal.record(tx, "library.withdrawn", person.actor, f"library:{item_id}", None, detail, now)


def _add(tx: sa.Connection, person: Person, values: dict[str, Any], now: dt.datetime) -> int:
    same = [getattr(LibraryItem, name) == values.get(name, "") for name in ("kind", "provider", "name", "version")]
    if tx.scalar(sa.select(LibraryItem.id).where(*same)) is not None:
        raise LibraryError(
            f"{values['name']} {values['version']} is in the library already, and what is in it is never changed:"
            " add another version."
        )
    inserted = sa.insert(LibraryItem).values(**values, added_by=person.actor, added_at=now)
    item_id = tx.execute(inserted.returning(LibraryItem.id)).scalar_one()
    sweeping.again(tx)
    detail = {name: values.get(name) for name in ("kind", "name", "version", "sha256")}
    journal.record(tx, "library.added", person.actor, f"library:{item_id}", None, detail, now)
    return item_id


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if isinstance(value, str) and (len(value) > TEXT_MAXIMUM.get(name, 300) or "\0" in value):
            raise LibraryError(f"The {name} is longer than {TEXT_MAXIMUM.get(name, 300)} characters, or cannot be stored.")
    return values
