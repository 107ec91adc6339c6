"""Rooms and classes of endpoint, how an endpoint left, the level of an incident's cause, and what holds a fault back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

UTC = sa.BigInteger()
LEFT_OPEN = sa.text("leave IN ('abrupt', 'restarting', 'server away')")
HELD = sa.text("stage <> '' AND cleared_at IS NULL")
WAITING = sa.text("quiet_until IS NOT NULL")


def upgrade() -> None:
    _rooms()
    _endpoints()
    _incidents()
    _faults()


def _rooms() -> None:
    op.add_column("schools", sa.Column("time_zone", sa.String(60), nullable=False, server_default="Europe/London"))
    op.create_table(
        "rooms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rooms"),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_rooms_school_id"),
        sa.UniqueConstraint("school_id", "name", name="uq_rooms_school_id_name"),
    )


def _endpoints() -> None:
    for column in (
        sa.Column("room_id", sa.Integer(), nullable=True),
        sa.Column("endpoint_class", sa.String(20), nullable=False, server_default="fixed suite"),
        sa.Column("class_source", sa.String(10), nullable=False, server_default="guessed"),
        sa.Column("classed_at", UTC, nullable=True),
        sa.Column("leaving", sa.String(20), nullable=False, server_default=""),
        sa.Column("leave", sa.String(12), nullable=False, server_default=""),
        sa.Column("left_at", UTC, nullable=True),
        sa.Column("back_by", UTC, nullable=True),
    ):
        op.add_column("endpoints", column)
    op.create_index("ix_endpoints_left", "endpoints", ["left_at"], sqlite_where=LEFT_OPEN, postgresql_where=LEFT_OPEN)
    op.create_index("ix_endpoints_room_id", "endpoints", ["room_id"])
    op.create_index("ix_endpoints_classed_at", "endpoints", ["classed_at"])


def _incidents() -> None:
    with op.batch_alter_table("incidents") as batch:
        batch.alter_column("school_id", existing_type=sa.Integer(), nullable=True)
        batch.add_column(sa.Column("scope", sa.String(10), nullable=False, server_default="endpoint"))
        batch.add_column(sa.Column("room_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("merged_into", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("is_test", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("quiet_until", UTC, nullable=True))
    op.create_index("ix_incidents_quiet_until", "incidents", ["quiet_until"], sqlite_where=WAITING, postgresql_where=WAITING)
    op.create_table(
        "incident_schools",
        sa.Column("incident_number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("incident_number", "school_id", name="pk_incident_schools"),
        sa.ForeignKeyConstraint(["incident_number"], ["incidents.number"], name="fk_incident_schools_incident_number"),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_incident_schools_school_id"),
    )


def _faults() -> None:
    for column in (
        sa.Column("stage", sa.String(12), nullable=False, server_default=""),
        sa.Column("stage_reason", sa.String(300), nullable=False, server_default=""),
        sa.Column("held_until", UTC, nullable=True),
        sa.Column("trail", sa.JSON(), nullable=False, server_default="[]"),
    ):
        op.add_column("faults", column)
    op.create_index("ix_faults_rule_raised_at", "faults", ["rule", "raised_at"])
    op.create_index("ix_faults_held", "faults", ["held_until"], sqlite_where=HELD, postgresql_where=HELD)
