"""What people ordered to be held back: maintenance windows and silences."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Utc

_STANDS = sa.text("ended_at IS NULL")


class Suppression(Model):
    """A maintenance window or a silence (`kind` is the stage's word). What is NULL of its reach means all of them.

    A window with an `rrule` (RFC 5545, in the school's time) begins at each of its occurrences from `starts_at` on and lasts
    `duration_s`; `ends_at` ends the series. `ended_at`: somebody ended it early. `held` counts the faults it held back.
    """

    __tablename__ = "suppressions"
    __table_args__ = (
        sa.Index("ix_suppressions_standing", "ends_at", sqlite_where=_STANDS, postgresql_where=_STANDS),
        sa.Index("ix_suppressions_ended_at", "ended_at"),
    )

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    school_id: Mapped[int | None] = mapped_column(sa.ForeignKey("schools.id"))
    room_id: Mapped[int | None] = mapped_column(sa.Integer)
    endpoint_pk: Mapped[int | None] = mapped_column(sa.ForeignKey("endpoints.pk"))
    rule: Mapped[str | None] = mapped_column(sa.String(80))
    title: Mapped[str] = mapped_column(sa.String(120))
    reason: Mapped[str] = mapped_column(sa.String(200))
    starts_at: Mapped[dt.datetime] = mapped_column(Utc)
    ends_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    rrule: Mapped[str] = mapped_column(sa.String(300), default="")
    duration_s: Mapped[int] = mapped_column(sa.Integer, default=0)
    created_by: Mapped[str] = mapped_column(sa.String(120))
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    ended_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    held: Mapped[int] = mapped_column(sa.Integer, default=0)
