"""What queries about the library return: plain frozen values, safe to hold after the transaction."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ItemView:
    """A package or a script of the library. `licences` held (None: it needs none), `installed` how many PCs have it.

    `installed` is None where nothing was counted yet.
    """

    id: int
    kind: str
    provider: str
    name: str
    version: str
    sha256: str
    body: str
    interpreter: str
    idempotent: bool
    systems: tuple[str, ...]
    licences: int | None
    licence: str
    source: str
    notes: str
    added_by: str
    added_at: dt.datetime
    withdrawn_at: dt.datetime | None
    installed: int | None


@dataclass(frozen=True, slots=True)
class PlaceView:
    """Where a build belongs, in words."""

    id: int
    school_id: int | None
    school: str
    room_id: int | None
    room: str
    endpoint_class: str | None

    @property
    def words(self) -> str:
        """The place as one phrase."""
        where = (self.room and f"{self.room}, {self.school}") or self.school or "every school"
        return f"{self.endpoint_class} PCs of {where}" if self.endpoint_class else where


@dataclass(frozen=True, slots=True)
class BuildView:
    """A documented build, how many PCs are of it, how many of these drifted from it, and how many are not known."""

    id: int
    name: str
    version: str
    system: str
    description: str
    packages: tuple[dict[str, str], ...]
    absent: tuple[str, ...]
    checklist: tuple[dict[str, object], ...]
    tested_by: str
    tested_at: dt.datetime | None
    created_by: str
    created_at: dt.datetime
    retired_at: dt.datetime | None
    places: tuple[PlaceView, ...]
    endpoints: int
    drifted: int
    unknown: int


@dataclass(frozen=True, slots=True)
class DriftRow:
    """How far an endpoint is from its build: how many items, and which (at most 50, {name, wanted, found})."""

    endpoint_id: str
    endpoint: str
    school_id: int
    school: str
    build_id: int
    build: str
    items: int
    detail: tuple[dict[str, str], ...]
    at: dt.datetime
