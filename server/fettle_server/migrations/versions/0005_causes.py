"""What is held back on purpose, and problems that alike incidents propose."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

UTC = sa.BigInteger()
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STANDING = sa.text("ended_at IS NULL")
HELD = sa.text("stage <> ''")
IS_HELD = sa.text("stage <> '' AND cleared_at IS NULL")


def upgrade() -> None:
    _suppressions()
    _problems()
    op.create_index("ix_faults_stage", "faults", ["id"], sqlite_where=HELD, postgresql_where=HELD)
    op.create_index("ix_faults_waiting", "faults", ["stage", "held_until"], sqlite_where=IS_HELD, postgresql_where=IS_HELD)


def _suppressions() -> None:
    op.create_table(
        "suppressions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=True),
        sa.Column("room_id", sa.Integer(), nullable=True),
        sa.Column("endpoint_pk", SERIAL, nullable=True),
        sa.Column("rule", sa.String(80), nullable=True),
        sa.Column("title", sa.String(120), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("starts_at", UTC, nullable=False),
        sa.Column("ends_at", UTC, nullable=True),
        sa.Column("rrule", sa.String(300), nullable=False),
        sa.Column("duration_s", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(120), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("ended_at", UTC, nullable=True),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_suppressions"),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_suppressions_school_id"),
        sa.ForeignKeyConstraint(["endpoint_pk"], ["endpoints.pk"], name="fk_suppressions_endpoint_pk"),
    )
    op.create_index("ix_suppressions_standing", "suppressions", ["ends_at"], sqlite_where=STANDING, postgresql_where=STANDING)
    op.create_index("ix_suppressions_ended_at", "suppressions", ["ended_at"])


def _problems() -> None:
    op.create_table(
        "problems",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("why", sa.String(500), nullable=False),
        sa.Column("rule", sa.String(80), nullable=False),
        sa.Column("instance", sa.String(200), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("incidents", sa.Integer(), nullable=False),
        sa.Column("schools", sa.Integer(), nullable=False),
        sa.Column("proposed_at", UTC, nullable=False),
        sa.Column("updated_at", UTC, nullable=False),
        sa.Column("decided_at", UTC, nullable=True),
        sa.Column("decided_by", sa.String(120), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_problems"),
        sa.UniqueConstraint("key", name="uq_problems_key"),
    )
    op.create_index("ix_problems_state_number", "problems", ["state", "number"])
    op.create_table(
        "problem_incidents",
        sa.Column("problem_number", sa.Integer(), nullable=False),
        sa.Column("incident_number", SERIAL, nullable=False),
        sa.PrimaryKeyConstraint("problem_number", "incident_number", name="pk_problem_incidents"),
        sa.ForeignKeyConstraint(["problem_number"], ["problems.number"], name="fk_problem_incidents_problem_number"),
        sa.ForeignKeyConstraint(["incident_number"], ["incidents.number"], name="fk_problem_incidents_incident_number"),
    )
