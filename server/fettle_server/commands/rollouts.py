"""`fettle rollout ...`: how rollouts go, and what people do with them, from the server's own command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from fettle_server import clock
from fettle_server.change.rollouts import actions, queries, settings
from fettle_server.change.rollouts.rules import LIVE, RolloutError, RolloutState, TargetState
from fettle_server.change.rollouts.views import RingView, RolloutRow, RolloutView, TargetRow
from fettle_server.commands import signing
from fettle_server.commands.listing import AsJson, Data, Database, every, plain, print_document, print_table, reading, stamp
from fettle_server.commands.people import writing
from fettle_server.commands.rollouts_app import rollout_app
from fettle_server.estate.people import queries as people
from fettle_server.estate.people.rules import SYSTEM, PeopleError, Person
from fettle_server.paging import LIMIT

__all__ = ["app", "signing"]

app = typer.Typer()
app.add_typer(rollout_app, name="rollout")

Number = Annotated[int, typer.Argument(metavar="N", help="The rollout's number.")]
Why = Annotated[str, typer.Option(metavar="TEXT", help="Why; the next person will ask.")]
As = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who does it; left out: the server itself.")]
_HEAD = (("ROLLOUT", 7), ("CHANGE", 6), ("STATE", 9), ("RING", 12), ("DONE", 11), ("TITLE", 32), ("WHY", 60))
_TARGET_HEAD = (("ENDPOINT", 24), ("RING", 12), ("STATE", 9), ("WHY", 80))
_THROUGH = (TargetState.CHANGED, TargetState.SICK, TargetState.FAILED, TargetState.SILENT)


class Which(StrEnum):
    """The rollouts that a list shows."""

    LIVE = "live"
    ALL = "all"


@rollout_app.command("list")
def list_rollouts(
    data: Data,
    which: Annotated[Which, typer.Option("--which", help="Those not over, or all.")] = Which.LIVE,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List rollouts, the newest first."""
    states = (RolloutState.DRAFT, RolloutState.READY, *LIVE) if which is Which.LIVE else ()
    now = clock.utc_now()
    with reading(data, database) as tx:
        rows = every(lambda after: queries.rollouts(tx, SYSTEM, now, states=states, after=after, limit=LIMIT))
        if as_json:
            print_document("rollouts", map(row_object, rows))
        else:
            print_table(_HEAD, map(_cells, rows))


@rollout_app.command("status")
def status(data: Data, number: Number, as_json: AsJson = False, database: Database = None) -> None:
    """Show a rollout: its rings with the gate's arithmetic, and every PC that is not through or not well."""
    now = clock.utc_now()
    with reading(data, database) as tx:
        found = queries.rollout(tx, SYSTEM, number, now)
        if found is None:
            raise RolloutError(f"There is no rollout {number}.")
        rows = list(every(lambda after: queries.targets(tx, SYSTEM, number, now, after=after, limit=LIMIT)))
    if as_json:
        typer.echo(json.dumps(view_object(found) | {"targets": [target_object(row) for row in rows]}))
        return
    _print(found)
    print_table(_TARGET_HEAD, (_target_cells(row) for row in rows if row.state is not TargetState.CHANGED))


@rollout_app.command("start")
def start(data: Data, number: Number, who: As = None, database: Database = None) -> None:
    """Start a rollout whose change is approved and whose manifest is signed."""
    _act(data, database, number, who, "started", lambda tx, person, now: actions.start(tx, person, number, now))


@rollout_app.command("pause")
def pause(data: Data, number: Number, why: Why = "", who: As = None, database: Database = None) -> None:
    """Begin nothing new for now."""
    _act(data, database, number, who, "paused", lambda tx, person, now: actions.pause(tx, person, number, why, now))


@rollout_app.command("resume")
def resume(data: Data, number: Number, why: Why = "", who: As = None, database: Database = None) -> None:
    """Go on after a pause, or with a reason after a halt."""
    _act(data, database, number, who, "resumed", lambda tx, person, now: actions.resume(tx, person, number, why, now))


@rollout_app.command("halt")
def halt(data: Data, number: Number, why: Why, who: As = None, database: Database = None) -> None:
    """Stop it: take back what has not begun, and open an incident."""
    _act(data, database, number, who, "halted", lambda tx, person, now: actions.halt(tx, person, number, why, now))


@rollout_app.command("cancel")
def cancel(data: Data, number: Number, why: Why, who: As = None, database: Database = None) -> None:
    """Give it up for good. What was changed stays changed."""
    _act(data, database, number, who, "cancelled", lambda tx, person, now: actions.cancel(tx, person, number, why, now))


