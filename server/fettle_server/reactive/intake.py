"""What faults do to incidents, for many at a time: opened, joined, reopened, resolved, in the transaction of the faults.

A Board holds the incidents that one transaction may touch: read at once, changed in memory, written at once. Whoever uses
it has locked the endpoints first, so no other transaction changes the same incidents meanwhile.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from fettle_server.db import as_json, bulk_insert, bulk_update, to_ms
from fettle_server.journal.actions import Line, record_all
from fettle_server.reactive import rules
from fettle_server.reactive.actions import priority_table
from fettle_server.reactive.rules import OPEN_STATES, Deed, IncidentState
from fettle_server.reactive.tables import IS_OPEN, Incident, IncidentEntry

ACTOR = "system"


class Finding(NamedTuple):
    """A fault that began, as an incident needs to know it."""

    cause: str
    endpoint_pk: int
    endpoint_id: str
    school_id: int
    rule: str
    severity: str
    impact: str
    title: str
    at: dt.datetime
    detail: dict[str, Any]
    origin: str = "agent"


@dataclass(slots=True)
class Ticket:
    """An incident while a transaction works on it; `number` is 0 until it is written."""

    number: int
    cause: str
    state: IncidentState
    impact: str
    urgency: str
    priority: int
    title: str
    school_id: int
    endpoint_pk: int
    rule: str
    origin: str
    assignee_id: int | None
    opened_at: dt.datetime
    resolved_at: dt.datetime | None
    reopened: int
    open_faults: int
    is_changed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether somebody may still have to see to it."""
        return self.state in OPEN_STATES


_COLUMNS = tuple(getattr(Incident, name) for name in Ticket.__dataclass_fields__ if name != "is_changed")
_CHANGING = ("state", "urgency", "impact", "priority", "title", "rule", "resolved_at", "reopened", "open_faults")
_CHANGE = bulk_update(Incident, Incident.number, *_CHANGING, "updated_at")
_ENTRY = bulk_insert(IncidentEntry, "incident_number", "at", "kind", "actor", "text", "detail")


