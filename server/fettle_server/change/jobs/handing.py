"""What the edge asks for: released jobs, cancels and wakes since it last looked, and what those who come back are owed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from fettle_server.change.jobs.rules import JobState
from fettle_server.change.jobs.tables import Job, JobFormerUid, JobMark, Wake
from fettle_server.change.jobs.views import Cancelled, Handout, Signed
from fettle_server.change.manifests.tables import Manifest
from fettle_server.db import to_ms

WAKE_LIFE = dt.timedelta(minutes=1)
_CHUNK = 5000
_IS_RELEASED = Job.state == JobState.RELEASED.value
_HANDOUT = (Job.released_number, Job.endpoint_pk, Job.uid, Job.manifest_id, Job.start_at, Job.until_at, Job.exam)
_CANCELLED = (Job.cancel_number, Job.endpoint_pk, Job.uid, Job.why)
_FORMER = (
    JobFormerUid.cancel_number,
    JobFormerUid.endpoint_pk,
    JobFormerUid.uid,
    sa.literal("It was taken back, and comes anew."),
)


def marks(tx: sa.Connection) -> tuple[int, int]:
    """The newest release's and the newest cancel's number."""
    row = tx.execute(sa.select(JobMark.released, JobMark.cancelled).where(JobMark.id == 1)).one_or_none()
    return (row.released, row.cancelled) if row else (0, 0)


def released_after(tx: sa.Connection, number: int, limit: int = 20_000) -> list[Handout]:
    """Jobs released after that mark and not yet received, in order."""
    found = sa.select(*_HANDOUT).where(_IS_RELEASED, Job.released_number > number)
    return [_handout(row) for row in tx.execute(found.order_by(Job.released_number).limit(limit))]


def cancelled_after(tx: sa.Connection, number: int, limit: int = 20_000) -> list[Cancelled]:
    """Jobs cancelled after that mark that had been handed out, in order."""
    return _cancels(tx, (Job.cancel_number > number,), (JobFormerUid.cancel_number > number,), limit)


def for_endpoints(tx: sa.Connection, endpoint_pks: Sequence[int]) -> tuple[list[Handout], list[Cancelled]]:
    """What those that have just attached are owed: released jobs not yet received, cancels not yet confirmed."""
    handouts: list[Handout] = []
    cancels: list[Cancelled] = []
    for chunk in _chunks(endpoint_pks):
        mine = Job.endpoint_pk.in_(chunk)
        released = sa.select(*_HANDOUT).where(mine, _IS_RELEASED).order_by(Job.released_number)
        handouts += [_handout(row) for row in tx.execute(released)]
        former = (JobFormerUid.endpoint_pk.in_(chunk), JobFormerUid.cancel_number > 0)
        cancels += _cancels(tx, (mine, Job.cancel_number > 0), former)
    return handouts, cancels


def _cancels(tx: sa.Connection, job: Any, former: Any, limit: int | None = None) -> list[Cancelled]:
    """Cancels of jobs' present and of their former names, in order."""
    of_jobs = tx.execute(sa.select(*_CANCELLED).where(*job).order_by(Job.cancel_number).limit(limit))
    of_former = tx.execute(sa.select(*_FORMER).where(*former).order_by(JobFormerUid.cancel_number).limit(limit))
    found = [Cancelled(*row) for row in (*of_jobs, *of_former)]
    return sorted(found, key=lambda one: one.number)[:limit]


def signed(tx: sa.Connection, manifest_ids: Collection[int]) -> dict[int, Signed]:
    """The manifests as they go over the wire: those that are signed and were not withdrawn."""
    columns = (Manifest.id, Manifest.body, Manifest.signature, Manifest.key_id)
    good = (Manifest.id.in_(list(manifest_ids)), Manifest.signature.is_not(None), Manifest.withdrawn_at.is_(None))
    return {row.id: Signed(row.body, row.signature, row.key_id) for row in tx.execute(sa.select(*columns).where(*good))}


def wakes_since(tx: sa.Connection, after_id: int, now: dt.datetime) -> list[tuple[int, int, tuple[str, ...]]]:
    """(number, neighbour's pk, MAC addresses) of what was asked for within the last minute and after that number."""
    young = sa.select(Wake.id, Wake.endpoint_pk, Wake.macs).where(Wake.id > after_id, Wake.asked_at > now - WAKE_LIFE)
    return [(row.id, row.endpoint_pk, tuple(row.macs)) for row in tx.execute(young.order_by(Wake.id).limit(5000))]


def _handout(row: Any) -> Handout:
    start, until = (to_ms(at) if at is not None else 0 for at in (row.start_at, row.until_at))
    return Handout(row.released_number, row.endpoint_pk, row.uid, row.manifest_id, start, until, row.exam)


def _chunks(items: Sequence[int]) -> Iterator[Sequence[int]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))
