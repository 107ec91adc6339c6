"""Schools' calendars: terms, closures, exams, bell times."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

UTC = sa.BigInteger()


def upgrade() -> None:
    op.create_table(
        "calendar_entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=True),
        sa.Column("to_minute", sa.Integer(), nullable=True),
        sa.Column("room_id", sa.Integer(), nullable=True),
        sa.Column("uid", sa.String(255), nullable=False),
        sa.Column("series", sa.String(255), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_calendar_entries"),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_calendar_entries_school_id"),
    )
    op.create_index("ix_calendar_entries_school_id_series", "calendar_entries", ["school_id", "series"])
    op.create_table(
        "bells",
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("opens", sa.Integer(), nullable=False),
        sa.Column("closes", sa.Integer(), nullable=False),
        sa.Column("lessons", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("school_id", "weekday", name="pk_bells"),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_bells_school_id"),
    )
    op.create_table(
        "calendar_mark",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_calendar_mark"),
    )
