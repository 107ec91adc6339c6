"""What triage writes: incidents of wider causes, incidents of faults that have waited enough, and those that are quiet.

Endpoints are locked in the order of their keys and their faults read again, so that an agent's word that comes at the same
time is never overwritten; incidents after them, as detection does it.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import Policy, Severity, Spread

from fettle_server.db import as_json, bulk_update, to_ms
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.causes.cases import Waiting, alike, openings
from fettle_server.proactive.causes.ending import is_over, leftovers, quiet_unheard
from fettle_server.proactive.causes.families import school_key, spread_of, wider_keys
from fettle_server.proactive.causes.locked import CHUNK, StandingFault, rows, touched_by_people
from fettle_server.proactive.causes.rules import RECENT, SPREADS, Case, Group, least_of
from fettle_server.proactive.rules import FORECASTS, SERVER_RULES, TEST, standing
from fettle_server.proactive.sentences import length
from fettle_server.proactive.stages import orders
from fettle_server.proactive.stages.rules import (
    AGAIN,
    FLAPS_FROM,
    HEARD_FOR,
    JOINS,
    STAGES,
    Facts,
    Hold,
    Stage,
    Surroundings,
    Wider,
    ask,
    flaps,
    part_of,
    quiet_for,
)
from fettle_server.proactive.stages.trail import Trail, ended, next_stage
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.intake import Board, Finding, Ticket
from fettle_server.reactive.rules import Scope
from fettle_server.reactive.tables import IS_OPEN, Incident

_MOVE = bulk_update(Fault, Fault.id, "incident_number", "stage", "stage_reason", "held_until", "trail")
_COUNT = bulk_update(Endpoint, Endpoint.pk, "open_incidents")
_COUNTED = ("", Stage.PARENT)
"""The stages of a fault that its incident counts."""
_KINDS = (Scope.SERVICE, Scope.MODEL, Scope.BUILD)
_RANK = {Scope.ENDPOINT: 0, Scope.ROOM: 1, Scope.SCHOOL: 2, Scope.SERVICE: 2, Scope.MODEL: 3, Scope.BUILD: 3}


class Telling:
    """One turn of triage, from locking to writing."""

    def __init__(self, tx: sa.Connection, policy: Policy, now: dt.datetime, within: dt.timedelta) -> None:
        self._tx = tx
        self._policy = policy
        self._now = now
        self._board = Board(tx, now, within)
        self._orders = orders.in_force(tx, now)
        self._faults: dict[int, StandingFault] = {}
        self._of_number: dict[int, list[StandingFault]] = {}
        self._open_incidents: dict[int, int] = {}
        self._openings: dict[tuple[int, str, str], list[dt.datetime]] = {}
        self._wider: dict[str, tuple[str, ...]] = {}
        self._alike: dict[int, tuple[str, ...]] = {}
        self._touched: frozenset[int] = frozenset()
        self._evidence: dict[int, dict[str, Any]] = {}
        self._moves: dict[int, tuple[Any, ...]] = {}
        self._counted: list[int] = []

    def run(self, groups: Sequence[Group], due: Sequence[Waiting], quiet: Sequence[int]) -> bool:
        """Do what is to be done; True where something was split and is to be looked at again at once."""
        self._read(groups, due, quiet)
        for group in groups:
            self._tell_group(group)
        for fault in due:
            self._let_go(fault)
        split = [number for number in quiet if self._settle(number)]
        self._write()
        return bool(split)

    def _read(self, groups: Sequence[Group], due: Sequence[Waiting], quiet: Sequence[int]) -> None:
        members = [case for group in groups for case in group.members]
        numbers = {case.incident for case in members if case.incident is not None} | set(quiet)
        ids = {case.fault_id for case in members} | {fault.id for fault in due}
        belonging = rows(self._tx, Fault.incident_number, numbers)
        pks = {case.endpoint_pk for case in members} | {fault.endpoint_pk for fault in due} | {row[1] for row in belonging}
        pks |= self._endpoints_of(numbers)
        self._lock(pks)
        self._wider = {group.key: self._wider_of(group) for group in groups}
        self._alike = {fault.id: alike(self._tx, fault, self._now) for fault in due if self._is_of_a_kind(fault)}
        keys = {key for group in groups for key in (group.key, *self._wider[group.key])}
        keys |= {key for fault in due for key in self._causes(fault)}
        self._board.read(keys, numbers, self._now)
        # What came to a shared incident meanwhile goes with it: who would change it needs the incident, which is locked now.
        for row in (*rows(self._tx, Fault.id, ids), *rows(self._tx, Fault.incident_number, numbers)):
            if row[1] in self._open_incidents or row[2] in numbers:
                self._faults.setdefault(row[0], StandingFault(row))
        for one in self._faults.values():
            if one.number is not None:
                self._of_number.setdefault(one.number, []).append(one)
        seen = sa.select(Fault.id, Fault.evidence).where(Fault.id.in_([fault.id for fault in due]))
        self._evidence = {row.id: row.evidence for row in self._tx.execute(seen)} if due else {}
        self._touched = touched_by_people(self._tx, numbers)
        self._openings = openings(self._tx, [fault.endpoint_pk for fault in due], self._now) if due else {}

    def _wider_of(self, group: Group) -> tuple[str, ...]:
        """The keys of the incidents that, where they are open, the group is a late part of."""
        if group.scope == Scope.ROOM and group.school_id is not None:
            return (school_key(group.school_id, group.key.partition("/")[2]),)
        rule = group.members[0].rule
        place = group.key.rfind(f"/{rule}/")
        if group.scope not in _KINDS or place < 0:
            return ()
        alike = (Incident.rule == rule, Incident.school_id.is_(None), IS_OPEN, Incident.opened_at >= self._now - SPREADS)
        causes = self._tx.scalars(sa.select(Incident.cause).where(*alike).order_by(Incident.number))
        return tuple(cause for cause in causes if cause.endswith(group.key[place:]))

    def _endpoints_of(self, numbers: set[int]) -> set[int]:
        if not numbers:
            return set()
        found = self._tx.scalars(sa.select(Incident.endpoint_pk).where(Incident.number.in_(sorted(numbers))))
        return {pk for pk in found if pk is not None}

    def _lock(self, pks: Iterable[int]) -> None:
        ordered = sorted(pks)
        for start in range(0, len(ordered), CHUNK):
            piece = ordered[start : start + CHUNK]
            locked = sa.select(Endpoint.pk, Endpoint.open_incidents).where(Endpoint.pk.in_(piece)).order_by(Endpoint.pk)
            self._open_incidents |= {row[0]: row[1] for row in self._tx.execute(locked.with_for_update())}

    # ---- wider causes ----

    def _tell_group(self, group: Group) -> None:
        members = [case for case in group.members if self._stands(case)]
        if len({case.endpoint_pk for case in members}) < least_of(members):
            return
        held = [case for case in members if case.is_held]
        candidates = (self._board.of_cause(key) for key in (group.key, *self._wider[group.key]))
        known = next((ticket for ticket in candidates if ticket is not None and ticket.is_open), None)
        is_open = known is not None
        taken = self._takeable(group, members, known if is_open else None)
        ticket = known if is_open and known is not None else self._open(group, members, taken)
        self._board.number_new()
        self._board.touches(ticket, group.schools)
        moved = [self._faults[case.fault_id] for case in held]
        for other in taken:
            faults = self._of_number.get(other.number, [])
            if other is ticket:
                self._adopt(ticket, faults)
            else:
                moved += faults
                self._board.merge(other, ticket, self._now)
        self._adopt(ticket, moved)
        if is_open and moved:
            self._board.joined(ticket, self._now, f"{len(moved)} more faults are part of it", {}, faults=len(moved))
        else:
            ticket.open_faults += len(moved)
            ticket.is_changed = True

    def _stands(self, case: Case) -> bool:
        fault = self._faults.get(case.fault_id)
        if fault is None or fault.id in self._moves:
            return False
        return bool(fault.stage == Stage.GATHERING) if case.is_held else bool(fault.number == case.incident)

    def _takeable(self, group: Group, members: Sequence[Case], known: Ticket | None) -> list[Ticket]:
        """The open incidents that the wider one takes over, oldest first: narrower, recent, and no person's work."""
        numbers = {case.incident for case in members if case.incident is not None}
        tickets = [ticket for number in sorted(numbers) if (ticket := self._board.ticket(number)) is not None]
        rank = _rank(group.scope, group.school_id)
        return sorted(
            (
                ticket
                for ticket in tickets
                if ticket is not known
                and ticket.is_open
                and not ticket.is_test
                and ticket.opened_at >= self._now - RECENT
                and _rank(ticket.scope, ticket.school_id) < rank
                and (ticket.is_shared or ticket.number not in self._touched)
            ),
            key=lambda ticket: (not ticket.is_shared, ticket.opened_at, ticket.number),
        )

    def _open(self, group: Group, members: Sequence[Case], taken: Sequence[Ticket]) -> Ticket:
        rule, _ = Counter(case.rule for case in members).most_common(1)[0]
        endpoints = len({case.endpoint_pk for case in members})
        found = Finding(
            cause=group.key,
            endpoint_pk=None,
            endpoint_id="",
            school_id=group.school_id,
            rule=rule,
            severity=max((case.severity for case in members), key=lambda word: word == Severity.ILL),
            impact=group.impact,
            title=group.title,
            at=self._now,
            detail={"endpoints": endpoints, "schools": len(group.schools)},
            origin="server",
            scope=group.scope,
            room_id=group.room_id,
        )
        if not taken:
            return self._board.open(found)
        text = f"The cause is wider than one: {group.title}"
        self._board.promote(taken[0], found._replace(text=text))
        return taken[0]

    def _adopt(self, ticket: Ticket, faults: Iterable[StandingFault]) -> None:
        """The faults are part of the wider incident from now on."""
        reason = part_of(ticket.number, ticket.title)
        for fault in faults:
            trail = next_stage(fault.trail, Stage.PARENT, reason, to_ms(self._now))
            self._move(fault, ticket, Hold(Stage.PARENT, reason), trail)

    # ---- faults that have waited enough ----

    def _let_go(self, fault: Waiting) -> None:
        """Ask the stages again; where none holds it, it is told."""
        now = self._faults.get(fault.id)
        if now is None or now.id in self._moves or now.stage != fault.stage:
            return
        again = fault.heard_again(self._now)
        if again is not None:
            self._moves[now.id] = (now.id, None, now.stage, fault.reason, to_ms(again), as_json(now.trail))
            return
        hold = self._ask(fault)
        if hold is None or hold.stage in JOINS:
            self._tell(fault, now)
            return
        trail = next_stage(now.trail, hold.stage, hold.reason, to_ms(self._now))
        if hold.stage is Stage.PARENT:
            ticket = self._board.ticket(hold.parent)
            assert ticket is not None
            text = f"{fault.name}: {self._title(fault)}"
            detail = {"endpoint_id": fault.endpoint_id}
            self._board.joined(ticket, self._now, text, detail, schools=[fault.school_id])
            self._move(now, ticket, hold, trail)
            return
        if hold.order:
            self._counted.append(hold.order)
        self._move(now, None, hold, trail)

    def _ask(self, fault: Waiting) -> Hold | None:
        own, *wider = (self._board.of_cause(key) for key in self._causes(fault))
        known = self._policy.rule(fault.rule)
        facts = Facts(
            endpoint_pk=fault.endpoint_pk,
            school_id=fault.school_id,
            room_id=fault.room_id,
            rule=fault.rule,
            severity=fault.severity,
            at=fault.raised_at,
            spread=spread_of(self._policy, fault.rule),
            gather=dt.timedelta(seconds=known.gather_s if known else 0),
        )
        around = Surroundings(
            orders=self._orders.orders,
            exam=self._orders.exam(fault.school_id, fault.room_id, self._now),
            wider=[
                Wider(one.number, one.title, one.opened_at, None if one.is_open else one.resolved_at)
                for one in wider
                if one is not None
            ],
            incident=own.number if own is not None and own.is_open else None,
        )
        has_looked = fault.stage == Stage.GATHERING or bool(fault.split_from)
        return ask(facts, around, self._now, AGAIN if has_looked else STAGES[:-1])

    def _tell(self, fault: Waiting, now: StandingFault) -> None:
        means = standing(self._policy, fault.rule, fault.instance, fault.name)
        ticket = self._board.raised(
            Finding(
                cause=self._causes(fault)[0],
                endpoint_pk=fault.endpoint_pk,
                endpoint_id=fault.endpoint_id,
                school_id=fault.school_id,
                rule=fault.rule,
                severity=fault.severity,
                impact=means.impact,
                title=means.title,
                at=self._now,
                detail={
                    "rule": fault.rule,
                    "instance": fault.instance,
                    "severity": fault.severity,
                    "value": fault.value,
                    "since_ms": to_ms(fault.since_at),
                    "evidence": self._evidence.get(fault.id, {}).get("raised", []),
                },
                origin="server" if fault.rule in SERVER_RULES else "agent",
                room_id=fault.room_id,
                is_test=means.topic == TEST,
                urgency="low" if fault.rule in FORECASTS else "",
            )
        )
        known = self._openings.get((fault.endpoint_pk, fault.rule, fault.instance), [])
        if len(known) >= FLAPS_FROM:
            self._board.comes_and_goes(ticket, self._now, self._now + quiet_for(known), flaps(len(known)))
        self._board.number_new()
        self._move(now, ticket, None, ended(now.trail, to_ms(self._now)))

    # ---- incidents that became quiet ----

    def _settle(self, number: int) -> bool:
        """Resolve what is over, split what is mostly over; True where it was split."""
        ticket = self._board.ticket(number)
        if ticket is None or not ticket.is_open or ticket.quiet_until is None or ticket.quiet_until > self._now:
            return False
        if ticket.is_shared:  # its faults are counted one by one: here they are counted anew
            ticket.open_faults = sum(fault.stage in _COUNTED for fault in self._of_number.get(number, []))
        if not ticket.open_faults:
            unheard = None if ticket.is_shared else quiet_unheard(self._tx, ticket, self._now)
            if unheard is not None:
                ticket.quiet_until, ticket.is_changed = unheard, True
                return False
            quiet = length(self._quiet_time(number, ticket.quiet_until))
            self._board.resolve(ticket, ticket.quiet_until, f"Resolved by itself: quiet for {quiet}")
            return False
        ticket.quiet_until, ticket.is_changed = None, True
        if not ticket.is_shared:
            return False
        return self._split(ticket)

    def _quiet_time(self, number: int, until: dt.datetime) -> dt.timedelta:
        """How long the incident's last fault was over by then."""
        last = self._tx.scalar(
            sa.select(sa.func.max(Fault.cleared_at, type_=Fault.cleared_at.type)).where(Fault.incident_number == number)
        )
        return until - last if last is not None else dt.timedelta(0)

    def _split(self, ticket: Ticket) -> bool:
        """Resolve a wider cause that is over: what is still ill is looked at by itself, what is unheard is waited for."""
        counted = sa.select(sa.func.count()).where(Fault.incident_number == ticket.number, Fault.stage == Stage.PARENT)
        total = self._tx.scalar(counted) or 0
        ill = [fault for fault in self._of_number.get(ticket.number, []) if fault.id not in self._moves]
        rest = leftovers(self._tx, [fault.id for fault in ill], ticket, self._now)
        if not ill or not is_over(total - len(ill), len(rest.ill)):
            return False
        reason = f"Still ill after incident {ticket.number} was over"
        for fault in ill:
            if fault.id in rest.ill:
                self._go_on(fault, ticket, Hold(Stage.GATHERING, reason, self._now))
            else:
                waits = f"Incident {ticket.number} is over; this PC has not been heard of since"
                self._go_on(fault, ticket, Hold(Stage.LATE, waits, self._now + HEARD_FOR))
        ticket.open_faults = 0
        self._board.resolve(ticket, self._now, rest.sentence(total - len(ill), total))
        return True

    def _go_on(self, fault: StandingFault, ticket: Ticket, hold: Hold) -> None:
        trail = next_stage(fault.trail, hold.stage, hold.reason, to_ms(self._now))
        trail[-1]["split_from"] = ticket.cause
        self._move(fault, None, hold, trail)

    # ---- writing ----

    def _move(self, fault: StandingFault, ticket: Ticket | None, hold: Hold | None, trail: Trail) -> None:
        until = hold.until if hold is not None else None
        self._moves[fault.id] = (
            fault.id,
            ticket.number if ticket is not None else None,
            hold.stage if hold is not None else "",
            hold.reason if hold is not None else "",
            to_ms(until) if until is not None else None,
            as_json(trail),
        )

    def _write(self) -> None:
        self._board.write()
        _MOVE.run(self._tx, list(self._moves.values()))
        changed = [(pk, by) for pk, by in self._board.opened.items() if by and pk in self._open_incidents]
        _COUNT.run(self._tx, [(pk, max(0, self._open_incidents[pk] + by)) for pk, by in changed])
        orders.count(self._tx, self._counted)

    def _causes(self, fault: Waiting) -> tuple[str, ...]:
        topic = standing(self._policy, fault.rule, fault.instance, fault.name).topic
        own = f"endpoint:{fault.endpoint_pk}/{topic}"
        wider = wider_keys(self._policy, fault.rule, fault.instance, fault.place)
        return tuple(dict.fromkeys((own, *wider, *self._alike.get(fault.id, ()))))

    def _is_of_a_kind(self, fault: Waiting) -> bool:
        return spread_of(self._policy, fault.rule) is Spread.KIND and not fault.split_from

    def _title(self, fault: Waiting) -> str:
        return standing(self._policy, fault.rule, fault.instance, fault.name).title


def _rank(scope: str, school_id: int | None) -> int:
    """How wide a scope is; what is of several schools is wider than anything of one."""
    return 3 if school_id is None else _RANK[Scope(scope)]
