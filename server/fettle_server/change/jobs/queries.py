"""Reads of jobs for people and for rollouts. What the edge asks for is in handing.py, and may be asked for here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from fettle_protocol.manifests import decode

from fettle_server.change.jobs.handing import cancelled_after, for_endpoints, marks, released_after, signed, wakes_since
from fettle_server.change.jobs.rules import JobState
from fettle_server.change.jobs.tables import Job, JobEntry
from fettle_server.change.jobs.views import EntryRow, JobRow, JobView, Standing
from fettle_server.change.manifests.tables import Manifest
from fettle_server.estate.people.rules import Person, sees
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.paging import Page, bounded, mark, unmark

__all__ = [
    "cancelled_after", "counts", "for_endpoints", "job", "marks", "of_endpoint", "of_rollout", "released_after", "signed",
    "standings", "wakes_since",
]  # fmt: skip

_COLUMNS = (
    Job.id, Job.uid, Job.endpoint_pk, Endpoint.id.label("endpoint_id"), Endpoint.name.label("endpoint_name"), Job.school_id,
    School.name.label("school"), sa.func.coalesce(Room.name, "").label("room"), Job.manifest_id, Manifest.change_id,
    Job.rollout_id, Manifest.body, Job.state, Job.why, Job.exam, Job.attempt, Job.step, Job.percent, Job.created_at,
    Job.start_at, Job.until_at, Job.expires_at, Job.released_at, Job.received_at, Job.started_at, Job.reported_at, Job.ended_at,
)  # fmt: skip
_ENTRIES_SHOWN = 300


def job(tx: sa.Connection, person: Person, uid: str) -> JobView | None:
    """One job with its entries; None where there is none that the person sees."""
    found = _rows(tx, _joined().where(Job.uid == uid))
    if not found or not sees(person, found[0].school_id):
        return None
    columns = (JobEntry.at, JobEntry.state, JobEntry.step, JobEntry.kind, JobEntry.why, JobEntry.words)
    entries = tx.execute(sa.select(*columns).where(JobEntry.job_id == found[0].id).order_by(JobEntry.id).limit(_ENTRIES_SHOWN))
    result: dict[str, Any] | None = tx.scalar(sa.select(Job.result).where(Job.id == found[0].id))
    return JobView(found[0], result, tuple(EntryRow(*row) for row in entries))


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
    limit = bounded(limit)
    listed = _joined().where(Job.rollout_id == rollout_id)
    if states:
        listed = listed.where(Job.state.in_([state.value for state in states]))
    if person.schools is not None:
        listed = listed.where(Job.school_id.in_(person.schools))
    if after is not None:
        listed = listed.where(Job.id > unmark(after, int)[0])
    rows = _rows(tx, listed.order_by(Job.id).limit(limit + 1))
    return Page(tuple(rows[:limit]), mark((rows[limit - 1].id,)) if len(rows) > limit else None)


def of_endpoint(tx: sa.Connection, endpoint_pk: int, limit: int = 50) -> list[JobRow]:
    """An endpoint's jobs, the newest first."""
    return _rows(tx, _joined().where(Job.endpoint_pk == endpoint_pk).order_by(Job.id.desc()).limit(bounded(limit)))


def counts(tx: sa.Connection, rollout_id: int) -> dict[JobState, int]:
    """How many of a rollout's jobs are in each state."""
    counted = sa.select(Job.state, sa.func.count()).where(Job.rollout_id == rollout_id).group_by(Job.state)
    return {JobState(state): count for state, count in tx.execute(counted)}


def standings(tx: sa.Connection, rollout_id: int, since: dt.datetime | None = None) -> list[Standing]:
    """A rollout's jobs as they stand; with `since` only those that a report, cancel or expiry changed from then on."""
    columns = (Job.id, Job.endpoint_pk, Job.state, Job.why, Job.started_at, Job.reported_at, Job.ended_at)
    standing = sa.select(*columns).where(Job.rollout_id == rollout_id)
    if since is not None:
        standing = standing.where(sa.or_(Job.reported_at >= since, Job.ended_at >= since))
    return [Standing(row[0], row[1], JobState(row[2]), *row[3:]) for row in tx.execute(standing.order_by(Job.id))]


def _joined() -> Any:
    joined = sa.select(*_COLUMNS).join(Endpoint, Endpoint.pk == Job.endpoint_pk).join(School, School.id == Job.school_id)
    return joined.join(Manifest, Manifest.id == Job.manifest_id).outerjoin(Room, Room.id == Endpoint.room_id)


def _rows(tx: sa.Connection, statement: Any) -> list[JobRow]:
    said: dict[int, tuple[str, int]] = {}
    rows = []
    for row in tx.execute(statement):
        values = dict(row._mapping)
        body = values.pop("body")
        if row.manifest_id not in said:
            content = decode(body)
            said[row.manifest_id] = content.title, len(content.steps)
        title, steps = said[row.manifest_id]
        rows.append(JobRow(**values | {"state": JobState(row.state)}, title=title, steps=steps))
    return rows
