"""`fettle init`: makes a data directory with everything that a server needs to start."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from fettle_server import clock, db
from fettle_server.commands.store import migrate
from fettle_server.config import FILE_NAME, Settings, load
from fettle_server.estate.enrolment import pki
from fettle_server.estate.enrolment.actions import make_school
from fettle_server.estate.people.actions import add_user
from fettle_server.estate.people.rules import SYSTEM, Role

app = typer.Typer()
ADMINISTRATOR = "admin"
_OURS = (FILE_NAME, pki.CA_FILE, pki.CA_KEY_FILE, "fettle.db", "fettle.db-wal", "fettle.db-shm")


class DataError(Exception):
    """A data directory that cannot be made; the message says why and what to do."""


@app.command()
def init(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The data directory to make.")],
    school: Annotated[str | None, typer.Option(metavar="NAME", help="A first school.")] = None,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="The store, instead of SQLite; kept in fettle.toml.")
    ] = None,
) -> None:
    """Make a data directory: settings, certificate authority, store, and a first administrator."""
    with _fresh(data):
        pki.write_secret(data / FILE_NAME, settings_file(database or "").encode(), exclusive=True)
        settings = load(data)
        pki.make_authority(data, clock.utc_now())
        migrate(settings)
        password = _fill(settings, school)
    typer.echo(f"Made {data}: settings in {data / FILE_NAME}, the certificate authority in {data / pki.CA_FILE}.")
    typer.echo(f"Administrator: {ADMINISTRATOR}")
    typer.echo(f"One-time password: {password}")
    typer.echo(f"It is shown this once, and changed at the first sign-in. Start the server: fettle serve {data}")


def settings_file(database: str) -> str:
    """fettle.toml with every setting, its meaning and its default, commented out where it is the default."""
    lines = ["# Fettle's settings. The environment (FETTLE_<NAME>) stands over this file, the command line over both."]
    for name, field in Settings.model_fields.items():
        if field.exclude:
            continue
        lines += ["", f"# {field.description}"]
        if name == "database" and database:
            lines.append(f"database = {json.dumps(database)}")
        else:
            lines.append(f"# {name} = {json.dumps(field.default)}")
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def _fresh(data: Path) -> Iterator[None]:
    """A directory that is ours alone; what was made in it goes again if making it fails.

    Raises:
        DataError: there is one already, or it cannot be made.
    """
    if any((data / name).exists() for name in _OURS):
        raise DataError(
            f"{data} is a data directory already: `fettle serve {data}` starts it, `fettle doctor {data}` looks at it"
        )
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        data.chmod(0o700)  # keys and the store are in it
    except OSError as error:
        raise DataError(f"{data} cannot be made: {error.strerror}") from error
    try:
        yield
    except BaseException:
        for name in _OURS:
            (data / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            data.rmdir()
        raise


def _fill(settings: Settings, school: str | None) -> str:
    engine = db.open_engine(settings.database_url)
    now = clock.utc_now()
    try:
        with engine.begin() as tx:
            if school is not None:
                make_school(tx, school, now)
            return add_user(tx, SYSTEM, ADMINISTRATOR, Role.ADMINISTRATOR, now=now)
    finally:
        engine.dispose()
