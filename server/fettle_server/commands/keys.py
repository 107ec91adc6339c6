"""`fettle key ...`: approvers' keys. Private ones are made and used where the approver is; here only public ones are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fettle_server import clock
from fettle_server.change.manifests import actions, queries
from fettle_server.change.manifests.rules import Purpose
from fettle_server.change.manifests.views import KeyRow
from fettle_server.commands import keyfiles
from fettle_server.commands.keyfiles import MaybeKeyFile, PasswordFile
from fettle_server.commands.listing import AsJson, Data, Database, plain, reading, stamp
from fettle_server.commands.people import writing
from fettle_server.estate.people.rules import SYSTEM

app = typer.Typer()
key_app = typer.Typer(no_args_is_help=True, help="Approvers' keys: who may sign work for PCs.")
app.add_typer(key_app, name="key")

Why = Annotated[str, typer.Option(metavar="TEXT", help="Why; the next person will ask.")]
Ids = Annotated[list[str] | None, typer.Option(metavar="ID", help="A key's id; may be repeated.")]
Lines = Annotated[list[str] | None, typer.Argument(metavar="LINE", help="What signing printed; left out: standard input.")]


@key_app.command("create")
def create(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes; FILE.pub is its public half.")],
    password: Annotated[bool, typer.Option("--password", help="Ask for a password that the key is encrypted with.")] = False,
    password_file: PasswordFile = None,
) -> None:
    """Make an approver's key. Do this on the approver's own machine: the server never needs the private half."""
    secret = keyfiles.password_of(password_file)
    if password and not secret:
        secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    key_id = keyfiles.make(file, secret)
    typer.echo(f"Key {key_id}: keep {file} to yourself, and bring {file}.pub to the server: fettle key add DIR {file}.pub")
    if not secret:
        typer.echo("It has no password: whoever can read that file can sign. --password gives it one.", err=True)


@key_app.command("add")
def add(
    data: Data,
    file: Annotated[Path, typer.Argument(metavar="FILE.pub", help="The public half.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Whose key it is; the file's name where left out.")] = "",
    database: Database = None,
) -> None:
    """Trust an approver's key: machines that enrol from now on obey what it signs."""
    pem = file.read_bytes()[:10_000]
    with writing(data, database) as tx:
        key_id = actions.add_key(tx, SYSTEM, name or file.stem, pem, clock.utc_now())
        others = [row for row in queries.keys(tx) if row.is_active and row.id != key_id]
    typer.echo(f"Key {key_id} is trusted.")
    if others:
        typer.echo(f"Machines that are enrolled learn of it by: fettle key rotate {data} --add {key_id}", err=True)


@key_app.command("list")
def list_keys(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List approvers' keys."""
    with reading(data, database) as tx:
        rows = queries.keys(tx)
    if as_json:
        typer.echo(json.dumps({"keys": [_object(row) for row in rows]}))
        return
    for row in rows:
        state = f"retired {stamp(row.retired_at)}" if row.retired_at else "active"
        typer.echo(plain(f"{row.id}  {row.name:30}  {state}  added {stamp(row.added_at)} by {row.added_by}"))


@key_app.command("retire")
def retire(
    data: Data,
    key_id: Annotated[str, typer.Argument(metavar="ID")],
    why: Why,
    database: Database = None,
) -> None:
    """Take no more signatures of a key. Machines drop it by `fettle key rotate`, which a key that stays must sign."""
    with writing(data, database) as tx:
        actions.retire_key(tx, SYSTEM, key_id, why, clock.utc_now())
    typer.echo(f"Key {plain(key_id)} is retired.")


@key_app.command("rotate")
def rotate(
    data: Data,
    add: Ids = None,
    retire: Ids = None,
    key: MaybeKeyFile = None,
    password_file: PasswordFile = None,
    database: Database = None,
) -> None:
    """Have every enrolled machine pin keys and drop others, by a manifest that a key they trust already signs."""
    private = keyfiles.read(key, password_file) if key is not None else None
    with writing(data, database) as tx:
        number = actions.rotate(tx, SYSTEM, tuple(add or ()), tuple(retire or ()), clock.utc_now())
        if private is not None:
            lines = keyfiles.sign_all(private, [queries.body_of(tx, number)], yes=True)
            actions.bring_signatures(tx, SYSTEM, "\n".join(lines), clock.utc_now())
    if private is not None:
        typer.echo("Signed: machines are handed it as they are there.")
        return
    typer.echo(
        f"It waits for a signature: fettle key file {data} > sign.sh, run that where the key is, and bring back its lines:"
    )
    typer.echo(f"fettle key bring {data} LINE...")


@key_app.command("file")
def write_file(data: Data, database: Database = None) -> None:
    """Print the signing commands for changes of keys that wait for a signature."""
    now = clock.utc_now()
    with reading(data, database) as tx:
        waiting = [row.id for row in queries.unsigned(tx, now, purpose=Purpose.KEYS)]
        text = actions.signing_file_of(tx, SYSTEM, waiting, now)
    typer.echo(text, nl=False)


@key_app.command("bring")
def bring(data: Data, lines: Lines = None, database: Database = None) -> None:
    """Bring back the signatures of changes of keys."""
    pasted = "\n".join(lines) if lines else sys.stdin.read(1_000_000)
    with writing(data, database) as tx:
        actions.bring_signatures(tx, SYSTEM, pasted, clock.utc_now(), of_keys=True)
    typer.echo("Signed: machines are handed it as they are there.")


def _object(row: KeyRow) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "public": row.public.hex(),
        "active": row.is_active,
        "added_by": row.added_by,
        "added_at": stamp(row.added_at),
        "retired_at": stamp(row.retired_at),
    }
