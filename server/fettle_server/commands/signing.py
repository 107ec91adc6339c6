"""`fettle sign`, and how a rollout's manifests are signed: `fettle rollout manifest`, `sign` and `bring`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from fettle_server import clock
from fettle_server.change.manifests import actions, queries
from fettle_server.change.manifests.rules import SigningError
from fettle_server.change.manifests.views import ManifestRow
from fettle_server.commands import keyfiles
from fettle_server.commands.keyfiles import KeyFile, PasswordFile
from fettle_server.commands.listing import Data, Database, reading
from fettle_server.commands.people import writing
from fettle_server.commands.rollouts_app import rollout_app
from fettle_server.estate.people.rules import SYSTEM

app = typer.Typer()

Number = Annotated[int, typer.Argument(metavar="N", help="The rollout's number.")]
Yes = Annotated[bool, typer.Option("--yes", help="Sign without asking.")]
Lines = Annotated[list[str] | None, typer.Argument(metavar="LINE", help="What signing printed; left out: standard input.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where it goes; left out: standard output.")]


@app.command("sign")
def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help='The signing file, or a manifest; "-": standard input.')],
    key: KeyFile,
    password_file: PasswordFile = None,
    yes: Yes = False,
) -> None:
    """Say what the manifests in a file would do, and sign them. Needs no data directory, and runs nothing of the file."""
    bodies = keyfiles.bodies_in(file)
    for line in keyfiles.sign_all(keyfiles.read(key, password_file), bodies, yes=yes):
        typer.echo(line)


@rollout_app.command("manifest")
def manifest(data: Data, number: Number, out: Out = None, database: Database = None) -> None:
    """Write the signing commands for a rollout's unsigned manifests, for an approver's own machine."""
    now = clock.utc_now()
    with reading(data, database) as tx:
        text = actions.signing_file_of(tx, SYSTEM, [row.id for row in _unsigned(tx, number)], now)
    if out is None:
        typer.echo(text, nl=False)
        return
    out.write_text(text)
    typer.echo(f"Wrote {out}. On the approver's machine: KEY=/path/to/key sh {out.name}, or: fettle sign --key FILE {out.name}")


@rollout_app.command("sign")
def sign_rollout(
    data: Data, number: Number, key: KeyFile, password_file: PasswordFile = None, database: Database = None
) -> None:
    """Sign a rollout's manifests right here: for a set-up of one machine. An estate keeps its key elsewhere."""
    private = keyfiles.read(key, password_file)
    with writing(data, database) as tx:
        waiting = _unsigned(tx, number)
        lines = keyfiles.sign_all(private, [queries.body_of(tx, row.id) for row in waiting], yes=True)
        signed = actions.bring_signatures(tx, SYSTEM, "\n".join(lines), clock.utc_now())
    typer.echo(f"Signed {len(signed)} manifests of rollout {number}.")


@rollout_app.command("bring")
def bring(data: Data, number: Number, lines: Lines = None, database: Database = None) -> None:
    """Bring back the signatures of a rollout's manifests."""
    pasted = "\n".join(lines) if lines else sys.stdin.read(1_000_000)
    with writing(data, database) as tx:
        known = {row.id for row in queries.of_rollout(tx, number)}
        signed = actions.bring_signatures(tx, SYSTEM, pasted, clock.utc_now())
        if not known.issuperset(signed):
            raise SigningError(f"Some of these signatures are of another rollout than {number}; nothing was taken.")
    typer.echo(f"Took {len(signed)} signatures for rollout {number}.")


def _unsigned(tx: sa.Connection, number: int) -> list[ManifestRow]:
    waiting = [row for row in queries.of_rollout(tx, number) if not row.is_signed]
    if not waiting:
        raise SigningError(f"Rollout {number} has nothing to sign: its manifests are made when its change is approved.")
    return waiting
