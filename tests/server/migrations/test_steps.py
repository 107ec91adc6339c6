"""The migrations: from nothing to what the models say, on both engines, and the checks around them."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fettle_server import db, migrations
from fettle_server.commands import store as store_commands
from fettle_server.config import load
from fettle_server.proactive.policies import newest_version
from fettle_server.reactive.actions import priority_table
from fettle_server.schema import METADATA
from typer.testing import CliRunner


def test_migrated_store_has_exactly_what_the_models_say(store):
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": migrations.belongs, "compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_weekly_history_tables_belong_to_no_step(store):
    with store.engine.begin() as tx:
        tx.execute(sa.text("CREATE TABLE history_w2946 (id BIGINT PRIMARY KEY)"))
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": migrations.belongs})
        assert compare_metadata(context, METADATA) == []


def test_upgrading_twice_changes_nothing(store):
    migrations.upgrade(store.engine)
    assert migrations.step_of(store.engine) == migrations.newest_step()


def test_migrate_makes_an_empty_store_ready(tmp_path: Path):
    (tmp_path / "fettle.toml").touch()
    settings = load(tmp_path)
    assert store_commands.migrate(settings) == migrations.newest_step()
    store_commands.check_version(settings)
    engine = db.open_engine(settings.database_url)
    with engine.begin() as tx:
        assert newest_version(tx) == 1
        assert len(priority_table(tx)) == 9
    engine.dispose()


def test_migrate_again_publishes_no_second_policy(tmp_path: Path):
    settings = load(tmp_path)
    store_commands.migrate(settings)
    store_commands.migrate(settings)
    engine = db.open_engine(settings.database_url)
    with engine.begin() as tx:
        assert newest_version(tx) == 1
    engine.dispose()


def test_an_empty_store_is_refused_with_what_to_do(tmp_path: Path):
    (tmp_path / "fettle.toml").touch()
    with pytest.raises(store_commands.StoreError, match=r"empty.*run `fettle migrate"):
        store_commands.check_version(load(tmp_path))


def test_a_newer_programs_store_is_refused(tmp_path: Path):
    (tmp_path / "fettle.toml").touch()
    settings = load(tmp_path)
    store_commands.migrate(settings)
    engine = db.open_engine(settings.database_url)
    with engine.begin() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(store_commands.StoreError, match="9999, which this program does not know"):
        store_commands.check_version(settings)
    with pytest.raises(store_commands.StoreError, match="9999, which this program does not know"):
        store_commands.migrate(settings)


def test_migrate_command_says_what_it_did(tmp_path: Path):
    (tmp_path / "fettle.toml").touch()
    result = CliRunner().invoke(store_commands.app, [str(tmp_path)])
    assert result.exit_code == 0
    assert f"step {migrations.newest_step()}" in result.stdout


def test_migrate_command_without_a_directory_fails_in_one_line(tmp_path: Path):
    result = CliRunner().invoke(store_commands.app, [str(tmp_path / "none")])
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
