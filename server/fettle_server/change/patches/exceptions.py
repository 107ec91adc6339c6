"""Updates that need not be in time, at a school or anywhere, with a reason and a day on which somebody thinks again."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fettle_server.change.patches import ledger
from fettle_server.change.patches.rules import EXCEPTION_DAYS, OPEN, PatchError
from fettle_server.change.patches.tables import EndpointUpdate, PatchException, Update
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import School
from fettle_server.journal import actions as journal

WHY_MAXIMUM = 500


def except_update(
    tx: sa.Connection, person: Person, update_id: int, school_id: int | None, why: str, until: dt.date, now: dt.datetime
) -> int:
    """Except an update at a school (None: everywhere) until a day; returns the exception's id.

    Raises:
        PatchError: no such update or school, no reason, or no day within 90 days.
        Forbidden: the person may not.
    """
    demand(person, Act.APPROVE_CHANGE, school_id)
    if school_id is None and person.schools is not None:
        raise PatchError("Only somebody who sees all schools may except an update everywhere: name a school.")
    why = why.strip()
    if not 1 <= len(why) <= WHY_MAXIMUM or "\0" in why:
        raise PatchError(f"Say why, in 1 to {WHY_MAXIMUM} characters: whoever asks next year reads it.")
    if not now.date() < until <= now.date() + dt.timedelta(days=EXCEPTION_DAYS):
        raise PatchError(f"An exception ends within {EXCEPTION_DAYS} days; then somebody thinks about it again.")
    if tx.scalar(sa.select(Update.id).where(Update.id == update_id)) is None:
        raise PatchError(f"There is no update {update_id}.")
    if school_id is not None and tx.scalar(sa.select(School.id).where(School.id == school_id)) is None:
        raise PatchError(f"There is no school {school_id}.")
    values = {"update_id": update_id, "school_id": school_id, "why": why, "until": until, "by": person.actor, "at": now}
    exception_id = tx.execute(sa.insert(PatchException).values(**values).returning(PatchException.id)).scalar_one()
    _reckon(tx, update_id)
    detail = {"update": update_id, "why": why, "until": until.isoformat()}
    journal.record(tx, "patch.excepted", person.actor, f"update:{update_id}", school_id, detail, now)
    return exception_id


def end(tx: sa.Connection, person: Person, exception_id: int, now: dt.datetime) -> None:
    """End an exception: the clock counts again. Nothing where it ended already.

    Raises:
        PatchError: no such exception among the person's schools.
        Forbidden: the person may not.
    """
    row = tx.execute(sa.select(PatchException).where(PatchException.id == exception_id)).one_or_none()
    if row is None or (person.schools is not None and row.school_id not in person.schools):
        raise PatchError(f"There is no exception {exception_id}.")
    demand(person, Act.APPROVE_CHANGE, row.school_id)
    if row.ended_at is None:
        _end(tx, row.id, row.update_id, row.school_id, person.actor, now)


def end_due(tx: sa.Connection, now: dt.datetime, limit: int) -> int:
    """End exceptions that are past their day; returns how many."""
    which = (PatchException.ended_at.is_(None), PatchException.until < now.date())
    rows = tx.execute(sa.select(PatchException).where(*which).order_by(PatchException.id).limit(limit)).all()
    for row in rows:
        _end(tx, row.id, row.update_id, row.school_id, "system", now)
    return len(rows)


def _end(tx: sa.Connection, exception_id: int, update_id: int, school_id: int | None, actor: str, now: dt.datetime) -> None:
    tx.execute(sa.update(PatchException).where(PatchException.id == exception_id).values(ended_at=now))
    _reckon(tx, update_id)
    journal.record(tx, "patch.exception_ended", actor, f"update:{update_id}", school_id, {"update": update_id}, now)


def _reckon(tx: sa.Connection, update_id: int) -> None:
    which = (EndpointUpdate.update_id == update_id, EndpointUpdate.state.in_(OPEN))
    ledger.refresh(tx, list(tx.scalars(sa.select(EndpointUpdate.endpoint_pk).where(*which))))
