"""What is done with jobs: made, let go, cancelled, expired, and reported on, by tens of thousands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa

from fettle_server.change.jobs.rules import Report
from fettle_server.estate.people.rules import Person


def create(
    tx: sa.Connection,
    manifest_id: int,
    places: Sequence[tuple[int, int]],
    rollout_id: int | None,
    expires_at: dt.datetime,
    at_most_once: bool,
    now: dt.datetime,
) -> dict[int, int]:
    """Make a waiting job for each (endpoint pk, school id); returns their numbers by endpoint. One that is there stays."""
    raise NotImplementedError


def release(
    tx: sa.Connection,
    job_ids: Sequence[int],
    start_at: dt.datetime,
    until_at: dt.datetime,
    exam: bool,
    now: dt.datetime,
) -> list[int]:
    """Let jobs go that have not begun, to begin within that window; returns which. One released before gets its new window."""
    raise NotImplementedError


def cancel(tx: sa.Connection, job_ids: Sequence[int], reason: str, now: dt.datetime) -> list[int]:
    """Cancel those that have not begun; returns which.

    One that had begun without our knowing says so later, and its state follows its word.
    """
    raise NotImplementedError


def cancel_by_hand(tx: sa.Connection, person: Person, uid: str, reason: str, now: dt.datetime) -> None:
    """Cancel one job (Act.RUN_ROLLOUT in its school). Raises JobError where it has begun or ended."""
    raise NotImplementedError


def expire(tx: sa.Connection, now: dt.datetime, limit: int = 5000) -> list[int]:
    """End jobs whose time is over: those that never began, and those that began and were silent ever since; returns which."""
    raise NotImplementedError


def say_why(tx: sa.Connection, whys: Sequence[tuple[int, str]]) -> None:
    """Why each of these jobs has not run yet; only those that have not begun take it."""
    raise NotImplementedError


def report(tx: sa.Connection, reports: Sequence[tuple[int, dt.datetime, Report]], now: dt.datetime) -> None:
    """Take agents' reports (endpoint pk, when it happened, what), in their order; what is no job of its own is dropped."""
    raise NotImplementedError


def ask_wake(tx: sa.Connection, asks: Sequence[tuple[int, Sequence[str]]], now: dt.datetime) -> None:
    """Ask connected neighbours (pk) to wake PCs by their MAC addresses ("aa:bb:cc:dd:ee:ff")."""
    raise NotImplementedError
