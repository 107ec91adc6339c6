"""Endpoints and their faults while one transaction folds what they say, and the rows that come of it.

Owns the values and the form of the rows; what is decided of them is in detection.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fettle_protocol.policy import Severity

from fettle_server.db import as_json, from_ms, to_ms
from fettle_server.estate.endpoints.rules import Health
from fettle_server.journal.actions import Line
from fettle_server.proactive.rules import FORECASTS, Clear, Evidence, Raise, Signal
from fettle_server.proactive.stages.rules import JOINS, Hold, Wider
from fettle_server.proactive.stages.trail import Trail, ended, entry
from fettle_server.reactive.intake import Ticket

ACTOR = "system"


@dataclass(slots=True)
class OpenFault:
    """A fault that is open now, or was so a moment ago; `id` is 0 until it is written."""

    id: int
    rule: str
    instance: str
    severity: str
    ticket: Ticket | None
    stage: str = ""
    begin: Raise | None = None
    end: Clear | None = None
    hold: Hold | None = None


@dataclass(slots=True)
class Patient:
    """An endpoint while its signals are folded."""

    pk: int
    id: str
    name: str
    school_id: int
    connected: bool
    state: str
    state_since: dt.datetime | None
    open_incidents: int
    room_id: int | None
    model: str
    build: str
    connected_since: dt.datetime | None
    faults: dict[tuple[str, str], OpenFault] = field(default_factory=dict)
    moved_at: dt.datetime | None = None

    def count(self, severity: Severity) -> int:
        """How many faults of that severity are open; what is only coming makes nobody ill."""
        return sum(1 for fault in self.faults.values() if fault.severity == severity and fault.rule not in FORECASTS)


def over_at(signals: Sequence[tuple[int, Signal]]) -> dict[int, dt.datetime]:
    """When each raised fault (by its place among the signals) ended, as far as the same signals tell."""
    ends: dict[tuple[int, str, str], int] = {}
    found: dict[int, dt.datetime] = {}
    for place in range(len(signals) - 1, -1, -1):
        pk, signal = signals[place]
        if type(signal) is Clear:
            ends[pk, signal.rule, signal.instance] = signal.at_ms
        elif type(signal) is Raise:
            end_ms = ends.pop((pk, signal.rule, signal.instance), None)
            if end_ms is not None:
                found[place] = from_ms(end_ms)
    return found


def wider_of(ticket: Ticket) -> Wider:
    """An incident of a wider cause as the stages see it."""
    return Wider(ticket.number, ticket.title, ticket.opened_at, None if ticket.is_open else ticket.resolved_at)


def hour_of(moment: dt.datetime) -> int:
    """Which hour since the epoch that is."""
    return to_ms(moment) // 3_600_000


def row_of(pk: int, fault: OpenFault, now_ms: int) -> tuple[Any, ...]:
    """A fault that began as a row to insert, in the order of detection's statement."""
    begin, end, hold = fault.begin, fault.end, fault.hold
    assert begin is not None
    evidence: dict[str, Evidence] = {"raised": begin.evidence}
    cleared_ms, reason, adjusted = None, "", begin.adjusted
    if end is not None:
        evidence["cleared"] = end.evidence
        cleared_ms, reason, adjusted = end.at_ms, end.reason, adjusted or end.adjusted
    number = fault.ticket.number if fault.ticket is not None else hold.parent if hold is not None else None
    why, until_ms, trail = "", None, "[]"
    if hold is not None:
        is_over = hold.stage in JOINS or end is not None
        trail = as_json([entry(hold.stage, hold.reason, now_ms, now_ms if is_over else None)])
        why = "" if hold.stage in JOINS else hold.reason
        until_ms = to_ms(hold.until) if hold.until is not None and not is_over else None
    return (
        pk, begin.rule, begin.instance, begin.severity, begin.since_ms, begin.at_ms, cleared_ms, reason, begin.value,
        begin.detail, as_json(evidence), adjusted, begin.policy_version, number, fault.stage, why, until_ms, trail,
    )  # fmt: skip


def ending_of(fault: OpenFault, evidence: dict[str, Any], trail: Trail) -> tuple[int, int, str, str, str]:
    """A fault that was open before and is over as a row to update, in the order of detection's statement."""
    assert fault.end is not None
    whole = as_json(evidence | {"cleared": fault.end.evidence})
    return fault.id, fault.end.at_ms, fault.end.reason, whole, as_json(ended(trail, fault.end.at_ms))


def moved_line(patient: Patient, state: Health, now: dt.datetime) -> Line:
    """That the endpoint's state is another one, for the journal."""
    detail = {"from": patient.state, "to": state, "name": patient.name}
    return Line(
        at=now,
        kind="endpoint.state",
        actor=ACTOR,
        subject=f"endpoint:{patient.id}",
        school_id=patient.school_id,
        detail=detail,
    )
