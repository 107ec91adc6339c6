"""What people order to be held back: maintenance windows, silences with an end, and ending either early."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.estate.calendars.queries import HOME, calendar_of
from fettle_server.estate.endpoints.scope import endpoint_pk
from fettle_server.estate.people.rules import Act, Forbidden, Person, demand, sees
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.journal.actions import record
from fettle_server.proactive.stages import recurrence
from fettle_server.proactive.stages.rules import Stage
from fettle_server.proactive.stages.tables import Suppression
from fettle_server.proactive.stages.views import Reach, StagesError
from fettle_server.proactive.tables import Fault

SILENCE_LONGEST = dt.timedelta(days=90)
WINDOW_LONGEST = dt.timedelta(days=120)
"""A single window: longer than a summer. What is to last longer is a rule to switch off."""
SERIES_BEFORE = dt.timedelta(days=366)
_TITLE, _REASON = 120, 200
STANDING_MOST = 2000
"""Orders that stand at one time: each fault asks them all."""


@dataclass(frozen=True, slots=True)
class Span:
    """When: from, to (a series may have no end), and for a series its recurrence rule and how long each time lasts."""

    starts_at: dt.datetime
    ends_at: dt.datetime | None
    rrule: str = ""
    duration: dt.timedelta = dt.timedelta(0)


def add_window(
    tx: sa.Connection, person: Person, reach: Reach, span: Span, *, title: str, reason: str, now: dt.datetime
) -> int:
    """Order a maintenance window, once or repeating; returns its key.

    Raises:
        StagesError: a time or repetition that cannot be, or a place that is not there.
        Forbidden: the person may not hold faults back there.
    """
    title = _text(title, "a title", _TITLE)
    place = _place(tx, person, reach)
    if span.rrule:
        if span.starts_at < now - SERIES_BEFORE:  # all since its first day are counted whenever a fault begins
            raise StagesError("A series begins at most a year ago.")
        zone = calendar_of(tx, place["school_id"]).zone if place["school_id"] is not None else HOME
        try:
            rule = recurrence.check(span.rrule, span.starts_at, span.duration, zone)
        except recurrence.RecurrenceError as error:
            raise StagesError(str(error)) from error
        if span.ends_at is not None and span.ends_at <= span.starts_at:
            raise StagesError("A window ends after it begins.")
        when = {"rrule": rule, "duration_s": int(span.duration.total_seconds())}
    else:
        _check_span(span, now, WINDOW_LONGEST, "window")
        when = {}
    values = {"starts_at": span.starts_at, "ends_at": span.ends_at, "title": title, "reason": _reason(reason)}
    return _add(tx, person, {"kind": Stage.WINDOW.value, **place, **values, **when}, now)


def add_silence(tx: sa.Connection, person: Person, reach: Reach, *, until: dt.datetime, reason: str, now: dt.datetime) -> int:
    """Order silence from now on, with an end at most 90 days away; returns its key.

    Raises:
        StagesError: no reason, an end that cannot be, or a place that is not there.
        Forbidden: the person may not hold faults back there.
    """
    reason = _text(reason, "why it is to be silent", _REASON)
    place = _place(tx, person, reach)
    _check_span(Span(now, until), now, SILENCE_LONGEST, "silence")
    values = {"kind": Stage.SILENCE.value, "starts_at": now, "ends_at": until, "title": "", "reason": reason}
    return _add(tx, person, {**place, **values}, now)


def end_early(tx: sa.Connection, person: Person, suppression_id: int, now: dt.datetime) -> None:
    """End a window (with all its repetitions) or a silence now: what is still ill is told.

    Raises:
        StagesError: there is none, or it is over.
        Forbidden: the person may not hold faults back there.
    """
    row = tx.execute(sa.select(*Suppression.__table__.c).where(Suppression.id == suppression_id)).one_or_none()
    if row is None or not (row.school_id is None or sees(person, row.school_id)):
        raise StagesError("There is no such window or silence.")
    _demand(person, row.school_id)
    if row.ended_at is not None or (row.ends_at is not None and row.ends_at <= now):
        raise StagesError("That is over already.")
    _let_go(tx, row, now)  # faults before orders, as detection writes them
    tx.execute(sa.update(Suppression).where(Suppression.id == suppression_id).values(ended_at=now))
    detail = {"title": row.title, "reason": row.reason}
    record(tx, f"{row.kind}.ended", person.actor, f"{row.kind}:{row.id}", row.school_id, detail, now)


def _let_go(tx: sa.Connection, row: Any, now: dt.datetime) -> None:
    """What it may have held back is looked at by the next triage, which asks the other orders again."""
    inside = sa.select(Endpoint.pk)
    for column, value in (
        (Endpoint.school_id, row.school_id),
        (Endpoint.room_id, row.room_id),
        (Endpoint.pk, row.endpoint_pk),
    ):
        if value is not None:
            inside = inside.where(column == value)
    which = [Fault.stage == row.kind, Fault.cleared_at.is_(None), Fault.endpoint_pk.in_(inside)]
    if row.rule is not None:
        which.append(Fault.rule == row.rule)
    tx.execute(sa.update(Fault).where(*which).values(held_until=now))


def _add(tx: sa.Connection, person: Person, values: dict[str, Any], now: dt.datetime) -> int:
    standing = sa.select(sa.func.count()).select_from(Suppression).where(Suppression.ended_at.is_(None))
    if (tx.scalar(standing.where(sa.or_(Suppression.ends_at.is_(None), Suppression.ends_at > now))) or 0) >= STANDING_MOST:
        raise StagesError(f"At most {STANDING_MOST} windows and silences stand at one time: end some first.")
    row = values | {"created_by": person.actor, "created_at": now}
    new = tx.execute(sa.insert(Suppression).values(row).returning(Suppression.id)).scalar_one()
    detail = {"title": values["title"], "reason": values["reason"], "rule": values["rule"]}
    record(tx, f"{values['kind']}.added", person.actor, f"{values['kind']}:{new}", values["school_id"], detail, now)
    return int(new)


def _place(tx: sa.Connection, person: Person, reach: Reach) -> dict[str, Any]:
    """The reach in the store's keys, each within the person's schools."""
    school_id, room_id, pk = reach.school_id, reach.room_id, None
    if room_id is not None:
        room_school = tx.scalar(sa.select(Room.school_id).where(Room.id == room_id))
        if room_school is None or not sees(person, room_school) or school_id not in (None, room_school):
            raise StagesError("There is no such room in that school.")
        school_id = room_school
    if reach.endpoint_id is not None:
        pk = endpoint_pk(tx, person, reach.endpoint_id)
        own = tx.scalar(sa.select(Endpoint.school_id).where(Endpoint.pk == pk)) if pk is not None else None
        if own is None or school_id not in (None, own):
            raise StagesError("There is no such PC in that school.")
        school_id, room_id = own, None
    if school_id is not None and (
        not sees(person, school_id) or tx.scalar(sa.select(School.id).where(School.id == school_id)) is None
    ):
        raise StagesError("There is no such school.")
    _demand(person, school_id)
    rule = (reach.rule or "").strip() or None
    if rule is not None and len(rule) > 80:
        raise StagesError("There is no such rule.")
    return {"school_id": school_id, "room_id": room_id, "endpoint_pk": pk, "rule": rule}


def _demand(person: Person, school_id: int | None) -> None:
    demand(person, Act.HOLD_BACK, school_id)
    if school_id is None and person.schools is not None:
        raise Forbidden(f"{person.name} may not hold back the faults of all schools.")


def _check_span(span: Span, now: dt.datetime, longest: dt.timedelta, what: str) -> None:
    if span.ends_at is None:
        raise StagesError(f"A {what} needs an end.")
    if span.ends_at <= max(span.starts_at, now):
        raise StagesError(f"A {what} ends after it begins, and not in the past.")
    if span.ends_at - span.starts_at > longest:
        raise StagesError(f"A {what} lasts at most {longest.days} days.")


def _reason(reason: str) -> str:
    return _text(reason, "a reason", _REASON) if reason.strip() else ""


def _text(text: str, what: str, limit: int) -> str:
    text = text.strip()
    if not text:
        raise StagesError(f"Please write {what}.")
    if len(text) > limit or "\0" in text:
        raise StagesError(f"That is too long: at most {limit} characters for {what}.")
    return text
