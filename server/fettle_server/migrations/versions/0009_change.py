"""The change wing: updates, requests for change, the library, signing keys and manifests, jobs, rollouts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

UTC = sa.BigInteger()
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _change_templates()
    _changes()
    _signing_keys()
    _rollouts()
    _builds()
    _drift()
    _endpoint_updates()
    _job_entries()
    _job_marks()
    _job_former_uids()
    _library_items()
    _patch_scans()
    _patch_counts()
    _patch_exceptions()
    _licence_uses()
    _library_marks()
    _ring_places()
    _updates()
    _wakes()
    _build_places()
    _change_windows()
    _freezes()
    _manifests()
    _school_changes()
    _change_approvals()
    _change_entries()
    _jobs()
    _change_incidents()
    _rollout_rings()
    _rollout_targets()
    op.add_column("outbox", sa.Column("change_id", sa.BigInteger(), nullable=True))


def _change_templates() -> None:
    op.create_table(
        "change_templates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("back_out_plan", sa.Text(), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("approved_by", sa.String(length=120), nullable=False),
        sa.Column("approved_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("withdrawn_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_change_templates"),
        sa.UniqueConstraint("name", name="uq_change_templates_name"),
    )


def _changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reach", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("back_out_plan", sa.Text(), nullable=False),
        sa.Column("schools", sa.JSON(), nullable=False),
        sa.Column("everywhere", sa.Boolean(), nullable=False),
        sa.Column("risk", sa.String(length=10), nullable=False),
        sa.Column("risk_reasons", sa.JSON(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=True),
        sa.Column("proposer", sa.String(length=120), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("planned_from", UTC, nullable=True),
        sa.Column("planned_until", UTC, nullable=True),
        sa.Column("notice_hours", sa.Integer(), nullable=False),
        sa.Column("noticed_at", UTC, nullable=True),
        sa.Column("reminded_at", UTC, nullable=True),
        sa.Column("begun_at", UTC, nullable=True),
        sa.Column("ended_at", UTC, nullable=True),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("review", sa.Text(), nullable=False),
        sa.Column("reviewed_by", sa.String(length=120), nullable=False),
        sa.Column("reviewed_at", UTC, nullable=True),
        sa.Column("updated_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["template_id"], ["change_templates.id"], name="fk_changes_template_id"),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
    )
    op.create_index("ix_changes_planned_from", "changes", ["planned_from"], unique=False)
    op.create_index("ix_changes_state_id", "changes", ["state", "id"], unique=False)


def _signing_keys() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.String(length=120), nullable=False),
        sa.Column("added_at", UTC, nullable=False),
        sa.Column("retired_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_signing_keys"),
    )


def _rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("change_id", SERIAL, nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("undoes_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("why", sa.String(length=500), nullable=False),
        sa.Column("reach", sa.JSON(), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("manifest_id", sa.BigInteger(), nullable=True),
        sa.Column("back_out_manifest_id", sa.BigInteger(), nullable=True),
        sa.Column("incident_number", sa.BigInteger(), nullable=True),
        sa.Column("ring", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(length=120), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("started_at", UTC, nullable=True),
        sa.Column("halted_at", UTC, nullable=True),
        sa.Column("ended_at", UTC, nullable=True),
        sa.Column("looked_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["change_id"], ["changes.id"], name="fk_rollouts_change_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
    )
    op.create_index("ix_rollouts_change_id", "rollouts", ["change_id"], unique=False)
    op.create_index(
        "ix_rollouts_running",
        "rollouts",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state IN ('running', 'halted', 'paused')"),
        postgresql_where=sa.text("state IN ('running', 'halted', 'paused')"),
    )


def _builds() -> None:
    op.create_table(
        "builds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("system", sa.String(length=20), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("packages", sa.JSON(), nullable=False),
        sa.Column("absent", sa.JSON(), nullable=False),
        sa.Column("checklist", sa.JSON(), nullable=False),
        sa.Column("tested_by", sa.String(length=120), nullable=False),
        sa.Column("tested_at", UTC, nullable=True),
        sa.Column("created_by", sa.String(length=120), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("retired_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_builds"),
        sa.UniqueConstraint("name", "version", name="uq_builds_name_version"),
    )


def _drift() -> None:
    op.create_table(
        "drift",
        sa.Column("endpoint_pk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("software_digest", sa.String(length=64), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("endpoint_pk", name="pk_drift"),
    )
    op.create_index("ix_drift_build_id_items", "drift", ["build_id", "items"], unique=False)


def _endpoint_updates() -> None:
    op.create_table(
        "endpoint_updates",
        sa.Column("endpoint_pk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("update_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("installed", sa.String(length=120), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("offered_at", UTC, nullable=False),
        sa.Column("approved_at", UTC, nullable=True),
        sa.Column("downloaded_at", UTC, nullable=True),
        sa.Column("installed_at", UTC, nullable=True),
        sa.Column("restart_due_at", UTC, nullable=True),
        sa.Column("failed_at", UTC, nullable=True),
        sa.Column("fixed_at", UTC, nullable=True),
        sa.Column("gone_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("endpoint_pk", "update_id", name="pk_endpoint_updates"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_endpoint_updates_update_id_state", "endpoint_updates", ["update_id", "state"], unique=False)


def _job_entries() -> None:
    op.create_table(
        "job_entries",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("why", sa.String(length=500), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_entries"),
    )
    op.create_index("ix_job_entries_job_id", "job_entries", ["job_id", "id"], unique=False)


def _job_marks() -> None:
    op.create_table(
        "job_marks",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("released", sa.BigInteger(), nullable=False),
        sa.Column("cancelled", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_marks"),
    )


def _job_former_uids() -> None:
    op.create_table(
        "job_former_uids",
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("endpoint_pk", sa.BigInteger(), nullable=False),
        sa.Column("cancel_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_job_former_uids"),
    )
    op.create_index("ix_job_former_uids_endpoint_pk", "job_former_uids", ["endpoint_pk"], unique=False)
    op.create_index("ix_job_former_uids_cancel_number", "job_former_uids", ["cancel_number"], unique=False)


def _library_items() -> None:
    op.create_table(
        "library_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=120), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("interpreter", sa.String(length=20), nullable=False),
        sa.Column("idempotent", sa.Boolean(), nullable=False),
        sa.Column("systems", sa.JSON(), nullable=False),
        sa.Column("licences", sa.Integer(), nullable=True),
        sa.Column("licence", sa.String(length=200), nullable=False),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("added_by", sa.String(length=120), nullable=False),
        sa.Column("added_at", UTC, nullable=False),
        sa.Column("withdrawn_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_library_items"),
        sa.UniqueConstraint("kind", "provider", "name", "version", name="uq_library_items_kind_provider_name_version"),
    )


def _patch_scans() -> None:
    op.create_table(
        "patch_scans",
        sa.Column("endpoint_pk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("reboot_pending", sa.Boolean(), nullable=True),
        sa.Column("worked", sa.Boolean(), nullable=False),
        sa.Column("providers", sa.JSON(), nullable=False),
        sa.Column("refused", sa.String(length=300), nullable=False),
        sa.Column("lacking", sa.Integer(), nullable=False),
        sa.Column("restart", sa.Integer(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("excepted", sa.Boolean(), nullable=False),
        sa.Column("settle_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("endpoint_pk", name="pk_patch_scans"),
    )
    where = sa.text("settle_at IS NOT NULL")
    op.create_index("ix_patch_scans_settle_at", "patch_scans", ["settle_at"], sqlite_where=where, postgresql_where=where)


def _patch_counts() -> None:
    op.create_table(
        "patch_counts",
        sa.Column("update_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("school_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("due_day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("endpoints", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("update_id", "school_id", "state", "due_day", name="pk_patch_counts"),
        sqlite_with_rowid=False,
    )


def _patch_exceptions() -> None:
    op.create_table(
        "patch_exceptions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("update_id", sa.BigInteger(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=True),
        sa.Column("why", sa.String(length=500), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("ended_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_patch_exceptions"),
    )
    op.create_index("ix_patch_exceptions_update_id", "patch_exceptions", ["update_id"], unique=False)


def _licence_uses() -> None:
    op.create_table(
        "licence_uses",
        sa.Column("endpoint_pk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("item_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_pk", "item_id", name="pk_licence_uses"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_licence_uses_item_id", "licence_uses", ["item_id"], unique=False)


def _library_marks() -> None:
    op.create_table(
        "library_marks",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_library_marks"),
    )


def _ring_places() -> None:
    op.create_table(
        "ring_places",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ring", sa.String(length=40), nullable=False),
        sa.Column("endpoint_pk", sa.BigInteger(), nullable=True),
        sa.Column("room_id", sa.Integer(), nullable=True),
        sa.Column("set_by", sa.String(length=120), nullable=False),
        sa.Column("set_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ring_places"),
    )


def _updates() -> None:
    op.create_table(
        "updates",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=120), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("security", sa.Boolean(), nullable=False),
        sa.Column("severity", sa.String(length=10), nullable=False),
        sa.Column("cves", sa.JSON(), nullable=False),
        sa.Column("cvss", sa.Float(), nullable=True),
        sa.Column("reference", sa.String(length=300), nullable=False),
        sa.Column("released_on", sa.Date(), nullable=True),
        sa.Column("first_seen_at", UTC, nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_updates"),
        sa.UniqueConstraint("provider", "name", "version", name="uq_updates_provider_name_version"),
    )
    op.create_index("ix_updates_security", "updates", ["security", "released_on"], unique=False)


def _wakes() -> None:
    op.create_table(
        "wakes",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("endpoint_pk", sa.BigInteger(), nullable=False),
        sa.Column("macs", sa.JSON(), nullable=False),
        sa.Column("asked_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_wakes"),
    )
    op.create_index("ix_wakes_asked_at", "wakes", ["asked_at"], unique=False)


def _build_places() -> None:
    op.create_table(
        "build_places",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=True),
        sa.Column("room_id", sa.Integer(), nullable=True),
        sa.Column("endpoint_class", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(["build_id"], ["builds.id"], name="fk_build_places_build_id"),
        sa.PrimaryKeyConstraint("id", name="pk_build_places"),
    )


def _change_windows() -> None:
    op.create_table(
        "change_windows",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=True),
        sa.Column("room_id", sa.Integer(), nullable=True),
        sa.Column("endpoint_class", sa.String(length=20), nullable=True),
        sa.Column("days", sa.JSON(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("to_minute", sa.Integer(), nullable=False),
        sa.Column("when_", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_change_windows_school_id"),
        sa.PrimaryKeyConstraint("id", name="pk_change_windows"),
    )


def _freezes() -> None:
    op.create_table(
        "freezes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=True),
        sa.Column("room_id", sa.Integer(), nullable=True),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("starts_at", UTC, nullable=False),
        sa.Column("ends_at", UTC, nullable=False),
        sa.Column("created_by", sa.String(length=120), nullable=False),
        sa.Column("ended_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_freezes_school_id"),
        sa.PrimaryKeyConstraint("id", name="pk_freezes"),
    )
    op.create_index("ix_freezes_ends_at", "freezes", ["ends_at"], unique=False)


def _manifests() -> None:
    op.create_table(
        "manifests",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=True),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(length=10), nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=True),
        sa.Column("rollout_id", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("signed_at", UTC, nullable=True),
        sa.Column("signature_brought_by", sa.String(length=120), nullable=False),
        sa.Column("withdrawn_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["signing_keys.id"], name="fk_manifests_key_id"),
        sa.PrimaryKeyConstraint("id", name="pk_manifests"),
        sa.UniqueConstraint("uid", name="uq_manifests_uid"),
    )
    op.create_index("ix_manifests_change_id", "manifests", ["change_id"], unique=False)


def _school_changes() -> None:
    op.create_table(
        "school_changes",
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("needs_final", sa.Boolean(), nullable=False),
        sa.Column("final_user_id", sa.Integer(), nullable=True),
        sa.Column("at_once", sa.Integer(), nullable=False),
        sa.Column("cache_url", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["final_user_id"], ["users.id"], name="fk_school_changes_final_user_id"),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name="fk_school_changes_school_id"),
        sa.PrimaryKeyConstraint("school_id", name="pk_school_changes"),
    )


def _change_approvals() -> None:
    op.create_table(
        "change_approvals",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("change_id", SERIAL, nullable=False),
        sa.Column("step", sa.String(length=12), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=True),
        sa.Column("decision", sa.String(length=10), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["change_id"], ["changes.id"], name="fk_change_approvals_change_id"),
        sa.PrimaryKeyConstraint("id", name="pk_change_approvals"),
    )
    op.create_index("ix_change_approvals_change_id", "change_approvals", ["change_id"], unique=False)


def _change_entries() -> None:
    op.create_table(
        "change_entries",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("change_id", SERIAL, nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["change_id"], ["changes.id"], name="fk_change_entries_change_id"),
        sa.PrimaryKeyConstraint("id", name="pk_change_entries"),
    )
    op.create_index("ix_change_entries_change_id", "change_entries", ["change_id", "id"], unique=False)


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("endpoint_pk", sa.BigInteger(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("manifest_id", SERIAL, nullable=False),
        sa.Column("rollout_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("why", sa.String(length=500), nullable=False),
        sa.Column("exam", sa.Boolean(), nullable=False),
        sa.Column("at_most_once", sa.Boolean(), nullable=False),
        sa.Column("released_number", sa.BigInteger(), nullable=False),
        sa.Column("cancel_number", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("start_at", UTC, nullable=True),
        sa.Column("until_at", UTC, nullable=True),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("released_at", UTC, nullable=True),
        sa.Column("received_at", UTC, nullable=True),
        sa.Column("started_at", UTC, nullable=True),
        sa.Column("reported_at", UTC, nullable=True),
        sa.Column("ended_at", UTC, nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifests.id"], name="fk_jobs_manifest_id"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("manifest_id", "endpoint_pk", name="uq_jobs_manifest_id_endpoint_pk"),
        sa.UniqueConstraint("uid", name="uq_jobs_uid"),
    )
    op.create_index("ix_jobs_cancel_number", "jobs", ["cancel_number"], unique=False)
    op.create_index("ix_jobs_endpoint_pk_id", "jobs", ["endpoint_pk", "id"], unique=False)
    op.create_index(
        "ix_jobs_open_expires_at",
        "jobs",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_jobs_released_number",
        "jobs",
        ["released_number"],
        unique=False,
        sqlite_where=sa.text("state = 'released'"),
        postgresql_where=sa.text("state = 'released'"),
    )
    op.create_index("ix_jobs_rollout_id_state", "jobs", ["rollout_id", "state"], unique=False)


def _change_incidents() -> None:
    op.create_table(
        "change_incidents",
        sa.Column("change_id", SERIAL, nullable=False),
        sa.Column("incident_number", SERIAL, nullable=False),
        sa.Column("how", sa.String(length=12), nullable=False),
        sa.Column("why", sa.String(length=300), nullable=False),
        sa.Column("linked_by", sa.String(length=120), nullable=False),
        sa.Column("linked_at", UTC, nullable=False),
        sa.Column("unlinked_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["change_id"], ["changes.id"], name="fk_change_incidents_change_id"),
        sa.ForeignKeyConstraint(["incident_number"], ["incidents.number"], name="fk_change_incidents_incident_number"),
        sa.PrimaryKeyConstraint("change_id", "incident_number", name="pk_change_incidents"),
    )
    op.create_index(
        "ix_change_incidents_number",
        "change_incidents",
        ["incident_number"],
        unique=False,
        sqlite_where=sa.text("unlinked_at IS NULL"),
        postgresql_where=sa.text("unlinked_at IS NULL"),
    )


def _rollout_rings() -> None:
    op.create_table(
        "rollout_rings",
        sa.Column("rollout_id", SERIAL, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("released_at", UTC, nullable=True),
        sa.Column("deadline_at", UTC, nullable=True),
        sa.Column("settled_at", UTC, nullable=True),
        sa.Column("passed_at", UTC, nullable=True),
        sa.Column("gate", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_rollout_rings_rollout_id"),
        sa.PrimaryKeyConstraint("rollout_id", "number", name="pk_rollout_rings"),
    )


def _rollout_targets() -> None:
    op.create_table(
        "rollout_targets",
        sa.Column("rollout_id", SERIAL, nullable=False),
        sa.Column("endpoint_pk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("ring", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("why", sa.String(length=500), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("sick", sa.JSON(), nullable=False),
        sa.Column("joined_at", UTC, nullable=False),
        sa.Column("since", UTC, nullable=False),
        sa.Column("begun_at", UTC, nullable=True),
        sa.Column("changed_at", UTC, nullable=True),
        sa.Column("woken_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_rollout_targets_rollout_id"),
        sa.PrimaryKeyConstraint("rollout_id", "endpoint_pk", name="pk_rollout_targets"),
    )
    op.create_index("ix_rollout_targets_endpoint_pk", "rollout_targets", ["endpoint_pk"], unique=False)
    op.create_index(
        "ix_rollout_targets_rollout_id_ring_state", "rollout_targets", ["rollout_id", "ring", "state"], unique=False
    )
