"""Reads about proofs: each school's last one with its steps, when the next is due, and when alerts were last proved."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint, School
from fettle_server.proactive.proofs import rules
from fettle_server.proactive.proofs.rules import Proved
from fettle_server.proactive.proofs.tables import Proof

STEPS = ("asked", "raised", "opened", "told", "cleared", "resolved")
"""A proof's steps in the order in which they usually come; each is a field with _at."""


@dataclass(frozen=True, slots=True)
class ProofRow:
    """One proof; a step that was not reached is None."""

    id: int
    school_id: int
    school: str
    endpoint_id: str
    endpoint: str
    asked_by: str
    state: str
    note: str
    incident_number: int | None
    asked_at: dt.datetime
    raised_at: dt.datetime | None
    opened_at: dt.datetime | None
    told_at: dt.datetime | None
    cleared_at: dt.datetime | None
    resolved_at: dt.datetime | None
    ended_at: dt.datetime | None

    @property
    def steps(self) -> tuple[tuple[str, dt.datetime | None, float | None], ...]:
        """Each step: its word, when it was reached, and how many seconds after asking."""
        times = ((step, getattr(self, f"{step}_at")) for step in STEPS)
        return tuple((step, at, None if at is None else (at - self.asked_at).total_seconds()) for step, at in times)


@dataclass(frozen=True, slots=True)
class SchoolProof:
    """A school with its last proof, the last that passed, when the next is due (None: never by itself), and its PCs now."""

    school_id: int
    school: str
    last: ProofRow | None
    passed_at: dt.datetime | None
    due_at: dt.datetime | None
    connected: int
    endpoints: int


@dataclass(frozen=True, slots=True)
class LastProved:
    """When alerts were last proved: the newest proof that passed, and in how many of the schools one did at all."""

    at: dt.datetime | None
    proved: int
    schools: int


def schools(tx: sa.Connection, person: Person, every_days: int) -> tuple[SchoolProof, ...]:
    """The person's schools by name, each with its proofs."""
    newest = _newest(tx, sa.func.max(Proof.id), person)
    passed = dict(_per_school(tx, sa.func.max(Proof.asked_at), person, Proof.state == Proved.PASSED))
    counts = _counts(tx, person)
    rows = tx.execute(_seen(sa.select(School.id, School.name), person).order_by(School.name)).all()
    return tuple(
        _school(row, newest.get(row.id), passed.get(row.id), counts.get(row.id, (0, 0, None)), every_days) for row in rows
    )


def proofs_of(tx: sa.Connection, person: Person, school_id: int, limit: int = 12) -> tuple[ProofRow, ...]:
    """A school's newest proofs, newest first."""
    return _rows(tx, _seen(_joined(), person).where(Proof.school_id == school_id).order_by(Proof.id.desc()).limit(limit))


def proof(tx: sa.Connection, person: Person, number: int) -> ProofRow | None:
    """One proof; None where there is none of that number in the person's schools."""
    found = _rows(tx, _seen(_joined(), person).where(Proof.id == number))
    return found[0] if found else None


def last_proved(tx: sa.Connection, person: Person) -> LastProved:
    """When alerts were last proved in the person's schools."""
    passed = _per_school(tx, sa.func.max(Proof.asked_at), person, Proof.state == Proved.PASSED)
    count = tx.scalar(_seen(sa.select(sa.func.count()).select_from(School), person)) or 0
    return LastProved(max((at for _, at in passed), default=None), len(passed), count)


def asked(tx: sa.Connection, now: dt.datetime) -> list[tuple[int, int]]:
    """(proof, endpoint) of those that a PC has still to be asked for."""
    waiting = sa.select(Proof.id, Proof.endpoint_pk).where(Proof.ended_at.is_(None), Proof.raised_at.is_(None))
    return [(row.id, row.endpoint_pk) for row in tx.execute(waiting.where(Proof.ask_until > now).limit(1000))]


def _school(row: Any, last: ProofRow | None, passed_at: Any, counts: Any, every_days: int) -> SchoolProof:
    connected, endpoints, since = counts
    due = None
    if every_days and since is not None:
        before = None if last is None else (last.asked_at, Proved(last.state))
        due = rules.due_at(row.id, since, before, dt.timedelta(days=every_days))
    return SchoolProof(row.id, row.name, last, passed_at, due, connected, endpoints)


def _counts(tx: sa.Connection, person: Person) -> dict[int, Any]:
    connected = sa.func.sum(sa.case((Endpoint.connected.is_(sa.true()), 1), else_=0))
    columns = (Endpoint.school_id, connected, sa.func.count(), sa.func.min(Endpoint.enrolled_at))
    statement = sa.select(*columns).where(Endpoint.revoked_at.is_(None)).group_by(Endpoint.school_id)
    if person.schools is not None:
        statement = statement.where(Endpoint.school_id.in_(person.schools))
    return {row[0]: (int(row[1]), row[2], row[3]) for row in tx.execute(statement)}


def _newest(tx: sa.Connection, which: Any, person: Person) -> dict[int, ProofRow]:
    numbers = [number for _, number in _per_school(tx, which, person)]
    return {row.school_id: row for row in _rows(tx, _joined().where(Proof.id.in_(numbers)))}


def _per_school(tx: sa.Connection, what: Any, person: Person, *where: Any) -> list[tuple[int, Any]]:
    statement = sa.select(Proof.school_id, what).where(*where).group_by(Proof.school_id)
    if person.schools is not None:
        statement = statement.where(Proof.school_id.in_(person.schools))
    return [(row[0], row[1]) for row in tx.execute(statement)]


def _joined() -> sa.Select[Any]:
    names = [name for name in ProofRow.__dataclass_fields__ if name not in ("school", "endpoint_id", "endpoint")]
    joined = (School.name.label("school"), Endpoint.id.label("endpoint_id"), Endpoint.name.label("endpoint"))
    statement = sa.select(*(getattr(Proof, name) for name in names), *joined)
    return statement.join(School, School.id == Proof.school_id).join(Endpoint, Endpoint.pk == Proof.endpoint_pk)


def _rows(tx: sa.Connection, statement: sa.Select[Any]) -> tuple[ProofRow, ...]:
    return tuple(ProofRow(**row._mapping) for row in tx.execute(statement))


def _seen(statement: Any, person: Person) -> Any:
    """The statement about schools, limited to the person's."""
    return statement if person.schools is None else statement.where(School.id.in_(person.schools))
