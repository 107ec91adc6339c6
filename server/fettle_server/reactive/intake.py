"""What faults do to incidents, for many at a time: opened, joined, reopened, resolved, in the transaction of the faults.

A Board holds the incidents that one transaction may touch: read at once, changed in memory, written at once with what is to
be told of them. Whoever uses it has locked the endpoints first, so no other transaction changes the same incidents
meanwhile; those that several endpoints share are locked here, after the endpoints and in the order of their numbers.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from fettle_server.db import as_json, to_ms
from fettle_server.journal.actions import Line, record_all
from fettle_server.notify.actions import Message, enqueue
from fettle_server.reactive import rules
from fettle_server.reactive.actions import priority_table
from fettle_server.reactive.reach import for_each_school, touch, touched
from fettle_server.reactive.rules import Deed, IncidentState
from fettle_server.reactive.tables import IS_OPEN, Incident
from fettle_server.reactive.tickets import ACTOR, CHANGE, COLUMNS, ENTRY, Cause, Finding, Ticket, changes, read_as, whole

__all__ = ["Board", "Cause", "Finding", "Ticket", "open_for_cause", "resolve_cause"]

BY_ITSELF = "Resolved by itself: its last fault is over"
ALL_OVER = "Resolved by itself: everything that was part of it is over"


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
        self._messages: list[tuple[Ticket, str, str]] = []
        self._priorities: dict[tuple[str, str], int] = {}
        self._changed: dict[int, Ticket] = {}
        self._touched: list[tuple[Ticket, int]] = []
        self.opened: dict[int, int] = defaultdict(int)

    def read(self, causes: Iterable[str], numbers: Iterable[int], since: dt.datetime) -> None:
        """Read what may be touched: by cause the open ones and those resolved not long before `since`; others by number."""
        self._priorities = priority_table(self._tx)
        of_cause = sa.select(*COLUMNS).where(Incident.cause.in_(sorted(causes)), Incident.merged_into.is_(None))
        returning = (
            Incident.state == IncidentState.RESOLVED,
            Incident.resolved_at >= since - max(self._within, rules.BACK_ON_ONE),
        )
        for statement in (
            of_cause.where(*returning).order_by(Incident.resolved_at, Incident.number),
            of_cause.where(IS_OPEN),
            sa.select(*COLUMNS).where(Incident.number.in_(sorted(numbers))),
        ):
            for row in self._tx.execute(statement):
                self._take(read_as(row))
        self._lock_shared()

    def ticket(self, number: int | None) -> Ticket | None:
        """The incident of that number, if it was read."""
        return None if number is None else self._by_number.get(number)

    def of_cause(self, cause: str) -> Ticket | None:
        """The incident of that cause: the open one, else the one that was resolved last."""
        return self._by_cause.get(cause)

    def would_return(self, ticket: Ticket, at: dt.datetime) -> bool:
        """True where a fault that is back at that time reopens the incident."""
        within = rules.again_within(self._within, has_been_back=ticket.reopened > 0, is_shared=ticket.is_shared)
        return rules.returns(ticket.state, ticket.resolved_at, at, within)

    def raised(self, found: Finding) -> Ticket:
        """The incident that the fault belongs to: one that is open, one that it reopens, or a new one."""
        ticket = self._by_cause.get(found.cause)
        if ticket is None or not ticket.is_open:
            again = ticket is not None and self.would_return(ticket, found.at)
            ticket = self._reopen(ticket, found) if ticket is not None and again else self._open(found)
        elif ticket.quiet_until is None:
            self.say(ticket, "joined", "incident.joined", found.at, found.title, found.detail)
        ticket.open_faults += 1
        ticket.is_changed = True
        self._grade(ticket, found)
        return ticket

    def touches(self, ticket: Ticket, schools: Iterable[int]) -> None:
        """The incident, where it is of several schools, touches these."""
        if ticket.school_id is None:
            self._touched += [(ticket, school_id) for school_id in schools]

    def joined(
        self,
        ticket: Ticket,
        at: dt.datetime,
        text: str,
        detail: dict[str, Any],
        *,
        faults: int = 1,
        schools: Iterable[int] = (),
    ) -> None:
        """So many more faults, of these schools, are part of a wider incident."""
        self.touches(ticket, schools)
        ticket.open_faults += faults
        ticket.is_changed = True
        self.say(ticket, "joined", "incident.joined", at, text, detail)

    def comes_and_goes(self, ticket: Ticket, at: dt.datetime, until: dt.datetime, text: str) -> None:
        """Its fault comes and goes: it resolves only once nothing has come until then. `text`: empty where it was said."""
        ticket.quiet_until = until
        ticket.is_changed = True
        if text:
            self.say(ticket, "comes and goes", "incident.changed", at, text, {})

    def cleared(
        self, ticket: Ticket, title: str, at: dt.datetime, left: int, detail: dict[str, Any], quiet: dt.timedelta | None = None
    ) -> None:
        """Tell the incident that one of its faults is over and how many are left; with the last it resolves by itself.

        `left` is for the incident of one endpoint; a shared one counts by itself. `quiet`: its fault comes and goes, so it
        waits for so long.
        """
        ticket.is_changed = True
        if ticket.is_shared:
            self._cleared_of_many(ticket, at)
            return
        ticket.open_faults = left
        if quiet is not None:
            ticket.quiet_until = at + quiet
            return
        ends = not left and ticket.is_open
        self.say(ticket, "fault cleared", None if ends else "incident.changed", at, title, detail)
        if ends:
            self.resolve(ticket, at, BY_ITSELF)

    def resolve(self, ticket: Ticket, at: dt.datetime, text: str) -> None:
        """It is over, and people are told."""
        self._end(ticket, at)
        self.say(ticket, "resolved", "incident.resolved", at, text, {})
        self._messages.append((ticket, "incident.resolved", text))

    def merge(self, ticket: Ticket, into: Ticket, at: dt.datetime) -> None:
        """A wider incident takes this one over; whoever was told of it is told so: each opening has its end."""
        self._end(ticket, at)
        ticket.state, ticket.closed_at, ticket.merged_into = IncidentState.CLOSED, at, into.number
        ticket.open_faults = 0
        text = f"Part of incident {into.number}: {into.title}"
        self.say(ticket, "merged", "incident.changed", at, text, {"merged_into": into.number})
        self._messages.append((ticket, "incident.resolved", text))

    def promote(self, ticket: Ticket, found: Finding) -> None:
        """The cause turns out to be wider: the same incident goes on as that."""
        if ticket.endpoint_pk is not None:
            self.opened[ticket.endpoint_pk] -= 1
        self._by_cause.pop(ticket.cause, None)
        ticket.cause, ticket.scope, ticket.title, ticket.rule = found.cause, found.scope, found.title, found.rule
        ticket.school_id, ticket.room_id, ticket.endpoint_pk = found.school_id, found.room_id, None
        ticket.quiet_until, ticket.is_changed = None, True
        self._by_cause[found.cause] = ticket
        self._grade(ticket, found)
        self.say(ticket, "promoted", "incident.changed", found.at, found.text or found.title, found.detail)
        self._messages.append((ticket, "incident.promoted", found.text))

    def open(self, found: Finding) -> Ticket:
        """A new incident, or the open or just resolved one of that cause, without any fault yet."""
        ticket = self._by_cause.get(found.cause)
        if ticket is not None and ticket.is_open:
            return ticket
        if ticket is not None and self.would_return(ticket, found.at):
            self._reopen(ticket, found)
            ticket.is_changed, ticket.title = True, found.title
            return ticket
        return self._open(found)

    def say(
        self, ticket: Ticket, kind: str, journal_kind: str | None, at: dt.datetime, text: str, detail: dict[str, Any]
    ) -> None:
        """A line in the timeline, and one in the journal where its kind is given."""
        self._entries.append((ticket, kind, at, text, detail))
        if journal_kind is not None:
            self._lines.append((ticket, journal_kind, {"what": kind, "title": ticket.title}))

    def number_new(self) -> None:
        """Insert new incidents; those of one cause get their numbers in the order in which they were opened."""
        if not self._new:
            return
        statement = sa.insert(Incident).returning(Incident.number, Incident.cause)
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, cause in self._tx.execute(statement, [whole(ticket, self._now) for ticket in self._new]):
            numbers[cause].append(number)
        for of_cause in numbers.values():
            of_cause.sort(reverse=True)
        for ticket in self._new:
            ticket.number = numbers[ticket.cause].pop()
            ticket.is_changed = False
            self._by_number[ticket.number] = ticket
        self._new.clear()

    def write(self) -> None:
        """Write all that changed, with timelines, journal and what is to be told."""
        self.number_new()
        now_ms = to_ms(self._now)
        CHANGE.run(self._tx, [changes(ticket, now_ms) for ticket in self._by_number.values() if ticket.is_changed])
        entries = [
            (ticket.number, to_ms(at), kind, ACTOR, text, as_json(detail)) for ticket, kind, at, text, detail in self._entries
        ]
        ENTRY.run(self._tx, entries)
        touch(self._tx, {(ticket.number, school_id) for ticket, school_id in self._touched})
        changed = [ticket for ticket in self._changed.values() if ticket.is_open]
        self._lines += [(ticket, "incident.changed", {"what": "fault cleared", "title": ticket.title}) for ticket in changed]
        record_all(self._tx, self._journal())
        enqueue(self._tx, [self._message(*message) for message in self._messages])

    def _cleared_of_many(self, ticket: Ticket, at: dt.datetime) -> None:
        """One fault fewer of an incident that endpoints share: with the last it resolves, unless it comes and goes."""
        ticket.open_faults = max(0, ticket.open_faults - 1)
        if not ticket.is_open:
            return
        flaps = ticket.reopened >= rules.FLAPS_REOPENED and at - ticket.opened_at <= rules.FLAPS_WITHIN
        if not ticket.open_faults and not flaps:
            self.resolve(ticket, at, ALL_OVER)
            return
        ticket.quiet_until = self._now + (rules.SPLIT_AFTER if ticket.open_faults else rules.QUIET)
        self._changed.setdefault(ticket.number, ticket)

    def _take(self, ticket: Ticket) -> None:
        known = self._by_number.setdefault(ticket.number, ticket)
        present = self._by_cause.get(known.cause)
        if known.merged_into is None and (present is None or not present.is_open):
            self._by_cause[known.cause] = known

    def _lock_shared(self) -> None:
        """Lock the incidents that several endpoints share, and see how they stand now that nobody else changes them."""
        shared = sorted(number for number, ticket in self._by_number.items() if ticket.is_shared)
        if not shared or self._tx.dialect.name == "sqlite":  # SQLite has one writer at a time
            return
        locked = sa.select(*COLUMNS).where(Incident.number.in_(shared)).order_by(Incident.number).with_for_update()
        for row in self._tx.execute(locked):
            fresh = read_as(row)
            stale = self._by_number[fresh.number]
            for name in Ticket.__dataclass_fields__:
                setattr(stale, name, getattr(fresh, name))

    def _open(self, found: Finding) -> Ticket:
        urgency = found.urgency or rules.urgency_of(found.severity)
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
            scope=found.scope,
            room_id=found.room_id,
            is_test=found.is_test,
        )
        self._by_cause[found.cause] = ticket
        self._new.append(ticket)
        self._count(found.endpoint_pk, +1)
        self.say(ticket, "opened", "incident.opened", found.at, found.text or found.title, found.detail)
        self._messages.append((ticket, "incident.opened", found.text))
        return ticket

    def _reopen(self, ticket: Ticket, found: Finding) -> Ticket:
        ticket.state = rules.next_state(Deed.REOPEN, ticket.state, has_assignee=ticket.assignee_id is not None)
        ticket.resolved_at = ticket.acknowledged_at = None  # who saw it then believes that it is over: it escalates anew
        ticket.reopened += 1
        self._count(found.endpoint_pk, +1)
        text = f"It is back: {found.text or found.title}"
        self.say(ticket, "reopened", "incident.reopened", found.at, text, found.detail)
        self._messages.append((ticket, "incident.reopened", text))
        return ticket

    def _end(self, ticket: Ticket, at: dt.datetime) -> None:
        ticket.state, ticket.resolved_at = IncidentState.RESOLVED, max(at, ticket.opened_at)
        ticket.quiet_until, ticket.is_changed = None, True
        self._count(ticket.endpoint_pk, -1)

    def _count(self, endpoint_pk: int | None, by: int) -> None:
        if endpoint_pk is not None:
            self.opened[endpoint_pk] += by

    def _grade(self, ticket: Ticket, found: Finding) -> None:
        """A worse fault makes its incident worse; a lesser one changes nothing."""
        impact = rules.worse(rules.IMPACTS, ticket.impact, found.impact)
        urgency = rules.worse(rules.URGENCIES, ticket.urgency, found.urgency or rules.urgency_of(found.severity))
        if (impact, urgency) == (ticket.impact, ticket.urgency):
            return
        ticket.impact, ticket.urgency = impact, urgency
        ticket.priority = rules.priority_of(self._priorities, impact, urgency)
        ticket.title, ticket.rule = found.title, found.rule

    def _journal(self) -> list[Line]:
        told = self._told_once()
        schools = touched(self._tx, (ticket.number for ticket, _, _ in told if ticket.school_id is None))
        lines = (for_each_school(self._line(*line), schools.get(line[0].number, ())) for line in told)
        return [line for copies in lines for line in copies]

    def _told_once(self) -> list[tuple[Ticket, str, dict[str, Any]]]:
        """The journal's lines, of a shared incident one of each kind: each is copied to all of its schools."""
        seen: set[tuple[int, str]] = set()
        told: list[tuple[Ticket, str, dict[str, Any]]] = []
        for ticket, kind, detail in self._lines:
            if ticket.is_shared and (ticket.number, kind) in seen:
                continue
            seen.add((ticket.number, kind))
            told.append((ticket, kind, detail))
        return told

    def _line(self, ticket: Ticket, kind: str, detail: dict[str, Any]) -> Line:
        return Line(
            at=self._now,
            kind=kind,
            actor=ACTOR,
            subject=f"incident:{ticket.number}",
            school_id=ticket.school_id,
            detail=detail | {"endpoint_pk": ticket.endpoint_pk, "priority": ticket.priority},
        )

    def _message(self, ticket: Ticket, kind: str, text: str) -> Message:
        return Message(
            kind=kind,
            incident_number=ticket.number,
            school_id=ticket.school_id,
            priority=ticket.priority,
            title=ticket.title,
            is_test=ticket.is_test,
            at=self._now,
            text=text,
        )


def open_for_cause(tx: sa.Connection, cause: Cause, now: dt.datetime) -> int:
    """Open an incident for something that is no endpoint's fault; returns its number, or that of the one that is open."""
    board = Board(tx, now, dt.timedelta(0))
    board.read([cause.key], [], now)
    found = Finding(
        cause=cause.key,
        endpoint_pk=None,
        endpoint_id="",
        school_id=cause.school_id,
        rule=cause.rule,
        severity="",
        impact=cause.impact,
        title=cause.title,
        at=now,
        detail={},
        origin="server",
        scope=cause.scope,
        room_id=cause.room_id,
        is_test=cause.is_test,
        urgency=cause.urgency,
        text=cause.text,
    )
    ticket = board.open(found)
    board.write()
    return ticket.number


def resolve_cause(tx: sa.Connection, cause_key: str, text: str, now: dt.datetime) -> bool:
    """Resolve the open incident of that cause; True where there was one."""
    board = Board(tx, now, dt.timedelta(0))
    board.read([cause_key], [], now)
    ticket = board.of_cause(cause_key)
    if ticket is None or not ticket.is_open:
        return False
    board.resolve(ticket, now, text)
    board.write()
    return True
