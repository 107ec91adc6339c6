"""What queries about held back faults return: plain frozen values."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any


class StagesError(ValueError):
    """A window, a silence or a question about them that makes no sense; the message is for the person who asked."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a window or silence is about; None: all of that kind."""

    school_id: int | None = None
    room_id: int | None = None
    endpoint_id: str | None = None
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class SuppressionRow:
    """A window or silence.

    `state` is "on", "coming" or "over"; `school`, `room` and `endpoint` are empty where it reaches all. `held` counts the
    faults that it ever held back. `until` is when the span that is on ends, `next_at` when the next one begins. `may_end`: the
    asker may end it.
    """

    id: int
    kind: str
    title: str
    reason: str
    school_id: int | None
    school: str
    room_id: int | None
    room: str
    endpoint_id: str
    endpoint: str
    rule: str
    starts_at: dt.datetime
    ends_at: dt.datetime | None
    rrule: str
    duration_s: int
    created_by: str
    created_at: dt.datetime
    ended_at: dt.datetime | None
    held: int
    state: str
    until: dt.datetime | None
    next_at: dt.datetime | None
    may_end: bool


@dataclass(frozen=True, slots=True)
class HeldFilter:
    """Which held faults: of a stage, a school, an endpoint; `state` "open", "over" or "all"."""

    stage: str = ""
    school_id: int | None = None
    endpoint_id: str | None = None
    state: str = "all"


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A fault that is held back, or was so until it was over. `trail` is every stage that it went through."""

    id: int
    stage: str
    stage_name: str
    reason: str
    held_until: dt.datetime | None
    rule: str
    instance: str
    title: str
    severity: str
    endpoint_id: str
    endpoint: str
    school_id: int
    school: str
    raised_at: dt.datetime
    cleared_at: dt.datetime | None
    incident_number: int | None
    trail: tuple[dict[str, Any], ...]
