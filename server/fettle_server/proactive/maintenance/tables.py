"""Maintenance's one table: the tasks."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc
from fettle_server.proactive.maintenance.rules import TaskState

_IS_OPEN = sa.text("state = 'open'")


class MaintenanceTask(Model):
    """Work that somebody should do by `due_on` (maintenance.rules.Task); `note`: what was written when it ended."""

    __tablename__ = "maintenance_tasks"
    __table_args__ = (
        sa.Index("uq_maintenance_tasks_open", "key", unique=True, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
        sa.Index("ix_maintenance_tasks_key_done_at", "key", "done_at"),
        sa.Index("ix_maintenance_tasks_state_due_on_id", "state", "due_on", "id"),
        sa.Index("ix_maintenance_tasks_school_id_state_due_on_id", "school_id", "state", "due_on", "id"),
        sa.Index("ix_maintenance_tasks_endpoint_pk_state", "endpoint_pk", "state"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    key: Mapped[str] = mapped_column(sa.String(200))
    title: Mapped[str] = mapped_column(sa.String(300))
    reason: Mapped[str] = mapped_column(sa.String(1000), default="")
    school_id: Mapped[int | None] = mapped_column(sa.ForeignKey("schools.id"))
    room_id: Mapped[int | None] = mapped_column(sa.Integer)
    endpoint_pk: Mapped[int | None] = mapped_column(sa.ForeignKey("endpoints.pk"))
    due_on: Mapped[dt.date] = mapped_column(sa.Date)
    state: Mapped[str] = mapped_column(sa.String(10), default=TaskState.OPEN)
    opened_at: Mapped[dt.datetime] = mapped_column(Utc)
    done_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    done_by: Mapped[str] = mapped_column(sa.String(120), default="")
    note: Mapped[str] = mapped_column(sa.String(1000), default="")
