"""`fettle migrate`: brings a store to what this program needs. Also the check that others make before they use a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from fettle_server import clock, db, migrations
from fettle_server.config import FILE_NAME, Settings, SettingsError, load
from fettle_server.proactive.actions import publish_shipped
from fettle_server.reactive.actions import seed_priorities

app = typer.Typer()


class StoreError(Exception):
    """A store that cannot be used as it is; the message says what to do."""


def migrate(settings: Settings) -> str:
    """Bring the store to this program's step, with the shipped policy and priorities in it; returns the step.

    Raises:
        StoreError: the store cannot be reached, or belongs to a newer program.
    """
    engine = _open(settings)
    try:
        migrations.upgrade(engine)
        with engine.begin() as tx:
            seed_priorities(tx)
            publish_shipped(tx, clock.utc_now())
    except sa.exc.DBAPIError as error:
        raise StoreError(_unreachable(engine, error)) from error
    except migrations.UnknownStep as error:
        raise StoreError(_newer(str(error))) from error
    finally:
        engine.dispose()
    return migrations.newest_step()


def check_version(settings: Settings) -> None:
    """Nothing, where the store is at this program's step.

    Raises:
        StoreError: it is not, or cannot be reached, or the directory is none of Fettle's.
    """
    demand_data_directory(settings)
    engine = _open(settings)
    try:
        step = migrations.step_of(engine)
    except sa.exc.DBAPIError as error:
        raise StoreError(_unreachable(engine, error)) from error
    finally:
        engine.dispose()
    needed = migrations.newest_step()
    if step == needed:
        return
    if step is not None and not migrations.knows(step):
        raise StoreError(_newer(step))
    at = f"at step {step}" if step else "empty"
    raise StoreError(f"the store is {at} and this program needs step {needed}: run `fettle migrate {settings.data}`")


@app.command("migrate")
def migrate_command(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The data directory.")],
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL of the store, instead of the setting.")] = None,
) -> None:
    """Bring the store's tables to what this program needs."""
    try:
        settings = load(data, database=database)
        demand_data_directory(settings)
        step = migrate(settings)
    except (SettingsError, StoreError) as error:
        typer.echo(f"fettle: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"The store is at step {step}.")


def demand_data_directory(settings: Settings) -> None:
    """Refuse a directory that `fettle init` did not make: a store in it would be one that nobody looks for.

    Raises:
        StoreError: it is one.
    """
    if not (settings.data / FILE_NAME).exists():
        raise StoreError(
            f"{settings.data} is not a data directory (it holds no {FILE_NAME}): make one with `fettle init {settings.data}`"
        )


def _open(settings: Settings) -> sa.Engine:
    """The store's engine.

    Raises:
        StoreError: the setting names no store that this program knows; the URL is not repeated, for its password.
    """
    try:
        return db.open_engine(settings.database_url)
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise StoreError(
            "the setting `database` is no store that Fettle knows: write postgresql+psycopg://user:password@host/name, "
            "or leave it empty for SQLite in the data directory"
        ) from error


def _unreachable(engine: sa.Engine, error: sa.exc.DBAPIError) -> str:
    reason = str(error.orig).strip().splitlines()[0]
    place = engine.url.render_as_string(hide_password=True)
    local = engine.dialect.name == "sqlite"
    advice = "see that its disk has room and that this user owns it" if local else "check the setting `database`"
    return f"the store {place} cannot be used ({reason}): {advice}"


def _newer(step: str) -> str:
    return f"the store is at step {step}, which this program does not know: run the newer fettle that made it"
