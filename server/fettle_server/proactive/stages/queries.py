"""Reads about what is held back: the windows and silences, and the log of held faults."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from fettle_server.estate.calendars.queries import HOME
from fettle_server.estate.endpoints.scope import endpoint_pk, scoped
from fettle_server.estate.people.rules import Act, Person, may
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.paging import Page, bounded, mark, unmark
from fettle_server.proactive.queries import current_policy
from fettle_server.proactive.rules import standing
from fettle_server.proactive.stages.orders import spans_of
from fettle_server.proactive.stages.rules import NAMES, Stage
from fettle_server.proactive.stages.tables import Suppression
from fettle_server.proactive.stages.views import HeldFilter, HeldRow, Reach, StagesError, SuppressionRow
from fettle_server.proactive.tables import Fault

__all__ = ["HeldFilter", "HeldRow", "Reach", "StagesError", "SuppressionRow", "held", "holding", "suppressions"]

_AHEAD = dt.timedelta(days=400)
_LIMIT = 500
STATES = ("on", "coming", "over")


def suppressions(tx: sa.Connection, person: Person, now: dt.datetime, *, over: bool = False) -> tuple[SuppressionRow, ...]:
    """The windows and silences that stand or are to come (`over`: those that are over instead), the newest first.

    A person of some schools sees those of these schools and those of all.
    """
    is_over = sa.or_(Suppression.ended_at.is_not(None), Suppression.ends_at <= now)
    lasts = sa.and_(Suppression.ended_at.is_(None), sa.or_(Suppression.ends_at.is_(None), Suppression.ends_at > now))
    statement = (
        sa.select(
            *Suppression.__table__.c,
            sa.func.coalesce(School.name, "").label("school"),
            School.time_zone,
            sa.func.coalesce(Room.name, "").label("room"),
            sa.func.coalesce(Endpoint.id, "").label("endpoint_id"),
            sa.func.coalesce(Endpoint.name, "").label("endpoint"),
        )
        .outerjoin(School, School.id == Suppression.school_id)
        .outerjoin(Room, Room.id == Suppression.room_id)
        .outerjoin(Endpoint, Endpoint.pk == Suppression.endpoint_pk)
        .where(is_over if over else lasts)
        .order_by(Suppression.id.desc())
        .limit(_LIMIT)
    )
    if person.schools is not None:
        statement = statement.where(sa.or_(Suppression.school_id.is_(None), Suppression.school_id.in_(person.schools)))
    return tuple(_suppression(row, person, now) for row in tx.execute(statement))


def held(tx: sa.Connection, person: Person, wanted: HeldFilter, after: str | None = None, limit: int = 50) -> Page[HeldRow]:
    """A page of the faults that are held back, or were so until they were over; newest first.

    Raises:
        StagesError: an unknown stage or state. PageError: `after` is no mark of this list.
    """
    limit = bounded(limit)
    statement = (
        sa.select(
            *(getattr(Fault, name) for name in (
                "id", "stage", "stage_reason", "held_until", "rule", "instance", "severity", "raised_at", "cleared_at",
                "incident_number", "trail",
            )),
            Endpoint.id.label("endpoint_id"),
            Endpoint.name.label("endpoint"),
            Endpoint.school_id,
            School.name.label("school"),
        )
        .join(Endpoint, Endpoint.pk == Fault.endpoint_pk)
        .join(School, School.id == Endpoint.school_id)
        .where(sa.text("stage <> ''"), *_wanted(tx, person, wanted))
        .order_by(Fault.id.desc())
    )  # fmt: skip
    if after is not None:
        statement = statement.where(Fault.id < unmark(after, int)[0])
    policy = current_policy(tx)
    rows = [_held(row, policy) for row in tx.execute(statement.limit(limit + 1))]
    return Page(tuple(rows[:limit]), mark((rows[limit - 1].id,)) if len(rows) > limit else None)


def holding(tx: sa.Connection, person: Person) -> dict[str, int]:
    """How many faults each stage holds back now among the person's schools; a stage without any is left out."""
    counted = sa.select(Fault.stage, sa.func.count()).where(sa.text("stage <> '' AND cleared_at IS NULL"))
    if person.schools is not None:
        counted = counted.join(Endpoint, Endpoint.pk == Fault.endpoint_pk).where(*scoped(person))
    return {row[0]: row[1] for row in tx.execute(counted.group_by(Fault.stage))}


def _wanted(tx: sa.Connection, person: Person, wanted: HeldFilter) -> list[sa.ColumnElement[bool]]:
    where = [*scoped(person)]
    if wanted.stage:
        if wanted.stage not in list(Stage):
            raise StagesError(f"A stage is one of {', '.join(Stage)}.")
        where.append(Fault.stage == wanted.stage)
    if wanted.school_id is not None:
        where.append(Endpoint.school_id == wanted.school_id)
    if wanted.endpoint_id is not None:
        where.append(Fault.endpoint_pk == (endpoint_pk(tx, person, wanted.endpoint_id) or 0))
    if wanted.state not in ("open", "over", "all"):
        raise StagesError("state is open, over or all")
    if wanted.state == "open":
        where.append(Fault.cleared_at.is_(None))
    elif wanted.state == "over":
        where.append(Fault.cleared_at.is_not(None))
    return where


def _suppression(row: Any, person: Person, now: dt.datetime) -> SuppressionRow:
    zone = ZoneInfo(row.time_zone) if row.time_zone else HOME
    spans = spans_of(row, zone, now, now + _AHEAD)
    until = next((end for start, end in spans if start <= now < end), None)
    state = "on" if until else "coming" if spans else "over"
    fields = {name: getattr(row, name) for name in SuppressionRow.__dataclass_fields__ if hasattr(row, name)}
    mine = row.school_id is not None or person.schools is None
    return SuppressionRow(
        **fields
        | {
            "rule": row.rule or "",
            "state": state,
            "until": until,
            "next_at": next((start for start, _ in spans if start > now), None),
            "may_end": state != "over" and mine and may(person, Act.HOLD_BACK, row.school_id) is None,
        }
    )


def _held(row: Any, policy: Any) -> HeldRow:
    return HeldRow(
        id=row.id,
        stage=row.stage,
        stage_name=NAMES[Stage(row.stage)],
        reason=row.stage_reason,
        held_until=row.held_until,
        rule=row.rule,
        instance=row.instance,
        title=standing(policy, row.rule, row.instance, row.endpoint).title,
        severity=row.severity,
        endpoint_id=row.endpoint_id,
        endpoint=row.endpoint,
        school_id=row.school_id,
        school=row.school,
        raised_at=row.raised_at,
        cleared_at=row.cleared_at,
        incident_number=row.incident_number,
        trail=tuple(row.trail or ()),
    )
