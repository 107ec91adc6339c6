"""Maintenance tasks and forecasts: what is coming, what is to be done about it, and warranties."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.proactive.forecasts import actions as forecast_actions
from fettle_server.proactive.forecasts import queries as forecast_queries
from fettle_server.proactive.forecasts.queries import ForecastFilter, ForecastView
from fettle_server.proactive.forecasts.rules import RULES
from fettle_server.proactive.maintenance import actions, queries
from fettle_server.proactive.maintenance.queries import TaskFilter, TaskView
from fettle_server.proactive.maintenance.rules import REASON_MAXIMUM, TaskKind, TaskState
from flask import abort
from marshmallow import RAISE

from fettle_web import auth, store
from fettle_web.api import schemas
from fettle_web.api.blueprint import api
from fettle_web.api.endpoints import NO_SUCH as NO_SUCH_PC

NO_SUCH = "There is no task of that number in your schools. /api/v1/tasks lists them."
_REFUSALS = {403: "your role or your schools do not allow it", 409: "the task's state does not allow it; `detail` says why"}


class TasksQuery(schemas.PageQuery):
    """Which tasks."""

    state = fields.String(load_default="open", validate=OneOf([*(state.value for state in TaskState), "all"]))
    school = fields.Integer(load_default=None)
    kind = fields.String(load_default="", validate=OneOf(["", *(kind.value for kind in TaskKind)]))
    due_by = fields.Date(load_default=None, metadata={"description": "due on that day or before"})
    search = fields.String(load_default="", validate=Length(max=100))
    endpoint = fields.String(load_default="", validate=Length(max=32))


class TaskOut(Schema):
    """One maintenance task."""

    id = fields.Integer()
    kind = fields.String()
    title = fields.String()
    reason = fields.String()
    school_id = fields.Integer(allow_none=True)
    school = fields.String()
    room = fields.String()
    endpoint_id = fields.String()
    endpoint = fields.String()
    due_on = fields.Date()
    due = fields.String(metadata={"description": "how its day lies to today: overdue, today, this week, later"})
    state = fields.String()
    opened_at = schemas.maybe_time()
    done_at = schemas.maybe_time()
    done_by = fields.String()
    note = fields.String()


class TaskDoneOut(TaskOut):
    """One maintenance task as it is after what was done with it."""


class TasksOut(Schema):
    """A page of tasks."""

    tasks = fields.List(fields.Nested(TaskOut))
    after = fields.String(allow_none=True)
    total = fields.Integer(allow_none=True)


class CompleteIn(Schema):
    """What was done."""

    note = fields.String(load_default="", validate=Length(max=REASON_MAXIMUM))


class ForecastsQuery(schemas.PageQuery):
    """Which forecasts."""

    school = fields.Integer(load_default=None)
    rule = fields.String(load_default="", validate=OneOf(["", *RULES]))
    search = fields.String(load_default="", validate=Length(max=100))


class ForecastOut(Schema):
    """What is coming to an endpoint; `value` null: nobody can say."""

    rule = fields.String()
    instance = fields.String()
    endpoint_id = fields.String()
    endpoint = fields.String()
    school_id = fields.Integer()
    school = fields.String()
    sentence = fields.String()
    value = fields.Float(allow_none=True, metadata={"description": "in the unit of the rule's reading"})
    low = fields.Float(allow_none=True)
    high = fields.Float(allow_none=True)
    sure_percent = fields.Integer(allow_none=True, metadata={"description": "how sure it is that low..high holds"})
    due_at = schemas.maybe_time()
    earliest = schemas.maybe_time()
    latest = schemas.maybe_time()
    made_on = fields.Date()
    state = fields.String(metadata={"description": "raised, coming or quiet"})
    makes = fields.String(metadata={"description": "incident or task"})


class ForecastsOut(Schema):
    """A page of forecasts, soonest first."""

    forecasts = fields.List(fields.Nested(ForecastOut))
    after = fields.String(allow_none=True)
    total = fields.Integer(allow_none=True)


class WarrantyIn(Schema):
    """Until when the maker mends it; null: nobody knows."""

    ends_on = fields.Date(required=True, allow_none=True)


class WarrantyOut(Schema):
    """Until when the maker mends it, and who says so."""

    ends_on = fields.Date(allow_none=True)
    source = fields.String()


@api.get("/tasks")
@api.input(TasksQuery, location="query", unknown=RAISE)
@api.output(TasksOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def tasks(query_data: dict[str, Any]) -> dict[str, Any]:
    """A page of the maintenance tasks of your schools: open ones by due day, others with the newest first."""
    given = query_data
    wanted = TaskFilter(given["state"], given["school"], given["kind"], given["due_by"], given["search"], given["endpoint"])
    with store.reading() as tx:
        page = queries.tasks(tx, auth.person(), wanted, _today(), after=given["after"], limit=given["limit"])
    return {"tasks": page.rows, "after": page.after, "total": page.total}


@api.post("/tasks/<int:number>/complete")
@api.input(CompleteIn)
@api.output(TaskDoneOut)
@api.doc(security="token", responses=_REFUSALS)
def complete_task(number: int, json_data: dict[str, Any]) -> TaskView:
    """Say that it is done."""
    with store.writing() as tx:
        _found(tx, number)
        actions.complete(tx, auth.person(), number, json_data["note"], utc_now())
        return _found(tx, number)


@api.post("/tasks/<int:number>/reopen")
@api.output(TaskDoneOut)
@api.doc(security="token", responses=_REFUSALS)
def reopen_task(number: int) -> TaskView:
    """Open it again: it was done by mistake, or in vain."""
    with store.writing() as tx:
        _found(tx, number)
        actions.reopen(tx, auth.person(), number, utc_now())
        return _found(tx, number)


@api.get("/forecasts")
@api.input(ForecastsQuery, location="query", unknown=RAISE)
@api.output(ForecastsOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def forecasts(query_data: dict[str, Any]) -> dict[str, Any]:
    """A page of what is coming in your schools, soonest first."""
    given = query_data
    wanted = ForecastFilter(given["school"], given["rule"], given["search"])
    with store.reading() as tx:
        page = forecast_queries.coming(tx, auth.person(), wanted, after=given["after"], limit=given["limit"])
    return {"forecasts": page.rows, "after": page.after, "total": page.total}


@api.get("/endpoints/<endpoint_id>/forecasts")
@api.output(ForecastsOut)
@api.doc(security="token")
def forecasts_of_endpoint(endpoint_id: str) -> dict[str, Any]:
    """Everything that an endpoint's own days tell, also that nothing comes or that nobody can say."""
    with store.reading() as tx:
        _endpoint(tx, endpoint_id)
        found: tuple[ForecastView, ...] = forecast_queries.of_endpoint(tx, auth.person(), endpoint_id, utc_now())
    return {"forecasts": found, "after": None, "total": len(found)}


@api.put("/endpoints/<endpoint_id>/warranty")
@api.input(WarrantyIn)
@api.output(WarrantyOut)
@api.doc(security="token", responses={403: _REFUSALS[403]})
def set_warranty(endpoint_id: str, json_data: dict[str, Any]) -> dict[str, Any]:
    """Write down until when the endpoint's maker mends it."""
    with store.writing() as tx:
        _endpoint(tx, endpoint_id)
        forecast_actions.set_warranty(tx, auth.person(), endpoint_id, json_data["ends_on"], utc_now())
        known = forecast_queries.warranty_of(tx, auth.person(), endpoint_id)
    return asdict(known) if known else {"ends_on": None, "source": ""}


def _found(tx: Connection, number: int) -> TaskView:
    found = queries.task(tx, auth.person(), number, _today())
    if found is None:
        abort(404, NO_SUCH)
    return found


def _endpoint(tx: Connection, endpoint_id: str) -> None:
    if endpoints.endpoint(tx, auth.person(), endpoint_id) is None:
        abort(404, NO_SUCH_PC)


def _today() -> dt.date:
    return utc_now().date()
