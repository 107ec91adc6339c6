"""What queries of jobs give: plain values for pages, API and commands."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from fettle_server.change.jobs.rules import JobState


@dataclass(frozen=True, slots=True)
class JobRow:
    """One manifest for one endpoint. `why`: why it has not run yet, or how it ended; never empty while it has not begun."""

    id: int
    uid: str
    endpoint_pk: int
    endpoint_id: str
    endpoint_name: str
    school_id: int
    school: str
    room: str
    manifest_id: int
    change_id: int | None
    rollout_id: int | None
    title: str
    state: JobState
    why: str
    exam: bool
    attempt: int
    step: int
    steps: int
    percent: int
    created_at: dt.datetime
    start_at: dt.datetime | None
    until_at: dt.datetime | None
    expires_at: dt.datetime
    released_at: dt.datetime | None
    received_at: dt.datetime | None
    started_at: dt.datetime | None
    reported_at: dt.datetime | None
    ended_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One report about a job, with the operating system's own words."""

    at: dt.datetime
    state: str
    step: int
    kind: str
    why: str
    words: str


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with all that was said of it. `result` is what the agent told at its end."""

    row: JobRow
    result: dict[str, Any] | None
    entries: tuple[EntryRow, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a rollout needs of a job: where it is, since when it ended."""

    id: int
    endpoint_pk: int
    state: JobState
    why: str
    started_at: dt.datetime | None
    reported_at: dt.datetime | None
    ended_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Handout:
    """A released job, for the edge."""

    number: int
    endpoint_pk: int
    uid: str
    manifest_id: int
    start_ms: int
    until_ms: int
    exam: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """A manifest as it goes over the wire."""

    body: bytes
    signature: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A job that the agent is never to begin, for the edge."""

    number: int
    endpoint_pk: int
    uid: str
    reason: str
