"""The notices' tables: what is to be told, by which channels and routes, and what became of each telling.

Numbers of schools and incidents are plain here: this package lies below the wings that own them.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc

_UNTOLD = sa.text("dispatched_at IS NULL")
_DUE = sa.text("state IN ('pending', 'held')")
_RUNNING = sa.text("state = 'waiting'")


class Outbox(Model):
    """Something to tell, written in the transaction that made it happen. `dispatched_at`: the routes have looked at it.

    `change_id` names the change that it is about, so that it links there.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        sa.Index("ix_outbox_untold", "id", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
        sa.Index("ix_outbox_incident_number", "incident_number"),
        sa.Index("ix_outbox_at", "at"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(Utc)
    kind: Mapped[str] = mapped_column(sa.String(30))
    incident_number: Mapped[int | None] = mapped_column(sa.BigInteger)
    school_id: Mapped[int | None] = mapped_column(sa.Integer)
    priority: Mapped[int] = mapped_column(sa.Integer)
    title: Mapped[str] = mapped_column(sa.String(300))
    text: Mapped[str] = mapped_column(sa.Text, server_default="")
    is_test: Mapped[bool] = mapped_column(sa.Boolean, server_default=sa.false())
    dispatched_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    change_id: Mapped[int | None] = mapped_column(sa.BigInteger)


class Channel(Model):
    """A way to reach people. `config` may be shown; `secret` never leaves the server again.

    `retry_at`: the receiver was down, and nothing is sent before then; `misses` in a row make the wait longer.
    """

    __tablename__ = "notice_channels"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    config: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    secret: Mapped[str] = mapped_column(sa.Text, default="")
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    removed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    retry_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    misses: Mapped[int] = mapped_column(sa.Integer, default=0)
    answered_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    answer: Mapped[str] = mapped_column(sa.String(300), default="")


class Route(Model):
    """Which messages go to a channel, and when. `wanted` is a notify.rules.Wanted as JSON: what the route's sentence says."""

    __tablename__ = "notice_routes"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(sa.ForeignKey("notice_channels.id"))
    wanted: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    escalate_to: Mapped[int | None] = mapped_column(sa.Integer)
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    removed_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class Delivery(Model):
    """One message to one receiver: all that a route tells at a time. `key` names it to receivers, however often it is sent.

    `next_at` is when it is sent or tried again. `maybe_received`: a try was not surely in vain, so what it told is not
    taken back silently. `claimed_until`: some worker is sending it.
    """

    __tablename__ = "notice_deliveries"
    __table_args__ = (
        sa.Index("ix_notice_deliveries_due", "next_at", sqlite_where=_DUE, postgresql_where=_DUE),
        sa.Index("ix_notice_deliveries_route_id_id", "route_id", "id"),
        sa.Index("ix_notice_deliveries_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(80), unique=True)
    route_id: Mapped[int | None] = mapped_column(sa.Integer)
    channel_id: Mapped[int] = mapped_column(sa.Integer, index=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    school_id: Mapped[int | None] = mapped_column(sa.Integer)
    state: Mapped[str] = mapped_column(sa.String(10))
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
    is_test: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    next_at: Mapped[dt.datetime] = mapped_column(Utc)
    give_up_at: Mapped[dt.datetime] = mapped_column(Utc)
    attempts: Mapped[int] = mapped_column(sa.Integer, default=0)
    maybe_received: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    claimed_until: Mapped[dt.datetime | None] = mapped_column(Utc)
    sent_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    last_error: Mapped[str] = mapped_column(sa.String(300), default="")


class DeliveryItem(Model):
    """An outbox row in a delivery. `cancelled`: it was over before it was told."""

    __tablename__ = "notice_items"
    __table_args__ = (sa.Index("ix_notice_items_incident_number", "incident_number"),)

    delivery_id: Mapped[int] = mapped_column(sa.ForeignKey("notice_deliveries.id"), primary_key=True)
    outbox_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    incident_number: Mapped[int | None] = mapped_column(sa.BigInteger)
    cancelled: Mapped[bool] = mapped_column(sa.Boolean, default=False)


class Skip(Model):
    """Why a route did not take a message: for those who ask why they got none."""

    __tablename__ = "notice_skips"

    outbox_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    route_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    reason: Mapped[str] = mapped_column(sa.String(300))


class Escalation(Model):
    """Somebody was told and must acknowledge before `due_at`; else `route_id` is told. "waiting", "done" or "answered"."""

    __tablename__ = "notice_escalations"
    __table_args__ = (
        sa.UniqueConstraint("incident_number", "route_id"),
        sa.Index("ix_notice_escalations_due", "due_at", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    incident_number: Mapped[int] = mapped_column(sa.BigInteger)
    outbox_id: Mapped[int] = mapped_column(sa.BigInteger)
    from_route_id: Mapped[int] = mapped_column(sa.Integer)
    route_id: Mapped[int] = mapped_column(sa.Integer)
    due_at: Mapped[dt.datetime] = mapped_column(Utc)
    state: Mapped[str] = mapped_column(sa.String(10))
