"""What people do to the library and to builds. Bodies are never changed: a new version, or a withdrawal. Never commits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from fettle_server.estate.people.rules import Person


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


@dataclass(frozen=True, slots=True)
class NewBuild:
    """A documented build to be. `packages` are {provider, name, version} (version "": any), `absent` names."""

    name: str
    version: str
    system: str
    description: str = ""
    packages: Sequence[dict[str, str]] = field(default_factory=tuple)
    absent: Sequence[str] = field(default_factory=tuple)
    checklist: Sequence[str] = field(default_factory=tuple)


def add_package(tx: sa.Connection, person: Person, new: NewPackage, now: dt.datetime) -> int:
    """Add a package version; returns its id. Raises LibraryError, Forbidden."""
    raise NotImplementedError


def add_script(tx: sa.Connection, person: Person, new: NewScript, now: dt.datetime) -> int:
    """Add a script version, with the digest by which agents know it; returns its id. Raises LibraryError, Forbidden."""
    raise NotImplementedError


def withdraw(tx: sa.Connection, person: Person, item_id: int, now: dt.datetime) -> None:
    """Take an item out of use; old changes go on to speak of it. Raises LibraryError, Forbidden."""
    raise NotImplementedError
