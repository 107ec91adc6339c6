"""What happened to a PC over a time, besides its readings: changes, faults, incidents and events, on one axis, in one table."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from fettle_server.change.jobs import queries as jobs
from fettle_server.change.jobs.rules import BEGUN, JobState
from fettle_server.change.jobs.views import JobRow
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.views import EndpointDetail
from fettle_server.estate.people.rules import Person
from fettle_server.proactive import queries as proactive
from fettle_server.reactive import queries as incidents
from fettle_server.reactive.views import IncidentFilter

MOST = 200

_EVENTS = {
    "booted": "Started",
    "sleeping": "Went to sleep",
    "woke": "Woke up",
    "agent started": "Fettle's agent started",
    "agent stopping": "Fettle's agent stopped",
    "inventory": "Parts or programs changed",
    "clone": "Another machine claimed to be this PC",
    "identity clash": "Another machine claimed to be this PC",
    "spool shed": "Old history was shed for want of room",
    "collector failing": "A collector fails",
    "collector mended": "A collector works again",
    "policy refused": "The rules could not be used",
    "clock stepped": "The clock was set",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """Something with a beginning; `end` None: it lasts, or (an event) took no time.

    `lane` is change, fault, incident or event.
    """

    lane: str
    state: str
    start: dt.datetime
    end: dt.datetime | None
    text: str
    incident: int | None = None
    job: str = ""


def happenings(
    tx: Connection, person: Person, endpoint: EndpointDetail, start: dt.datetime, end: dt.datetime
) -> list[Happening]:
    """All of them that touch the time, oldest first."""
    endpoint_id = endpoint.id
    found = [*_changes(tx, endpoint.pk), *_faults(tx, person, endpoint_id), *_incidents(tx, person, endpoint_id)]
    touching = [one for one in found if one.start <= end and (one.end is None or one.end >= start)]
    events = endpoints.events(tx, person, endpoint_id, start, end, MOST)
    told = [Happening("event", "", row.at, None, event_words(row.kind, row.detail)) for row in events]
    return sorted([*touching, *told], key=lambda one: one.start)


def event_words(kind: str, detail: dict[str, Any]) -> str:
    """An event's kind as words, with its subject; what is not known is shown as it is called."""
    bare = kind.rpartition(".")[2].replace("_", " ")
    if bare == "inventory" and detail.get("section"):
        return f"{detail['section']} changed".capitalize()
    words = _EVENTS.get(bare, bare.capitalize())
    return f"{words}: {detail['subject']}" if detail.get("subject") else words


def _changes(tx: Connection, endpoint_pk: int) -> list[Happening]:
    """The jobs that began on it, from their beginning to their end."""
    began = [row for row in jobs.of_endpoint(tx, endpoint_pk, MOST) if row.started_at is not None]
    return [
        Happening("change", row.state.value, row.started_at, _ended(row), f"{row.title}: {_STATES.get(row.state, row.state)}",
                  job=row.uid)
        for row in began if row.started_at is not None
    ]  # fmt: skip


def _ended(row: JobRow) -> dt.datetime | None:
    return None if row.state in BEGUN else row.ended_at or row.reported_at


_STATES = {JobState.RUNNING: "goes on", JobState.RESTARTING: "waits for the restart", JobState.EXPIRED: "told no end"}


def _faults(tx: Connection, person: Person, endpoint_id: str) -> list[Happening]:
    rows = proactive.faults_of(tx, person, endpoint_id, open_only=False, limit=MOST)
    return [Happening("fault", row.severity, row.since_at, row.cleared_at, row.title, row.incident_number) for row in rows]


def _incidents(tx: Connection, person: Person, endpoint_id: str) -> list[Happening]:
    rows = incidents.incidents(tx, person, IncidentFilter("all", endpoint_id=endpoint_id), limit=MOST).rows
    return [
        Happening("incident", "", row.opened_at, row.resolved_at, f"Incident {row.number}: {row.title}", row.number)
        for row in rows
    ]
