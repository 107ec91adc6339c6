"""Problems and the incidents that propose them."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc


class Problem(Model):
    """Something that alike incidents may have in common. `key` names it, so that it is proposed once.

    `state` is "proposed", "accepted" or "dismissed"; `instance` and `model` are empty where they are not what is alike.
    """

    __tablename__ = "problems"
    __table_args__ = (sa.Index("ix_problems_state_number", "state", "number"),)

    number: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(200), unique=True)
    state: Mapped[str] = mapped_column(sa.String(12))
    title: Mapped[str] = mapped_column(sa.String(300))
    why: Mapped[str] = mapped_column(sa.String(500))
    rule: Mapped[str] = mapped_column(sa.String(80))
    instance: Mapped[str] = mapped_column(sa.String(200), default="")
    model: Mapped[str] = mapped_column(sa.String(200), default="")
    incidents: Mapped[int] = mapped_column(sa.Integer)
    schools: Mapped[int] = mapped_column(sa.Integer)
    proposed_at: Mapped[dt.datetime] = mapped_column(Utc)
    updated_at: Mapped[dt.datetime] = mapped_column(Utc)
    decided_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    decided_by: Mapped[str] = mapped_column(sa.String(120), default="")
    reason: Mapped[str] = mapped_column(sa.String(500), default="")


class ProblemIncident(Model):
    """An incident that speaks for a problem."""

    __tablename__ = "problem_incidents"

    problem_number: Mapped[int] = mapped_column(sa.ForeignKey("problems.number"), primary_key=True)
    incident_number: Mapped[int] = mapped_column(Serial, sa.ForeignKey("incidents.number"), primary_key=True)
