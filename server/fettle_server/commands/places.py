"""`fettle calendar ...` and `fettle room ...`: schools' calendars and rooms, from the server's own command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from fettle_server import clock
from fettle_server.commands.listing import AsJson, Data, Database, plain
from fettle_server.commands.people import writing
from fettle_server.estate.calendars import actions as calendars
from fettle_server.estate.calendars import queries as calendar_queries
from fettle_server.estate.calendars import transfer
from fettle_server.estate.calendars.rules import CalendarError
from fettle_server.estate.calendars.views import EntryRow
from fettle_server.estate.people import queries as people
from fettle_server.estate.people.rules import SYSTEM, PeopleError
from fettle_server.estate.rooms import actions, queries
from fettle_server.estate.rooms.rules import RoomError, RoomKind

app = typer.Typer()
calendar_app = typer.Typer(no_args_is_help=True, help="Schools' calendars.")
room_app = typer.Typer(no_args_is_help=True, help="Schools' rooms and trolleys.")
app.add_typer(calendar_app, name="calendar")
app.add_typer(room_app, name="room")

InSchool = Annotated[str | None, typer.Option("--school", metavar="NAME", help="The school; left out: all schools.")]
School = Annotated[str, typer.Option("--school", metavar="NAME", help="The school.")]


@calendar_app.command("import")
def take_in(
    data: Data,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An iCalendar file.")],
    school: InSchool = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the file holds, and keep nothing.")] = False,
    database: Database = None,
) -> None:
    """Take in an iCalendar file; its events replace those of the same UIDs."""
    content = file.read_bytes()
    with writing(data, database) as tx:
        school_id = _school(tx, school)
        found = transfer.preview(tx, SYSTEM, school_id, content, clock.utc_now())
        if not dry_run:
            entries = [entry for entry, _ in found.taken]
            now, name = clock.utc_now(), file.name
            calendars.take_in(tx, SYSTEM, school_id, entries, now=now, series=found.series, source=name)
    for entry, word in found.taken:
        note = f"  ({word})" if word else ""
        typer.echo(plain(f"{entry.kind:12}  {entry.starts_on} to {entry.ends_on}  {entry.title}{note}"))
    for one in found.unplaced:
        typer.echo(plain(f"not placed    {one.title}: {one.why}"))
    count = f"{len(found.taken)} {'entry' if len(found.taken) == 1 else 'entries'}"
    first = "not kept: " if dry_run else ""
    typer.echo(f"{first}{count} taken in, {found.replaces} replaced, {len(found.unplaced)} not placed")


@calendar_app.command("export")
def export(
    data: Data,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to; left out: standard output.")] = None,
    school: InSchool = None,
    database: Database = None,
) -> None:
    """Write a school's calendar as an iCalendar file."""
    with writing(data, database) as tx:
        content = transfer.as_file(tx, SYSTEM, _school(tx, school), clock.utc_now())
    if file is None:
        sys.stdout.write(content.decode())
    else:
        file.write_bytes(content)


@calendar_app.command("show")
def show(data: Data, school: InSchool = None, as_json: AsJson = False, database: Database = None) -> None:
    """Print a school's calendar."""
    with writing(data, database) as tx:
        rows = calendar_queries.entries(tx, SYSTEM, _school(tx, school))
    if as_json:
        typer.echo(json.dumps({"entries": [_entry_object(row) for row in rows]}))
        return
    for row in rows:
        where = "  (all schools)" if row.school_id is None and school else ""
        typer.echo(plain(f"{row.kind:12}  {row.starts_on} to {row.ends_on}  {row.title}{where}"))


@room_app.command("list")
def list_rooms(data: Data, school: School, as_json: AsJson = False, database: Database = None) -> None:
    """List a school's rooms."""
    with writing(data, database) as tx:
        rows = queries.rooms_of(tx, SYSTEM, _one_school(tx, school))
    if as_json:
        rooms = [{"id": row.id, "name": row.name, "kind": row.kind, "endpoints": row.endpoints} for row in rows]
        typer.echo(json.dumps({"rooms": rooms}))
        return
    for row in rows:
        typer.echo(plain(f"{row.name:30}  {row.kind:8}  {row.endpoints} PCs"))


@room_app.command("create")
def create(
    data: Data,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the room is called.")],
    school: School,
    trolley: Annotated[bool, typer.Option("--trolley", help="It is a trolley, which moves.")] = False,
    database: Database = None,
) -> None:
    """Make a room or a trolley."""
    with writing(data, database) as tx:
        kind = RoomKind.TROLLEY if trolley else RoomKind.ROOM
        actions.make_room(tx, SYSTEM, _one_school(tx, school), name, kind=kind, now=clock.utc_now())
    typer.echo(f"{plain(name.strip())} was made.")


@room_app.command("assign")
def assign(
    data: Data,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The room.")],
    endpoints: Annotated[list[str], typer.Argument(metavar="ENDPOINT...", help="Ids of endpoints, from `fettle endpoints`.")],
    school: School,
    database: Database = None,
) -> None:
    """Put endpoints into a room."""
    with writing(data, database) as tx:
        room_id = queries.room_named(tx, SYSTEM, _one_school(tx, school), name)
        if room_id is None:
            raise RoomError(f"There is no room named {name} in {school}.")
        count = actions.set_rooms(tx, SYSTEM, endpoints, room_id, clock.utc_now())
    typer.echo(f"{count} {'endpoint is' if count == 1 else 'endpoints are'} in {plain(name)} now.")


def _school(tx: sa.Connection, name: str | None) -> int | None:
    return None if name is None else _one_school(tx, name)


def _one_school(tx: sa.Connection, name: str) -> int:
    found = people.schools_named(tx, SYSTEM, (name.strip(),))
    if not found:
        raise PeopleError(f"There is no school named {name}.")
    return next(iter(found.values()))


def _entry_object(row: EntryRow) -> dict[str, object]:
    return {
        "id": row.id,
        "kind": row.kind,
        "title": row.title,
        "starts_on": row.starts_on.isoformat(),
        "ends_on": row.ends_on.isoformat(),
        "from_minute": row.from_minute,
        "to_minute": row.to_minute,
        "room": row.room,
        "all_schools": row.school_id is None,
        "uid": row.uid,
        "source": row.source,
    }


__all__ = ["CalendarError", "RoomError", "app"]
