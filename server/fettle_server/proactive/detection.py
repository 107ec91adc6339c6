"""What is made of faults that endpoints tell: rows, their incidents, and the endpoint's state, many at a time.

Everything that one transaction may touch is read first, each endpoint's signals are folded in their order in memory, and
the outcome is written in bulk. What was said before changes nothing: a fault that is open is not raised twice, one that is
not open is not cleared.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import Policy, Severity

from fettle_server.db import as_json, bulk_insert, bulk_update, from_ms, to_ms
from fettle_server.estate.endpoints.reports import Event, record_events
from fettle_server.estate.endpoints.rules import Health, health
from fettle_server.estate.tables import Endpoint
from fettle_server.journal.actions import Line, record_all
from fettle_server.proactive.rules import (
    FORECASTS,
    RECONCILED,
    RECOVERED,
    SERVER_RULES,
    Clear,
    Evidence,
    Held,
    Raise,
    Signal,
    Standing,
    standing,
)
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.intake import Board, Finding, Ticket

ACTOR = "system"


@dataclass(slots=True)
class _Open:
    """A fault that is open now, or was so a moment ago; `id` is 0 until it is written."""

    id: int
    rule: str
    instance: str
    severity: str
    ticket: Ticket | None
    begin: Raise | None = None
    end: Clear | None = None


@dataclass(slots=True)
class _Patient:
    """An endpoint while its signals are folded."""

    pk: int
    id: str
    name: str
    school_id: int
    connected: bool
    state: str
    state_since: dt.datetime | None
    open_incidents: int
    faults: dict[tuple[str, str], _Open] = field(default_factory=dict)
    moved_at: dt.datetime | None = None

    def count(self, severity: Severity) -> int:
        """How many faults of that severity are open; what is only coming makes nobody ill."""
        return sum(1 for fault in self.faults.values() if fault.severity == severity and fault.rule not in FORECASTS)


def detect(
    tx: sa.Connection,
    signals: Sequence[tuple[int, Signal]],
    *,
    policy: Policy | None,
    now: dt.datetime,
    reopen_within: dt.timedelta,
) -> None:
    """Take in what endpoints (by pk, each in its own order) say of their faults."""
    candidates = {pk for pk, signal in signals if type(signal) is not Held}
    candidates |= _holding(tx, {pk for pk, signal in signals if type(signal) is Held} - candidates)
    relevant = [(pk, signal) for pk, signal in signals if pk in candidates]
    if relevant:
        _Round(tx, policy, now, reopen_within).run(candidates, relevant)


def _holding(tx: sa.Connection, pks: set[int]) -> set[int]:
    """Those of the endpoints that have an open fault which their agent could disown."""
    if not pks:
        return set()
    statement = sa.select(Fault.endpoint_pk).where(Fault.endpoint_pk.in_(sorted(pks)), IS_OPEN, Fault.rule.not_in(SERVER_RULES))
    return set(tx.scalars(statement))


IS_OPEN = sa.text("cleared_at IS NULL")
_STATE = bulk_update(Endpoint, Endpoint.pk, "state", "state_since", "watch_faults", "ill_faults", "open_incidents")
_CLEAR = bulk_update(Fault, Fault.id, "cleared_at", "clear_reason", "evidence")
_ADD = bulk_insert(
    Fault, "endpoint_pk", "rule", "instance", "severity", "since_at", "raised_at", "cleared_at", "clear_reason", "value",
    "detail", "evidence", "time_adjusted", "policy_version", "incident_number",
)  # fmt: skip


class _Round:
    """One transaction's faults, from reading to writing."""

    def __init__(self, tx: sa.Connection, policy: Policy | None, now: dt.datetime, reopen_within: dt.timedelta) -> None:
        self._tx = tx
        self._policy = policy
        self._now = now
        self._board = Board(tx, now, reopen_within)
        self._patients: dict[int, _Patient] = {}
        self._standings: dict[tuple[str, str, str], Standing] = {}
        self._new: list[tuple[_Patient, _Open]] = []
        self._over: list[_Open] = []
        self._notes: list[Event] = []

    def run(self, pks: set[int], signals: Sequence[tuple[int, Signal]]) -> None:
        self._read(pks, signals)
        for pk, signal in signals:
            patient = self._patients.get(pk)
            if patient is None:
                continue  # the endpoint was removed meanwhile
            if type(signal) is Raise:
                self._raise(patient, signal)
            elif type(signal) is Clear:
                self._clear(patient, signal)
            elif type(signal) is Held:
                self._reconcile(patient, signal)
        self._write()

    def _read(self, pks: set[int], signals: Sequence[tuple[int, Signal]]) -> None:
        """Lock the endpoints in the order of their keys, then read their open faults and incidents."""
        ordered = sorted(pks)
        columns = (
            Endpoint.pk, Endpoint.id, Endpoint.name, Endpoint.school_id, Endpoint.connected, Endpoint.state,
            Endpoint.state_since, Endpoint.open_incidents,
        )  # fmt: skip
        endpoints = sa.select(*columns).where(Endpoint.pk.in_(ordered)).order_by(Endpoint.pk).with_for_update()
        for row in self._tx.execute(endpoints):
            self._patients[row[0]] = _Patient(*row)
        faults = sa.select(
            Fault.endpoint_pk, Fault.id, Fault.rule, Fault.instance, Fault.severity, Fault.incident_number
        ).where(Fault.endpoint_pk.in_(ordered), IS_OPEN)
        rows = self._tx.execute(faults).all()
        causes = {self._cause(pk, signal) for pk, signal in signals if type(signal) is Raise and pk in self._patients}
        since = from_ms(min(signal.at_ms for _, signal in signals))
        self._board.read(causes, {row[5] for row in rows if row[5] is not None}, since)
        for pk, fault_id, rule, instance, severity, number in rows:
            fault = _Open(fault_id, rule, instance, severity, self._board.ticket(number))
            self._patients[pk].faults[rule, instance] = fault

    def _raise(self, patient: _Patient, signal: Raise) -> None:
        if (signal.rule, signal.instance) in patient.faults:
            return
        at = from_ms(signal.at_ms)
        means = self._standing(signal.rule, signal.instance, patient.name)
        found = Finding(
            cause=f"endpoint:{patient.pk}/{means.topic}",
            endpoint_pk=patient.pk,
            endpoint_id=patient.id,
            school_id=patient.school_id,
            rule=signal.rule,
            severity=signal.severity,
            impact=means.impact,
            title=means.title,
            at=at,
            urgency="low" if signal.rule in FORECASTS else "",
            detail={
                "rule": signal.rule,
                "instance": signal.instance,
                "severity": signal.severity,
                "value": signal.value,
                "since_ms": signal.since_ms,
                "evidence": signal.evidence,
            },
        )
        fault = _Open(0, signal.rule, signal.instance, signal.severity, self._board.raised(found), signal)
        patient.faults[signal.rule, signal.instance] = fault
        patient.moved_at = at
        self._new.append((patient, fault))

    def _clear(self, patient: _Patient, signal: Clear) -> None:
        fault = patient.faults.pop((signal.rule, signal.instance), None)
        if fault is None:
            facts = {"rule": signal.rule, "instance": signal.instance, "reason": signal.reason}
            self._notes.append(Event(patient.pk, signal.at_ms, "cleared without a fault", facts))
            return
        fault.end = signal
        patient.moved_at = from_ms(signal.at_ms)
        if fault.id:
            self._over.append(fault)
        if fault.ticket is None:
            return
        left = sum(1 for other in patient.faults.values() if other.ticket is fault.ticket)
        detail: dict[str, Any] = {"rule": signal.rule, "instance": signal.instance, "reason": signal.reason}
        if signal.reason == RECOVERED:
            detail |= {"value": signal.value, "since_ms": signal.since_ms, "evidence": signal.evidence}
        title = self._standing(signal.rule, signal.instance, patient.name).title
        self._board.cleared(fault.ticket, title, from_ms(signal.at_ms), left, detail)

    def _reconcile(self, patient: _Patient, signal: Held) -> None:
        """Clear what the agent, which has told everything, does not hold open: it was lost with an old spool."""
        for rule, instance in [key for key in patient.faults if key not in signal.faults and key[0] not in SERVER_RULES]:
            self._clear(patient, Clear(signal.at_ms, rule, instance, RECONCILED, 0.0, signal.at_ms, [], False))

    def _standing(self, rule: str, instance: str, name: str) -> Standing:
        key = (rule, instance, name)
        found = self._standings.get(key)
        if found is None:
            found = self._standings[key] = standing(self._policy, rule, instance, name)
        return found

    def _cause(self, pk: int, signal: Raise) -> str:
        return f"endpoint:{pk}/{self._standing(signal.rule, signal.instance, self._patients[pk].name).topic}"

    def _write(self) -> None:
        self._board.write()
        _ADD.run(self._tx, [_row(patient.pk, fault) for patient, fault in self._new])
        self._write_cleared()
        self._write_states()
        record_events(self._tx, self._notes)

    def _write_cleared(self) -> None:
        if not self._over:
            return
        ids = [fault.id for fault in self._over]
        rows = self._tx.execute(sa.select(Fault.id, Fault.evidence).where(Fault.id.in_(ids)))
        evidence: dict[int, dict[str, Any]] = {row.id: row.evidence for row in rows}
        _CLEAR.run(self._tx, [_ending(fault, evidence[fault.id]) for fault in self._over])

    def _write_states(self) -> None:
        rows, lines = [], []
        for patient in self._patients.values():
            if patient.moved_at is None:
                continue
            watch, ill = patient.count(Severity.WATCH), patient.count(Severity.ILL)
            is_heard = patient.connected or patient.state != Health.UNKNOWN
            state = health(watch, ill) if is_heard else Health.UNKNOWN
            is_new = state != patient.state
            opened = max(0, patient.open_incidents + self._board.opened[patient.pk])
            since = patient.moved_at if is_new else patient.state_since
            since_ms = None if since is None else to_ms(since)
            rows.append((patient.pk, state, since_ms, watch, ill, opened))
            if is_new:
                lines.append(_moved(patient, state, self._now))
        _STATE.run(self._tx, rows)
        record_all(self._tx, lines)