class Board:
    """The incidents of one transaction. Read with `causes` and `numbers`, change with raised and cleared, then write once.

    `opened` tells by endpoint how many more incidents are open than before (negative: fewer).
    """

    def __init__(self, tx: sa.Connection, now: dt.datetime, within: dt.timedelta) -> None:
        self._tx = tx
        self._now = now
        self._within = within
        self._by_cause: dict[str, Ticket] = {}
        self._by_number: dict[int, Ticket] = {}
        self._new: list[Ticket] = []
        self._entries: list[tuple[Ticket, str, dt.datetime, str, dict[str, Any]]] = []
        self._lines: list[tuple[Ticket, str, dict[str, Any]]] = []
        self._priorities: dict[tuple[str, str], int] = {}
        self.opened: dict[int, int] = defaultdict(int)

    def read(self, causes: Iterable[str], numbers: Iterable[int], since: dt.datetime) -> None:
        """Read what may be touched: by cause the open ones and those resolved not long before `since`; others by number."""
        self._priorities = priority_table(self._tx)
        of_cause = sa.select(*_COLUMNS).where(Incident.cause.in_(sorted(causes)))
        returning = (Incident.state == IncidentState.RESOLVED, Incident.resolved_at >= since - self._within)
        for statement in (
            of_cause.where(*returning).order_by(Incident.resolved_at, Incident.number),
            of_cause.where(IS_OPEN),
            sa.select(*_COLUMNS).where(Incident.number.in_(sorted(numbers))),
        ):
            for row in self._tx.execute(statement):
                self._take(Ticket(row[0], row[1], IncidentState(row[2]), *row[3:]))

    def ticket(self, number: int | None) -> Ticket | None:
        """The incident of that number, if it was read."""
        return None if number is None else self._by_number.get(number)

    def raised(self, found: Finding) -> Ticket:
        """The incident that the fault belongs to: one that is open, one that it reopens, or a new one."""
        ticket = self._by_cause.get(found.cause)
        if ticket is None or not ticket.is_open:
            again = ticket is not None and rules.returns(ticket.state, ticket.resolved_at, found.at, self._within)
            ticket = self._reopen(ticket, found) if ticket is not None and again else self._open(found)
        else:
            self._say(ticket, "joined", "incident.joined", found.at, found.title, found.detail)
        ticket.open_faults += 1
        ticket.is_changed = True
        self._grade(ticket, found)
        return ticket

    def cleared(self, ticket: Ticket, title: str, at: dt.datetime, left: int, detail: dict[str, Any]) -> None:
        """Tell the incident that one of its faults is over and how many are left; with the last it resolves by itself."""
        ticket.open_faults = left
        ticket.is_changed = True
        ends = not left and ticket.is_open
        self._say(ticket, "fault cleared", None if ends else "incident.changed", at, title, detail)
        if not ends:
            return
        ticket.state, ticket.resolved_at = IncidentState.RESOLVED, max(at, ticket.opened_at)
        self.opened[ticket.endpoint_pk] -= 1
        self._say(ticket, "resolved", "incident.resolved", at, "Resolved by itself: its last fault is over", {})

    def write(self) -> None:
        """Write all that changed, with timelines and journal."""
        self._insert_new()
        now_ms = to_ms(self._now)
        _CHANGE.run(self._tx, [_changes(ticket, now_ms) for ticket in self._by_number.values() if ticket.is_changed])
        entries = [
            (ticket.number, to_ms(at), kind, ACTOR, text, as_json(detail)) for ticket, kind, at, text, detail in self._entries
        ]
        _ENTRY.run(self._tx, entries)
        record_all(self._tx, [self._line(*line) for line in self._lines])

    def _take(self, ticket: Ticket) -> None:
        known = self._by_number.setdefault(ticket.number, ticket)
        present = self._by_cause.get(known.cause)
        if present is None or not present.is_open:
            self._by_cause[known.cause] = known

    def _open(self, found: Finding) -> Ticket:
        urgency = rules.urgency_of(found.severity)
        ticket = Ticket(
            number=0,
            cause=found.cause,
            state=IncidentState.NEW,
            impact=found.impact,
            urgency=urgency,
            priority=rules.priority_of(self._priorities, found.impact, urgency),
            title=found.title,
            school_id=found.school_id,
            endpoint_pk=found.endpoint_pk,
            rule=found.rule,
            origin=found.origin,
            assignee_id=None,
            opened_at=found.at,
            resolved_at=None,
            reopened=0,
            open_faults=0,
        )
        self._by_cause[found.cause] = ticket
        self._new.append(ticket)
        self.opened[found.endpoint_pk] += 1
        self._say(ticket, "opened", "incident.opened", found.at, found.title, found.detail)
        return ticket

    def _reopen(self, ticket: Ticket, found: Finding) -> Ticket:
        ticket.state = rules.next_state(Deed.REOPEN, ticket.state, has_assignee=ticket.assignee_id is not None)
        ticket.resolved_at = None
        ticket.reopened += 1
        self.opened[found.endpoint_pk] += 1
        self._say(ticket, "reopened", "incident.reopened", found.at, f"It is back: {found.title}", found.detail)
        return ticket

    def _grade(self, ticket: Ticket, found: Finding) -> None:
        """A worse fault makes its incident worse; a lesser one changes nothing."""
        impact = rules.worse(rules.IMPACTS, ticket.impact, found.impact)
        urgency = rules.worse(rules.URGENCIES, ticket.urgency, rules.urgency_of(found.severity))
        if (impact, urgency) == (ticket.impact, ticket.urgency):
            return
        ticket.impact, ticket.urgency = impact, urgency
        ticket.priority = rules.priority_of(self._priorities, impact, urgency)
        ticket.title, ticket.rule = found.title, found.rule

    def _say(
        self, ticket: Ticket, kind: str, journal_kind: str | None, at: dt.datetime, text: str, detail: dict[str, Any]
    ) -> None:
        self._entries.append((ticket, kind, at, text, detail))
        if journal_kind is not None:
            self._lines.append((ticket, journal_kind, {"what": kind, "title": ticket.title}))

    def _line(self, ticket: Ticket, kind: str, detail: dict[str, Any]) -> Line:
        return Line(
            at=self._now,
            kind=kind,
            actor=ACTOR,
            subject=f"incident:{ticket.number}",
            school_id=ticket.school_id,
            detail=detail | {"endpoint_pk": ticket.endpoint_pk, "priority": ticket.priority},
        )

    def _insert_new(self) -> None:
        """Insert new incidents; those of one cause get their numbers in the order in which they were opened."""
        if not self._new:
            return
        statement = sa.insert(Incident).returning(Incident.number, Incident.cause)
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, cause in self._tx.execute(statement, [_whole(ticket, self._now) for ticket in self._new]):
            numbers[cause].append(number)
        for of_cause in numbers.values():
            of_cause.sort(reverse=True)
        for ticket in self._new:
            ticket.number = numbers[ticket.cause].pop()
        self._new.clear()


_WHOLE = tuple(name for name in Ticket.__dataclass_fields__ if name not in ("number", "is_changed"))


def _whole(ticket: Ticket, now: dt.datetime) -> dict[str, Any]:
    return {name: getattr(ticket, name) for name in _WHOLE} | {"updated_at": now}


def _changes(ticket: Ticket, now_ms: int) -> tuple[Any, ...]:
    resolved_ms = None if ticket.resolved_at is None else to_ms(ticket.resolved_at)
    return (
        ticket.number, ticket.state, ticket.urgency, ticket.impact, ticket.priority, ticket.title, ticket.rule, resolved_ms,
        ticket.reopened, ticket.open_faults, now_ms,
    )  # fmt: skip
