"""Reads about enrolment: the tokens that still enrol machines."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import EnrolmentToken, School

LIMIT = 500


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token that still has uses and time left; its text is nowhere."""

    id: int
    school_id: int
    school: str
    uses_left: int
    expires_at: dt.datetime
    created_at: dt.datetime
    created_by: str


def tokens(tx: sa.Connection, person: Person, now: dt.datetime) -> tuple[TokenRow, ...]:
    """The tokens of the person's schools that still enrol, the newest first.

    Raises:
        Forbidden: the person does not manage endpoints.
    """
    demand(person, Act.MANAGE_ENDPOINTS)
    token = EnrolmentToken
    found = (
        sa.select(token.id, token.school_id, School.name, token.uses_left, token.expires_at, token.created_at, token.created_by)
        .join(School, School.id == token.school_id)
        .where(token.uses_left > 0, token.expires_at > now)
        .order_by(token.id.desc())
        .limit(LIMIT)
    )
    if person.schools is not None:
        found = found.where(token.school_id.in_(person.schools))
    return tuple(TokenRow(*row) for row in tx.execute(found))
