"""Maintenance tasks: by day and school, done with one tap, undone with another."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Person
from fettle_server.proactive.maintenance import actions, queries
from fettle_server.proactive.maintenance.queries import TaskFilter, TaskView
from fettle_server.proactive.maintenance.rules import Due, TaskKind, TaskState
from fettle_server.reactive.rules import Refused
from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store, words
from fettle_web.pages.parts import CSV_ROWS, PAGE_ROWS, address, once, pages, respond, sheet, whole

STATES = (("open", "To do"), ("done", "Done"), ("withdrawn", "Withdrawn"))
DUES = (("today", "Due today or before", 0), ("week", "Due this week", 7), ("month", "Due this month", 31))
SEARCH_LENGTH = 100
_HEAD = ("task", "kind", "title", "reason", "school", "room", "pc", "due_on", "state", "done_at", "done_by", "note")


@pages.get("/proactive/tasks")
def tasks() -> ResponseReturnValue:
    """One page of the tasks."""
    person, today = auth.person(), utc_now().date()
    wanted = _filter(today)
    done = whole("done")
    with store.reading() as tx:
        if request.args.get("form") == "csv":
            return sheet("tasks", _HEAD, _rows(tx, person, wanted, today))
        after = request.args.get("after") or None
        return respond(
            "pages/tasks.html",
            tx,
            nav="tasks",
            wanted=wanted,
            states=STATES,
            dues=DUES,
            due=request.args.get("due", ""),
            kinds=[kind.value for kind in TaskKind],
            address=address,
            further=after is not None,
            grouped=grouped,
            just_done=queries.task(tx, person, done, today) if done is not None else None,
            schools=once(lambda: endpoints.schools(tx, person)),
            page=once(lambda: queries.tasks(tx, person, wanted, today, after=after, limit=PAGE_ROWS)),
        )


_DEEDS: dict[str, Callable[[Connection, Person, int, dt.datetime], None]] = {
    "done": lambda tx, who, number, now: actions.complete(tx, who, number, request.form.get("note", ""), now),
    "undo": actions.reopen,
}


@pages.post("/proactive/tasks/<int:number>/<deed>")
def work_task(number: int, deed: str) -> ResponseReturnValue:
    """Say that a task is done, or open it again."""
    do = _DEEDS.get(deed)
    if do is None:
        abort(404)
    person, now = auth.person(), utc_now()
    try:
        with store.writing() as tx:
            if queries.task(tx, person, number, now.date()) is None:
                abort(404)
            do(tx, person, number, now)
    except Refused as refused:
        flash(refused.reason)
    back = auth.safe_next(request.form.get("address")) if request.form.get("address") else url_for("pages.tasks")
    mark = "&" if "?" in back else "?"
    return redirect(f"{back}{mark}done={number}" if deed == "done" else back, 303)


def grouped(rows: Iterable[TaskView]) -> list[tuple[Due, list[TaskView]]]:
    """Open tasks by how their day lies to today, in their order."""
    return [(word, list(of_word)) for word, of_word in groupby(rows, lambda row: row.due)]


def _filter(today: dt.date) -> TaskFilter:
    state, kind = request.args.get("state", "open"), request.args.get("kind", "")
    days = next((days for name, _, days in DUES if name == request.args.get("due")), None)
    return TaskFilter(
        state=state if state in [name for name, _ in STATES] else TaskState.OPEN.value,
        school_id=whole("school"),
        kind=kind if kind in list(TaskKind) else "",
        due_by=None if days is None else today + dt.timedelta(days=days),
        search=request.args.get("q", "").strip()[:SEARCH_LENGTH],
    )


def _rows(tx: Connection, person: Person, wanted: TaskFilter, today: dt.date) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    after: str | None = None
    while len(rows) < CSV_ROWS:
        page = queries.tasks(tx, person, wanted, today, after=after, limit=500)
        rows += [
            (one.id, one.kind, one.title, one.reason, one.school, one.room, one.endpoint, one.due_on.isoformat(), one.state,
             words.stamp(one.done_at), one.done_by, one.note)
            for one in page.rows
        ]  # fmt: skip
        after = page.after
        if after is None:
            break
    return rows
