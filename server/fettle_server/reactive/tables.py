"""The reactive wing's tables: incidents, their timeline, and the table that makes a priority."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc
from fettle_server.reactive.rules import OPEN_STATES, IncidentState

__all__ = ["IS_OPEN", "OPEN_STATES", "Incident", "IncidentEntry", "IncidentState", "PriorityCell"]

IS_OPEN = sa.text("state IN ('new', 'assigned', 'in progress', 'waiting')")


class Incident(Model):
    """One cause that someone may have to see to. `cause` names it ("endpoint:17/disk"): one open incident for each."""

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
    )

    number: Mapped[int] = mapped_column(Serial, primary_key=True)
    cause: Mapped[str] = mapped_column(sa.String(200))
    state: Mapped[str] = mapped_column(sa.String(20), default=IncidentState.NEW)
    impact: Mapped[str] = mapped_column(sa.String(10))
    urgency: Mapped[str] = mapped_column(sa.String(10))
    priority: Mapped[int] = mapped_column(sa.Integer)
    title: Mapped[str] = mapped_column(sa.String(300))
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("schools.id"))
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
