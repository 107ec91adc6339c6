"""`fettle window ...` and `fettle freeze ...`: when schools take changes, and when nothing may begin."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from fettle_server import clock
from fettle_server.change.rollouts import queries, settings
from fettle_server.change.rollouts.rules import RolloutError
from fettle_server.change.rollouts.settings import Span
from fettle_server.commands.listing import AsJson, Data, Database, plain, print_table, reading, stamp
from fettle_server.commands.people import writing
from fettle_server.estate.calendars.queries import HOME, calendar_of
from fettle_server.estate.people import queries as people
from fettle_server.estate.people.rules import SYSTEM, PeopleError
from fettle_server.estate.rooms import queries as rooms

app = typer.Typer()
window_app = typer.Typer(no_args_is_help=True, help="Change windows: when a place takes changes.")
freeze_app = typer.Typer(no_args_is_help=True, help="Freezes: when no change begins.")
app.add_typer(window_app, name="window")
app.add_typer(freeze_app, name="freeze")

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")
School = Annotated[str | None, typer.Option("--school", metavar="NAME", help="Left out: all schools.")]
Room = Annotated[str | None, typer.Option("--room", metavar="NAME", help="A room of that school.")]
Number = Annotated[int, typer.Argument(metavar="N", help="Its number.")]
When = Annotated[str, typer.Argument(metavar="TIME", help="Such as 2026-05-11T08:00, in the school's own time.")]


@window_app.command("add")
def add_window(
    data: Data,
    days: Annotated[str, typer.Argument(metavar="DAYS", help="Such as mon,tue,wed.")],
    begins: Annotated[str, typer.Argument(metavar="FROM", help="Such as 16:30.")],
    ends: Annotated[str, typer.Argument(metavar="TO", help="Such as 21:00; earlier than FROM: on the next day.")],
    school: School = None,
    room: Room = None,
    endpoint_class: Annotated[str | None, typer.Option("--class", metavar="CLASS", help="Only PCs of that class.")] = None,
    when: Annotated[str, typer.Option("--when", metavar="KIND", help='"term", "holiday", or left out: both.')] = "",
    database: Database = None,
) -> None:
    """Add a change window; the narrowest place that has any wins."""
    span = Span(_days(days), _minute(begins), _minute(ends), when)
    with writing(data, database) as tx:
        school_id, room_id = _place(tx, school, room)
        now = clock.utc_now()
        number = settings.add_window(tx, SYSTEM, span, now, school_id=school_id, room_id=room_id, endpoint_class=endpoint_class)
    typer.echo(f"Window {number} was added.")


@window_app.command("drop")
def drop_window(data: Data, number: Number, database: Database = None) -> None:
    """Take a change window away."""
    with writing(data, database) as tx:
        settings.drop_window(tx, SYSTEM, number, clock.utc_now())
    typer.echo(f"Window {number} was dropped.")


@window_app.command("list")
def list_windows(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List the change windows that were set; elsewhere the usual ones count (docs/rollouts.md)."""
    with reading(data, database) as tx:
        rows = queries.windows(tx, SYSTEM)
    if as_json:
        keys = ("id", "school", "room", "endpoint_class", "days", "from_minute", "to_minute", "when")
        typer.echo(json.dumps({"windows": [{key: getattr(row, key) for key in keys} for row in rows]}))
        return
    head = (("WINDOW", 6), ("SCHOOL", 28), ("ROOM", 16), ("CLASS", 12), ("WHEN", 8), ("TIMES", 40))
    print_table(
        head,
        ((row.id, row.school or "all", row.room, row.endpoint_class or "", row.when or "always", _times(row)) for row in rows),
    )


@window_app.command("next")
def next_windows(
    data: Data,
    school: Annotated[str, typer.Option("--school", metavar="NAME")],
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Say when a school takes changes next: lessons, exams and freezes are left out."""
    with reading(data, database) as tx:
        school_id, _ = _place(tx, school, None)
        assert school_id is not None
        found = queries.next_windows(tx, school_id, clock.utc_now())
        zone = calendar_of(tx, school_id).zone
    if as_json:
        typer.echo(json.dumps({"windows": [{"from": stamp(start), "to": stamp(end)} for start, end in found]}))
        return
    for start, end in found:
        typer.echo(f"{start.astimezone(zone):%a %d %b %Y %H:%M} to {end.astimezone(zone):%a %H:%M}")


@freeze_app.command("add")
def add_freeze(
    data: Data,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What it is for: Ofsted, mocks.")],
    begins: When,
    ends: When,
    school: School = None,
    room: Room = None,
    database: Database = None,
) -> None:
    """Let no change begin between two times. Exams in the calendar freeze by themselves."""
    with writing(data, database) as tx:
        school_id, room_id = _place(tx, school, room)
        zone = HOME if school_id is None else calendar_of(tx, school_id).zone
        start, end = _moment(begins, zone), _moment(ends, zone)
        number = settings.freeze(tx, SYSTEM, title, start, end, clock.utc_now(), school_id=school_id, room_id=room_id)
    typer.echo(f"Freeze {number} was set.")


@freeze_app.command("end")
def end_freeze(data: Data, number: Number, database: Database = None) -> None:
    """Let a freeze be over now."""
    with writing(data, database) as tx:
        settings.end_freeze(tx, SYSTEM, number, clock.utc_now())
    typer.echo(f"Freeze {number} is over.")


@freeze_app.command("list")
def list_freezes(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List the freezes that are on or to come."""
    with reading(data, database) as tx:
        rows = queries.freezes(tx, SYSTEM, clock.utc_now())
    if as_json:
        keys = ("id", "school", "room", "title")
        times = [{"starts_at": stamp(row.starts_at), "ends_at": stamp(row.ends_at)} for row in rows]
        found = [{key: getattr(row, key) for key in keys} | at for row, at in zip(rows, times, strict=True)]
        typer.echo(json.dumps({"freezes": found}))
        return
    head = (("FREEZE", 6), ("SCHOOL", 28), ("ROOM", 16), ("FROM", 24), ("TO", 24), ("TITLE", 40))
    print_table(
        head, ((row.id, row.school or "all", row.room, stamp(row.starts_at), stamp(row.ends_at), row.title) for row in rows)
    )


def _place(tx: sa.Connection, school: str | None, room: str | None) -> tuple[int | None, int | None]:
    if school is None:
        if room is not None:
            raise RolloutError("Say the room's school too: --school.")
        return None, None
    found = people.schools_named(tx, SYSTEM, (school,))
    if school not in found:
        raise PeopleError(f"There is no school named {plain(school)}.")
    if room is None:
        return found[school], None
    room_id = rooms.room_named(tx, SYSTEM, found[school], room)
    if room_id is None:
        raise RolloutError(f"There is no room named {plain(room)} in that school.")
    return found[school], room_id


def _days(text: str) -> tuple[int, ...]:
    names = [name.strip().lower()[:3] for name in text.split(",")]
    if any(name not in DAYS for name in names):
        raise RolloutError(f"Days are said like this: {','.join(DAYS)}.")
    return tuple(DAYS.index(name) for name in names)


def _minute(text: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise RolloutError("A time of day is said like this: 16:30.")
    return int(found[1]) * 60 + int(found[2])


def _moment(text: str, zone: dt.tzinfo) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise RolloutError("A time is said like this: 2026-05-11T08:00.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(dt.UTC)


def _times(row: Any) -> str:
    clocked = (f"{minute // 60:02}:{minute % 60:02}" for minute in (row.from_minute, row.to_minute))
    return f"{', '.join(DAYS[day] for day in row.days)} {' to '.join(clocked)}"
