"""Reads about updates: what PCs lack, one update, one endpoint's, schools by the 14-day clock. Bounded.

For others of the wing: `updates_of` and `steps_for` (what to install), `lackers` (where).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import sqlalchemy as sa

from fettle_server.change.patches.rules import PatchState
from fettle_server.change.patches.views import (
    Compliance,
    EndpointPatches,
    Lacker,
    LackingFilter,
    LackingRow,
    PatchRow,
    PatchSummary,
    Step,
    UpdateDetail,
    UpdateView,
)
from fettle_server.estate.people.rules import Person
from fettle_server.paging import Page


def lacking(
    tx: sa.Connection, person: Person, wanted: LackingFilter, now: dt.datetime, *, after: str | None = None, limit: int = 50
) -> Page[LackingRow]:
    """Updates that PCs lack, the earliest due day first, then by how many lack them.

    Raises:
        PageError: `after` is no mark of this list.
    """
    raise NotImplementedError


def update(tx: sa.Connection, person: Person, update_id: int, now: dt.datetime) -> UpdateDetail | None:
    """One update; None where no PC of the person's schools ever had to do with it."""
    raise NotImplementedError


def endpoints_of(
    tx: sa.Connection, person: Person, update_id: int, *, state: PatchState | None = None, school_id: int | None = None,
    search: str = "", after: str | None = None, limit: int = 50,
) -> Page[PatchRow]:  # fmt: skip
    """The endpoints that have to do with an update, by name; `state` None: all that lack it."""
    raise NotImplementedError


def of_endpoint(tx: sa.Connection, person: Person, endpoint_id: str, now: dt.datetime) -> EndpointPatches | None:
    """All updates of an endpoint: those that it lacks first, then the newest of the others. None: no such endpoint."""
    raise NotImplementedError


def compliance(tx: sa.Connection, person: Person, now: dt.datetime) -> tuple[Compliance, ...]:
    """The person's schools by the 14-day clock, the worst first, each with what a freeze or an exam will bring about."""
    raise NotImplementedError


def summary(tx: sa.Connection, person: Person, now: dt.datetime) -> PatchSummary:
    """The person's estate on one line."""
    raise NotImplementedError


def updates_of(tx: sa.Connection, ids: Collection[int]) -> tuple[UpdateView, ...]:
    """Those updates that there are, in the order of their names."""
    raise NotImplementedError


def lackers(
    tx: sa.Connection, person: Person, ids: Collection[int], schools: Collection[int] | None = None
) -> tuple[Lacker, ...]:
    """The PCs (not revoked) that lack any of these updates, in these schools of the person's (None: all of them), by pk."""
    raise NotImplementedError


def steps_for(tx: sa.Connection, ids: Collection[int]) -> list[Step]:
    """The steps that install these updates where an older version is: one upgrade for each provider, by name."""
    raise NotImplementedError
