"""Which schools an incident touches: what decides who sees it, and whose live pages hear of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa

from fettle_server.db import insert_into
from fettle_server.journal.actions import Line
from fettle_server.reactive.tables import Incident, IncidentSchool

FOLLOWED = 200
"""Schools whose journal hears of an incident of many; more than that follow it by its number alone."""


def touched(tx: sa.Connection, numbers: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """The schools of each of those incidents of several schools, in order."""
    found: dict[int, list[int]] = defaultdict(list)
    wanted = sorted(set(numbers))
    if wanted:
        columns = (IncidentSchool.incident_number, IncidentSchool.school_id)
        statement = sa.select(*columns).where(IncidentSchool.incident_number.in_(wanted)).order_by(*columns)
        for number, school_id in tx.execute(statement):
            found[number].append(school_id)
    return {number: tuple(schools) for number, schools in found.items()}


def touch(tx: sa.Connection, pairs: Iterable[tuple[int, int]]) -> None:
    """Say which incidents touch which schools (number, school); what is known already stays."""
    rows = [{"incident_number": number, "school_id": school_id} for number, school_id in sorted(pairs)]
    if rows:
        tx.execute(insert_into(tx, IncidentSchool).on_conflict_do_nothing(), rows)


def touches(schools: Iterable[int]) -> sa.ColumnElement[bool]:
    """The condition that an incident of several schools touches one of these."""
    mine = sa.select(IncidentSchool.incident_number).where(IncidentSchool.school_id.in_(sorted(schools)))
    return Incident.number.in_(mine)


def reached(tx: sa.Connection, number: int, school_id: int | None) -> tuple[int, ...]:
    """The schools of an incident: its own, or those that it touches."""
    return (school_id,) if school_id is not None else touched(tx, [number]).get(number, ())


def for_each_school(line: Line, schools: Iterable[int]) -> list[Line]:
    """The line once for each school that the incident touches, so that the people of each follow it; as it is without any."""
    if line["school_id"] is not None:
        return [line]
    copies: list[Line] = [{**line, "school_id": school_id} for school_id in list(schools)[:FOLLOWED]]
    return copies or [line]
