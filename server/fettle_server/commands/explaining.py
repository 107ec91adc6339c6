"""`fettle explain` and `fettle held`: why a PC is in its state and who was told, and what is held back just now."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from fettle_server import clock
from fettle_server.commands.listing import AsJson, Data, Database, plain, reading, stamp
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.views import EndpointFilter
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.proactive.explain import queries
from fettle_server.proactive.explain.views import Chain, Explanation, RuleLine, Step
from fettle_server.proactive.stages import queries as stages
from fettle_server.proactive.stages.rules import NAMES, Stage
from fettle_server.proactive.stages.views import HeldFilter, HeldRow, SuppressionRow

app = typer.Typer()
_ID_LENGTH = 32
_NAMESAKES = 20
HELD_SHOWN = 500


class NotOne(ValueError):
    """A name that no endpoint has, or several have; the message says what to do."""


@app.command("explain")
def explain(
    data: Data,
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="An endpoint's id, or its name where only one has it.")],
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Say why an endpoint is in its state, why it is in no other, and who was told."""
    with reading(data, database) as tx:
        try:
            found = queries.explain(tx, SYSTEM, _id_of(tx, endpoint), clock.utc_now())
        except NotOne as error:
            typer.echo(f"fettle: {error}", err=True)
            raise typer.Exit(1) from error
    if found is None:
        typer.echo(f"fettle: there is no endpoint {plain(endpoint)}: `fettle endpoints {data}` lists them", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(explanation_object(found)))
    else:
        _print(found)


@app.command("held")
def held(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List the stages that hold faults back, what each holds now, and the windows and silences in force."""
    with reading(data, database) as tx:
        now = clock.utc_now()
        counts, orders = stages.holding(tx, SYSTEM), stages.suppressions(tx, SYSTEM, now)
        rows = stages.held(tx, SYSTEM, HeldFilter(state="open"), limit=HELD_SHOWN).rows
    if as_json:
        typer.echo(json.dumps(held_object(counts, orders, rows)))
    else:
        _print_held(counts, orders, rows)


def explanation_object(found: Explanation) -> dict[str, Any]:
    """An explanation as docs/json.md describes it."""
    return {key: _value(value) for key, value in dataclasses.asdict(found).items()}


def held_object(counts: dict[str, int], orders: tuple[SuppressionRow, ...], rows: tuple[HeldRow, ...]) -> dict[str, Any]:
    """What is held back as docs/json.md describes it."""
    return {
        "stages": [{"stage": stage.value, "name": NAMES[stage], "holding": counts.get(stage.value, 0)} for stage in Stage],
        "orders": [_value(dataclasses.asdict(order)) for order in orders],
        "held": [_value(dataclasses.asdict(row)) for row in rows],
    }


def _id_of(tx: sa.Connection, wanted: str) -> str:
    """The id of the endpoint that is meant.

    Raises:
        NotOne: no endpoint has that name, or several.
    """
    if len(wanted) == _ID_LENGTH and set(wanted) <= set("0123456789abcdef"):
        return wanted
    page = endpoints.endpoints(tx, SYSTEM, EndpointFilter(search=wanted, sort="name", revoked=True), None, 500)
    same = [row for row in page.rows if row.name.lower() == wanted.lower()]
    if len(same) == 1:
        return same[0].id
    if not same:
        raise NotOne(f"no endpoint is called {plain(wanted)}: name one by its id, from `fettle endpoints`")
    ids = ", ".join(f"{row.id} ({plain(row.school)})" for row in same[:_NAMESAKES])
    raise NotOne(f"{len(same)} endpoints are called {plain(wanted)}: name one by its id: {ids}")


def _value(value: Any) -> Any:
    """Times as RFC 3339; everything else as JSON has it."""
    if isinstance(value, dt.datetime):
        return stamp(value)
    if isinstance(value, dict):
        return {key: _value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_value(one) for one in value]
    return value


def _print(found: Explanation) -> None:
    typer.echo(plain(f"{found.endpoint} of {found.school}: {found.sentence}"))
    _print_chains(f"Why it is {found.state}:", found.why, "No rule has a fault open on it.")
    typer.echo("Is it expected?")
    _print_steps(found.presence)
    typer.echo("Every rule:")
    for line in found.rules:
        typer.echo(f"  {line.standing.value:13} {plain(line.title)}: {plain(_says(line))}")
    _print_chains("Who was told, or why nobody:", found.messages, "There was no fault in the last 7 days.")


def _says(line: RuleLine) -> str:
    if line.countdown is None:
        return line.text
    return f"{line.text} ({'clears' if line.countdown.clearing else 'raises'} at {stamp(line.countdown.ends_at)})"


def _print_chains(title: str, chains: tuple[Chain, ...], none: str) -> None:
    typer.echo(title)
    for chain in chains:
        typer.echo(plain(f"  {chain.title}" + (f" (incident {chain.incident})" if chain.incident else "")))
        _print_steps(chain.steps, indent="    ")
    if not chains:
        typer.echo(f"  {none}")


def _print_steps(steps: tuple[Step, ...], indent: str = "  ") -> None:
    for step in steps:
        when = f" [{stamp(step.at)}]" if step.at else ""
        typer.echo(f"{indent}- {plain(step.text)}{when}")


def _print_held(counts: dict[str, int], orders: tuple[SuppressionRow, ...], rows: tuple[HeldRow, ...]) -> None:
    typer.echo("Stages, in the order in which they are asked:")
    for place, stage in enumerate(Stage, start=1):
        typer.echo(f"  {place}. {NAMES[stage]:20} holds {counts.get(stage.value, 0)}")
    typer.echo("Windows and silences:")
    for order in orders:
        where = " ".join(part for part in (order.school or "all schools", order.room, order.endpoint, order.rule) if part)
        until = f"until {stamp(order.until)}" if order.until else f"next {stamp(order.next_at)}"
        typer.echo(plain(f"  {order.kind} {order.title or order.reason}: {where}; {order.state}, {until}; held {order.held}"))
    if not orders:
        typer.echo("  none")
    typer.echo("Held back now:")
    for row in rows:
        typer.echo(plain(f"  {row.endpoint} ({row.school}): {row.title}: {row.stage_name}: {row.reason}"))
    if not rows:
        typer.echo("  nothing")
