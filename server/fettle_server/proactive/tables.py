"""The proactive wing's tables: the policy's versions, and the faults that agents judged by it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc

_IS_OPEN = sa.text("cleared_at IS NULL")
_IS_ABSENT = sa.text("rule = 'absent' AND cleared_at IS NULL")
_IS_HELD = sa.text("stage <> '' AND cleared_at IS NULL")
_WAS_HELD = sa.text("stage <> ''")


class PolicyVersion(Model):
    """A whole policy (fettle_protocol.policy.encode), of which agents get their class's part; the highest version is in force.

    `own` names the rules that people made differ from what ships, so that an update leaves them be; None: not known.
    """

    __tablename__ = "policies"

    version: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    created_by: Mapped[str] = mapped_column(sa.String(120))
    own: Mapped[list[str] | None] = mapped_column(sa.JSON(none_as_null=True))


class Fault(Model):
    """One rule raised on one instance of one endpoint; open until `cleared_at`. At most one open at a time for each.

    `evidence` is {"raised": [[at_ms, value], ...], "cleared": [[at_ms, value], ...]}; `time_adjusted` marks a time that
    could not be believed and was replaced by the time of receipt.

    `stage` names what holds it back from becoming an incident of its own just now (proactive.stages.rules.Stage; empty:
    nothing), with the reason in words and until when at the latest. `trail` is all the stages that it went through:
    [{"stage", "reason", "from_ms", "to_ms"}], `to_ms` None while it lasts.
    """

    __tablename__ = "faults"
    __table_args__ = (
        sa.Index(
            "uq_faults_open", "endpoint_pk", "rule", "instance", unique=True, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN
        ),
        sa.Index("ix_faults_endpoint_pk_raised_at", "endpoint_pk", "raised_at"),
        sa.Index("ix_faults_incident_number", "incident_number"),
        sa.Index("ix_faults_cleared_at", "cleared_at"),
        sa.Index("ix_faults_rule_raised_at", "rule", "raised_at"),
        sa.Index("ix_faults_absent", "rule", "endpoint_pk", sqlite_where=_IS_ABSENT, postgresql_where=_IS_ABSENT),
        sa.Index("ix_faults_stage", "id", sqlite_where=_WAS_HELD, postgresql_where=_WAS_HELD),
        sa.Index("ix_faults_waiting", "stage", "held_until", sqlite_where=_IS_HELD, postgresql_where=_IS_HELD),
        sa.Index("ix_faults_held", "held_until", sqlite_where=_IS_HELD, postgresql_where=_IS_HELD),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    endpoint_pk: Mapped[int] = mapped_column(sa.ForeignKey("endpoints.pk"))
    rule: Mapped[str] = mapped_column(sa.String(80))
    instance: Mapped[str] = mapped_column(sa.String(200), default="")
    severity: Mapped[str] = mapped_column(sa.String(10))
    since_at: Mapped[dt.datetime] = mapped_column(Utc)
    raised_at: Mapped[dt.datetime] = mapped_column(Utc)
    cleared_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    clear_reason: Mapped[str] = mapped_column(sa.String(20), default="")
    value: Mapped[float] = mapped_column(sa.Float)
    detail: Mapped[str] = mapped_column(sa.String(200), default="")
    evidence: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    time_adjusted: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    policy_version: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    incident_number: Mapped[int | None] = mapped_column(sa.ForeignKey("incidents.number"))
    stage: Mapped[str] = mapped_column(sa.String(12), server_default="")
    stage_reason: Mapped[str] = mapped_column(sa.String(300), server_default="")
    held_until: Mapped[dt.datetime | None] = mapped_column(Utc)
    trail: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON, server_default="[]")
