"""Reads of rollouts for pages, API and commands: bounded, and of a person's schools."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import sqlalchemy as sa

from fettle_server.change.rollouts.rules import RolloutState, TargetState
from fettle_server.change.rollouts.views import (
    FreezeRow,
    OfEndpoint,
    RingPlaceRow,
    RolloutRow,
    RolloutView,
    TargetRow,
    WindowRow,
)
from fettle_server.estate.people.rules import Person
from fettle_server.paging import Page


def rollouts(
    tx: sa.Connection,
    person: Person,
    now: dt.datetime,
    *,
    states: Collection[RolloutState] = (),
    change_id: int | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Page[RolloutRow]:
    """Rollouts with a target in the person's schools, the newest first."""
    raise NotImplementedError


def rollout(tx: sa.Connection, person: Person, rollout_id: int, now: dt.datetime) -> RolloutView | None:
    """One rollout with its rings; counts are of the person's schools. None where there is none that the person sees."""
    raise NotImplementedError


def targets(
    tx: sa.Connection,
    person: Person,
    rollout_id: int,
    now: dt.datetime,
    *,
    ring: int | None = None,
    states: Collection[TargetState] = (),
    school_id: int | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Page[TargetRow]:
    """A rollout's PCs in the person's schools, by ring and name, each with why it has not run yet or how it ended."""
    raise NotImplementedError


def of_endpoint(tx: sa.Connection, endpoint_pk: int, limit: int = 50) -> list[OfEndpoint]:
    """The rollouts that an endpoint is or was part of, the newest first."""
    raise NotImplementedError


def next_windows(tx: sa.Connection, school_id: int, now: dt.datetime, count: int = 5) -> list[tuple[dt.datetime, dt.datetime]]:
    """The next times in which PCs of a school (of no room) take changes: freezes and exams are left out."""
    raise NotImplementedError


def windows(tx: sa.Connection, person: Person) -> list[WindowRow]:
    """The change windows that people set, by place; the usual ones are in windows.py."""
    raise NotImplementedError


def freezes(tx: sa.Connection, person: Person, now: dt.datetime, *, past: bool = False) -> list[FreezeRow]:
    """Freezes that are on or to come, by their beginning; with `past` the newest old ones too."""
    raise NotImplementedError


def ring_places(tx: sa.Connection, person: Person) -> list[RingPlaceRow]:
    """Who always stands in an early ring."""
    raise NotImplementedError
