"""What queries about faults return: plain frozen values."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One fault with what its rule says of it; levels are None where the rule is no longer in the policy.

    `evidence` is {"raised": [[at_ms, value], ...], "cleared": [[at_ms, value], ...]}.
    """

    id: int
    rule: str
    title: str
    meaning: str
    first_step: str
    instance: str
    severity: str
    since_at: dt.datetime
    raised_at: dt.datetime
    cleared_at: dt.datetime | None
    clear_reason: str
    value: float
    unit: str
    raise_level: float | None
    clear_level: float | None
    detail: str
    evidence: dict[str, Any]
    incident_number: int | None
    stage: str
    """What holds it back from being told just now (proactive.stages.rules.Stage), or did until it was over; empty: nothing."""
    stage_reason: str
    held_until: dt.datetime | None
