"""Jobs, and what each step of one said."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc

_HANDED = sa.text("state = 'released'")
_OPEN = sa.text("ended_at IS NULL")


class Job(Model):
    """One manifest for one endpoint. `state` is a change.jobs.rules.JobState; `why` why it has not run yet, or how it ended.

    `released_number` counts up over all jobs as they are released (0: not yet), so that the edge asks for what is new only;
    `cancel_number` likewise for cancels. `start_at` to `until_at` is the window in which it may begin. `attempt` counts the
    agent's attempts, `step` and `percent` are where it is. `result` is what the agent told at the end (packages before and
    after). `at_most_once`: nothing of it may be begun twice.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        sa.UniqueConstraint("manifest_id", "endpoint_pk"),
        sa.Index("ix_jobs_endpoint_pk_id", "endpoint_pk", "id"),
        sa.Index("ix_jobs_rollout_id_state", "rollout_id", "state"),
        sa.Index("ix_jobs_released_number", "released_number", sqlite_where=_HANDED, postgresql_where=_HANDED),
        sa.Index("ix_jobs_cancel_number", "cancel_number"),
        sa.Index("ix_jobs_open_expires_at", "expires_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    uid: Mapped[str] = mapped_column(sa.String(32), unique=True)
    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger)
    school_id: Mapped[int] = mapped_column(sa.Integer)
    manifest_id: Mapped[int] = mapped_column(sa.ForeignKey("manifests.id"))
    rollout_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    state: Mapped[str] = mapped_column(sa.String(12))
    why: Mapped[str] = mapped_column(sa.String(500), default="")
    exam: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    at_most_once: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    released_number: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    cancel_number: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    attempt: Mapped[int] = mapped_column(sa.Integer, default=0)
    step: Mapped[int] = mapped_column(sa.Integer, default=0)
    percent: Mapped[int] = mapped_column(sa.Integer, default=0)
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    start_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    until_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    expires_at: Mapped[dt.datetime] = mapped_column(Utc)
    released_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    received_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    started_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    reported_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    ended_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    result: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)


class JobFormerUid(Model):
    """A uid that a job had before it was taken back and let wait anew: what its PC still says under it counts.

    `cancel_number` is its cancel's (0: its PC heard of it, or never had it).
    """

    __tablename__ = "job_former_uids"
    __table_args__ = (
        sa.Index("ix_job_former_uids_endpoint_pk", "endpoint_pk"),
        sa.Index("ix_job_former_uids_cancel_number", "cancel_number"),
    )

    uid: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    job_id: Mapped[int] = mapped_column(sa.BigInteger)
    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger)
    cancel_number: Mapped[int] = mapped_column(sa.BigInteger, default=0)


class JobEntry(Model):
    """One report of an agent about a job, with the operating system's own words."""

    __tablename__ = "job_entries"
    __table_args__ = (sa.Index("ix_job_entries_job_id", "job_id", "id"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    job_id: Mapped[int] = mapped_column(sa.BigInteger)
    at: Mapped[dt.datetime] = mapped_column(Utc)
    state: Mapped[str] = mapped_column(sa.String(12))
    step: Mapped[int] = mapped_column(sa.Integer, default=0)
    kind: Mapped[str] = mapped_column(sa.String(30), default="")
    why: Mapped[str] = mapped_column(sa.String(500), default="")
    words: Mapped[str] = mapped_column(sa.Text, default="")


class JobMark(Model):
    """The counters of released and cancelled jobs: one row (id 1), raised in the transaction that releases or cancels."""

    __tablename__ = "job_marks"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    released: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    cancelled: Mapped[int] = mapped_column(sa.BigInteger, default=0)


class Wake(Model):
    """A neighbour that is asked to wake PCs of its room: pushed once on its stream while it is younger than a minute."""

    __tablename__ = "wakes"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger)
    macs: Mapped[list[str]] = mapped_column(sa.JSON)
    asked_at: Mapped[dt.datetime] = mapped_column(Utc, index=True)
