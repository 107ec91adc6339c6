"""`fettle endpoints`, `fettle incidents` and `fettle incident`: what stands in the store, for people and for scripts.

Lists are read and printed page by page, so that 150,000 endpoints need no more memory than 500. docs/json.md says what the
JSON documents hold.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import sqlalchemy as sa
import typer

from fettle_server import db
from fettle_server.commands.store import check_version
from fettle_server.config import load
from fettle_server.estate.endpoints import queries as endpoint_queries
from fettle_server.estate.endpoints.views import EndpointFilter, EndpointRow
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.paging import LIMIT, Page
from fettle_server.reactive import queries
from fettle_server.reactive.views import FaultOfIncident, IncidentDetail, IncidentFilter, IncidentRow

app = typer.Typer()
Row = TypeVar("Row")

Data = Annotated[Path, typer.Argument(metavar="DIR", help="The data directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Database = Annotated[str | None, typer.Option(metavar="URL", help="The store, instead of the setting.")]


class Which(StrEnum):
    """The incidents that a list shows; resolved takes the closed ones in."""

    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


@app.command("endpoints")
def endpoints(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List the enrolled machines, by name."""
    wanted = EndpointFilter(sort="name", revoked=True)
    with reading(data, database) as tx:
        rows = every(lambda after: endpoint_queries.endpoints(tx, SYSTEM, wanted, after, LIMIT))
        if as_json:
            print_document("endpoints", map(endpoint_object, rows))
        else:
            print_table(_ENDPOINT_HEAD, map(_endpoint_cells, rows))


