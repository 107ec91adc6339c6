"""What is made of faults that endpoints tell: rows, their incidents, and the endpoint's state, many at a time.

Everything that one transaction may touch is read first, each endpoint's signals are folded in their order in memory, and
the outcome is written in bulk. What was said before changes nothing: a fault that is open is not raised twice, one that is
not open is not cleared. A fault that a stage holds back (proactive.stages) opens no incident here; what becomes of it
then is decided by proactive.causes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import Policy, Severity

from fettle_server.db import bulk_insert, bulk_update, from_ms, to_ms
from fettle_server.estate.endpoints.reports import Event, record_events
from fettle_server.estate.endpoints.rules import Health, health
from fettle_server.estate.tables import Endpoint
from fettle_server.journal.actions import record_all
from fettle_server.proactive.causes.families import Place, spread_of, wider_keys
from fettle_server.proactive.patients import OpenFault, Patient, ending_of, hour_of, moved_line, over_at, row_of, wider_of
from fettle_server.proactive.rules import (
    FORECASTS,
    RECONCILED,
    RECOVERED,
    SERVER_RULES,
    TEST,
    Clear,
    Held,
    Raise,
    Signal,
    Standing,
    standing,
)
from fettle_server.proactive.stages.orders import Orders, in_force
from fettle_server.proactive.stages.orders import count as count_orders
from fettle_server.proactive.stages.rules import (
    FLAPS_WITHIN,
    JOINS,
    QUIET_LEAST,
    Facts,
    Hold,
    Stage,
    Surroundings,
    ask,
    quiet_for,
)
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.intake import Board, Finding, Ticket

OPENINGS_KEPT = 12
"""A fault that came more often is told from one that came as often as this by nobody."""
_TOLD = ("", Stage.PARENT.value)
"""The stages of a fault that its incident counts."""


def detect(
    tx: sa.Connection,
    signals: Sequence[tuple[int, Signal]],
    *,
    policy: Policy | None,
    now: dt.datetime,
    reopen_within: dt.timedelta,
    orders: Orders | None = None,
) -> None:
    """Take in what endpoints (by pk, each in its own order) say of their faults.

    `orders` are the windows, silences and calendars; None: they are read where they are needed.
    """
    candidates = {pk for pk, signal in signals if type(signal) is not Held}
    candidates |= _holding(tx, {pk for pk, signal in signals if type(signal) is Held} - candidates)
    relevant = [(pk, signal) for pk, signal in signals if pk in candidates]
    if relevant:
        if orders is None and any(type(signal) is Raise for _, signal in relevant):
            orders = in_force(tx, now)
        _Round(tx, policy, now, Board(tx, now, reopen_within), orders or Orders()).run(candidates, relevant)


def _holding(tx: sa.Connection, pks: set[int]) -> set[int]:
    """Those of the endpoints that have an open fault which their agent could disown."""
    if not pks:
        return set()
    statement = sa.select(Fault.endpoint_pk).where(Fault.endpoint_pk.in_(sorted(pks)), IS_OPEN, Fault.rule.not_in(SERVER_RULES))
    return set(tx.scalars(statement))


IS_OPEN = sa.text("cleared_at IS NULL")
_STATE = bulk_update(Endpoint, Endpoint.pk, "state", "state_since", "watch_faults", "ill_faults", "open_incidents")
_CLEAR = bulk_update(Fault, Fault.id, "cleared_at", "clear_reason", "evidence", "trail")
_ADD = bulk_insert(
    Fault, "endpoint_pk", "rule", "instance", "severity", "since_at", "raised_at", "cleared_at", "clear_reason", "value",
    "detail", "evidence", "time_adjusted", "policy_version", "incident_number", "stage", "stage_reason",
    "held_until", "trail",
)  # fmt: skip


class _Round:
    """One transaction's faults, from reading to writing."""

    def __init__(self, tx: sa.Connection, policy: Policy | None, now: dt.datetime, board: Board, orders: Orders) -> None:
        self._tx = tx
        self._policy = policy
        self._now = now
        self._board = board
        self._orders = orders
        self._openings: dict[tuple[int, str, str], list[dt.datetime]] = {}
        self._over_at: dict[int, dt.datetime] = {}
        self._counted: list[int] = []
        self._patients: dict[int, Patient] = {}
        self._standings: dict[tuple[str, str, str], Standing] = {}
        self._new: list[tuple[Patient, OpenFault]] = []
        self._over: list[OpenFault] = []
        self._notes: list[Event] = []

    def run(self, pks: set[int], signals: Sequence[tuple[int, Signal]]) -> None:
        self._read(pks, signals)
        for place, (pk, signal) in enumerate(signals):
            patient = self._patients.get(pk)
            if patient is None:
                continue  # the endpoint was removed meanwhile
            if type(signal) is Raise:
                self._raise(patient, signal, self._over_at.get(place))
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
            Endpoint.state_since, Endpoint.open_incidents, Endpoint.room_id, Endpoint.model, Endpoint.system_version,
            Endpoint.connected_since,
        )  # fmt: skip
        endpoints = sa.select(*columns).where(Endpoint.pk.in_(ordered)).order_by(Endpoint.pk).with_for_update()
        for row in self._tx.execute(endpoints):
            self._patients[row[0]] = Patient(*tuple(row))
        faults = sa.select(
            Fault.endpoint_pk, Fault.id, Fault.rule, Fault.instance, Fault.severity, Fault.incident_number, Fault.stage
        ).where(Fault.endpoint_pk.in_(ordered), IS_OPEN)
        rows = self._tx.execute(faults).all()
        raises = [(pk, signal) for pk, signal in signals if type(signal) is Raise and pk in self._patients]
        causes = {key for pk, signal in raises for key in self._causes(self._patients[pk], signal)}
        since = from_ms(min(signal.at_ms for _, signal in signals))
        self._board.read(causes, {row[5] for row in rows if row[5] is not None}, since)
        for pk, fault_id, rule, instance, severity, number, stage in rows:
            ticket = self._board.ticket(number) if stage in _TOLD else None
            self._patients[pk].faults[rule, instance] = OpenFault(fault_id, rule, instance, severity, ticket, stage)
        if raises:
            self._over_at = over_at(signals)
        self._read_openings({pk for pk, signal in raises if not self._is_rapid(self._patients[pk], signal)}, since)

    def _is_rapid(self, patient: Patient, signal: Raise) -> bool:
        """Whether the fault is known to come and go so often that the shortest quiet counts: nothing need be read of it."""
        ticket = self._board.of_cause(self._cause(patient, signal))
        return ticket is not None and ticket.is_open and _rapid(ticket, self._now)

    def _read_openings(self, raising: set[int], since: dt.datetime) -> None:
        """When the same faults were raised before, of endpoints that raise some or have one that comes and goes."""
        pks = raising | {
            patient.pk
            for patient in self._patients.values()
            if any(
                fault.ticket is not None and fault.ticket.quiet_until is not None and not _rapid(fault.ticket, self._now)
                for fault in patient.faults.values()
            )
        }
        if not pks:
            return
        key = (Fault.endpoint_pk, Fault.rule, Fault.instance)
        newest = sa.func.row_number().over(partition_by=key, order_by=Fault.raised_at.desc()).label("newest")
        recent = (
            sa.select(*key, Fault.raised_at, newest)
            .where(Fault.endpoint_pk.in_(sorted(pks)), Fault.raised_at >= min(since, self._now) - FLAPS_WITHIN)
            .subquery()
        )
        columns = (recent.c.endpoint_pk, recent.c.rule, recent.c.instance, recent.c.raised_at)
        bounded = sa.select(*columns).where(recent.c.newest <= OPENINGS_KEPT).order_by(recent.c.raised_at)
        for pk, rule, instance, raised_at in self._tx.execute(bounded):
            self._openings.setdefault((pk, rule, instance), []).append(raised_at)

    def _causes(self, patient: Patient, signal: Raise) -> tuple[str, ...]:
        """The keys of the incidents that a fault may belong to: its endpoint's own, and those of wider causes."""
        place = Place(patient.school_id, patient.room_id, patient.model, patient.build)
        return (self._cause(patient, signal), *wider_keys(self._policy, signal.rule, signal.instance, place))

    def _raise(self, patient: Patient, signal: Raise, over_at: dt.datetime | None) -> None:
        if (signal.rule, signal.instance) in patient.faults:
            return
        at = from_ms(signal.at_ms)
        openings = self._openings.setdefault((patient.pk, signal.rule, signal.instance), [])
        hold = self._ask(patient, signal, over_at, [moment for moment in openings if at - FLAPS_WITHIN < moment <= at])
        fault = OpenFault(0, signal.rule, signal.instance, signal.severity, None, "", signal, hold=hold)
        if hold is None or hold.stage in JOINS:
            fault.ticket = self._tell(patient, signal, hold, openings)
        else:
            fault.stage = hold.stage
            if hold.order:
                self._counted.append(hold.order)
            if hold.stage is Stage.PARENT:
                fault.ticket = self._join(patient, signal, hold)
        openings.append(at)
        patient.faults[signal.rule, signal.instance] = fault
        patient.moved_at = at
        self._new.append((patient, fault))

    def _ask(self, patient: Patient, signal: Raise, over_at: dt.datetime | None, earlier: Sequence[dt.datetime]) -> Hold | None:
        """The stage that holds the fault back, or by which it joins an incident."""
        known = self._policy.rule(signal.rule) if self._policy else None
        at = from_ms(signal.at_ms)
        own, *wider = (self._board.of_cause(key) for key in self._causes(patient, signal))
        facts = Facts(
            endpoint_pk=patient.pk,
            school_id=patient.school_id,
            room_id=patient.room_id,
            rule=signal.rule,
            severity=signal.severity,
            at=at,
            spread=spread_of(self._policy, signal.rule),
            gather=dt.timedelta(seconds=known.gather_s) if known else dt.timedelta(0),
            hold_until=from_ms(signal.hold_ms) if signal.hold_ms else None,
            over_at=over_at,
            is_late=signal.rule not in SERVER_RULES and patient.connected_since is not None and at < patient.connected_since,
        )
        around = Surroundings(
            orders=self._orders.orders,
            exam=self._orders.exam(patient.school_id, patient.room_id, self._now),
            wider=[wider_of(ticket) for ticket in wider if ticket is not None],
            earlier=earlier,
            incident=own.number if own is not None and own.is_open else None,
            returns=own is not None and not own.is_open and self._board.would_return(own, at),
        )
        return ask(facts, around, self._now)

    def _tell(self, patient: Patient, signal: Raise, hold: Hold | None, openings: list[dt.datetime]) -> Ticket:
        """The fault is an incident, or joins one; that it comes and goes is said once an hour."""
        at = from_ms(signal.at_ms)
        ticket = self._board.raised(self._finding(patient, signal))
        if not ticket.is_shared and ticket.quiet_until is not None and _rapid(ticket, self._now):
            is_news = hour_of(ticket.quiet_until - QUIET_LEAST) != hour_of(at)
            until = at + QUIET_LEAST
            self._board.comes_and_goes(ticket, at, until, "It still comes and goes" if is_news else "")
        elif hold is not None and hold.stage is Stage.FLAPPING and not ticket.is_shared:
            is_news = ticket.quiet_until is None or hour_of(openings[-1]) != hour_of(at)
            until = at + quiet_for([*openings, at])
            self._board.comes_and_goes(ticket, at, until, hold.reason if is_news else "")
        return ticket

    def _join(self, patient: Patient, signal: Raise, hold: Hold) -> Ticket:
        ticket = self._board.ticket(hold.parent)
        assert ticket is not None
        means = self._standing(signal.rule, signal.instance, patient.name)
        text, detail = f"{patient.name}: {means.title}", {"endpoint_id": patient.id}
        self._board.joined(ticket, from_ms(signal.at_ms), text, detail, schools=[patient.school_id])
        return ticket

    def _finding(self, patient: Patient, signal: Raise) -> Finding:
        means = self._standing(signal.rule, signal.instance, patient.name)
        return Finding(
            cause=self._cause(patient, signal),
            endpoint_pk=patient.pk,
            endpoint_id=patient.id,
            school_id=patient.school_id,
            rule=signal.rule,
            severity=signal.severity,
            impact=means.impact,
            title=means.title,
            at=from_ms(signal.at_ms),
            detail={
                "rule": signal.rule,
                "instance": signal.instance,
                "severity": signal.severity,
                "value": signal.value,
                "since_ms": signal.since_ms,
                "evidence": signal.evidence,
            },
            origin="server" if signal.rule in SERVER_RULES else "agent",
            room_id=patient.room_id,
            is_test=means.topic == TEST,
            urgency="low" if signal.rule in FORECASTS else "",
        )

    def _clear(self, patient: Patient, signal: Clear) -> None:
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
        quiet = None
        if fault.ticket.quiet_until is not None and not fault.ticket.is_shared:
            quiet = quiet_for(self._openings.get((patient.pk, signal.rule, signal.instance), ()))
        self._board.cleared(fault.ticket, title, from_ms(signal.at_ms), left, detail, quiet)

    def _reconcile(self, patient: Patient, signal: Held) -> None:
        """Clear what the agent, which has told everything, does not hold open: it was lost with an old spool."""
        for rule, instance in [key for key in patient.faults if key not in signal.faults and key[0] not in SERVER_RULES]:
            self._clear(patient, Clear(signal.at_ms, rule, instance, RECONCILED, 0.0, signal.at_ms, [], False))

    def _standing(self, rule: str, instance: str, name: str) -> Standing:
        key = (rule, instance, name)
        found = self._standings.get(key)
        if found is None:
            found = self._standings[key] = standing(self._policy, rule, instance, name)
        return found

    def _cause(self, patient: Patient, signal: Raise) -> str:
        return f"endpoint:{patient.pk}/{self._standing(signal.rule, signal.instance, patient.name).topic}"

    def _write(self) -> None:
        self._board.write()
        _ADD.run(self._tx, [row_of(patient.pk, fault, to_ms(self._now)) for patient, fault in self._new])
        self._write_cleared()
        count_orders(self._tx, self._counted)  # after the faults: so does who ends a window early
        self._write_states()
        record_events(self._tx, self._notes)

    def _write_cleared(self) -> None:
        if not self._over:
            return
        ids = [fault.id for fault in self._over]
        rows = self._tx.execute(sa.select(Fault.id, Fault.evidence, Fault.trail).where(Fault.id.in_(ids)))
        before = {row.id: (row.evidence, row.trail) for row in rows}
        _CLEAR.run(self._tx, [ending_of(fault, *before[fault.id]) for fault in self._over])

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
                lines.append(moved_line(patient, state, self._now))
        _STATE.run(self._tx, rows)
        record_all(self._tx, lines)


def _rapid(ticket: Ticket, now: dt.datetime) -> bool:
    """Whether an incident whose fault comes and goes waits for no more than the shortest quiet."""
    return ticket.quiet_until is not None and ticket.quiet_until - now <= QUIET_LEAST
