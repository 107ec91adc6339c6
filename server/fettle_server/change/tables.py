"""What the whole wing shares: the request for change and its record."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc

_STANDS = sa.text("unlinked_at IS NULL")


class Change(Model):
    """A request for change. `kind` is "standard", "normal" or "emergency"; `state` a change.rules.ChangeState.

    `schools` are the keys of the schools that it touches (empty: all, where `everywhere`), `reach` says in words who is
    affected. `risk` is "low", "medium" or "high" and `risk_reasons` the sentences that made it so. `planned_from` and
    `planned_until` are when it means to happen. `outcome` is "" until the review: "successful", "partly", "failed" or
    "backed out". `template_id` names the pre-approved standard change that it follows.
    """

    __tablename__ = "changes"
    __table_args__ = (
        sa.Index("ix_changes_state_id", "state", "id"),
        sa.Index("ix_changes_planned_from", "planned_from"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    state: Mapped[str] = mapped_column(sa.String(20))
    title: Mapped[str] = mapped_column(sa.String(200))
    why: Mapped[str] = mapped_column(sa.Text)
    what: Mapped[str] = mapped_column(sa.Text, default="")
    reach: Mapped[str] = mapped_column(sa.Text, default="")
    plan: Mapped[str] = mapped_column(sa.Text, default="")
    back_out_plan: Mapped[str] = mapped_column(sa.Text, default="")
    schools: Mapped[list[int]] = mapped_column(sa.JSON, default=list)
    everywhere: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    risk: Mapped[str] = mapped_column(sa.String(10), default="")
    risk_reasons: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    template_id: Mapped[int | None] = mapped_column(sa.ForeignKey("change_templates.id"))
    proposer: Mapped[str] = mapped_column(sa.String(120))
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    planned_from: Mapped[dt.datetime | None] = mapped_column(Utc)
    planned_until: Mapped[dt.datetime | None] = mapped_column(Utc)
    notice_hours: Mapped[int] = mapped_column(sa.Integer, default=24)
    noticed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    reminded_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    begun_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    ended_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    outcome: Mapped[str] = mapped_column(sa.String(12), default="")
    review: Mapped[str] = mapped_column(sa.Text, default="")
    reviewed_by: Mapped[str] = mapped_column(sa.String(120), default="")
    reviewed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    updated_at: Mapped[dt.datetime] = mapped_column(Utc)


class ChangeTemplate(Model):
    """A standard change: approved beforehand for changes of this kind, by whom and until when."""

    __tablename__ = "change_templates"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(120), unique=True)
    why: Mapped[str] = mapped_column(sa.Text)
    plan: Mapped[str] = mapped_column(sa.Text)
    back_out_plan: Mapped[str] = mapped_column(sa.Text)
    limits: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    approved_by: Mapped[str] = mapped_column(sa.String(120))
    approved_at: Mapped[dt.datetime] = mapped_column(Utc)
    expires_at: Mapped[dt.datetime] = mapped_column(Utc)
    withdrawn_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class ChangeApproval(Model):
    """A decision that a change waits for, or that was made. `step` is "peer review", "proceed", "implement" or "final".

    `decision` is "" while it waits, else "approved" or "rejected"; `school_id` with the final approver's step.
    """

    __tablename__ = "change_approvals"
    __table_args__ = (sa.Index("ix_change_approvals_change_id", "change_id"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    change_id: Mapped[int] = mapped_column(sa.ForeignKey("changes.id"))
    step: Mapped[str] = mapped_column(sa.String(12))
    school_id: Mapped[int | None] = mapped_column(sa.Integer)
    decision: Mapped[str] = mapped_column(sa.String(10), default="")
    actor: Mapped[str] = mapped_column(sa.String(120), default="")
    why: Mapped[str] = mapped_column(sa.Text, default="")
    at: Mapped[dt.datetime | None] = mapped_column(Utc)


class ChangeEntry(Model):
    """One line of a change's record."""

    __tablename__ = "change_entries"
    __table_args__ = (sa.Index("ix_change_entries_change_id", "change_id", "id"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    change_id: Mapped[int] = mapped_column(sa.ForeignKey("changes.id"))
    at: Mapped[dt.datetime] = mapped_column(Utc)
    kind: Mapped[str] = mapped_column(sa.String(30))
    actor: Mapped[str] = mapped_column(sa.String(120))
    text: Mapped[str] = mapped_column(sa.Text, default="")
    detail: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)


class ChangeIncident(Model):
    """An incident that a change may have caused, or that it is to mend. `how` is "halted", "after it", "by hand" or "mends"."""

    __tablename__ = "change_incidents"
    __table_args__ = (
        sa.Index("ix_change_incidents_number", "incident_number", sqlite_where=_STANDS, postgresql_where=_STANDS),
    )

    change_id: Mapped[int] = mapped_column(sa.ForeignKey("changes.id"), primary_key=True)
    incident_number: Mapped[int] = mapped_column(sa.ForeignKey("incidents.number"), primary_key=True)
    how: Mapped[str] = mapped_column(sa.String(12))
    why: Mapped[str] = mapped_column(sa.String(300), default="")
    linked_by: Mapped[str] = mapped_column(sa.String(120))
    linked_at: Mapped[dt.datetime] = mapped_column(Utc)
    unlinked_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class SchoolChange(Model):
    """How a school takes changes: a final approver outside ICT, how thin its line is, where its local cache stands.

    No row: no final approver, no limit, no cache. `at_once` is how many of its PCs may download at the same time (0: no limit).
    """

    __tablename__ = "school_changes"

    school_id: Mapped[int] = mapped_column(sa.ForeignKey("schools.id"), primary_key=True)
    needs_final: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    final_user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    at_once: Mapped[int] = mapped_column(sa.Integer, default=0)
    cache_url: Mapped[str] = mapped_column(sa.String(200), default="")
