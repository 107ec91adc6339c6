"""The reactive wing's tables: incidents, their timeline, and the table that makes a priority."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc
from fettle_server.reactive.rules import OPEN_STATES, IncidentState, Scope

__all__ = ["IS_OPEN", "OPEN_STATES", "Incident", "IncidentEntry", "IncidentSchool", "IncidentState", "PriorityCell", "Scope"]

_IS_WAITING = sa.text("quiet_until IS NOT NULL")
IS_OPEN = sa.text("state IN ('new', 'assigned', 'in progress', 'waiting')")


class Incident(Model):
    """One cause that someone may have to see to. `cause` names it ("endpoint:17/disk"): one open incident for each.

    `scope` is the level at which the cause is; `school_id` is None where that is several schools (then IncidentSchool names
    them), `endpoint_pk` where it is more than one endpoint. `merged_into` is the incident that took this one over as part of
    a wider cause. `is_test`: a proof that alerts work. `quiet_until`: its fault comes and goes, and it resolves by itself
    only once nothing has come until then.
    """

    __tablename__ = "incidents"
    __table_args__ = (
        sa.Index("uq_incidents_open_cause", "cause", unique=True, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
        sa.Index("ix_incidents_cause_resolved_at", "cause", "resolved_at"),
        sa.Index("ix_incidents_state_priority_number", "state", "priority", "number"),
        sa.Index("ix_incidents_school_id_state_priority_number", "school_id", "state", "priority", "number"),
        sa.Index("ix_incidents_endpoint_pk_number", "endpoint_pk", "number"),
        sa.Index("ix_incidents_opened_at", "opened_at"),
        sa.Index("ix_incidents_resolved_at_priority_number", "resolved_at", "priority", "number"),
        sa.Index("ix_incidents_rule_number", "rule", "number"),
        sa.Index("ix_incidents_quiet_until", "quiet_until", sqlite_where=_IS_WAITING, postgresql_where=_IS_WAITING),
    )

    number: Mapped[int] = mapped_column(Serial, primary_key=True)
    cause: Mapped[str] = mapped_column(sa.String(200))
    state: Mapped[str] = mapped_column(sa.String(20), default=IncidentState.NEW)
    impact: Mapped[str] = mapped_column(sa.String(10))
    urgency: Mapped[str] = mapped_column(sa.String(10))
    priority: Mapped[int] = mapped_column(sa.Integer)
    title: Mapped[str] = mapped_column(sa.String(300))
    school_id: Mapped[int | None] = mapped_column(sa.ForeignKey("schools.id"))
    endpoint_pk: Mapped[int | None] = mapped_column(sa.ForeignKey("endpoints.pk"))
    rule: Mapped[str] = mapped_column(sa.String(80), default="")
    origin: Mapped[str] = mapped_column(sa.String(20), default="agent")
    assignee_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"), index=True)
    opened_at: Mapped[dt.datetime] = mapped_column(Utc)
    acknowledged_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    resolved_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    closed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    updated_at: Mapped[dt.datetime] = mapped_column(Utc)
    reopened: Mapped[int] = mapped_column(sa.Integer, default=0)
    open_faults: Mapped[int] = mapped_column(sa.Integer, default=0)
    scope: Mapped[str] = mapped_column(sa.String(10), server_default=Scope.ENDPOINT.value)
    room_id: Mapped[int | None] = mapped_column(sa.Integer)
    merged_into: Mapped[int | None] = mapped_column(sa.Integer)
    is_test: Mapped[bool] = mapped_column(sa.Boolean, server_default=sa.false())
    quiet_until: Mapped[dt.datetime | None] = mapped_column(Utc)


class IncidentSchool(Model):
    """A school that an incident of several schools touches: so that its people see it."""

    __tablename__ = "incident_schools"

    incident_number: Mapped[int] = mapped_column(sa.ForeignKey("incidents.number"), primary_key=True)
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("schools.id"), primary_key=True)


class IncidentEntry(Model):
    """One line of an incident's timeline; `kind` such as "opened", "joined", "fault cleared", "comment", "state"."""

    __tablename__ = "incident_entries"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    incident_number: Mapped[int] = mapped_column(sa.ForeignKey("incidents.number"), index=True)
    at: Mapped[dt.datetime] = mapped_column(Utc)
    kind: Mapped[str] = mapped_column(sa.String(30))
    actor: Mapped[str] = mapped_column(sa.String(120))
    text: Mapped[str] = mapped_column(sa.Text, default="")
    detail: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)


class PriorityCell(Model):
    """One cell of the table impact x urgency -> priority (1 first, 5 last); an administrator may edit it."""

    __tablename__ = "priorities"

    impact: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    urgency: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    priority: Mapped[int] = mapped_column(sa.Integer)
