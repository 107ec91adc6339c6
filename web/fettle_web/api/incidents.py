"""Incidents: the list, one with its story, and what a technician does with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.reactive import actions, queries
from fettle_server.reactive.views import IncidentDetail, IncidentFilter
from flask import abort
from marshmallow import RAISE

from fettle_web import auth, store
from fettle_web.api import schemas
from fettle_web.api.blueprint import api

NO_SUCH = "There is no incident of that number in your schools. /api/v1/incidents lists them."
_REFUSALS = {403: "your role or your schools do not allow it", 409: "the incident's state does not allow it; `detail` says why"}


@api.get("/incidents")
@api.input(schemas.IncidentsQuery, location="query", unknown=RAISE)
@api.output(schemas.IncidentsOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def incidents(query_data: dict[str, Any]) -> dict[str, Any]:
    """A page of the incidents of your schools, the most urgent first."""
    given = query_data
    wanted = IncidentFilter(
        state=given["state"],
        priority=given["priority"],
        school_id=given["school"],
        assignee=given["assignee"],
        search=given["search"],
        endpoint_id=given["endpoint"],
    )
    with store.reading() as tx:
        page = queries.incidents(tx, auth.person(), wanted, after=given["after"], limit=given["limit"])
        faults = queries.faults_of(tx, [row.number for row in page.rows])
    rows = [{**asdict(row), "faults": faults.get(row.number, ())} for row in page.rows]
    return {"incidents": rows, "after": page.after, "total": page.total}


@api.get("/incidents/<int:number>")
@api.output(schemas.IncidentDetailOut)
@api.doc(security="token")
def incident(number: int) -> IncidentDetail:
    """One incident with its faults, its evidence and its timeline."""
    with store.reading() as tx:
        return _found(tx, number)


@api.post("/incidents/<int:number>/assign")
@api.input(schemas.AssignIn)
@api.output(schemas.IncidentDetailOut)
@api.doc(security="token", responses=_REFUSALS)
def assign(number: int, json_data: dict[str, Any]) -> IncidentDetail:
    """Give it to somebody, or (null) to nobody."""
    return _do(number, lambda tx: actions.assign(tx, auth.person(), number, json_data["assignee"], utc_now()))


def _plain(deed: str, action: Callable[..., None], summary: str) -> Callable[..., IncidentDetail]:
    @api.output(schemas.IncidentDetailOut)
    @api.doc(summary=summary, security="token", responses=_REFUSALS)
    def view(number: int) -> IncidentDetail:
        return _do(number, lambda tx: action(tx, auth.person(), number, utc_now()))

    view.__name__ = deed
    return view


def _with_text(deed: str, action: Callable[..., None], summary: str) -> Callable[..., IncidentDetail]:
    @api.input(schemas.TextIn)
    @api.output(schemas.IncidentDetailOut)
    @api.doc(summary=summary, security="token", responses=_REFUSALS)
    def view(number: int, json_data: dict[str, Any]) -> IncidentDetail:
        return _do(number, lambda tx: action(tx, auth.person(), number, json_data["text"], utc_now()))

    view.__name__ = deed
    return view


def _do(number: int, deed: Callable[[Connection], None]) -> IncidentDetail:
    """Do it in one transaction, and tell how the incident is afterwards."""
    with store.writing() as tx:
        _found(tx, number)
        deed(tx)
        return _found(tx, number)


def _found(tx: Connection, number: int) -> IncidentDetail:
    found = queries.incident(tx, auth.person(), number)
    if found is None:
        abort(404, NO_SUCH)
    return found


for _deed, _action, _summary in (
    ("acknowledge", actions.acknowledge, "Say that somebody has seen it"),
    ("start", actions.start, "Say that work has begun"),
    ("close", actions.close, "Close a resolved incident"),
):
    api.post(f"/incidents/<int:number>/{_deed}")(_plain(_deed, _action, _summary))

for _deed, _told, _summary in (
    ("wait", actions.wait, "Say what it waits for"),
    ("resolve", actions.resolve, "Say what mended it"),
    ("reopen", actions.reopen, "Say why it is not mended"),
    ("comment", actions.comment, "Add a comment"),
):
    api.post(f"/incidents/<int:number>/{_deed}")(_with_text(_deed, _told, _summary))
