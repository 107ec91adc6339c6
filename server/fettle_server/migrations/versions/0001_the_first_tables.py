"""The first tables. Types stand here as they were, not as the models have them today."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


UTC = sa.BigInteger()  # milliseconds since the epoch
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FAULT_OPEN = sa.text("cleared_at IS NULL")
HAS_OPEN = sa.text("open_incidents > 0")
INCIDENT_OPEN = sa.text("state IN ('new', 'assigned', 'in progress', 'waiting')")


def upgrade() -> None:
    _journal()
    _estate()
    _people()
    _incidents()
    _faults()


def _estate() -> None:
    op.create_table(
        "schools",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_schools"),
        sa.UniqueConstraint("name", name="uq_schools_name"),
    )
    op.create_table(
        "endpoints",
        sa.Column("pk", SERIAL, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("system", sa.String(length=20), nullable=False),
        sa.Column("system_version", sa.String(length=200), nullable=False),
        sa.Column("agent_version", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("serial", sa.String(length=120), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("spool", sa.String(length=64), nullable=False),
        sa.Column("boot", sa.String(length=64), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_history", sa.BigInteger(), nullable=False),
        sa.Column("policy_version", sa.BigInteger(), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("connected_since", UTC, nullable=True),
        sa.Column("address", sa.String(length=80), nullable=False),
        sa.Column("last_seen", UTC, nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("state_since", UTC, nullable=True),
        sa.Column("watch_faults", sa.Integer(), nullable=False),
        sa.Column("ill_faults", sa.Integer(), nullable=False),
        sa.Column("open_incidents", sa.Integer(), nullable=False),
        sa.Column("enrolled_at", UTC, nullable=False),
        sa.Column("revoked_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_endpoints_school_id"),
        sa.PrimaryKeyConstraint("pk", name="pk_endpoints"),
        sa.UniqueConstraint("id", name="uq_endpoints_id"),
    )
    looked_through = ["school_id", "system", "revoked_at", "search"]
    op.create_index("ix_endpoints_name_pk", "endpoints", ["name", "pk", *looked_through])
    op.create_index("ix_endpoints_school_id_name_pk", "endpoints", ["school_id", "name", "pk"])
    op.create_index("ix_endpoints_school_id_state_name_pk", "endpoints", ["school_id", "state", "name", "pk", "revoked_at"])
    op.create_index("ix_endpoints_state_name_pk", "endpoints", ["state", "name", "pk", *looked_through])
    op.create_index(
        "ix_endpoints_open_incidents",
        "endpoints",
        ["school_id", "open_incidents"],
        sqlite_where=HAS_OPEN,
        postgresql_where=HAS_OPEN,
    )
    op.create_table(
        "certificates",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("endpoint_pk", SERIAL, nullable=False),
        sa.Column("issued_at", UTC, nullable=False),
        sa.Column("not_after", UTC, nullable=False),
        sa.Column("revoked_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["endpoint_pk"], ["endpoints.pk"], name="fk_certificates_endpoint_pk"),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_certificates"),
    )
    op.create_index("ix_certificates_endpoint_pk", "certificates", ["endpoint_pk"])
    op.create_table(
        "enrolment_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("created_by", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_enrolment_tokens_school_id"),
        sa.PrimaryKeyConstraint("id", name="pk_enrolment_tokens"),
        sa.UniqueConstraint("secret_sha256", name="uq_enrolment_tokens_secret_sha256"),
    )
    op.create_table(
        "endpoint_events",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("endpoint_pk", sa.BigInteger(), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_endpoint_events"),
    )
    op.create_index("ix_endpoint_events_endpoint_pk_at", "endpoint_events", ["endpoint_pk", "at"])
    op.create_table(
        "inventory",
        sa.Column("endpoint_pk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("section", sa.String(length=20), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_pk", "section", name="pk_inventory"),
    )
    op.create_table(
        "vitals",
        sa.Column("endpoint_pk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_pk", name="pk_vitals"),
    )
    op.create_table(
        "watches",
        sa.Column("endpoint_pk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("until", UTC, nullable=False),
        sa.Column("live_at", UTC, nullable=True),
        sa.Column("live", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("endpoint_pk", name="pk_watches"),
    )


def _people() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("all_schools", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("signed_in_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "user_schools",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_user_schools_school_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_user_schools_user_id"),
        sa.PrimaryKeyConstraint("user_id", "school_id", name="pk_user_schools"),
    )
    op.create_table(
        "sessions",
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("seen_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("address", sa.String(length=80), nullable=False),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
        sa.PrimaryKeyConstraint("secret_sha256", name="pk_sessions"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=True),
        sa.Column("used_at", UTC, nullable=True),
        sa.Column("revoked_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_tokens_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("secret_sha256", name="uq_api_tokens_secret_sha256"),
    )
    op.create_index("ix_api_tokens_user_id", "api_tokens", ["user_id"])


def _incidents() -> None:
    op.create_table(
        "priorities",
        sa.Column("impact", sa.String(length=10), nullable=False),
        sa.Column("urgency", sa.String(length=10), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("impact", "urgency", name="pk_priorities"),
    )
    op.create_table(
        "incidents",
        sa.Column("number", SERIAL, nullable=False),
        sa.Column("cause", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("impact", sa.String(length=10), nullable=False),
        sa.Column("urgency", sa.String(length=10), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("endpoint_pk", SERIAL, nullable=True),
        sa.Column("rule", sa.String(length=80), nullable=False),
        sa.Column("origin", sa.String(length=20), nullable=False),
        sa.Column("assignee_id", sa.Integer(), nullable=True),
        sa.Column("opened_at", UTC, nullable=False),
        sa.Column("acknowledged_at", UTC, nullable=True),
        sa.Column("resolved_at", UTC, nullable=True),
        sa.Column("closed_at", UTC, nullable=True),
        sa.Column("updated_at", UTC, nullable=False),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.Column("open_faults", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["assignee_id"], ["users.id"], name="fk_incidents_assignee_id"),
        sa.ForeignKeyConstraint(["endpoint_pk"], ["endpoints.pk"], name="fk_incidents_endpoint_pk"),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_incidents_school_id"),
        sa.PrimaryKeyConstraint("number", name="pk_incidents"),
    )
    op.create_index("ix_incidents_assignee_id", "incidents", ["assignee_id"])
    op.create_index("ix_incidents_cause_resolved_at", "incidents", ["cause", "resolved_at"])
    op.create_index("ix_incidents_endpoint_pk_number", "incidents", ["endpoint_pk", "number"])
    op.create_index("ix_incidents_opened_at", "incidents", ["opened_at"])
    op.create_index("ix_incidents_resolved_at_priority_number", "incidents", ["resolved_at", "priority", "number"])
    op.create_index("ix_incidents_rule_number", "incidents", ["rule", "number"])
    op.create_index("ix_incidents_school_id_state_priority_number", "incidents", ["school_id", "state", "priority", "number"])
    op.create_index("ix_incidents_state_priority_number", "incidents", ["state", "priority", "number"])
    op.create_index(
        "uq_incidents_open_cause",
        "incidents",
        ["cause"],
        unique=True,
        sqlite_where=INCIDENT_OPEN,
        postgresql_where=INCIDENT_OPEN,
    )
    op.create_table(
        "incident_entries",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("incident_number", SERIAL, nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["incident_number"], ["incidents.number"], name="fk_incident_entries_incident_number"),
        sa.PrimaryKeyConstraint("id", name="pk_incident_entries"),
    )
    op.create_index("ix_incident_entries_incident_number", "incident_entries", ["incident_number"])


def _faults() -> None:
    op.create_table(
        "policies",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("created_by", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_policies"),
    )
    op.create_table(
        "faults",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("endpoint_pk", SERIAL, nullable=False),
        sa.Column("rule", sa.String(length=80), nullable=False),
        sa.Column("instance", sa.String(length=200), nullable=False),
        sa.Column("severity", sa.String(length=10), nullable=False),
        sa.Column("since_at", UTC, nullable=False),
        sa.Column("raised_at", UTC, nullable=False),
        sa.Column("cleared_at", UTC, nullable=True),
        sa.Column("clear_reason", sa.String(length=20), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("time_adjusted", sa.Boolean(), nullable=False),
        sa.Column("policy_version", sa.BigInteger(), nullable=False),
        sa.Column("incident_number", SERIAL, nullable=True),
        sa.ForeignKeyConstraint(["endpoint_pk"], ["endpoints.pk"], name="fk_faults_endpoint_pk"),
        sa.ForeignKeyConstraint(["incident_number"], ["incidents.number"], name="fk_faults_incident_number"),
        sa.PrimaryKeyConstraint("id", name="pk_faults"),
    )
    op.create_index("ix_faults_cleared_at", "faults", ["cleared_at"])
    op.create_index("ix_faults_endpoint_pk_raised_at", "faults", ["endpoint_pk", "raised_at"])
    op.create_index("ix_faults_incident_number", "faults", ["incident_number"])
    op.create_index(
        "uq_faults_open",
        "faults",
        ["endpoint_pk", "rule", "instance"],
        unique=True,
        sqlite_where=FAULT_OPEN,
        postgresql_where=FAULT_OPEN,
    )


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_journal"),
    )
    op.create_index("ix_journal_at", "journal", ["at"])
    op.create_index("ix_journal_subject", "journal", ["subject"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=120), nullable=False),
        sa.Column("until", UTC, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
