"""`fettle job ...`: what was handed to which PC, how far it is, and why it has not run yet."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from fettle_server import clock
from fettle_server.change.jobs import actions, queries
from fettle_server.change.jobs.rules import JobError, JobState
from fettle_server.change.jobs.views import JobRow
from fettle_server.commands.listing import AsJson, Data, Database, every, plain, print_document, print_table, reading, stamp
from fettle_server.commands.people import writing
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.tables import Endpoint
from fettle_server.paging import LIMIT

app = typer.Typer()
job_app = typer.Typer(no_args_is_help=True, help="Jobs: one manifest for one PC.")
app.add_typer(job_app, name="job")

Uid = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
_HEAD = (("JOB", 32), ("PC", 20), ("SCHOOL", 24), ("STATE", 10), ("STEP", 5), ("WHY", 60))


@job_app.command("list")
def list_jobs(
    data: Data,
    rollout: Annotated[int, typer.Option(metavar="N", help="The jobs of this rollout.")] = 0,
    endpoint: Annotated[str, typer.Option(metavar="NAME", help="The newest jobs of this PC, by its name or id.")] = "",
    state: Annotated[list[JobState] | None, typer.Option(help="Only in this state; may be repeated.")] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List the jobs of a rollout or of a PC."""
    if bool(rollout) == bool(endpoint):
        raise JobError("Say whose jobs: --rollout N or --endpoint NAME.")
    with reading(data, database) as tx:
        if endpoint:
            rows = iter(_of_endpoint(tx, endpoint))
        else:
            rows = every(
                lambda after: queries.of_rollout(tx, SYSTEM, rollout, states=tuple(state or ()), after=after, limit=LIMIT)
            )
        rows = (row for row in rows if not state or row.state in state)
        if as_json:
            print_document("jobs", map(job_object, rows))
        else:
            print_table(_HEAD, map(_cells, rows))


@job_app.command("show")
def show(data: Data, uid: Uid, as_json: AsJson = False, database: Database = None) -> None:
    """Show one job with all that its PC said of it."""
    with reading(data, database) as tx:
        view = queries.job(tx, SYSTEM, uid.strip().lower())
    if view is None:
        raise JobError(f"There is no job {plain(uid)}: `fettle job list {data}` shows them.")
    entries = [asdict(entry) | {"at": stamp(entry.at)} for entry in view.entries]
    if as_json:
        typer.echo(json.dumps(job_object(view.row) | {"result": view.result, "entries": entries}))
        return
    row = view.row
    typer.echo(plain(f"{row.uid}  {row.title}  on {row.endpoint_name}, {row.school}"))
    typer.echo(plain(f"{row.state}  {row.percent} %  {row.why}"))
    for entry in view.entries:
        step = f"step {entry.step} ({entry.kind}) " if entry.step else ""
        typer.echo(plain(f"{stamp(entry.at)}  {step}{entry.state}  {entry.why}"))
        for line in entry.words.splitlines():
            typer.echo(plain(f"    {line}"))


@job_app.command("cancel")
def cancel(
    data: Data,
    uid: Uid,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why; the next person will ask.")],
    database: Database = None,
) -> None:
    """Cancel a job that has not begun."""
    with writing(data, database) as tx:
        actions.cancel_by_hand(tx, SYSTEM, uid.strip().lower(), why, clock.utc_now())
    typer.echo(f"Job {plain(uid)} is cancelled.")


def job_object(row: JobRow) -> dict[str, Any]:
    """A job as JSON documents and the API show it."""
    shown = asdict(row)
    for key in ("id", "endpoint_pk", "school_id", "manifest_id"):
        del shown[key]
    return {key: stamp(value) if isinstance(value, dt.datetime) else value for key, value in shown.items()}


def _cells(row: JobRow) -> tuple[str, ...]:
    step = f"{row.step}/{row.steps}" if row.step else ""
    return (row.uid, row.endpoint_name, row.school, row.state, step, row.why)


def _of_endpoint(tx: sa.Connection, name: str) -> list[JobRow]:
    found = tx.scalars(sa.select(Endpoint.pk).where(sa.or_(Endpoint.id == name.lower(), Endpoint.name == name)).limit(2)).all()
    if len(found) != 1:
        raise JobError(f"{'Several PCs are' if found else 'No PC is'} named {plain(name)}: give its id.")
    return queries.of_endpoint(tx, found[0])
