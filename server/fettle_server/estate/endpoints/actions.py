"""What people do to endpoints: look at one live, and take its leave to connect away. Never commits."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fettle_server.db import insert_into, to_ms
from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import Certificate, Endpoint, Watch
from fettle_server.journal import actions as journal

LONGEST_LOOK_S = 120


class EndpointError(Exception):
    """Something about an endpoint that cannot be done; the message is for the person who asked."""


def look(tx: sa.Connection, person: Person, endpoint_id: str, seconds: int, now: dt.datetime) -> None:
    """Ask for a reading each second for so long (at most two minutes); asked again, it extends, and never shortens.

    Raises:
        EndpointError: no such endpoint among the person's schools, or a revoked one.
        Forbidden: the person may not look.
    """
    row = _endpoint(tx, person, endpoint_id)
    demand(person, Act.VIEW, row.school_id)
    if row.revoked_at is not None:
        raise EndpointError("This PC's identity was revoked: it cannot connect, so there is nothing live to see.")
    until = now + dt.timedelta(seconds=max(1, min(seconds, LONGEST_LOOK_S)))
    asked = insert_into(tx, Watch).values(endpoint_pk=row.pk, until=until)
    shorter = sa.type_coerce(Watch.until, sa.BigInteger) < to_ms(until)
    tx.execute(asked.on_conflict_do_update(index_elements=[Watch.endpoint_pk], set_={"until": until}, where=shorter))


def revoke(tx: sa.Connection, person: Person, endpoint_id: str, now: dt.datetime) -> None:
    """Take all certificates of an endpoint back, for good; its stream ends within a second. Nothing where that was done.

    Raises:
        EndpointError: no such endpoint among the person's schools.
        Forbidden: the person may not manage endpoints there.
    """
    row = _endpoint(tx, person, endpoint_id)
    demand(person, Act.MANAGE_ENDPOINTS, row.school_id)
    if row.revoked_at is not None:
        return
    tx.execute(sa.update(Endpoint).where(Endpoint.pk == row.pk).values(revoked_at=now))
    good = (Certificate.endpoint_pk == row.pk, Certificate.revoked_at.is_(None))
    tx.execute(sa.update(Certificate).where(*good).values(revoked_at=now))
    detail = {"name": row.name}
    journal.record(tx, "endpoint.revoked", person.actor, f"endpoint:{endpoint_id}", row.school_id, detail, now)


def _endpoint(tx: sa.Connection, person: Person, endpoint_id: str) -> sa.Row[int, int, str, dt.datetime | None]:
    columns = (Endpoint.pk, Endpoint.school_id, Endpoint.name, Endpoint.revoked_at)
    row = tx.execute(sa.select(*columns).where(Endpoint.id == endpoint_id, *scoped(person))).one_or_none()
    if row is None:
        raise EndpointError(f"There is no PC {endpoint_id[:40]}.")
    return row
