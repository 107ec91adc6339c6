"""Updates that a source offered to anybody, and how far each endpoint is with each of them."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc

_UNSETTLED = sa.text("settle_at IS NOT NULL")


class Update(Model):
    """One version of one package, or one of a vendor's numbered updates. `provider` as in fettle_protocol.steps.

    `severity` is "critical", "important", "moderate", "low" or "" where the source does not say; `released_on` is the
    vendor's day of release, None where unknown: then `first_seen_at` stands for it, and pages say so. `due_on` is the last
    day in time by the 14-day clock; None where no clock runs.
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
    due_on: Mapped[dt.date | None] = mapped_column(sa.Date)


class EndpointUpdate(Model):
    """How far one endpoint is with one update: `state` is a change.patches.rules.PatchState, the times when each step was seen.

    `words` are the operating system's own at the last step, `installed` the version that the endpoint had when it was offered.
    `change_id` is the change that approved it for this endpoint. `gone_at`: no longer offered, though never installed here
    (superseded, or declined). An update that is installed but waits for a restart is not fixed: `fixed_at` is the proof's.
    `due_on` is the endpoint's own: earlier than the update's where it lacked a predecessor that this one replaced, so that a
    vendor's next version does not wind the clock back.
    """

    __tablename__ = "endpoint_updates"
    __table_args__ = (
        sa.Index("ix_endpoint_updates_update_id_state", "update_id", "state"),
        {"sqlite_with_rowid": False},
    )

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    update_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    school_id: Mapped[int] = mapped_column(sa.Integer)
    state: Mapped[str] = mapped_column(sa.String(16))
    installed: Mapped[str] = mapped_column(sa.String(120), default="")
    words: Mapped[str] = mapped_column(sa.Text, default="")
    change_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    due_on: Mapped[dt.date | None] = mapped_column(sa.Date)
    offered_at: Mapped[dt.datetime] = mapped_column(Utc)
    approved_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    downloaded_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    installed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    restart_due_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    failed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    fixed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    gone_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class PatchScan(Model):
    """An endpoint's newest look at its updates: by which providers, when, and what went wrong with each; and what it comes to.

    `worked`: every provider could look. `refused` says what of the section was malformed and left out. `lacking` and `restart`
    count its open updates and those that wait for a restart, `due_on` is the earliest day of a clock that runs and is not
    excepted, `excepted` that there is one that is. `settle_at`: updates are no longer offered, and its software is to be asked
    whether they were installed.
    """

    __tablename__ = "patch_scans"
    __table_args__ = (sa.Index("ix_patch_scans_settle_at", "settle_at", sqlite_where=_UNSETTLED, postgresql_where=_UNSETTLED),)

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[dt.datetime] = mapped_column(Utc)
    reboot_pending: Mapped[bool | None] = mapped_column(sa.Boolean)
    worked: Mapped[bool] = mapped_column(sa.Boolean, default=True)
    providers: Mapped[list[dict[str, str]]] = mapped_column(sa.JSON, default=list)
    refused: Mapped[str] = mapped_column(sa.String(300), default="")
    lacking: Mapped[int] = mapped_column(sa.Integer, default=0)
    restart: Mapped[int] = mapped_column(sa.Integer, default=0)
    due_on: Mapped[dt.date | None] = mapped_column(sa.Date)
    excepted: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    settle_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class PatchCount(Model):
    """How many endpoints of a school are in an open state of an update with the same due day (`due_day`: ordinal; 0: no clock).

    Kept in the transaction that changes endpoint_updates, so that a list of all that 30,000 PCs lack reads one small table.
    """

    __tablename__ = "patch_counts"
    __table_args__ = ({"sqlite_with_rowid": False},)

    update_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    school_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    due_day: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    endpoints: Mapped[int] = mapped_column(sa.Integer)


class PatchException(Model):
    """An update that need not be in time at a school (NULL: anywhere) until a day, and why. `ended_at`: taken back."""

    __tablename__ = "patch_exceptions"
    __table_args__ = (sa.Index("ix_patch_exceptions_update_id", "update_id"),)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    update_id: Mapped[int] = mapped_column(sa.BigInteger)
    school_id: Mapped[int | None] = mapped_column(sa.Integer)
    why: Mapped[str] = mapped_column(sa.String(500))
    until: Mapped[dt.date] = mapped_column(sa.Date)
    by: Mapped[str] = mapped_column(sa.String(120))
    at: Mapped[dt.datetime] = mapped_column(Utc)
    ended_at: Mapped[dt.datetime | None] = mapped_column(Utc)
