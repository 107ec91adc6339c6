"""The outbox, routes, deliveries, and proofs that alerts work."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

UTC = sa.BigInteger()
SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")
UNTOLD = sa.text("dispatched_at IS NULL")
DUE = sa.text("state IN ('pending', 'held')")
WAITING = sa.text("state = 'waiting'")
RUNNING = sa.text("ended_at IS NULL")


def upgrade() -> None:
    _outbox()
    _channels()
    _deliveries()
    _escalations()
    _proofs()


def _must(name: str, kind: Any, **more: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **more)


def _may(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def _outbox() -> None:
    op.create_table(
        "outbox",
        _must("id", SERIAL),
        _must("at", UTC),
        _must("kind", sa.String(30)),
        _may("incident_number", sa.BigInteger()),
        _may("school_id", sa.Integer()),
        _must("priority", sa.Integer()),
        _must("title", sa.String(300)),
        _must("text", sa.Text(), server_default=""),
        _must("is_test", sa.Boolean(), server_default=sa.false()),
        _may("dispatched_at", UTC),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_untold", "outbox", ["id"], sqlite_where=UNTOLD, postgresql_where=UNTOLD)
    op.create_index("ix_outbox_incident_number", "outbox", ["incident_number"])
    op.create_index("ix_outbox_at", "outbox", ["at"])


def _channels() -> None:
    op.create_table(
        "notice_channels",
        _must("id", sa.Integer()),
        _must("name", sa.String(80)),
        _must("kind", sa.String(10)),
        _must("config", sa.JSON()),
        _must("secret", sa.Text()),
        _must("created_at", UTC),
        _may("removed_at", UTC),
        _may("retry_at", UTC),
        _must("misses", sa.Integer()),
        _may("answered_at", UTC),
        _must("answer", sa.String(300)),
        sa.PrimaryKeyConstraint("id", name="pk_notice_channels"),
        sa.UniqueConstraint("name", name="uq_notice_channels_name"),
    )
    op.create_table(
        "notice_routes",
        _must("id", sa.Integer()),
        _must("channel_id", sa.Integer()),
        _must("wanted", sa.JSON()),
        _may("escalate_to", sa.Integer()),
        _must("created_at", UTC),
        _may("removed_at", UTC),
        sa.PrimaryKeyConstraint("id", name="pk_notice_routes"),
        sa.ForeignKeyConstraint(["channel_id"], ["notice_channels.id"], name="fk_notice_routes_channel_id"),
    )


def _deliveries() -> None:
    op.create_table(
        "notice_deliveries",
        _must("id", SERIAL),
        _must("key", sa.String(80)),
        _may("route_id", sa.Integer()),
        _must("channel_id", sa.Integer()),
        _must("kind", sa.String(12)),
        _may("school_id", sa.Integer()),
        _must("state", sa.String(10)),
        _must("reason", sa.String(300)),
        _must("is_test", sa.Boolean()),
        _must("created_at", UTC),
        _must("next_at", UTC),
        _must("give_up_at", UTC),
        _must("attempts", sa.Integer()),
        _must("maybe_received", sa.Boolean()),
        _may("claimed_until", UTC),
        _may("sent_at", UTC),
        _must("last_error", sa.String(300)),
        sa.PrimaryKeyConstraint("id", name="pk_notice_deliveries"),
        sa.UniqueConstraint("key", name="uq_notice_deliveries_key"),
    )
    op.create_index("ix_notice_deliveries_due", "notice_deliveries", ["next_at"], sqlite_where=DUE, postgresql_where=DUE)
    op.create_index("ix_notice_deliveries_route_id_id", "notice_deliveries", ["route_id", "id"])
    op.create_index("ix_notice_deliveries_channel_id", "notice_deliveries", ["channel_id"])
    op.create_index("ix_notice_deliveries_created_at", "notice_deliveries", ["created_at"])
    op.create_table(
        "notice_items",
        _must("delivery_id", sa.BigInteger().with_variant(sa.Integer, "sqlite")),
        _must("outbox_id", sa.BigInteger()),
        _may("incident_number", sa.BigInteger()),
        _must("cancelled", sa.Boolean()),
        sa.PrimaryKeyConstraint("delivery_id", "outbox_id", name="pk_notice_items"),
        sa.ForeignKeyConstraint(["delivery_id"], ["notice_deliveries.id"], name="fk_notice_items_delivery_id"),
    )
    op.create_index("ix_notice_items_incident_number", "notice_items", ["incident_number"])
    op.create_table(
        "notice_skips",
        _must("outbox_id", sa.BigInteger()),
        _must("route_id", sa.Integer()),
        _must("reason", sa.String(300)),
        sa.PrimaryKeyConstraint("outbox_id", "route_id", name="pk_notice_skips"),
    )


def _escalations() -> None:
    op.create_table(
        "notice_escalations",
        _must("id", SERIAL),
        _must("incident_number", sa.BigInteger()),
        _must("outbox_id", sa.BigInteger()),
        _must("from_route_id", sa.Integer()),
        _must("route_id", sa.Integer()),
        _must("due_at", UTC),
        _must("state", sa.String(10)),
        sa.PrimaryKeyConstraint("id", name="pk_notice_escalations"),
        sa.UniqueConstraint("incident_number", "route_id", name="uq_notice_escalations_incident_number_route_id"),
    )
    op.create_index(
        "ix_notice_escalations_due", "notice_escalations", ["due_at"], sqlite_where=WAITING, postgresql_where=WAITING
    )


def _proofs() -> None:
    op.create_table(
        "proofs",
        _must("id", SERIAL),
        _must("school_id", sa.Integer()),
        _must("endpoint_pk", sa.BigInteger().with_variant(sa.Integer, "sqlite")),
        _must("asked_by", sa.String(120)),
        _must("state", sa.String(10)),
        _must("note", sa.String(300)),
        _must("asked_at", UTC),
        _must("ask_until", UTC),
        _may("incident_number", sa.BigInteger()),
        _may("raised_at", UTC),
        _may("opened_at", UTC),
        _may("told_at", UTC),
        _may("cleared_at", UTC),
        _may("resolved_at", UTC),
        _may("ended_at", UTC),
        sa.PrimaryKeyConstraint("id", name="pk_proofs"),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_proofs_school_id"),
        sa.ForeignKeyConstraint(["endpoint_pk"], ["endpoints.pk"], name="fk_proofs_endpoint_pk"),
    )
    op.create_index("ix_proofs_school_id_id", "proofs", ["school_id", "id"])
    op.create_index("uq_proofs_running", "proofs", ["school_id"], unique=True, sqlite_where=RUNNING, postgresql_where=RUNNING)
