"""When endpoints are expected: their stays, learned hours, and when the server itself was away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

UTC = sa.BigInteger()
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_SERVER = sa.text("endpoint_class = 'server'")
IS_ABSENT = sa.text("rule = 'absent' AND cleared_at IS NULL")


def upgrade() -> None:
    _stays()
    _server()
    _looks()
    _attendance()
    op.create_index("ix_endpoints_servers", "endpoints", ["school_id"], sqlite_where=IS_SERVER, postgresql_where=IS_SERVER)
    op.create_index("ix_faults_absent", "faults", ["rule", "endpoint_pk"], sqlite_where=IS_ABSENT, postgresql_where=IS_ABSENT)


def _stays() -> None:
    op.create_table(
        "stays",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("endpoint_pk", sa.BigInteger(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("came_at", UTC, nullable=False),
        sa.Column("went_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stays"),
    )
    op.create_index("ix_stays_school_id_went_at", "stays", ["school_id", "went_at"])


def _server() -> None:
    op.create_table(
        "server_watch",
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("since_at", UTC, nullable=False),
        sa.Column("alive_at", UTC, nullable=False),
        sa.Column("offset_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_server_watch"),
    )
    op.create_table(
        "server_away",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("from_at", UTC, nullable=False),
        sa.Column("to_at", UTC, nullable=False),
        sa.Column("why", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_server_away"),
    )
    op.create_index("ix_server_away_to_at", "server_away", ["to_at"])


def _looks() -> None:
    op.create_table(
        "presence_mark",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("looked_at", UTC, nullable=False),
        sa.Column("since_at", UTC, nullable=False),
        sa.Column("cut_at", UTC, nullable=True),
        sa.Column("cut_lost", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_presence_mark"),
    )
    op.create_table(
        "school_looks",
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("due_at", UTC, nullable=False),
        sa.Column("counted_to", sa.Date(), nullable=False),
        sa.Column("learned_to", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("school_id", name="pk_school_looks"),
    )


def _attendance() -> None:
    op.create_table(
        "attendance",
        sa.Column("endpoint_pk", sa.BigInteger(), nullable=False),
        *_turnout(),
        sa.Column("hours", sa.LargeBinary(), nullable=True),
        sa.Column("asked", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("endpoint_pk", name="pk_attendance"),
    )
    op.create_table(
        "place_attendance",
        sa.Column("place", sa.String(30), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        *_turnout(),
        sa.Column("asked", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("place", name="pk_place_attendance"),
    )
    op.create_index("ix_place_attendance_school_id", "place_attendance", ["school_id"])


def _turnout() -> tuple[sa.Column[float], sa.Column[float], sa.Column[int]]:
    return (
        sa.Column("in_use", sa.Float(), nullable=False, server_default="0"),
        sa.Column("present", sa.Float(), nullable=False, server_default="0"),
        sa.Column("missed", sa.Integer(), nullable=False, server_default="0"),
    )
