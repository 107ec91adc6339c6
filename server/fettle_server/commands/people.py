"""`fettle user ...`: people who sign in, from the server's own command line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from fettle_server import clock, db
from fettle_server.commands.listing import AsJson, Data, Database, plain, stamp
from fettle_server.commands.store import check_version
from fettle_server.config import load
from fettle_server.estate.people import actions, queries
from fettle_server.estate.people.queries import UserRow
from fettle_server.estate.people.rules import SYSTEM, PeopleError, Role

app = typer.Typer()
user_app = typer.Typer(no_args_is_help=True, help="People who sign in.")
app.add_typer(user_app, name="user")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name to sign in with.")]


@user_app.command("add")
def add(
    data: Data,
    name: Name,
    role: Annotated[Role, typer.Option(help="What the person may do.")],
    school: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only in this school; may be repeated.")] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Add a person and print the password for the first sign-in, once."""
    with writing(data, database) as tx:
        schools = _schools(tx, tuple(school or ()))
        password = actions.add_user(tx, SYSTEM, name, role, schools, now=clock.utc_now())
    _print_password(name.strip(), password, as_json=as_json)


@user_app.command("password")
def password(data: Data, name: Name, as_json: AsJson = False, database: Database = None) -> None:
    """Give a person a new one-time password; their sign-ins end."""
    with writing(data, database) as tx:
        fresh = actions.reset_password(tx, SYSTEM, _user(tx, name).id, clock.utc_now())
    _print_password(name.strip(), fresh, as_json=as_json)


@user_app.command("disable")
def disable(data: Data, name: Name, database: Database = None) -> None:
    """Lock a person out; their sign-ins and tokens end at once."""
    with writing(data, database) as tx:
        user = _user(tx, name)
        actions.set_user(tx, SYSTEM, user.id, user.role, user.school_ids, False, now=clock.utc_now())
    typer.echo(f"{plain(user.name)} can no longer sign in.")


@user_app.command("list")
def list_users(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List the people who may sign in."""
    with writing(data, database) as tx:
        rows = queries.users(tx, SYSTEM)
    if as_json:
        typer.echo(json.dumps({"users": [_object(row) for row in rows]}))
        return
    for row in rows:
        where = "all schools" if row.schools is None else ", ".join(row.schools) or "no school"
        last = stamp(row.signed_in_at) or "never"
        state = "" if row.active else "  disabled"
        typer.echo(plain(f"{row.name:24}  {row.role:13}  {where:30}  last sign-in {last}{state}"))


def _object(row: UserRow) -> dict[str, object]:
    return {
        "name": row.name,
        "role": row.role.value,
        "schools": None if row.schools is None else list(row.schools),
        "active": row.active,
        "signed_in_at": stamp(row.signed_in_at),
    }


def _print_password(name: str, fresh: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"name": name, "password": fresh}))
        return
    typer.echo(f"{plain(name)} signs in with this password once, and then chooses another: {fresh}")


def _user(tx: sa.Connection, name: str) -> UserRow:
    found = next((row for row in queries.users(tx, SYSTEM) if row.name == name.strip()), None)
    if found is None:
        raise PeopleError(f"There is nobody named {plain(name)}: `fettle user list DIR` shows who there is.")
    return found


def _schools(tx: sa.Connection, names: tuple[str, ...]) -> list[int] | None:
    if not names:
        return None
    found = queries.schools_named(tx, SYSTEM, names)
    missing = sorted(set(names) - set(found))
    if missing:
        raise PeopleError(f"There is no school named {plain(missing[0])}: `fettle token create` makes one.")
    return list(found.values())


@contextlib.contextmanager
def writing(data: Path, database: str | None) -> Iterator[sa.Connection]:
    """A transaction on the store of that data directory, committed at the end."""
    settings = load(data, database=database)
    check_version(settings)
    engine = db.open_engine(settings.database_url)
    try:
        with engine.begin() as tx:
            yield tx
    finally:
        engine.dispose()