def _row(pk: int, fault: _Open) -> tuple[Any, ...]:
    begin, end = fault.begin, fault.end
    assert begin is not None
    assert fault.ticket is not None
    evidence: dict[str, Evidence] = {"raised": begin.evidence}
    cleared_ms, reason, adjusted = None, "", begin.adjusted
    if end is not None:
        evidence["cleared"] = end.evidence
        cleared_ms, reason, adjusted = end.at_ms, end.reason, adjusted or end.adjusted
    return (
        pk, begin.rule, begin.instance, begin.severity, begin.since_ms, begin.at_ms, cleared_ms, reason, begin.value,
        begin.detail, as_json(evidence), adjusted, begin.policy_version, fault.ticket.number,
    )  # fmt: skip


def _ending(fault: _Open, evidence: dict[str, Any]) -> tuple[int, int, str, str]:
    assert fault.end is not None
    whole = as_json(evidence | {"cleared": fault.end.evidence})
    return fault.id, fault.end.at_ms, fault.end.reason, whole


def _moved(patient: _Patient, state: Health, now: dt.datetime) -> Line:
    detail = {"from": patient.state, "to": state, "name": patient.name}
    return Line(
        at=now,
        kind="endpoint.state",
        actor=ACTOR,
        subject=f"endpoint:{patient.id}",
        school_id=patient.school_id,
        detail=detail,
    )
