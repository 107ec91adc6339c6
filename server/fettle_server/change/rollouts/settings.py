"""What people set about where and when: change windows, freezes, and who always stands in an early ring."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from fettle_server.estate.people.rules import Person


@dataclass(frozen=True, slots=True)
class Span:
    """Days of the week (0: Monday) and minutes of the day, over midnight where `to_minute` is not after `from_minute`.

    `when` is "term", "holiday" or "" (both).
    """

    days: Sequence[int]
    from_minute: int
    to_minute: int
    when: str = ""


def add_window(
    tx: sa.Connection,
    person: Person,
    span: Span,
    now: dt.datetime,
    *,
    school_id: int | None = None,
    room_id: int | None = None,
    endpoint_class: str | None = None,
) -> int:
    """A change window for a place (Act.RUN_ROLLOUT there; everywhere without a school); returns its number."""
    raise NotImplementedError


def drop_window(tx: sa.Connection, person: Person, window_id: int, now: dt.datetime) -> None:
    """Take a change window away."""
    raise NotImplementedError


def freeze(
    tx: sa.Connection,
    person: Person,
    title: str,
    starts_at: dt.datetime,
    ends_at: dt.datetime,
    now: dt.datetime,
    *,
    school_id: int | None = None,
    room_id: int | None = None,
) -> int:
    """No change begins at that place between those times; returns the freeze's number."""
    raise NotImplementedError


def end_freeze(tx: sa.Connection, person: Person, freeze_id: int, now: dt.datetime) -> None:
    """A freeze is over now."""
    raise NotImplementedError


def place_in_ring(
    tx: sa.Connection,
    person: Person,
    ring: str,
    now: dt.datetime,
    *,
    endpoint_id: str | None = None,
    room_id: int | None = None,
) -> int:
    """An endpoint or a room always stands in the ring of that name, in rollouts drafted from now on."""
    raise NotImplementedError


def drop_ring_place(tx: sa.Connection, person: Person, place_id: int, now: dt.datetime) -> None:
    """It stands where its hash puts it again."""
    raise NotImplementedError
