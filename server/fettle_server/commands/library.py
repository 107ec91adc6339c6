"""`fettle library ...` and `fettle build ...`: the definitive software library and documented builds."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from fettle_server import clock
from fettle_server.change.library import actions, builds, queries
from fettle_server.change.library.actions import NewPackage, NewScript
from fettle_server.change.library.builds import NewBuild
from fettle_server.change.library.rules import LibraryError
from fettle_server.change.library.views import BuildView, DriftRow, ItemView
from fettle_server.commands.listing import AsJson, Data, Database, every, plain, print_document, print_table, reading, stamp
from fettle_server.commands.people import writing
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.rooms.queries import room_named
from fettle_server.estate.tables import School
from fettle_server.paging import LIMIT

app = typer.Typer()
library_app = typer.Typer(no_args_is_help=True, help="The definitive software library.")
build_app = typer.Typer(no_args_is_help=True, help="Documented builds, and PCs that drifted from theirs.")
app.add_typer(library_app, name="library")
app.add_typer(build_app, name="build")

Name = Annotated[str, typer.Argument(metavar="NAME")]
Version = Annotated[str, typer.Argument(metavar="VERSION")]
Number = Annotated[int, typer.Argument(metavar="N")]
Systems = Annotated[list[str] | None, typer.Option("--system", help="windows, linux or macos; may be repeated.")]
Notes = Annotated[str, typer.Option(metavar="TEXT")]
_ITEM_HEAD = (("ITEM", 5), ("KIND", 8), ("BY", 10), ("NAME", 32), ("VERSION", 20), ("HELD", 6), ("USED", 6), ("STATE", 9))
_BUILD_HEAD = (
    ("BUILD", 5),
    ("NAME", 28),
    ("VERSION", 12),
    ("SYSTEM", 8),
    ("TESTED", 10),
    ("PCS", 6),
    ("DRIFTED", 7),
    ("UNKNOWN", 7),
)
_DRIFT_HEAD = (("ITEMS", 5), ("ENDPOINT", 24), ("SCHOOL", 24), ("BUILD", 24), ("FIRST DIFFERENCE", 40))


@library_app.command("add-package")
def add_package(
    data: Data,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="apt, dnf, winget, ...")],
    name: Name,
    version: Version,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Take the package file's sha256.")] = None,
    sha256: Annotated[str, typer.Option(metavar="HEX", help="Its sha256, where you have it from the vendor.")] = "",
    licences: Annotated[int | None, typer.Option(help="How many licences are held.")] = None,
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Which licence, and where its proof is.")] = "",
    source: Annotated[str, typer.Option(metavar="TEXT", help="Where it comes from.")] = "",
    system: Systems = None,
    notes: Notes = "",
    database: Database = None,
) -> None:
    """Add a package version that may be rolled out."""
    if file is not None:
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    new = NewPackage(provider, name, version, sha256, tuple(system or ()), licences, licence, source, notes)
    with writing(data, database) as tx:
        item_id = actions.add_package(tx, SYSTEM, new, clock.utc_now())
    typer.echo(plain(f"{name} {version} is item {item_id} of the library."))


@library_app.command("add-script")
def add_script(
    data: Data,
    name: Name,
    version: Version,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The script, as UTF-8 text.")],
    interpreter: Annotated[str, typer.Option(help="sh, python3 or powershell.")],
    idempotent: Annotated[bool, typer.Option("--idempotent", help="It may be begun again after it was cut off.")] = False,
    system: Systems = None,
    notes: Notes = "",
    database: Database = None,
) -> None:
    """Add a script version that may be rolled out; its body is never changed afterwards."""
    try:
        body = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise LibraryError(f"{file} is no UTF-8 text: save it as UTF-8.") from error
    new = NewScript(name, version, body, interpreter, idempotent, tuple(system or ()), notes)
    with writing(data, database) as tx:
        item_id = actions.add_script(tx, SYSTEM, new, clock.utc_now())
        item = queries.item(tx, SYSTEM, item_id)
    typer.echo(plain(f"{name} {version} is item {item_id} of the library; sha256 {item.sha256 if item else ''}."))


@library_app.command("list")
def list_items(
    data: Data,
    withdrawn: Annotated[bool, typer.Option("--withdrawn", help="Those that were withdrawn too.")] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List the library's packages and scripts, with licences held and used."""
    with reading(data, database) as tx:
        rows = queries.items(tx, SYSTEM, withdrawn=withdrawn)
    if as_json:
        print_document("items", map(item_object, rows))
    else:
        print_table(_ITEM_HEAD, map(_item_cells, rows))


