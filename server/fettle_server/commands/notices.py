"""`fettle notices` and `fettle prove`: a test of a channel, what was sent and what not, and a proof that alerts work."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from fettle_server import clock, db
from fettle_server.commands.listing import AsJson, Data, Database, plain, stamp
from fettle_server.commands.store import check_version
from fettle_server.config import Settings, load
from fettle_server.estate.people import queries as people
from fettle_server.estate.people.rules import SYSTEM, PeopleError
from fettle_server.notify import queries, sending
from fettle_server.notify.queries import DeliveryRow
from fettle_server.notify.rules import NoticeError
from fettle_server.proactive.proofs import actions as proofs
from fettle_server.proactive.proofs import queries as proof_queries
from fettle_server.proactive.proofs.actions import ProofError
from fettle_server.proactive.proofs.queries import ProofRow
from fettle_server.proactive.proofs.rules import NOTICED_WITHIN, Proved

app = typer.Typer()
Writing = Callable[[], AbstractContextManager[sa.Connection]]
_LOOK_S = 1.0


notices_app = typer.Typer(no_args_is_help=True, help="Notices: who is told, and what was sent.")
app.add_typer(notices_app, name="notices")


@notices_app.command("test")
def send_test(
    data: Data,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's name.")],
    database: Database = None,
) -> None:
    """Send a test by a channel now, and print the receiver's answer."""
    settings, engine = _opened(data, database)
    try:
        _test(engine.begin, settings, channel)
    finally:
        engine.dispose()


@notices_app.command("log")
def list_deliveries(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List the newest deliveries, with the reasons of those that were not sent."""
    _, engine = _opened(data, database)
    try:
        with engine.begin() as tx:
            rows, configured = queries.deliveries(tx, limit=100).rows, queries.is_configured(tx)
    finally:
        engine.dispose()
    if as_json:
        typer.echo(json.dumps({"configured": configured, "deliveries": [_delivery_object(row) for row in rows]}))
        return
    if not configured:
        typer.echo("No route is set, so nobody is told anything: see Settings, Notices in the console.")
    for row in rows:
        typer.echo(plain(_delivery_line(row)))


@app.command("prove")
def prove(
    data: Data,
    school: Annotated[str, typer.Option(metavar="NAME", help="The school whose alerts are proved.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has passed or failed; failed is exit status 1.")] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Ask a connected PC of a school for a test fault, and follow it to a notice."""
    _, engine = _opened(data, database)
    try:
        with engine.begin() as tx:
            number = proofs.prove(tx, SYSTEM, _school_id(tx, school), clock.utc_now())
        found = _followed(engine.begin, number) if wait else _proof(engine.begin, number)
    finally:
        engine.dispose()
    typer.echo(json.dumps(_proof_object(found)) if as_json else plain(_proof_line(found)))
    if wait and found.state != Proved.PASSED:
        raise typer.Exit(1)


def _test(writing: Writing, settings: Settings, name: str) -> None:
    with writing() as tx:
        channel_id = next((row.id for row in queries.channels(tx) if row.name == name.strip()), None)
    if channel_id is None:
        raise NoticeError(f"There is no channel named {plain(name)}: Settings, Notices in the console shows which there are.")
    result = sending.test(writing, channel_id, settings)
    if result is None or not result.is_sent:
        raise NoticeError(f"The test was not taken: {plain(result.text if result else 'the channel is gone')}")
    typer.echo(plain(f"The test was sent: {result.text}."))


def _followed(writing: Writing, number: int) -> ProofRow:
    """The proof when it has ended; the server's worker follows it."""
    until_s = clock.monotonic() + NOTICED_WITHIN.total_seconds() + 60
    while (found := _proof(writing, number)).ended_at is None:
        if clock.monotonic() > until_s:
            raise ProofError("The proof has not ended in time: is the server running?")
        clock.sleep(_LOOK_S)
    return found


def _proof(writing: Writing, number: int) -> ProofRow:
    with writing() as tx:
        found = proof_queries.proof(tx, SYSTEM, number)
    assert found is not None
    return found


def _school_id(tx: sa.Connection, name: str) -> int:
    found = people.schools_named(tx, SYSTEM, (name,))
    if name not in found:
        raise PeopleError(f"There is no school named {plain(name)}.")
    return found[name]


def _proof_line(found: ProofRow) -> str:
    steps = [f"{step} after {seconds:.0f} s" for step, at, seconds in found.steps[1:] if at is not None]
    note = f" {found.note}." if found.note else ""
    way = "; ".join([f"{found.endpoint} was asked at {stamp(found.asked_at)}", *steps])
    return f"{found.school}: {found.state} ({way}).{note}"


def _proof_object(found: ProofRow) -> dict[str, Any]:
    steps = {f"{step}_at": stamp(at) or None for step, at, _ in found.steps}
    return {
        "id": found.id,
        "school": found.school,
        "endpoint": found.endpoint,
        "state": found.state,
        "note": found.note,
        "incident": found.incident_number,
        **steps,
        "ended_at": stamp(found.ended_at) or None,
    }


def _delivery_line(row: DeliveryRow) -> str:
    titles = "; ".join(item.title for item in row.items[:3]) + (f" and {row.count - 3} more" if row.count > 3 else "")
    why = "; ".join(text for text in (row.reason, row.last_error) if text)
    mark = "TEST " if row.is_test else ""
    return f"{stamp(row.created_at)}  {row.state:9}  {row.channel:20}  {mark}{titles}{f' ({why})' if why else ''}"


def _delivery_object(row: DeliveryRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "channel": row.channel,
        "kind": row.kind,
        "state": row.state,
        "reason": row.reason,
        "test": row.is_test,
        "created_at": stamp(row.created_at),
        "sent_at": stamp(row.sent_at) or None,
        "attempts": row.attempts,
        "last_error": row.last_error,
        "count": row.count,
        "incidents": sorted({item.incident_number for item in row.items if item.incident_number is not None}),
    }


def _opened(data: Path, database: str | None) -> tuple[Settings, sa.Engine]:
    settings = load(data, database=database)
    check_version(settings)
    return settings, db.open_engine(settings.database_url)
