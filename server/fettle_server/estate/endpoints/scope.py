"""Which endpoints a person may see, as a condition that every query about endpoints takes in."""

from __future__ import annotations

import sqlalchemy as sa

from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint

FEW_SCHOOLS = 20


def scoped(person: Person) -> list[sa.ColumnElement[bool]]:
    """Nothing for those who see all schools; else that the endpoint stands in one of the person's."""
    return [] if person.schools is None else [Endpoint.school_id.in_(person.schools)]


def scoped_widely(person: Person) -> list[sa.ColumnElement[bool]]:
    """The same condition for lists: of many schools, one walk in the list's order beats a search of each school's index.

    (Adding nothing to the column keeps SQLite's planner, which has no statistics, from choosing the latter.)
    """
    if person.schools is None or len(person.schools) <= FEW_SCHOOLS:
        return scoped(person)
    return [(Endpoint.school_id + 0).in_(person.schools)]


def endpoint_pk(tx: sa.Connection, person: Person, endpoint_id: str) -> int | None:
    """The store's key of an endpoint that the person may see."""
    return tx.scalar(sa.select(Endpoint.pk).where(Endpoint.id == endpoint_id, *scoped(person)))
