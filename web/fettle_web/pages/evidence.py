"""What was seen: the readings around each crossing of an incident, ready to be drawn with their levels."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fettle_protocol import catalogue
from fettle_protocol.policy import Policy, Rule
from fettle_server.db import from_ms, to_ms
from fettle_server.reactive.views import FaultOfIncident

from fettle_web.pages.drawing import Drawing, draw

SIZE = (640, 150)


@dataclass(frozen=True, slots=True)
class Seen:
    """One fault of the incident: its words, its levels, and the drawing of its evidence (None: the agent sent none)."""

    fault: FaultOfIncident
    title: str
    reading: str
    unit: str
    raise_level: float | None
    clear_level: float | None
    drawing: Drawing | None
    samples: tuple[tuple[dt.datetime, float], ...]


def seen(faults: Iterable[FaultOfIncident], policy: Policy) -> list[Seen]:
    """The faults, those that last first, then the newest."""
    ordered = sorted(faults, key=lambda fault: (fault.cleared_at is not None, -to_ms(fault.raised_at)))
    return [_seen(fault, policy.rule(fault.rule)) for fault in ordered]


def _seen(fault: FaultOfIncident, rule: Rule | None) -> Seen:
    spec = catalogue.BY_KEY.get(rule.reading) if rule else None
    unit = spec.unit.value if spec else ""
    samples = _samples(fault.evidence)
    levels = [(rule.severity.value, rule.raise_level), ("clear", rule.clear_level)] if rule else []
    title = rule.title.replace("{instance}", fault.instance) if rule else fault.rule
    points = [(float(at), value) for at, value in samples]
    drawing = draw(points, levels, unit, size=SIZE, crossing=float(to_ms(fault.since_at))) if points else None
    return Seen(
        fault,
        title,
        spec.sentence if spec else fault.rule,
        unit,
        rule.raise_level if rule else None,
        rule.clear_level if rule else None,
        drawing,
        tuple((from_ms(at), value) for at, value in samples),
    )


def _samples(evidence: dict[str, Any]) -> list[tuple[int, float]]:
    """Raise and clear evidence as one line in time, without doubles."""
    pairs = {int(at): float(value) for name in ("raised", "cleared") for at, value in evidence.get(name) or ()}
    return sorted(pairs.items())
