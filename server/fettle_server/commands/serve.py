"""`fettle serve`: all parts of the server in one command, or one of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fettle_server import observed
from fettle_server.commands.listening import why_not
from fettle_server.commands.parts import Part, PartError, hold, leave, run_directory, run_part
from fettle_server.config import Settings, load
from fettle_server.estate.enrolment import pki

app = typer.Typer()


@app.command()
def serve(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The data directory.")],
    grpc: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where agents are accepted.")] = None,
    http: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where the console and the API are served.")] = None,
    database: Annotated[str | None, typer.Option(metavar="URL", help="The store, instead of the setting.")] = None,
    only: Annotated[Part | None, typer.Option(help="One part only.")] = None,
    part: Annotated[Part | None, typer.Option(hidden=True, help="Be that part, under a supervisor.")] = None,
) -> None:
    """Accept agents and show pages until SIGTERM or Ctrl-C; prints one line when both are ready."""
    settings = load(data, grpc=grpc, http=http, database=database)
    if part is not None:
        run_part(part, settings, supervised=True)
        leave()
    from fettle_server.commands.store import check_version  # not for the parts: they start the sooner
    from fettle_server.commands.supervisor import Supervisor

    parts = tuple(Part) if only is None else (only,)
    check_version(settings)
    if Part.INGEST in parts:
        pki.load_authority(data)
    _check_addresses(settings, parts)
    observed.set_up("serve", level=settings.log_level, form=settings.log_format)
    name = "serve" if only is None else f"serve-{only}"
    with hold(data, name):
        for one in parts:  # before the supervisor forgets what another one's parts wrote down
            hold(data, one).close()
        pid_file = run_directory(data) / f"{name}.pid"
        pid_file.write_text(f"{os.getpid()}\n")
        try:
            Supervisor(settings, parts).run(lambda addresses: _say_ready(settings, addresses))
        finally:
            pid_file.unlink(missing_ok=True)
    leave()


def _say_ready(settings: Settings, addresses: dict[Part, str]) -> None:
    pages = settings.public_url or addresses.get(Part.CONSOLE, "")
    said = {
        Part.INGEST: f"accepts agents on {addresses.get(Part.INGEST, '')}",
        Part.CONSOLE: f"shows its pages on {pages}",
    }
    sentence = " and ".join(text for part, text in said.items() if part in addresses) or "runs its worker"
    typer.echo(f"Fettle {sentence}")


def _check_addresses(settings: Settings, parts: tuple[Part, ...]) -> None:
    """Say in one line what a part would find out later.

    Raises:
        PartError: an address is taken, or not this machine's.
    """
    wanted = {Part.INGEST: ("agents", settings.grpc, "--grpc"), Part.CONSOLE: ("pages", settings.http, "--http")}
    for part in parts:
        if part not in wanted:
            continue
        what, address, option = wanted[part]
        reason = why_not(address)
        if reason:
            raise PartError(
                f"{what} cannot be served on {address}: {reason}; choose another with {option}, or see `fettle doctor`"
            )
