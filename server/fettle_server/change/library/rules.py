"""What may stand in the library, where a build belongs, and how far software is from a build. Pure: no store, no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_DRIFT = 50
NARROWEST = (("room_id", 4), ("school_id", 2), ("endpoint_class", 1))
"""What a narrower place weighs: a room says more than a school, a school more than a class."""


class LibraryError(Exception):
    """Something about the library that cannot be done; the message is for the person who asked."""


class ItemKind(StrEnum):
    """What an item of the library is."""

    PACKAGE = "package"
    SCRIPT = "script"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a build belongs; None means all."""

    build_id: int
    school_id: int | None = None
    room_id: int | None = None
    endpoint_class: str | None = None


@dataclass(frozen=True, slots=True)
class Stand:
    """Where an endpoint stands, and what it runs."""

    school_id: int
    room_id: int | None
    endpoint_class: str
    system: str


@dataclass(frozen=True, slots=True)
class Documented:
    """What a build says that its PCs have (name and version; version "": any) and must not have."""

    packages: tuple[tuple[str, str], ...]
    absent: tuple[str, ...]


def script_sha256(body: str) -> str:
    """The digest by which agents know a script."""
    return hashlib.sha256(body.encode()).hexdigest()


def place_of(stand: Stand, places: Iterable[Place], systems: Mapping[int, str]) -> Place | None:
    """The narrowest of the places that an endpoint stands in, of builds for its system; among equals the newest build's."""
    fitting = [place for place in places if systems.get(place.build_id) == stand.system and _holds(place, stand)]
    return max(fitting, key=lambda place: (_weight(place), place.build_id), default=None)


def _holds(place: Place, stand: Stand) -> bool:
    return all(getattr(place, name) in (None, getattr(stand, name)) for name, _ in NARROWEST)


def _weight(place: Place) -> int:
    return sum(weight for name, weight in NARROWEST if getattr(place, name) is not None)


def drift(documented: Documented, software: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """How the software (name, version) differs from the build: {name, wanted, found}, in the order of names."""
    found: dict[str, set[str]] = {}
    for name, version in software:
        found.setdefault(name.casefold(), set()).add(version)
    items = []
    for name, version in documented.packages:
        there = found.get(name.casefold(), set())
        if not there or (version and version not in there):
            items.append({"name": name, "wanted": version or "any version", "found": _said(there) or "missing"})
    forbidden = ((name, found.get(name.casefold())) for name in documented.absent)
    items.extend({"name": name, "wanted": "not there", "found": _said(there)} for name, there in forbidden if there)
    return sorted(items, key=lambda item: item["name"].casefold())


def _said(versions: Iterable[str]) -> str:
    return ", ".join(sorted(versions))
