"""The journal's one table."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc


class Entry(Model):
    """Something that happened: who did what to which subject. Rows are only added, and dropped by age.

    `kind` is "subject.verb" ("incident.opened"); `actor` is "system", "endpoint:<id>", "user:<name>" or "token:<name>";
    `subject` is the subject's type and key ("incident:12"). `school_id` scopes who may follow it; None: administrators.
    """

    __tablename__ = "journal"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(Utc, index=True)
    kind: Mapped[str] = mapped_column(sa.String(60))
    actor: Mapped[str] = mapped_column(sa.String(120))
    subject: Mapped[str] = mapped_column(sa.String(120), index=True)
    school_id: Mapped[int | None] = mapped_column(sa.Integer)
    detail: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
