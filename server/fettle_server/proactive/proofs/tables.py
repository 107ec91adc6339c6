"""The proofs' one table."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc

_RUNNING = sa.text("ended_at IS NULL")


class Proof(Model):
    """One test fault on its way: the time of each step, None where it was not reached.

    `state` is "running", "passed" or "failed"; `endpoint_pk` is the PC that was asked to raise it until `ask_until`.
    """

    __tablename__ = "proofs"
    __table_args__ = (
        sa.Index("ix_proofs_school_id_id", "school_id", "id"),
        sa.Index("uq_proofs_running", "school_id", unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("schools.id"))
    endpoint_pk: Mapped[int] = mapped_column(sa.ForeignKey("endpoints.pk"))
    asked_by: Mapped[str] = mapped_column(sa.String(120))
    state: Mapped[str] = mapped_column(sa.String(10))
    note: Mapped[str] = mapped_column(sa.String(300), default="")
    asked_at: Mapped[dt.datetime] = mapped_column(Utc)
    ask_until: Mapped[dt.datetime] = mapped_column(Utc)
    incident_number: Mapped[int | None] = mapped_column(sa.BigInteger)
    raised_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    opened_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    told_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    cleared_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    resolved_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    ended_at: Mapped[dt.datetime | None] = mapped_column(Utc)
