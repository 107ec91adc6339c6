"""What queries about endpoints return: plain frozen values, safe to hold after the transaction."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

from fettle_server.estate.endpoints.rules import Health

Sort = Literal["state", "name", "last_seen"]
SORTS: tuple[Sort, ...] = ("state", "name", "last_seen")


class EndpointQueryError(ValueError):
    """A question about endpoints that makes no sense; the message says which part."""


@dataclass(frozen=True, slots=True)
class EndpointFilter:
    """Which endpoints, and in which order: worst state first, by name, or longest unheard first.

    Revoked endpoints are left out unless `revoked`.
    """

    search: str = ""
    state: str | None = None
    school_id: int | None = None
    system: str | None = None
    room_id: int | None = None
    endpoint_class: str | None = None
    sort: Sort = "state"
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """One endpoint in a list."""

    id: str
    name: str
    school_id: int
    school: str
    system: str
    system_version: str
    model: str
    state: Health
    state_since: dt.datetime | None
    connected: bool
    last_seen: dt.datetime | None
    open_incidents: int
    watch_faults: int
    ill_faults: int


@dataclass(frozen=True, slots=True)
class EndpointDetail(EndpointRow):
    """One endpoint with all that its own page says of it."""

    pk: int
    serial: str
    agent_version: str
    address: str
    connected_since: dt.datetime | None
    enrolled_at: dt.datetime
    revoked_at: dt.datetime | None
    policy_version: int
    room_id: int | None
    room: str
    endpoint_class: str
    class_source: str
    certificate_not_after: dt.datetime | None


@dataclass(frozen=True, slots=True)
class ReadingView:
    """One reading's newest value, with what the catalogue says of it."""

    key: str
    instance: str
    value: float
    unit: str
    sentence: str


@dataclass(frozen=True, slots=True)
class CollectorView:
    """A collector that failed (`error`) or was slow in its last run."""

    name: str
    duration_s: float
    error: str


@dataclass(frozen=True, slots=True)
class AgentView:
    """What the agent costs and carries."""

    cpu_percent: float
    memory_mib: float
    spool_events: int
    spool_bytes: int
    shed: int
    collectors: tuple[CollectorView, ...]


@dataclass(frozen=True, slots=True)
class PendingView:
    """A rule whose duration ran when the vitals were sent: its fault is about to be raised, or (`clearing`) to clear."""

    rule: str
    instance: str
    clearing: bool
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class VitalsView:
    """The newest readings of an endpoint, in the catalogue's order, and which durations ran."""

    at: dt.datetime
    readings: tuple[ReadingView, ...]
    agent: AgentView | None
    pending: tuple[PendingView, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveView:
    """A live watch: how long it still goes, and the newest second of it (`at` None: none has come yet)."""

    until: dt.datetime
    at: dt.datetime | None
    readings: tuple[ReadingView, ...]


@dataclass(frozen=True, slots=True)
class InventoryView:
    """One inventory section ("hardware", "software")."""

    section: str
    at: dt.datetime
    digest: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One reading of one instance over time; the four tuples are of one length, a point that has no value is not in them."""

    key: str
    instance: str
    unit: str
    sentence: str
    times_ms: tuple[int, ...]
    low: tuple[float, ...]
    mean: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class EstateCounts:
    """How many endpoints that are not revoked are in which state, and how many incidents are open on any."""

    endpoints: int
    ill: int
    watch: int
    unknown: int
    well: int
    open_incidents: int


@dataclass(frozen=True, slots=True)
class SchoolTile:
    """One school in numbers; `worst` is None where it has no endpoint."""

    id: int
    name: str
    endpoints: int
    ill: int
    watch: int
    unknown: int
    well: int
    open_incidents: int
    worst: Health | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened to an endpoint besides faults."""

    id: int
    at: dt.datetime
    kind: str
    detail: dict[str, Any]
