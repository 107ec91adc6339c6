"""FITS's change statistics, from the record of requests alone: how many, how they were decided, what came of them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from fettle_server.change.requests.proceedings import sees_change
from fettle_server.change.requests.views import Statistics
from fettle_server.change.rules import ChangeKind, ChangeState, Linked, Outcome
from fettle_server.change.tables import Change, ChangeIncident
from fettle_server.estate.people.rules import Person, sees
from fettle_server.estate.tables import School
from fettle_server.reactive.tables import Incident

ALL = "All schools"
_UNDECIDED = (ChangeState.DRAFT, ChangeState.PROPOSED)


def statistics(tx: sa.Connection, person: Person, start: dt.datetime, end: dt.datetime) -> tuple[Statistics, ...]:
    """The figures of that time: of all of the person's schools together, then of each school that had any, by name.

    A change of several schools counts once in the first line, and in the line of each of them.
    """
    rows = _changes(tx, person, start, end)
    caused = _caused(tx, start, end)
    names = {row.id: row.name for row in tx.execute(sa.select(School.id, School.name)) if sees(person, row.id)}
    by_school: dict[int, list[Any]] = {}
    for row in rows:
        for school_id in row.schools or names:
            if school_id in names:
                by_school.setdefault(school_id, []).append(row)
    total = _counted(ALL, rows, caused, start, end, None)
    each = [_counted(names[key], mine, caused, start, end, key) for key, mine in by_school.items()]
    return (total, *sorted(each, key=lambda one: one.school))


def _changes(tx: sa.Connection, person: Person, start: dt.datetime, end: dt.datetime) -> list[Any]:
    columns = (Change.id, Change.kind, Change.state, Change.schools, Change.created_at, Change.reviewed_at, Change.outcome)
    linked = sa.select(ChangeIncident.change_id).join(Incident, Incident.number == ChangeIncident.incident_number)
    in_time = sa.or_(
        sa.and_(Change.created_at >= start, Change.created_at < end),
        sa.and_(Change.reviewed_at >= start, Change.reviewed_at < end),
        Change.id.in_(linked.where(Incident.opened_at >= start, Incident.opened_at < end)),
    )
    rows = tx.execute(sa.select(*columns).where(in_time).order_by(Change.id).limit(100_000))
    return [row for row in rows if sees_change(person, row.schools)]


def _caused(tx: sa.Connection, start: dt.datetime, end: dt.datetime) -> dict[int, set[tuple[int, int | None]]]:
    """The incidents of that time that came of each change, with their school; not those that a change is to mend."""
    link = ChangeIncident
    rows = tx.execute(
        sa.select(link.change_id, link.incident_number, Incident.school_id)
        .join(Incident, Incident.number == link.incident_number)
        .where(link.unlinked_at.is_(None), link.how != Linked.MENDS, Incident.opened_at >= start, Incident.opened_at < end)
    )
    found: dict[int, set[tuple[int, int | None]]] = {}
    for change_id, number, school_id in rows:
        found.setdefault(change_id, set()).add((number, school_id))
    return found


def _counted(
    school: str,
    rows: Iterable[Any],
    caused: dict[int, set[tuple[int, int | None]]],
    start: dt.datetime,
    end: dt.datetime,
    school_id: int | None,
) -> Statistics:
    rows = list(rows)
    made = [row for row in rows if start <= row.created_at < end]
    kinds, states = Counter(row.kind for row in made), Counter(row.state for row in made)
    outcomes = Counter(row.outcome for row in rows if row.reviewed_at is not None and start <= row.reviewed_at < end)
    numbers = {
        number
        for row in rows
        for number, where in caused.get(row.id, ())
        if school_id is None or where is None or where == school_id
    }
    waiting = sum(states[state] for state in _UNDECIDED)
    lost = states[ChangeState.REJECTED] + states[ChangeState.WITHDRAWN]
    return Statistics(
        school=school,
        requests=len(made),
        standard=kinds[ChangeKind.STANDARD],
        normal=kinds[ChangeKind.NORMAL],
        emergency=kinds[ChangeKind.EMERGENCY],
        approved=len(made) - waiting - lost,
        rejected=states[ChangeState.REJECTED],
        withdrawn=states[ChangeState.WITHDRAWN],
        waiting=waiting,
        reviewed=sum(outcomes.values()),
        successful=outcomes[Outcome.SUCCESSFUL],
        partly=outcomes[Outcome.PARTLY],
        failed=outcomes[Outcome.FAILED],
        backed_out=outcomes[Outcome.BACKED_OUT],
        incidents=len(numbers),
    )
