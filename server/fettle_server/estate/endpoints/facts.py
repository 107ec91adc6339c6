"""What an agent's message says of its endpoint, once it has been checked.

Pure values; times are milliseconds since the epoch.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Happened(NamedTuple):
    """Something besides faults: a boot, a sleep, the agent's own notice."""

    at_ms: int
    kind: str
    detail: dict[str, Any]


class Stocktake(NamedTuple):
    """A whole inventory section, zlib-compressed JSON as it came, and what the endpoint's row shows of it."""

    at_ms: int
    section: str
    digest: str
    body: bytes
    model: str
    serial: str


class Reported(NamedTuple):
    """The newest readings: a Vitals message as bytes, checked."""

    at_ms: int
    body: bytes


class Watched(NamedTuple):
    """One second of a live watch: a Live message as bytes, checked."""

    at_ms: int
    body: bytes


class Hour(NamedTuple):
    """The packed series of one hour, as it came."""

    hour: int
    pack: bytes


class Machine(NamedTuple):
    """Who an endpoint is, as it says when it attaches."""

    name: str
    system: str
    system_version: str
    agent_version: str
    fingerprint: str
