"""What queries about incidents return: plain frozen values."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any


class IncidentQueryError(ValueError):
    """A question about incidents that makes no sense; the message says which part."""


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents.

    `state`: "open", "resolved" (with closed), "all" or one state; `assignee`: "me", "nobody" or a person's number.
    """

    state: str = "open"
    priority: int | None = None
    school_id: int | None = None
    assignee: str | int | None = None
    search: str = ""
    endpoint_id: str | None = None


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident in a list. `endpoint_id` and `endpoint` (its name) are empty where it concerns none, or several.

    `is_test`: a proof that alerts work, or a test that somebody made; it counts nowhere. `scope` is the level of its cause;
    where that is wider than one endpoint, `endpoints` says how many it reached, and `school_id` is None and `school` empty
    where it is wider than one school. `quiet_until`: its fault comes and goes.
    """

    number: int
    state: str
    priority: int
    title: str
    school_id: int | None
    school: str
    endpoint_id: str
    endpoint: str
    rule: str
    opened_at: dt.datetime
    acknowledged_at: dt.datetime | None
    resolved_at: dt.datetime | None
    updated_at: dt.datetime
    assignee: str | None
    open_faults: int
    reopened: int
    is_test: bool
    scope: str
    room: str
    endpoints: int
    merged_into: int | None
    quiet_until: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Alike:
    """An incident that resembles another; `shares` names what their PCs have in common: "model", "room", "build"."""

    row: IncidentRow
    shares: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Child:
    """An endpoint of a wider incident, with its fault there: since when, and until when (None: it lasts)."""

    fault_id: int
    endpoint_id: str
    endpoint: str
    school: str
    state: str
    severity: str
    rule: str
    instance: str
    since_at: dt.datetime
    cleared_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class FaultOfIncident:
    """A fault that belongs to an incident.

    `evidence` is {"raised": [[at_ms, value], ...], "cleared": [[at_ms, value], ...]}.
    """

    id: int
    rule: str
    instance: str
    severity: str
    since_at: dt.datetime
    raised_at: dt.datetime
    cleared_at: dt.datetime | None
    clear_reason: str
    value: float
    detail: str
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of an incident's story."""

    id: int
    at: dt.datetime
    kind: str
    actor: str
    text: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class IncidentDetail(IncidentRow):
    """One incident with its whole story. `assignees` are the people who could have it; `allowed` what the asker may do now.

    `children` are the endpoints of a wider cause that the asker sees, those whose fault lasts first; `took_over` the numbers of
    the incidents that became part of it.
    """

    impact: str
    urgency: str
    origin: str
    closed_at: dt.datetime | None
    faults: tuple[FaultOfIncident, ...]
    timeline: tuple[TimelineEntry, ...]
    assignees: tuple[str, ...]
    allowed: frozenset[str]
    children: tuple[Child, ...]
    took_over: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many incidents a day (UTC) saw opened and resolved."""

    day: dt.date
    opened: int
    resolved: int
