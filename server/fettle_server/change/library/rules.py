"""What may stand in the library, where a build belongs, and how far software is from a build. Pure: no store, no clock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fettle_protocol.steps import StepError, check_steps

MOST_DRIFT = 50
SYSTEMS = ("windows", "linux", "macos")
_MOST_LICENCES = 1_000_000
_MOST_PACKAGES = 500
_MOST_POINTS = 50
_LONGEST = 4000
_STEP = re.compile(r"^Step 1 \([a-z ]+\): ")
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


def checked_package(provider: str, name: str, version: str, sha256: str, licences: int | None) -> dict[str, Any]:
    """A package's columns.

    Raises:
        LibraryError: not one that a job's step could name.
    """
    sha256 = sha256.strip().lower()
    package = {"name": name.strip(), "version": version.strip(), "sha256": sha256}
    try:
        check_steps([{"kind": "install", "provider": provider, "packages": [package]}])
    except StepError as error:
        raise LibraryError(_STEP.sub("", str(error))) from error
    if not package["version"]:
        raise LibraryError("Name the package's version: the library knows versions, not names.")
    if licences is not None and not 0 <= licences <= _MOST_LICENCES:
        raise LibraryError(f"Licences are a number from 0 to {_MOST_LICENCES:,}.")
    return {"provider": provider, "licences": licences, **package}


def checked_script(name: str, version: str, body: str, interpreter: str) -> dict[str, Any]:
    """A script's columns, with its digest.

    Raises:
        LibraryError: not one that a job's step could carry.
    """
    body = body.replace("\r\n", "\n")
    values = {"name": name.strip(), "version": version.strip(), "body": body, "interpreter": interpreter}
    try:
        sha256 = script_sha256(body)
        check_steps([{"kind": "script", "idempotent": False, "sha256": sha256, **values}])
    except UnicodeEncodeError as error:
        raise LibraryError("The script holds half a character: save it as UTF-8.") from error
    except StepError as error:
        raise LibraryError(_STEP.sub("", str(error))) from error
    return {**values, "sha256": sha256}


def demand_own(schools: Collection[int] | None, actor: str, owner: str) -> None:
    """Nothing, where somebody may take that out of use: all schools may be using it.

    Raises:
        LibraryError: it is another's, and the person does not see all schools.
    """
    if schools is not None and actor != owner:
        raise LibraryError("Other schools may use it: ask whoever added it, or somebody who sees all schools.")


def checked_systems(systems: Iterable[str]) -> list[str]:
    """The systems that an item is for; none: any.

    Raises:
        LibraryError: an unknown one.
    """
    found = sorted(set(systems))
    if not set(found) <= set(SYSTEMS):
        raise LibraryError(f"A system is one of: {', '.join(SYSTEMS)}.")
    return found


def checked_build(name: str, version: str, system: str, description: str) -> dict[str, Any]:
    """A build's columns.

    Raises:
        LibraryError: a name, version, system or description that cannot be.
    """
    name, version = name.strip(), version.strip()
    for what, text, most in (("name", name, 120), ("version", version, 40)):
        if not 1 <= len(text) <= most or not text.isprintable():
            raise LibraryError(f"A build's {what} has 1 to {most} visible characters.")
    if system not in SYSTEMS:
        raise LibraryError(f"A build's system is one of: {', '.join(SYSTEMS)}.")
    if len(description) > _LONGEST or "\0" in description:
        raise LibraryError(f"A description has at most {_LONGEST:,} characters.")
    return {"name": name, "version": version, "system": system, "description": description}


def checked_content(packages: Sequence[Mapping[str, str]], absent: Sequence[str], checklist: Sequence[str]) -> dict[str, Any]:
    """What a build documents, as its columns.

    Raises:
        LibraryError: nothing, too much, or names that no list of software could hold.
    """
    if not packages and not absent:
        raise LibraryError("A build documents at least one package, or one that must not be there.")
    if len(packages) > _MOST_PACKAGES or len(absent) > _MOST_PACKAGES or len(checklist) > _MOST_POINTS:
        raise LibraryError(f"A build documents at most {_MOST_PACKAGES} packages and {_MOST_POINTS} points to check.")
    kept = [{name: str(one.get(name, "")).strip() for name in ("provider", "name", "version")} for one in packages]
    names = [text for one in kept for text in (one["name"], one["version"] or "-")] + [text.strip() for text in absent]
    points = [text.strip() for text in checklist]
    for text in (*names, *points):
        if not 1 <= len(text) <= 200 or not text.isprintable():
            raise LibraryError(f"Names, versions and points have 1 to 200 visible characters; {text[:40]!r} has not.")
    return {
        "packages": kept,
        "absent": [text.strip() for text in absent],
        "checklist": [{"text": text, "done": False} for text in points],
    }


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
