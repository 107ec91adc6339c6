"""Daily summaries of history, forecasts, and maintenance tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

UTC = sa.BigInteger()
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("state = 'open'")
UNTOLD = sa.text("is_raised <> is_told")


def upgrade() -> None:
    _tasks()
    _days()
    _forecasts()
    _peers()


def _tasks() -> None:
    op.create_table(
        "maintenance_tasks",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("reason", sa.String(1000), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=True),
        sa.Column("room_id", sa.Integer(), nullable=True),
        sa.Column("endpoint_pk", SERIAL, nullable=True),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("opened_at", UTC, nullable=False),
        sa.Column("done_at", UTC, nullable=True),
        sa.Column("done_by", sa.String(120), nullable=False),
        sa.Column("note", sa.String(1000), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_maintenance_tasks"),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_maintenance_tasks_school_id"),
        sa.ForeignKeyConstraint(["endpoint_pk"], ["endpoints.pk"], name="fk_maintenance_tasks_endpoint_pk"),
    )
    op.create_index(
        "uq_maintenance_tasks_open", "maintenance_tasks", ["key"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_index("ix_maintenance_tasks_key_done_at", "maintenance_tasks", ["key", "done_at"])
    op.create_index("ix_maintenance_tasks_state_due_on_id", "maintenance_tasks", ["state", "due_on", "id"])
    op.create_index(
        "ix_maintenance_tasks_school_id_state_due_on_id", "maintenance_tasks", ["school_id", "state", "due_on", "id"]
    )
    op.create_index("ix_maintenance_tasks_endpoint_pk_state", "maintenance_tasks", ["endpoint_pk", "state"])


def _days() -> None:
    op.create_table(
        "daily",
        sa.Column("id", SERIAL, autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_daily"),
    )
    op.create_table(
        "nightly_marks",
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("after_pk", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_nightly_marks"),
    )


def _forecasts() -> None:
    op.create_table(
        "forecasts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("endpoint_pk", SERIAL, nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(80), nullable=False),
        sa.Column("instance", sa.String(200), nullable=False),
        sa.Column("made_on", sa.Date(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("sure_percent", sa.Integer(), nullable=True),
        sa.Column("sentence", sa.String(300), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("due_at", UTC, nullable=True),
        sa.Column("phase", sa.String(10), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("is_raised", sa.Boolean(), nullable=False),
        sa.Column("is_told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_forecasts"),
        sa.ForeignKeyConstraint(["endpoint_pk"], ["endpoints.pk"], name="fk_forecasts_endpoint_pk"),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_forecasts_school_id"),
        sa.UniqueConstraint("endpoint_pk", "rule", "instance", name="uq_forecasts_endpoint_pk_rule_instance"),
    )
    op.create_index("ix_forecasts_due_at_id", "forecasts", ["due_at", "id"])
    op.create_index("ix_forecasts_school_id_due_at_id", "forecasts", ["school_id", "due_at", "id"])
    op.create_index("ix_forecasts_untold", "forecasts", ["id"], sqlite_where=UNTOLD, postgresql_where=UNTOLD)


def _peers() -> None:
    op.create_table(
        "paces",
        sa.Column("endpoint_pk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("sign_in_s", sa.Float(), nullable=True),
        sa.Column("boot_s", sa.Float(), nullable=True),
        sa.Column("rise_c", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("endpoint_pk", name="pk_paces"),
    )
    op.create_index("ix_paces_model", "paces", ["model"])
    op.create_table(
        "warranties",
        sa.Column("endpoint_pk", SERIAL, autoincrement=False, nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("source", sa.String(120), nullable=False),
        sa.Column("set_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("endpoint_pk", name="pk_warranties"),
        sa.ForeignKeyConstraint(["endpoint_pk"], ["endpoints.pk"], name="fk_warranties_endpoint_pk"),
    )
    op.create_index("ix_warranties_ends_on", "warranties", ["ends_on"])