@app.command("incidents")
def incidents(
    data: Data,
    state: Annotated[Which, typer.Option(help="Which incidents; resolved takes the closed ones in.")] = Which.OPEN,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List incidents: open ones by priority, resolved ones latest first, all together newest first."""
    wanted = IncidentFilter(state=state.value)
    with reading(data, database) as tx:
        rows = every(lambda after: queries.incidents(tx, SYSTEM, wanted, after, LIMIT))
        if as_json:
            print_document("incidents", _with_faults(tx, rows))
        else:
            print_table(_INCIDENT_HEAD, map(_incident_cells, rows))


@app.command("incident")
def incident(
    data: Data, number: Annotated[int, typer.Argument(metavar="NUMBER")], as_json: AsJson = False, database: Database = None
) -> None:
    """Show one incident with its faults and its timeline."""
    with reading(data, database) as tx:
        found = queries.incident(tx, SYSTEM, number)
    if found is None:
        typer.echo(f"fettle: there is no incident {number}: `fettle incidents {data} --state all` lists them", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(detail_object(found)))
    else:
        _print_incident(found)


def endpoint_object(row: EndpointRow) -> dict[str, Any]:
    """One endpoint as docs/json.md describes it."""
    return {
        "id": row.id,
        "name": row.name,
        "school": row.school,
        "state": row.state.value,
        "connected": row.connected,
        "last_seen": stamp(row.last_seen),
        "open_incidents": row.open_incidents,
    }


def incident_object(row: IncidentRow, faults: Sequence[FaultOfIncident]) -> dict[str, Any]:
    """One incident as docs/json.md describes it."""
    return {
        "number": row.number,
        "state": row.state,
        "priority": row.priority,
        "title": row.title,
        "school": row.school,
        "endpoint": row.endpoint,
        "rule": row.rule,
        "scope": row.scope,
        "endpoints": row.endpoints,
        "merged_into": row.merged_into,
        "is_test": row.is_test,
        "opened_at": stamp(row.opened_at),
        "resolved_at": stamp(row.resolved_at),
        "faults": [_fault_object(fault) for fault in faults],
    }


def detail_object(found: IncidentDetail) -> dict[str, Any]:
    """One incident with its whole story as docs/json.md describes it."""
    return incident_object(found, found.faults) | {
        "endpoint_id": found.endpoint_id,
        "impact": found.impact,
        "urgency": found.urgency,
        "assignee": found.assignee,
        "took_over": list(found.took_over),
        "children": [
            {
                "endpoint": one.endpoint,
                "endpoint_id": one.endpoint_id,
                "school": one.school,
                "rule": one.rule,
                "instance": one.instance,
                "since_at": stamp(one.since_at),
                "cleared_at": stamp(one.cleared_at),
            }
            for one in found.children
        ],
        "timeline": [
            {"at": stamp(entry.at), "kind": entry.kind, "actor": entry.actor, "text": entry.text, "detail": entry.detail}
            for entry in found.timeline
        ],
        "evidence": [
            {
                "rule": fault.rule,
                "instance": fault.instance,
                "at": stamp(db.from_ms(int(at_ms))),
                "value": value,
                "around": around,
            }
            for fault in found.faults
            for around in ("raised", "cleared")
            for at_ms, value in fault.evidence.get(around, ())
        ],
    }


def stamp(time: dt.datetime | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    return None if time is None else time.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(text: object) -> str:
    """Text that a terminal only shows: what machines call themselves must not move its cursor or turn its writing round."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))


def _fault_object(fault: FaultOfIncident) -> dict[str, Any]:
    return {
        "rule": fault.rule,
        "instance": fault.instance,
        "severity": fault.severity,
        "raised_at": stamp(fault.raised_at),
        "cleared_at": stamp(fault.cleared_at),
        "value": fault.value,
        "detail": fault.detail,
    }


@contextlib.contextmanager
def reading(data: Path, database: str | None) -> Iterator[sa.Connection]:
    """The store, read only, for one command.

    Raises:
        StoreError: it was made by another version.
    """
    settings = load(data, database=database)
    check_version(settings)
    engine = db.open_engine(settings.database_url, readonly=True)
    try:
        with engine.connect() as tx:
            yield tx
    finally:
        engine.dispose()


def every(read: Callable[[str | None], Page[Row]]) -> Iterator[Row]:
    """Every row of a list, page after page."""
    page = read(None)
    yield from page.rows
    while page.after is not None:
        page = read(page.after)
        yield from page.rows


def _with_faults(tx: sa.Connection, rows: Iterator[IncidentRow]) -> Iterator[dict[str, Any]]:
    for piece in _pieces(rows):
        faults = queries.faults_of(tx, [row.number for row in piece])
        for row in piece:
            yield incident_object(row, faults.get(row.number, ()))


def _pieces(rows: Iterator[Row]) -> Iterator[list[Row]]:
    piece: list[Row] = []
    for row in rows:
        piece.append(row)
        if len(piece) == LIMIT:
            yield piece
            piece = []
    if piece:
        yield piece


def print_document(name: str, objects: Iterable[dict[str, Any]]) -> None:
    """One JSON document, written as it is read."""
    write = sys.stdout.write
    write(f'{{"{name}": [')
    for place, one in enumerate(objects):
        write((",\n" if place else "\n") + json.dumps(one))
    write("]}\n")


_ENDPOINT_HEAD = (("NAME", 28), ("SCHOOL", 24), ("STATE", 7), ("LINK", 4), ("LAST SEEN", 24), ("OPEN", 4), ("ID", 32))
_INCIDENT_HEAD = (("NUMBER", 7), ("P", 1), ("STATE", 11), ("OPENED", 24), ("ENDPOINT", 24), ("SCHOOL", 20), ("TITLE", 40))


def _endpoint_cells(row: EndpointRow) -> tuple[Any, ...]:
    link = "up" if row.connected else "-"
    return row.name, row.school, row.state, link, stamp(row.last_seen) or "never", row.open_incidents, row.id


def _incident_cells(row: IncidentRow) -> tuple[Any, ...]:
    return row.number, row.priority, row.state, stamp(row.opened_at), row.endpoint or "-", row.school, row.title


def print_table(head: Sequence[tuple[str, int]], rows: Iterable[tuple[Any, ...]]) -> None:
    """Aligned columns of fixed widths, since the rows are printed while they are read; a longer cell is never cut."""
    widths = [width for _, width in head]
    _print_row([name for name, _ in head], widths)
    for row in rows:
        _print_row(row, widths)


def _print_row(cells: Sequence[object], widths: Sequence[int]) -> None:
    typer.echo("  ".join(plain(cell).ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def _print_incident(found: IncidentDetail) -> None:
    typer.echo(f"Incident {found.number}: {plain(found.title)}")
    facts = {
        "State": f"{found.state}, priority {found.priority} (impact {found.impact}, urgency {found.urgency})",
        "School": found.school or "several",
        "Endpoint": f"{found.endpoint} {found.endpoint_id}".strip() or "-",
        "Assignee": found.assignee or "nobody",
        "Opened": stamp(found.opened_at),
        "Resolved": stamp(found.resolved_at) or "-",
    }
    for name, fact in facts.items():
        typer.echo(f"  {name + ':':10}{plain(fact)}")
    if found.scope != "endpoint":
        typer.echo(f"Its cause is the {found.scope}; it reached {found.endpoints}:")
        for child in found.children:
            over = f"well again {stamp(child.cleared_at)}" if child.cleared_at else "still has it"
            typer.echo(plain(f"  {child.endpoint} ({child.school}): since {stamp(child.since_at)}; {over}"))
    typer.echo("Faults:")
    for fault in found.faults:
        ended = f"cleared {stamp(fault.cleared_at)}" if fault.cleared_at else "still open"
        what = f"{fault.rule} {fault.instance}".strip()
        typer.echo(plain(f"  {stamp(fault.raised_at)}  {fault.severity}: {what} at {fault.value:g}; {ended}"))
    typer.echo("Timeline:")
    for entry in found.timeline:
        typer.echo(plain(f"  {stamp(entry.at)}  {entry.actor}: {entry.kind} {entry.text}".rstrip()))
