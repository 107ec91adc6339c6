"""The trail of a fault: each stage that it went through, with its reason and when. Pure.

The form is that of the store: [{"stage", "reason", "from_ms", "to_ms"}], `to_ms` None while the stage lasts.
"""

from __future__ import annotations

from typing import Any

Trail = list[dict[str, Any]]
LONGEST = 50
"""Stages kept of one fault; of more the oldest are dropped."""


def entry(stage: str, reason: str, from_ms: int, to_ms: int | None = None) -> dict[str, Any]:
    """One stage of a trail."""
    return {"stage": str(stage), "reason": reason, "from_ms": from_ms, "to_ms": to_ms}


def ended(trail: Trail | None, at_ms: int) -> Trail:
    """The trail with its last stage over; none ends before it began."""
    return [one if one["to_ms"] is not None else one | {"to_ms": max(at_ms, one["from_ms"])} for one in trail or []]


def next_stage(trail: Trail | None, stage: str, reason: str, at_ms: int) -> Trail:
    """The trail with its last stage over and another one begun."""
    return [*ended(trail, at_ms), entry(stage, reason, at_ms)][-LONGEST:]


def held_since(trail: Trail | None, otherwise: int) -> int:
    """When the stage that lasts began."""
    return int(trail[-1]["from_ms"]) if trail else otherwise


def was(trail: Trail | None, stage: str) -> bool:
    """Whether the fault went through that stage."""
    return any(one["stage"] == stage for one in trail or [])
