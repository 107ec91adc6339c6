"""What a transaction knows of a fault and of an incident while it works: plain values, and how they are read and written.

What becomes of them is in intake.py and wider.py.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, NamedTuple

from fettle_server.db import bulk_insert, bulk_update, to_ms
from fettle_server.reactive.rules import OPEN_STATES, IncidentState, Scope
from fettle_server.reactive.tables import Incident, IncidentEntry

ACTOR = "system"


class Finding(NamedTuple):
    """A fault that began, as an incident needs to know it. `urgency` where the severity does not say it."""

    cause: str
    endpoint_pk: int | None
    endpoint_id: str
    school_id: int | None
    rule: str
    severity: str
    impact: str
    title: str
    at: dt.datetime
    detail: dict[str, Any]
    origin: str = "agent"
    scope: str = Scope.ENDPOINT
    room_id: int | None = None
    is_test: bool = False
    urgency: str = ""
    text: str = ""


class Cause(NamedTuple):
    """Something that the server itself found, of no single endpoint: what its incident is to say."""

    key: str
    scope: str
    school_id: int | None
    room_id: int | None
    title: str
    impact: str
    urgency: str
    text: str
    rule: str = ""
    is_test: bool = False


@dataclass(slots=True)
class Ticket:
    """An incident while a transaction works on it; `number` is 0 until it is written."""

    number: int
    cause: str
    state: IncidentState
    impact: str
    urgency: str
    priority: int
    title: str
    school_id: int | None
    endpoint_pk: int | None
    rule: str
    origin: str
    assignee_id: int | None
    opened_at: dt.datetime
    resolved_at: dt.datetime | None
    reopened: int
    open_faults: int
    scope: str = Scope.ENDPOINT
    room_id: int | None = None
    merged_into: int | None = None
    is_test: bool = False
    quiet_until: dt.datetime | None = None
    acknowledged_at: dt.datetime | None = None
    closed_at: dt.datetime | None = None
    is_changed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether somebody may still have to see to it."""
        return self.state in OPEN_STATES

    @property
    def is_shared(self) -> bool:
        """Whether its faults are those of several endpoints."""
        return self.endpoint_pk is None


COLUMNS = tuple(getattr(Incident, name) for name in Ticket.__dataclass_fields__ if name != "is_changed")
_WHOLE = tuple(name for name in Ticket.__dataclass_fields__ if name not in ("number", "is_changed"))
_CHANGING = (
    "cause", "state", "urgency", "impact", "priority", "title", "rule", "resolved_at", "reopened", "open_faults", "scope",
    "school_id", "room_id", "endpoint_pk", "merged_into", "quiet_until", "closed_at", "acknowledged_at",
)  # fmt: skip
_TIMES = frozenset({"resolved_at", "quiet_until", "closed_at", "acknowledged_at"})
CHANGE = bulk_update(Incident, Incident.number, *_CHANGING, "updated_at")
ENTRY = bulk_insert(IncidentEntry, "incident_number", "at", "kind", "actor", "text", "detail")


def read_as(row: Any) -> Ticket:
    """The ticket of a row of COLUMNS."""
    return Ticket(row[0], row[1], IncidentState(row[2]), *row[3:])


def whole(ticket: Ticket, now: dt.datetime) -> dict[str, Any]:
    """A new ticket as a row to insert."""
    return {name: getattr(ticket, name) for name in _WHOLE} | {"updated_at": now}


def changes(ticket: Ticket, now_ms: int) -> tuple[Any, ...]:
    """A ticket as a row for CHANGE."""
    values = ((name, getattr(ticket, name)) for name in _CHANGING)
    stored = [to_ms(value) if name in _TIMES and value is not None else value for name, value in values]
    return (ticket.number, *stored, now_ms)
