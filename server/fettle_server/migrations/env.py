"""Alembic's entry: runs the steps on the connection that migrations.upgrade opened."""

from __future__ import annotations

from alembic import context

from fettle_server.migrations import belongs
from fettle_server.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    include_name=belongs,
    render_as_batch=True,  # SQLite cannot alter most things in place
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
