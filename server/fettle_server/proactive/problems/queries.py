"""Reads about problems: the list, and one with the incidents that speak for it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.estate.people.rules import Act, Person, may
from fettle_server.estate.tables import Endpoint, School
from fettle_server.paging import Page, bounded, mark, unmark
from fettle_server.proactive.problems.rules import ProblemState
from fettle_server.proactive.problems.tables import Problem, ProblemIncident
from fettle_server.reactive.reach import touches
from fettle_server.reactive.tables import Incident

__all__ = ["ProblemDetail", "ProblemIncidentRow", "ProblemRow", "ProblemState", "problem", "problems", "waiting"]

INCIDENTS = 200


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A problem in a list; `instance` and `model` are empty where they are not what is alike."""

    number: int
    state: str
    title: str
    why: str
    rule: str
    instance: str
    model: str
    incidents: int
    schools: int
    proposed_at: dt.datetime
    updated_at: dt.datetime
    decided_at: dt.datetime | None
    decided_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class ProblemIncidentRow:
    """An incident that speaks for a problem; `school` and `endpoint` are empty where it is of several."""

    number: int
    state: str
    title: str
    school: str
    endpoint_id: str
    endpoint: str
    opened_at: dt.datetime
    resolved_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class ProblemDetail(ProblemRow):
    """One problem with the newest of its incidents that the asker sees; `may_decide`: the asker may accept or dismiss it."""

    found: tuple[ProblemIncidentRow, ...]
    may_decide: bool


_ROW = tuple(getattr(Problem, name) for name in ProblemRow.__dataclass_fields__)


def problems(tx: sa.Connection, person: Person, state: str = "", after: str | None = None, limit: int = 50) -> Page[ProblemRow]:
    """A page of the problems (of a state; empty: all) for which incidents speak that the person sees, newest first.

    Raises:
        PageError: `after` is no mark of this list.
    """
    limit = bounded(limit)
    statement = sa.select(*_ROW).where(*_seen(person)).order_by(Problem.number.desc())
    if state:
        statement = statement.where(Problem.state == state)
    if after is not None:
        statement = statement.where(Problem.number < unmark(after, int)[0])
    rows = tx.execute(statement.limit(limit + 1)).all()
    shown = tuple(ProblemRow(*row) for row in rows[:limit])
    return Page(shown, mark((shown[-1].number,)) if len(rows) > limit else None)


def problem(tx: sa.Connection, person: Person, number: int) -> ProblemDetail | None:
    """One problem; None where there is none of that number, or none that the person sees."""
    if not 0 < number < 2**31:
        return None
    row = tx.execute(sa.select(*_ROW).where(Problem.number == number, *_seen(person))).one_or_none()
    if row is None:
        return None
    may_decide = person.schools is None and may(person, Act.WORK_TASKS) is None
    return ProblemDetail(**row._asdict(), found=_incidents(tx, person, number), may_decide=may_decide)


def waiting(tx: sa.Connection, person: Person) -> int:
    """How many problems are proposed and wait for a decision."""
    counted = sa.select(sa.func.count()).select_from(Problem).where(Problem.state == ProblemState.PROPOSED, *_seen(person))
    return tx.scalar(counted) or 0


def _incidents(tx: sa.Connection, person: Person, number: int) -> tuple[ProblemIncidentRow, ...]:
    statement = (
        sa.select(
            Incident.number,
            Incident.state,
            Incident.title,
            sa.func.coalesce(School.name, ""),
            sa.func.coalesce(Endpoint.id, ""),
            sa.func.coalesce(Endpoint.name, ""),
            Incident.opened_at,
            Incident.resolved_at,
        )
        .join(ProblemIncident, ProblemIncident.incident_number == Incident.number)
        .outerjoin(School, School.id == Incident.school_id)
        .outerjoin(Endpoint, Endpoint.pk == Incident.endpoint_pk)
        .where(ProblemIncident.problem_number == number, *_of_person(person))
        .order_by(Incident.number.desc())
        .limit(INCIDENTS)
    )
    return tuple(ProblemIncidentRow(*row) for row in tx.execute(statement))


def _seen(person: Person) -> list[Any]:
    if person.schools is None:
        return []
    own = (
        sa.select(ProblemIncident.problem_number)
        .join(Incident, Incident.number == ProblemIncident.incident_number)
        .where(*_of_person(person))
    )
    return [Problem.number.in_(own)]


def _of_person(person: Person) -> list[Any]:
    if person.schools is None:
        return []
    return [sa.or_(Incident.school_id.in_(person.schools), touches(person.schools))]
