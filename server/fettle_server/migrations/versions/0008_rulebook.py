"""Who changed which rule, and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("policies", sa.Column("own", sa.JSON(), nullable=True))
    op.create_table(
        "rule_changes",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("why", sa.String(length=500), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["policies.version"], name="fk_rule_changes_version"),
        sa.PrimaryKeyConstraint("id", name="pk_rule_changes"),
    )
    op.create_index("ix_rule_changes_rule_version", "rule_changes", ["rule", "version"])
    op.create_index("ix_rule_changes_version", "rule_changes", ["version"])
    op.create_index("ix_endpoints_policy_version", "endpoints", ["policy_version", "school_id", "revoked_at"])
