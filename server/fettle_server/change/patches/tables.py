"""Updates that a source offered to anybody, and how far each endpoint is with each of them."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc


class Update(Model):
    """One version of one package, or one of a vendor's numbered updates. `provider` as in fettle_protocol.steps.

    `severity` is "critical", "important", "moderate", "low" or "" where the source does not say; `released_on` is the
    vendor's day of release, None where unknown: then `first_seen_at` stands for it, and pages say so.
    """

    __tablename__ = "updates"
    __table_args__ = (
        sa.UniqueConstraint("provider", "name", "version"),
        sa.Index("ix_updates_security", "security", "released_on"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    provider: Mapped[str] = mapped_column(sa.String(20))
    name: Mapped[str] = mapped_column(sa.String(200))
    version: Mapped[str] = mapped_column(sa.String(120))
    title: Mapped[str] = mapped_column(sa.String(300), default="")
    security: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    severity: Mapped[str] = mapped_column(sa.String(10), default="")
    cves: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    cvss: Mapped[float | None] = mapped_column(sa.Float)
    reference: Mapped[str] = mapped_column(sa.String(300), default="")
    released_on: Mapped[dt.date | None] = mapped_column(sa.Date)
    first_seen_at: Mapped[dt.datetime] = mapped_column(Utc)


class EndpointUpdate(Model):
    """How far one endpoint is with one update: `state` is a change.patches.rules.PatchState, the times when each step was seen.

    `words` are the operating system's own at the last step, `installed` the version that the endpoint had when it was offered.
    `change_id` is the change that approved it for this endpoint. `gone_at`: no longer offered, though never installed here
    (superseded, or declined). An update that is installed but waits for a restart is not fixed: `fixed_at` is the proof's.
    """

    __tablename__ = "endpoint_updates"
    __table_args__ = (
        sa.Index("ix_endpoint_updates_update_id_state", "update_id", "state"),
        sa.Index("ix_endpoint_updates_school_id_state", "school_id", "state"),
    )

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    update_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    school_id: Mapped[int] = mapped_column(sa.Integer)
    state: Mapped[str] = mapped_column(sa.String(16))
    installed: Mapped[str] = mapped_column(sa.String(120), default="")
    words: Mapped[str] = mapped_column(sa.Text, default="")
    change_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    offered_at: Mapped[dt.datetime] = mapped_column(Utc)
    approved_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    downloaded_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    installed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    restart_due_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    failed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    fixed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    gone_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class PatchScan(Model):
    """An endpoint's newest look at its updates: by which providers, when, and what went wrong with each."""

    __tablename__ = "patch_scans"

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[dt.datetime] = mapped_column(Utc)
    reboot_pending: Mapped[bool | None] = mapped_column(sa.Boolean)
    providers: Mapped[list[dict[str, str]]] = mapped_column(sa.JSON, default=list)