@rollout_app.command("back-out")
def back_out(
    data: Data,
    number: Number,
    why: Why,
    any_time: Annotated[bool, typer.Option("--any-time", help="In lessons too; never in an exam or a freeze.")] = False,
    who: As = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Bring back what was there before, on the PCs that were touched: a rollout of its own."""
    now = clock.utc_now()
    with writing(data, database) as tx:
        made = actions.back_out(tx, _person(tx, who), number, why, now, at_any_time=any_time)
        found = queries.rollout(tx, SYSTEM, made, now)
    assert found is not None
    if as_json:
        typer.echo(json.dumps(view_object(found)))
        return
    waits = f" {found.row.not_ready}" if found.row.not_ready else ""
    typer.echo(f"Rollout {made} undoes rollout {number}: it is {found.row.state}.{waits}")


@rollout_app.command("place")
def place(
    data: Data,
    ring: Annotated[str, typer.Argument(metavar="RING", help='"bench" or "pilot room", or whatever a plan calls it.')],
    endpoint: Annotated[str, typer.Option("--endpoint", metavar="ID", help="The PC, by its id.")],
    who: As = None,
    database: Database = None,
) -> None:
    """Let a PC always stand in an early ring."""
    with writing(data, database) as tx:
        settings.place_in_ring(tx, _person(tx, who), ring, clock.utc_now(), endpoint_id=endpoint)
    typer.echo(plain(f"From the next rollout on it stands in the ring {ring}."))


def row_object(row: RolloutRow) -> dict[str, Any]:
    """A rollout of a list as a JSON object."""
    return {
        "id": row.id,
        "change": row.change_id,
        "title": row.change_title,
        "direction": row.direction.value,
        "undoes": row.undoes_id,
        "state": row.state.value,
        "why": row.why,
        "ring": row.ring,
        "ring_name": row.ring_name,
        "counts": {state.value: count for state, count in row.counts.items()},
        "created_by": row.created_by,
        "created_at": stamp(row.created_at),
        "started_at": stamp(row.started_at),
        "halted_at": stamp(row.halted_at),
        "ended_at": stamp(row.ended_at),
        "incident": row.incident_number,
        "not_ready": row.not_ready,
    }


def view_object(found: RolloutView) -> dict[str, Any]:
    """A rollout with its rings as a JSON object."""
    more = {"rings": [_ring_object(ring) for ring in found.rings], "steps": list(found.steps), "may": list(found.may)}
    return row_object(found.row) | more | {"back_outs": list(found.back_outs)}


def target_object(row: TargetRow) -> dict[str, Any]:
    """A PC of a rollout as a JSON object."""
    return {
        "endpoint": row.endpoint_id,
        "name": row.name,
        "school": row.school,
        "room": row.room,
        "ring": row.ring,
        "ring_name": row.ring_name,
        "state": row.state.value,
        "why": row.why,
        "sick": list(row.sick),
        "since": stamp(row.since),
        "changed_at": stamp(row.changed_at),
        "job": row.job_uid,
        "job_state": row.job_state,
        "step": row.step,
        "percent": row.percent,
        "start_at": stamp(row.start_at),
        "until_at": stamp(row.until_at),
    }


def _ring_object(ring: RingView) -> dict[str, Any]:
    gate = ring.gate
    return {
        "number": ring.number,
        "name": ring.name,
        "state": ring.state.value,
        "counts": {state.value: count for state, count in ring.counts.items()},
        "released_at": stamp(ring.released_at),
        "deadline_at": stamp(ring.deadline_at),
        "settled_at": stamp(ring.settled_at),
        "soaks_until": stamp(ring.soaks_until),
        "passed_at": stamp(ring.passed_at),
        "next_step": ring.next_step,
        "gate": {
            "verdict": gate.verdict,
            "why": gate.why,
            "at": stamp(gate.at),
            "limit": gate.limit,
            "unwell": gate.unwell,
            "silent": gate.silent,
            "silent_limit": gate.silent_limit,
            "seen": gate.seen,
            "seen_needed": gate.seen_needed,
            "changed": gate.changed,
            "faulty": gate.faulty,
            "expected": gate.expected,
            "control": gate.control,
            "control_faulty": gate.control_faulty,
        },
    }


def _act(
    data: Path, database: str | None, number: int, who: str | None, what: str, do: Callable[[sa.Connection, Person, Any], None]
) -> None:
    with writing(data, database) as tx:
        do(tx, _person(tx, who), clock.utc_now())
    typer.echo(f"Rollout {number} was {what}.")


def _person(tx: sa.Connection, name: str | None) -> Person:
    if name is None:
        return SYSTEM
    found = people.person_named(tx, name.strip())
    if found is None:
        raise PeopleError(f"There is nobody active named {plain(name)}: `fettle user list DIR` shows who there is.")
    return found


def _through(counts: dict[TargetState, int]) -> int:
    return sum(counts.get(state, 0) for state in _THROUGH)


def _cells(row: RolloutRow) -> tuple[Any, ...]:
    done = f"{_through(row.counts)} of {row.total}"
    return row.id, row.change_id, row.state, row.ring_name, done, row.change_title, row.not_ready or row.why


def _target_cells(row: TargetRow) -> tuple[Any, ...]:
    return row.name, row.ring_name, row.state, row.why


def _print(found: RolloutView) -> None:
    row = found.row
    typer.echo(plain(f"Rollout {row.id} of change {row.change_id} ({row.direction}): {row.change_title}"))
    typer.echo(plain(f"  {row.state}: {row.not_ready or row.why}"))
    if row.incident_number is not None:
        typer.echo(f"  Incident {row.incident_number}")
    for ring in found.rings:
        typer.echo(plain(f"  {ring.number + 1}. {ring.name}: {ring.state}, {_through(ring.counts)} of {ring.total} through"))
        for said in dict.fromkeys((ring.gate.why, ring.next_step)):
            if said:
                typer.echo(plain(f"     {said}"))