@library_app.command("withdraw")
def withdraw(data: Data, item: Number, database: Database = None) -> None:
    """Take an item out of use; old changes go on to speak of it."""
    with writing(data, database) as tx:
        actions.withdraw(tx, SYSTEM, item, clock.utc_now())
    typer.echo(f"Item {item} is withdrawn.")


@build_app.command("create")
def create(
    data: Data,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The build as TOML (docs/patches.md).")],
    database: Database = None,
) -> None:
    """Document a build."""
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LibraryError(f"{file} is no TOML: {error}") from error
    with writing(data, database) as tx:
        build_id = builds.create(tx, SYSTEM, _new_build(told), clock.utc_now())
    typer.echo(f"This is build {build_id}. `fettle build assign {data} {build_id}` says which PCs it is for.")


@build_app.command("list")
def list_builds(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List the documented builds, with how many PCs drifted from each."""
    with reading(data, database) as tx:
        rows = queries.builds(tx, SYSTEM)
    if as_json:
        print_document("builds", map(build_object, rows))
    else:
        print_table(_BUILD_HEAD, map(_build_cells, rows))


@build_app.command("show")
def show(data: Data, build: Number, as_json: AsJson = False, database: Database = None) -> None:
    """Show one build: what it has, what it must not have, its checklist and its places."""
    with reading(data, database) as tx:
        found = queries.build(tx, SYSTEM, build)
    if found is None:
        raise LibraryError(f"There is no build {build}; `fettle build list {data}` lists them.")
    if as_json:
        typer.echo(json.dumps(build_object(found)))
        return
    typer.echo(plain(f"Build {found.id}: {found.name} {found.version} for {found.system}"))
    for one in found.packages:
        typer.echo(plain(f"  has       {one['name']} {one['version'] or '(any version)'}"))
    for name in found.absent:
        typer.echo(plain(f"  must not  {name}"))
    for point in found.checklist:
        typer.echo(plain(f"  [{'x' if point['done'] else ' '}]       {point['text']}"))
    for place in found.places:
        typer.echo(plain(f"  for       {place.words}"))


@build_app.command("assign")
def assign(
    data: Data,
    build: Number,
    school: Annotated[str | None, typer.Option(metavar="NAME", help="A school; left out: every school.")] = None,
    room: Annotated[str | None, typer.Option(metavar="NAME", help="A room of the school.")] = None,
    endpoint_class: Annotated[str | None, typer.Option("--class", metavar="CLASS", help="One class of PCs.")] = None,
    database: Database = None,
) -> None:
    """Say which PCs a build is for; the narrowest place wins."""
    with writing(data, database) as tx:
        school_id, room_id = _place(tx, school, room)
        now = clock.utc_now()
        builds.assign(tx, SYSTEM, build, now, school_id=school_id, room_id=room_id, endpoint_class=endpoint_class)
    typer.echo("Assigned. The worker holds the PCs against it within the next minutes.")


@build_app.command("drift")
def drift(
    data: Data,
    build: Annotated[int | None, typer.Option("--build", metavar="N", help="Of one build only.")] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List the PCs that drifted from their build, the farthest first."""
    with reading(data, database) as tx:
        rows = every(lambda after: queries.drifted(tx, SYSTEM, build, after=after, limit=LIMIT))
        if as_json:
            print_document("drift", map(drift_object, rows))
        else:
            print_table(_DRIFT_HEAD, map(_drift_cells, rows))


def item_object(row: ItemView) -> dict[str, Any]:
    """One item as docs/json.md describes it."""
    names = (
        "id",
        "kind",
        "provider",
        "name",
        "version",
        "sha256",
        "interpreter",
        "idempotent",
        "licences",
        "installed",
        "licence",
    )
    rest = {"systems": list(row.systems), "source": row.source, "added_by": row.added_by}
    times = {"added_at": stamp(row.added_at), "withdrawn_at": stamp(row.withdrawn_at)}
    return {name: getattr(row, name) for name in names} | rest | times


def build_object(row: BuildView) -> dict[str, Any]:
    """One build as docs/json.md describes it."""
    names = ("id", "name", "version", "system", "description", "endpoints", "drifted", "unknown", "tested_by")
    content = {"packages": list(row.packages), "absent": list(row.absent), "checklist": list(row.checklist)}
    times = {"tested_at": stamp(row.tested_at), "created_at": stamp(row.created_at), "retired_at": stamp(row.retired_at)}
    return {name: getattr(row, name) for name in names} | content | {"places": [one.words for one in row.places]} | times


def drift_object(row: DriftRow) -> dict[str, Any]:
    """One PC that drifted as docs/json.md describes it."""
    names = ("endpoint_id", "endpoint", "school", "build_id", "build", "items")
    return {name: getattr(row, name) for name in names} | {"detail": list(row.detail), "at": stamp(row.at)}


def _new_build(told: dict[str, Any]) -> NewBuild:
    fields = {"name", "version", "system", "description", "packages", "absent", "checklist"}
    if unknown := sorted(set(told) - fields):
        raise LibraryError(f"A build has no field {unknown[0]!r}; it has {', '.join(sorted(fields))}.")
    texts = {name: told.get(name, "") for name in ("name", "version", "system", "description")}
    lists = {name: told.get(name, []) for name in ("packages", "absent", "checklist")}
    if not all(isinstance(value, str) for value in texts.values()) or not all(
        isinstance(value, list) for value in lists.values()
    ):
        raise LibraryError("name, version, system and description are text; packages, absent and checklist are lists.")
    packages = [{"name": one} if isinstance(one, str) else one for one in lists["packages"]]
    if not all(isinstance(one, dict) for one in packages) or not all(
        isinstance(one, str) for one in lists["absent"] + lists["checklist"]
    ):
        raise LibraryError("A package is a name or { name, version }; absent and checklist hold text.")
    return NewBuild(**texts, packages=packages, absent=lists["absent"], checklist=lists["checklist"])


def _place(tx: sa.Connection, school: str | None, room: str | None) -> tuple[int | None, int | None]:
    if school is None:
        if room is not None:
            raise LibraryError("Name the room's school with --school.")
        return None, None
    school_id = tx.scalar(sa.select(School.id).where(School.name == school))
    if school_id is None:
        raise LibraryError(f"There is no school named {school}.")
    if room is None:
        return school_id, None
    room_id = room_named(tx, SYSTEM, school_id, room)
    if room_id is None:
        raise LibraryError(f"There is no room named {room} in {school}.")
    return school_id, room_id


def _item_cells(row: ItemView) -> tuple[Any, ...]:
    state = "withdrawn" if row.withdrawn_at else "in use"
    held = "-" if row.licences is None else row.licences
    used = "-" if row.installed is None else row.installed
    return row.id, row.kind, row.provider or row.interpreter, row.name, row.version, held, used, state


def _build_cells(row: BuildView) -> tuple[Any, ...]:
    tested = row.tested_at.date().isoformat() if row.tested_at else "no"
    return row.id, row.name, row.version, row.system, tested, row.endpoints, row.drifted, row.unknown


def _drift_cells(row: DriftRow) -> tuple[Any, ...]:
    first = row.detail[0] if row.detail else {"name": "", "wanted": "", "found": ""}
    return row.items, row.endpoint, row.school, row.build, f"{first['name']}: {first['wanted']}, found {first['found']}"
