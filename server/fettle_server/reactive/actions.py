"""What people do to incidents: each act is checked, done, told in the timeline and written to the journal.

What faults do to incidents is in reactive/intake.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.estate.people.rules import SYSTEM, Act, Person, Role, demand, sees
from fettle_server.estate.tables import Endpoint, User, UserSchool
from fettle_server.journal.actions import record
from fettle_server.notify.actions import Message, enqueue
from fettle_server.reactive import rules
from fettle_server.reactive.reach import FOLLOWED, reached
from fettle_server.reactive.rules import Deed, IncidentState, Refused
from fettle_server.reactive.tables import Incident, IncidentEntry, PriorityCell


@dataclass(frozen=True, slots=True)
class _Ticket:
    """What an act needs to know of an incident before it changes it."""

    number: int
    state: IncidentState
    school_id: int | None
    endpoint_pk: int | None
    cause: str
    impact: str
    urgency: str
    priority: int
    assignee_id: int | None
    acknowledged_at: dt.datetime | None
    open_faults: int
    reopened: int
    title: str
    is_test: bool


def acknowledge(tx: sa.Connection, person: Person, number: int, now: dt.datetime) -> None:
    """Say that somebody has seen it.

    Raises:
        Forbidden: the person may not. Refused: the incident's state does not allow it. The same for every act here.
    """
    ticket = _ticket(tx, person, number, Deed.ACKNOWLEDGE)
    _change(tx, ticket, person, now, {"acknowledged_at": now})
    _tell(tx, ticket, person, now, "acknowledged", "")


def assign(tx: sa.Connection, person: Person, number: int, assignee: str | None, now: dt.datetime) -> None:
    """Give it to somebody by name, or with None to nobody."""
    ticket = _ticket(tx, person, number, Deed.ASSIGN)
    user_id = None if assignee is None else _assignee(tx, assignee, reached(tx, number, ticket.school_id))
    state = rules.next_state(Deed.ASSIGN, ticket.state, has_assignee=user_id is not None)
    _change(tx, ticket, person, now, {"assignee_id": user_id, "state": state})
    _tell(tx, ticket, person, now, "assigned", f"Given to {assignee}" if assignee else "Given to nobody", assignee=assignee)


def start(tx: sa.Connection, person: Person, number: int, now: dt.datetime) -> None:
    """Begin work on it; who begins has it, unless somebody else does."""
    ticket = _ticket(tx, person, number, Deed.START)
    assignee_id = ticket.assignee_id or person.id or None
    _change(tx, ticket, person, now, {"state": IncidentState.IN_PROGRESS, "assignee_id": assignee_id})
    _tell(tx, ticket, person, now, "state", "Work has begun", state=IncidentState.IN_PROGRESS)


def wait(tx: sa.Connection, person: Person, number: int, reason: str, now: dt.datetime) -> None:
    """Set it to waiting, for a reason such as a part on order."""
    ticket = _ticket(tx, person, number, Deed.WAIT)
    reason = rules.check_text(reason, "what it waits for")
    _change(tx, ticket, person, now, {"state": IncidentState.WAITING})
    _tell(tx, ticket, person, now, "state", reason, state=IncidentState.WAITING)


def resolve(tx: sa.Connection, person: Person, number: int, text: str, now: dt.datetime) -> None:
    """Say that it is over, and what was done. Faults that still last are named in the timeline, and stay faults."""
    ticket = _ticket(tx, person, number, Deed.RESOLVE)
    text = rules.check_text(text, "what was done")
    _change(tx, ticket, person, now, {"state": IncidentState.RESOLVED, "resolved_at": now, "quiet_until": None})
    _count_open(tx, ticket, -1)
    _enqueue(tx, ticket, "incident.resolved", f"Resolved by {person.name}: {text}", now)
    _tell(tx, ticket, person, now, "resolved", text, state=IncidentState.RESOLVED, faults_still_open=ticket.open_faults)


def close(tx: sa.Connection, person: Person, number: int, now: dt.datetime) -> None:
    """Close a resolved incident: a fault that returns opens another one."""
    ticket = _ticket(tx, person, number, Deed.CLOSE)
    _change(tx, ticket, person, now, {"state": IncidentState.CLOSED, "closed_at": now})
    _tell(tx, ticket, person, now, "state", "Closed", state=IncidentState.CLOSED)


def reopen(tx: sa.Connection, person: Person, number: int, reason: str, now: dt.datetime) -> None:
    """Open it again, for a reason. One that had become part of a wider incident stands for itself again.

    Raises:
        Refused: also where another incident of the same cause is open already.
    """
    ticket = _ticket(tx, person, number, Deed.REOPEN)
    reason = rules.check_text(reason, "why it is opened again")
    other = tx.scalar(sa.select(Incident.number).where(Incident.cause == ticket.cause, Incident.state.in_(rules.OPEN_STATES)))
    if other is not None:
        raise Refused(f"Incident {other} is open for the same cause: work on that one.")
    state = rules.next_state(Deed.REOPEN, ticket.state, has_assignee=ticket.assignee_id is not None)
    values = {"state": state, "resolved_at": None, "closed_at": None, "reopened": ticket.reopened + 1}
    _change(tx, ticket, person, now, values | {"merged_into": None, "quiet_until": None})
    _count_open(tx, ticket, +1)
    _enqueue(tx, ticket, "incident.reopened", f"Opened again by {person.name}: {reason}", now)
    _tell(tx, ticket, person, now, "reopened", reason, state=state)


def comment(tx: sa.Connection, person: Person, number: int, text: str, now: dt.datetime) -> None:
    """Add a remark."""
    ticket = _ticket(tx, person, number, Deed.COMMENT)
    _change(tx, ticket, person, now, {})
    _tell(tx, ticket, person, now, "comment", rules.check_text(text, "a comment"))


def set_impact(tx: sa.Connection, person: Person, number: int, impact: str, urgency: str, now: dt.datetime) -> None:
    """Say how many are hindered and how much; the priority follows by the table."""
    ticket = _ticket(tx, person, number, Deed.GRADE)
    rules.check_grade(impact, urgency)
    priority = rules.priority_of(priority_table(tx), impact, urgency)
    _change(tx, ticket, person, now, {"impact": impact, "urgency": urgency, "priority": priority})
    text = f"Impact {impact}, urgency {urgency}: priority {priority}"
    _tell(tx, ticket, person, now, "graded", text, impact=impact, urgency=urgency, priority=priority)


def set_priority_cell(tx: sa.Connection, person: Person, impact: str, urgency: str, priority: int, now: dt.datetime) -> None:
    """Change one cell of the priority table; open incidents of that cell follow.

    Raises:
        Forbidden: only an administrator may. Refused: no such cell or priority.
    """
    demand(person, Act.EDIT_PRIORITIES, None)
    rules.check_grade(impact, urgency)
    if priority not in rules.PRIORITIES:
        raise Refused("A priority is a number from 1 (first) to 5 (last).")
    cell = (PriorityCell.impact == impact, PriorityCell.urgency == urgency)
    if tx.execute(sa.update(PriorityCell).where(*cell).values(priority=priority)).rowcount == 0:
        tx.execute(sa.insert(PriorityCell).values(impact=impact, urgency=urgency, priority=priority))
    tx.execute(
        sa.update(Incident)
        .where(Incident.impact == impact, Incident.urgency == urgency, Incident.state.in_(rules.OPEN_STATES))
        .values(priority=priority, updated_at=now)
    )
    detail = {"impact": impact, "urgency": urgency, "priority": priority}
    record(tx, "priorities.changed", person.actor, f"priorities:{impact}/{urgency}", None, detail, now)


def note(tx: sa.Connection, number: int, kind: str, actor: str, text: str, detail: dict[str, Any], now: dt.datetime) -> None:
    """Add a line that another wing has to say of the incident: its state and its times stay as they are."""
    line = {"incident_number": number, "at": now, "kind": kind, "actor": actor, "text": text, "detail": detail}
    tx.execute(sa.insert(IncidentEntry).values(line))
    school_id = tx.scalar(sa.select(Incident.school_id).where(Incident.number == number))
    for one in reached(tx, number, school_id)[:FOLLOWED] or (None,):
        record(tx, "incident.changed", actor, f"incident:{number}", one, {"what": kind, **detail}, now)


def close_old(tx: sa.Connection, before: dt.datetime, now: dt.datetime, limit: int = 500) -> int:
    """Close incidents that were resolved before that time, some at a time; returns how many."""
    statement = (
        sa.select(Incident.number)
        .where(Incident.state == IncidentState.RESOLVED, Incident.resolved_at < before)
        .order_by(Incident.number)
        .limit(limit)
    )
    numbers = tx.scalars(statement).all()
    for number in numbers:
        close(tx, SYSTEM, number, now)
    return len(numbers)


def seed_priorities(tx: sa.Connection) -> None:
    """Put the default priorities where the table has none; what was edited stays."""
    present = set(priority_table(tx))
    missing = [
        {"impact": impact, "urgency": urgency, "priority": priority}
        for (impact, urgency), priority in rules.DEFAULT_PRIORITIES.items()
        if (impact, urgency) not in present
    ]
    if missing:
        tx.execute(sa.insert(PriorityCell), missing)


def priority_table(tx: sa.Connection) -> dict[tuple[str, str], int]:
    """The priority of each (impact, urgency)."""
    rows = tx.execute(sa.select(PriorityCell.impact, PriorityCell.urgency, PriorityCell.priority))
    return {(impact, urgency): priority for impact, urgency, priority in rows}


def _ticket(tx: sa.Connection, person: Person, number: int, deed: Deed) -> _Ticket:
    of_incident = sa.select(Incident.endpoint_pk).where(Incident.number == number).scalar_subquery()
    tx.execute(sa.select(Endpoint.pk).where(Endpoint.pk == of_incident).with_for_update())  # in the order that ingest locks
    columns = [getattr(Incident, name) for name in _Ticket.__dataclass_fields__]
    row = tx.execute(sa.select(*columns).where(Incident.number == number).with_for_update()).one_or_none()
    if row is None or not _is_seen(tx, person, number, row.school_id):
        raise Refused(f"There is no incident {number}.")
    demand(person, Act.WORK_INCIDENTS, row.school_id)
    ticket = _Ticket(row[0], IncidentState(row[1]), *row[2:])
    reason = rules.refusal(deed, ticket.state, acknowledged=ticket.acknowledged_at is not None)
    if reason is not None:
        raise Refused(reason)
    return ticket


def _is_seen(tx: sa.Connection, person: Person, number: int, school_id: int | None) -> bool:
    return person.schools is None or any(sees(person, one) for one in reached(tx, number, school_id))


def _assignee(tx: sa.Connection, name: str, schools: Sequence[int]) -> int:
    """The id of a person who may work on incidents of one of those schools."""
    row = tx.execute(sa.select(User.id, User.role, User.all_schools).where(User.name == name, User.active)).one_or_none()
    if row is None:
        raise Refused(f"There is nobody called {name}.")
    if row.role in (Role.VIEWER, Role.APPROVER):
        raise Refused(f"{name} may only look: give it to a technician.")
    theirs = sa.select(UserSchool.user_id).where(UserSchool.user_id == row.id, UserSchool.school_id.in_(schools))
    if not row.all_schools and tx.scalar(theirs) is None:
        raise Refused(f"{name} does not work in {'that school' if len(schools) == 1 else 'any of those schools'}.")
    return int(row.id)


def _change(tx: sa.Connection, ticket: _Ticket, person: Person, now: dt.datetime, values: dict[str, Any]) -> None:
    """Write the new values. Whoever acts has seen the incident, so the first act acknowledges it; a remark does not."""
    if values and ticket.acknowledged_at is None and person.id:
        values = {"acknowledged_at": now} | values
    tx.execute(sa.update(Incident).where(Incident.number == ticket.number).values(**values, updated_at=now))


def _count_open(tx: sa.Connection, ticket: _Ticket, by: int) -> None:
    if ticket.endpoint_pk is not None:
        count = Endpoint.open_incidents + by
        tx.execute(
            sa.update(Endpoint)
            .where(Endpoint.pk == ticket.endpoint_pk)
            .values(open_incidents=sa.case((count > 0, count), else_=0))
        )


def _enqueue(tx: sa.Connection, ticket: _Ticket, kind: str, text: str, now: dt.datetime) -> None:
    """Who was told of its beginning is told of its end also where people end it."""
    told = (ticket.number, ticket.school_id, ticket.priority, ticket.title, ticket.is_test)
    enqueue(tx, [Message(kind, *told, now, text)])


_JOURNAL_KINDS = {"resolved": "incident.resolved", "reopened": "incident.reopened", "comment": "incident.commented"}


def _tell(tx: sa.Connection, ticket: _Ticket, person: Person, now: dt.datetime, kind: str, text: str, **detail: Any) -> None:
    tx.execute(
        sa.insert(IncidentEntry).values(
            incident_number=ticket.number, at=now, kind=kind, actor=person.actor, text=text, detail=detail
        )
    )
    journal_kind = _JOURNAL_KINDS.get(kind, "incident.changed")
    about = f"incident:{ticket.number}"
    for school_id in reached(tx, ticket.number, ticket.school_id)[:FOLLOWED] or (None,):
        record(tx, journal_kind, person.actor, about, school_id, {"what": kind, **detail}, now)
