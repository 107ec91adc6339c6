"""`fettle token create` and `fettle endpoint revoke`: who may enrol, and who no longer counts."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Annotated

import typer

from fettle_server import clock, db
from fettle_server.commands.listing import plain
from fettle_server.commands.store import check_version
from fettle_server.config import load
from fettle_server.estate.enrolment import pki
from fettle_server.estate.enrolment.actions import create_token
from fettle_server.estate.people.queries import schools_named
from fettle_server.estate.people.rules import SYSTEM

app = typer.Typer()
token_app = typer.Typer(no_args_is_help=True, help="Enrolment tokens.")
endpoint_app = typer.Typer(no_args_is_help=True, help="Enrolled machines.")
app.add_typer(token_app, name="token")
app.add_typer(endpoint_app, name="endpoint")

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def lifetime(text: str) -> dt.timedelta:
    """A length of time such as 90m, 24h or 7d. Raises typer.BadParameter for anything else."""
    match = re.fullmatch(r"(\d{1,6})([mhd])", text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a length of time: write minutes, hours or days, such as 90m, 24h or 7d")
    return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})


@token_app.command("create")
def create(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The data directory.")],
    school: Annotated[str, typer.Option(metavar="NAME", help="The school; made if there is none of that name.")],
    uses: Annotated[int, typer.Option(help="How many machines may enrol with it.")] = 1,
    expires: Annotated[str, typer.Option(metavar="TIME", help="How long it is good: 90m, 24h, 7d.")] = "24h",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    database: Annotated[str | None, typer.Option(metavar="URL", help="The store, instead of the setting.")] = None,
) -> None:
    """Make a token with which machines enrol into a school."""
    life = lifetime(expires)
    settings = load(data, database=database)
    check_version(settings)
    authority = pki.load_authority(data)
    engine = db.open_engine(settings.database_url)
    with engine.begin() as tx:
        is_new = not schools_named(tx, SYSTEM, (school.strip(),))
        made = create_token(tx, SYSTEM, school, uses, life, clock.utc_now(), authority.sha256)
    engine.dispose()
    if is_new:
        typer.echo(f"{plain(made.school)} is a new school: it was made with this token.", err=True)
    expires_at = made.expires_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    if as_json:
        typer.echo(json.dumps({"token": made.token, "school": made.school, "expires_at": expires_at}))
        return
    typer.echo(made.token)
    machines = "1 machine" if uses == 1 else f"{uses} machines"
    typer.echo(f"Enrols {machines} into {made.school} until {expires_at}; it is not shown again. On the machine:", err=True)
    typer.echo(f"  fettle-agent enrol --server HOST:PORT --token {made.token} --state DIR", err=True)


@endpoint_app.command("revoke")
def revoke_endpoint(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The data directory.")],
    endpoint_id: Annotated[str, typer.Argument(metavar="ID", help="The endpoint, as `fettle endpoints` names it.")],
    database: Annotated[str | None, typer.Option(metavar="URL", help="The store, instead of the setting.")] = None,
) -> None:
    """Cut a machine off at once and for good: it must enrol again to come back."""
    from fettle_server.estate.endpoints.actions import EndpointError, revoke

    settings = load(data, database=database)
    check_version(settings)
    engine = db.open_engine(settings.database_url)
    with engine.begin() as tx:
        try:
            revoke(tx, SYSTEM, endpoint_id.strip().lower(), clock.utc_now())
        except EndpointError as error:
            raise EndpointError(f"{str(error).rstrip('.')}: `fettle endpoints {data}` lists them with their ids") from error
    engine.dispose()
    typer.echo(f"Endpoint {endpoint_id} is revoked.")
