"""Reads of jobs: for pages, for rollouts, and for the edge that hands them out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from fettle_server.change.jobs.rules import JobState
from fettle_server.change.jobs.views import Cancelled, Handout, JobRow, JobView, Signed, Standing
from fettle_server.estate.people.rules import Person
from fettle_server.paging import Page


def job(tx: sa.Connection, person: Person, uid: str) -> JobView | None:
    """One job with its entries; None where there is none that the person sees."""
    raise NotImplementedError


def of_rollout(
    tx: sa.Connection,
    person: Person,
    rollout_id: int,
    *,
    states: Collection[JobState] = (),
    after: str | None = None,
    limit: int = 100,
) -> Page[JobRow]:
    """A rollout's jobs in the person's schools, in the order they were made."""
    raise NotImplementedError


def of_endpoint(tx: sa.Connection, endpoint_pk: int, limit: int = 50) -> list[JobRow]:
    """An endpoint's jobs, the newest first."""
    raise NotImplementedError


def counts(tx: sa.Connection, rollout_id: int) -> dict[JobState, int]:
    """How many of a rollout's jobs are in each state."""
    raise NotImplementedError


def standings(tx: sa.Connection, rollout_id: int, since: dt.datetime | None = None) -> list[Standing]:
    """A rollout's jobs as they stand; with `since` only those that a report, cancel or expiry changed from then on."""
    raise NotImplementedError


def released_after(tx: sa.Connection, number: int, limit: int = 20_000) -> list[Handout]:
    """Jobs released after that mark and not yet received, in order."""
    raise NotImplementedError


def cancelled_after(tx: sa.Connection, number: int, limit: int = 20_000) -> list[Cancelled]:
    """Jobs cancelled after that mark that had been handed out, in order."""
    raise NotImplementedError


def for_endpoints(tx: sa.Connection, endpoint_pks: Sequence[int]) -> tuple[list[Handout], list[Cancelled]]:
    """What those that have just attached are owed: released jobs not yet received, cancels not yet confirmed."""
    raise NotImplementedError


def signed(tx: sa.Connection, manifest_ids: Collection[int]) -> dict[int, Signed]:
    """The manifests as they go over the wire."""
    raise NotImplementedError


def marks(tx: sa.Connection) -> tuple[int, int]:
    """The newest release's and the newest cancel's number."""
    raise NotImplementedError


def wakes_since(tx: sa.Connection, after_id: int, now: dt.datetime) -> list[tuple[int, int, tuple[str, ...]]]:
    """(number, neighbour's pk, MAC addresses) of what was asked for within the last minute and after that number."""
    raise NotImplementedError
