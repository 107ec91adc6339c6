"""Proofs begun, followed to their end, and missed ones told: what the worker and people do about them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from fettle_server.estate.calendars.queries import calendars
from fettle_server.estate.calendars.rules import Calendar
from fettle_server.estate.people.rules import SYSTEM, Act, Person, demand
from fettle_server.estate.tables import Endpoint, School
from fettle_server.journal.actions import record
from fettle_server.notify import queries as notices
from fettle_server.notify.rules import State
from fettle_server.notify.tables import Outbox
from fettle_server.proactive.proofs import rules
from fettle_server.proactive.proofs.rules import Proved, Seen
from fettle_server.proactive.proofs.tables import Proof
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.intake import open_for_cause, resolve_cause
from fettle_server.reactive.rules import Scope
from fettle_server.reactive.tables import Incident
from fettle_server.reactive.tickets import Cause

RULE = "test-fault"
SILENT = "proof-silent"
_MINUTE = dt.timedelta(minutes=1)
_LOOK_BACK = 60
AT_ONCE = 10
"""Proofs begun in one turn: each under way is followed every few seconds."""


class ProofError(Exception):
    """A proof that cannot be begun; the message is for the person who asked."""


def prove(tx: sa.Connection, person: Person, school_id: int, now: dt.datetime) -> int:
    """Ask a connected PC of the school for a test fault, and follow it; returns the proof's number.

    Raises:
        Forbidden: the person may not. ProofError: no PC is connected, or a proof is under way.
    """
    demand(person, Act.PROVE_ALERTS, school_id)
    if tx.scalar(sa.select(Proof.id).where(Proof.school_id == school_id, Proof.ended_at.is_(None))) is not None:
        raise ProofError("A proof is under way in this school: wait until it has ended.")
    count = tx.scalar(sa.select(sa.func.count()).where(Proof.school_id == school_id)) or 0
    endpoint_pk = _whose_turn(tx, school_id, count)
    if endpoint_pk is None:
        raise ProofError("No PC of this school is connected, so none can be asked: try when the school is open.")
    values = {
        "school_id": school_id, "endpoint_pk": endpoint_pk, "asked_by": person.actor, "state": Proved.RUNNING, "asked_at": now,
        "ask_until": now + rules.ASK_WITHIN,
    }  # fmt: skip
    number = int(tx.execute(sa.insert(Proof).values(values).returning(Proof.id)).scalar_one())
    record(tx, "proof.asked", person.actor, f"school:{school_id}", school_id, {"proof": number}, now)
    return number


def follow(tx: sa.Connection, now: dt.datetime) -> int:
    """See how far the proofs under way have come, and end those that are through; returns how many are still under way."""
    left = 0
    for proof in tx.execute(sa.select(Proof).where(Proof.ended_at.is_(None)).order_by(Proof.id)).all():
        seen, number = _seen(tx, proof)
        state, note = rules.judge(seen, now)
        steps = {name: getattr(seen, name) for name in ("raised_at", "opened_at", "cleared_at", "resolved_at")}
        told_at = notices.first_sent(tx, number, proof.asked_at) if number else None
        if told_at is not None and seen.opened_at is not None:
            told_at = max(told_at, seen.opened_at)
        values = steps | {"incident_number": number, "told_at": told_at, "state": state, "note": note[:300]}
        if state is Proved.RUNNING:
            left += 1
        else:
            values["ended_at"] = now
        tx.execute(sa.update(Proof).where(Proof.id == proof.id).values(values))
        if state is not Proved.RUNNING:
            _end(tx, proof, state, note, now)
    return left


def due(tx: sa.Connection, every: dt.timedelta, now: dt.datetime) -> dict[int, dt.datetime]:
    """The open schools whose proofs are due, and since when. It looks at the whole estate, so it is for the reading side."""
    found = {row.id: at for row in _schools(tx) if (at := rules.due_at(row.id, row.since, _last(row), every)) <= now}
    hours = calendars(tx, found) if found else {}
    return {school_id: at for school_id, at in found.items() if school_id in hours and hours[school_id].is_open(now)}


def begin_due(tx: sa.Connection, due_since: Mapping[int, dt.datetime], now: dt.datetime) -> int:
    """Begin the proofs that are due, a few at a time; returns how many began.

    Where none could be begun for too long, that silence is told.
    """
    begun = 0
    hours = calendars(tx, due_since) if due_since else {}
    for school_id, at in due_since.items():
        if begun >= AT_ONCE:
            break
        calendar = hours.get(school_id)
        if calendar is None or _is_proved_since(tx, school_id, at):
            continue
        if _begin(tx, school_id, now):
            begun += 1
        elif rules.is_overdue(at, _school_days(calendar, at, now), now):
            _tell_silence(tx, school_id, f"No proof could be begun since {at:%-d %B}: no PC of the school was connected", now)
    return begun


def _is_proved_since(tx: sa.Connection, school_id: int, at: dt.datetime) -> bool:
    """Whether somebody began one meanwhile."""
    newer = sa.select(Proof.id).where(Proof.school_id == school_id, Proof.asked_at >= at)
    return tx.scalar(newer.limit(1)) is not None


def _begin(tx: sa.Connection, school_id: int, now: dt.datetime) -> bool:
    try:
        prove(tx, SYSTEM, school_id, now)
    except ProofError:
        return False
    return True


def _schools(tx: sa.Connection) -> list[Any]:
    """Each school that has PCs, with its last proof."""
    newest = sa.select(sa.func.max(Proof.id)).group_by(Proof.school_id)
    enrolled = (
        sa.select(Endpoint.school_id, sa.func.min(Endpoint.enrolled_at).label("since"))
        .where(Endpoint.revoked_at.is_(None))
        .group_by(Endpoint.school_id)
        .subquery()
    )
    last = sa.and_(Proof.school_id == School.id, Proof.id.in_(newest))
    statement = sa.select(School.id, enrolled.c.since, Proof.asked_at, Proof.state, Proof.ended_at)
    joined = statement.join(enrolled, enrolled.c.school_id == School.id).outerjoin(Proof, last)
    return [row for row in tx.execute(joined.order_by(School.id)) if row.asked_at is None or row.ended_at is not None]


def _last(row: Any) -> tuple[dt.datetime, Proved] | None:
    return None if row.asked_at is None else (row.asked_at, Proved(row.state))


def _whose_turn(tx: sa.Connection, school_id: int, count: int) -> int | None:
    tests = sa.select(Fault.endpoint_pk).where(Fault.rule == RULE, Fault.cleared_at.is_(None))
    connected = (
        Endpoint.school_id == school_id,
        Endpoint.connected.is_(sa.true()),
        Endpoint.revoked_at.is_(None),
        Endpoint.pk.not_in(tests),  # a test that somebody makes there proves nothing of this one
    )
    among = tx.scalar(sa.select(sa.func.count()).select_from(Endpoint).where(*connected)) or 0
    if not among:
        return None
    statement = sa.select(Endpoint.pk).where(*connected).order_by(Endpoint.pk)
    return tx.scalar(statement.offset(rules.turn(school_id, count, among)).limit(1))


def _school_days(calendar: Calendar, since: dt.datetime, now: dt.datetime) -> int:
    """Days on which the school was open, from the day after until yesterday."""
    first, last = since.astimezone(calendar.zone).date(), now.astimezone(calendar.zone).date()
    days = min((last - first).days, _LOOK_BACK)
    return sum(calendar.day(last - dt.timedelta(days=back)).opens is not None for back in range(1, days))


def _seen(tx: sa.Connection, proof: Any) -> tuple[Seen, int | None]:
    """How far it has come, and the number of its incident."""
    fault = _fault(tx, proof)
    connected = bool(tx.scalar(sa.select(Endpoint.connected).where(Endpoint.pk == proof.endpoint_pk)))
    if fault is None:
        return Seen(proof.asked_at, is_connected=connected), None
    number = fault.incident_number
    held = fault.stage_reason if fault.stage and number is None and fault.cleared_at is not None else ""
    opened_at, resolved_at = _incident(tx, number, proof.asked_at)
    is_told, telling = _telling(tx, number, proof.asked_at) if number else (False, "")
    seen = Seen(
        asked_at=proof.asked_at,
        raised_at=max(fault.raised_at, proof.asked_at),
        opened_at=opened_at,
        is_told=is_told,
        telling=telling,
        cleared_at=fault.cleared_at,
        resolved_at=resolved_at,
        is_connected=connected,
        held=held,
    )
    return rules.in_order(seen), number


def _fault(tx: sa.Connection, proof: Any) -> Any:
    """The test fault that answers the proof: one that began after it was asked for, or that was there and went on."""
    statement = sa.select(Fault).where(Fault.endpoint_pk == proof.endpoint_pk, Fault.rule == RULE)
    answers = sa.or_(Fault.raised_at >= proof.asked_at - _MINUTE, Fault.cleared_at.is_(None))
    return tx.execute(statement.where(answers).order_by(Fault.raised_at.desc(), Fault.id.desc()).limit(1)).one_or_none()


def _incident(tx: sa.Connection, number: int | None, asked_at: dt.datetime) -> tuple[dt.datetime | None, dt.datetime | None]:
    if number is None:
        return None, None
    row = tx.execute(sa.select(Incident.opened_at, Incident.resolved_at).where(Incident.number == number)).one()
    told = sa.select(sa.func.min(Outbox.at)).where(Outbox.incident_number == number, Outbox.at >= asked_at)
    return tx.scalar(told) or max(row.opened_at, asked_at), row.resolved_at


def _telling(tx: sa.Connection, number: int, since: dt.datetime) -> tuple[bool, str]:
    """Whether the notice has arrived as far as it was to, and in words."""
    outcomes = notices.outcomes(tx, number, since)
    if State.SENT in outcomes:
        return True, "A notice was taken by its receiver"
    if "waiting" in outcomes or State.PENDING in outcomes:
        return False, "it is still being tried"
    if State.HELD in outcomes:
        return True, "The notice waits for its digest or for the end of quiet hours, as its route wants"
    if State.FAILED in outcomes or State.EXPIRED in outcomes:
        return False, "it was given up"
    return True, "No route takes notices of this school, so nobody was told: it stands in the console only"


def _end(tx: sa.Connection, proof: Any, state: Proved, note: str, now: dt.datetime) -> None:
    record(tx, f"proof.{state}", "system", f"school:{proof.school_id}", proof.school_id, {"proof": proof.id, "note": note}, now)
    if state is Proved.PASSED:
        resolve_cause(tx, _cause_key(proof.school_id), "A proof has passed again", now)
    elif state is Proved.FAILED:
        _tell_silence(tx, proof.school_id, note, now)


def _tell_silence(tx: sa.Connection, school_id: int, text: str, now: dt.datetime) -> None:
    cause = Cause(
        key=_cause_key(school_id),
        scope=Scope.SCHOOL,
        school_id=school_id,
        room_id=None,
        title="The proof that alerts work has not passed",
        impact="room",
        urgency="medium",
        text=text,
        rule=SILENT,
    )
    open_for_cause(tx, cause, now)


def _cause_key(school_id: int) -> str:
    return f"school:{school_id}/proof"
