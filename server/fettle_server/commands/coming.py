"""`fettle forecasts` and `fettle tasks`: what is coming, and what is to be done, for people and for scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer

from fettle_server import clock
from fettle_server.commands.listing import AsJson, Data, Database, every, print_document, print_table, reading, stamp
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.paging import LIMIT
from fettle_server.proactive.forecasts import queries as forecast_queries
from fettle_server.proactive.forecasts.queries import ForecastFilter, ForecastView
from fettle_server.proactive.maintenance import queries
from fettle_server.proactive.maintenance.queries import TaskFilter, TaskView

app = typer.Typer()
Row = TypeVar("Row")
_FORECAST_HEAD = (("DUE", 10), ("EARLIEST", 10), ("LATEST", 10), ("SURE", 5), ("ENDPOINT", 24), ("SCHOOL", 20), ("WHAT", 40))
_TASK_HEAD = (("TASK", 6), ("DUE", 10), ("STATE", 9), ("KIND", 11), ("ENDPOINT", 24), ("SCHOOL", 20), ("TITLE", 40))


class Tasks(StrEnum):
    """The tasks that a list shows."""

    OPEN = "open"
    DONE = "done"
    WITHDRAWN = "withdrawn"
    ALL = "all"


@app.command("forecasts")
def forecasts(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List what will fill up, wear out or end, soonest first."""
    with reading(data, database) as tx:
        rows = every(lambda after: forecast_queries.coming(tx, SYSTEM, ForecastFilter(), after=after, limit=LIMIT))
        _print("forecasts", rows, as_json, forecast_object, (_FORECAST_HEAD, _forecast_cells))


@app.command("tasks")
def tasks(
    data: Data,
    state: Annotated[Tasks, typer.Option(help="Which tasks.")] = Tasks.OPEN,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List maintenance tasks: open ones by due day, others with the newest first."""
    wanted, today = TaskFilter(state=state.value), clock.utc_now().date()
    with reading(data, database) as tx:
        rows = every(lambda after: queries.tasks(tx, SYSTEM, wanted, today, after=after, limit=LIMIT))
        _print("tasks", rows, as_json, task_object, (_TASK_HEAD, _task_cells))


def forecast_object(row: ForecastView) -> dict[str, Any]:
    """One forecast as docs/json.md describes it."""
    return {
        "endpoint_id": row.endpoint_id,
        "endpoint": row.endpoint,
        "school": row.school,
        "rule": row.rule,
        "instance": row.instance,
        "sentence": row.sentence,
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "sure_percent": row.sure_percent,
        "due_at": stamp(row.due_at),
        "earliest": stamp(row.earliest),
        "latest": stamp(row.latest),
        "made_on": row.made_on.isoformat(),
        "state": row.state,
        "makes": row.makes,
    }


def task_object(row: TaskView) -> dict[str, Any]:
    """One task as docs/json.md describes it."""
    return {
        "id": row.id,
        "kind": row.kind,
        "title": row.title,
        "reason": row.reason,
        "school": row.school if row.school_id is not None else None,
        "room": row.room,
        "endpoint_id": row.endpoint_id,
        "endpoint": row.endpoint,
        "due_on": row.due_on.isoformat(),
        "state": row.state.value,
        "opened_at": stamp(row.opened_at),
        "done_at": stamp(row.done_at),
        "done_by": row.done_by,
        "note": row.note,
    }


def _forecast_cells(row: ForecastView) -> tuple[Any, ...]:
    days = [time.date().isoformat() if time else "-" for time in (row.due_at, row.earliest, row.latest)]
    sure = "-" if row.sure_percent is None else f"{row.sure_percent} %"
    return *days, sure, row.endpoint, row.school, row.sentence


def _task_cells(row: TaskView) -> tuple[Any, ...]:
    return row.id, row.due_on.isoformat(), row.state.value, row.kind, row.endpoint or "-", row.school, row.title


_Shape = tuple[tuple[tuple[str, int], ...], Callable[[Any], tuple[Any, ...]]]


def _print(name: str, rows: Iterable[Row], as_json: bool, as_object: Callable[[Row], dict[str, Any]], table: _Shape) -> None:
    if as_json:
        print_document(name, map(as_object, rows))
    else:
        print_table(table[0], map(table[1], rows))
