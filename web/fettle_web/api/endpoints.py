"""Endpoints, their readings and their history."""

from __future__ import annotations

import datetime as dt
from typing import Any

from fettle_protocol import catalogue
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries
from fettle_server.estate.endpoints.views import EndpointDetail, EndpointFilter
from fettle_server.proactive import queries as proactive
from flask import abort
from marshmallow import RAISE

from fettle_web import auth, store
from fettle_web.api import schemas
from fettle_web.api.blueprint import api

MAX_HISTORY = dt.timedelta(days=31)
FAULT_LIMIT = 100
NO_SUCH = "There is no such endpoint among your schools. /api/v1/endpoints lists them."


@api.get("/endpoints")
@api.input(schemas.EndpointsQuery, location="query", unknown=RAISE)
@api.output(schemas.EndpointsOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def endpoints(query_data: dict[str, Any]) -> dict[str, Any]:
    """A page of the endpoints that you see, worst state first."""
    given = query_data
    wanted = EndpointFilter(
        search=given["search"], state=given["state"], school_id=given["school"], system=given["system"], sort=given["sort"]
    )
    with store.reading() as tx:
        page = queries.endpoints(tx, auth.person(), wanted, after=given["after"], limit=given["limit"])
    return {"endpoints": page.rows, "after": page.after, "total": page.total}


@api.get("/endpoints/<endpoint_id>")
@api.output(schemas.EndpointDetailOut)
@api.doc(security="token")
def endpoint(endpoint_id: str) -> dict[str, Any]:
    """One endpoint, its state in a sentence, its open faults."""
    with store.reading() as tx:
        found, who = _found(tx, endpoint_id), auth.person()
        faults = proactive.faults_of(tx, who, endpoint_id, open_only=True, limit=FAULT_LIMIT)
        sentence = proactive.sentence(tx, who, endpoint_id, utc_now())
    own = {name: getattr(found, name) for name in schemas.EndpointDetailOut().fields if hasattr(found, name)}
    return {**own, "sentence": sentence, "faults": faults}


@api.get("/endpoints/<endpoint_id>/readings")
@api.output(schemas.ReadingsOut)
@api.doc(security="token")
def readings(endpoint_id: str) -> dict[str, Any]:
    """The newest readings of an endpoint."""
    with store.reading() as tx:
        _found(tx, endpoint_id)
        vitals = queries.vitals(tx, auth.person(), endpoint_id)
    return {"at": vitals.at, "readings": vitals.readings} if vitals else {"at": None, "readings": []}


@api.get("/endpoints/<endpoint_id>/history")
@api.input(schemas.HistoryQuery, location="query", unknown=RAISE)
@api.output(schemas.HistoryOut)
@api.doc(security="token", responses={400: "an unknown reading, or times that make no sense"})
def history(endpoint_id: str, query_data: dict[str, Any]) -> dict[str, Any]:
    """Readings of an endpoint over time: by the minute up to a day, by the hour beyond."""
    keys, start, end = tuple(query_data["key"]), query_data["start"], query_data["end"] or utc_now()
    unknown = [key for key in keys if key not in catalogue.BY_KEY]
    if unknown:
        abort(400, f"There is no reading {unknown[0]!r}. An endpoint's readings name those that it has.")
    if not start < end <= start + MAX_HISTORY:
        abort(400, f"`end` must lie after `start`, by {MAX_HISTORY.days} days at most.")
    with store.reading() as tx:
        _found(tx, endpoint_id)
        return {"series": queries.chart(tx, auth.person(), endpoint_id, keys, start, end)}


@api.get("/schools")
@api.output(schemas.SchoolsOut)
@api.doc(security="token")
def schools() -> dict[str, Any]:
    """The schools that you see, each in numbers."""
    with store.reading() as tx:
        return {"schools": queries.schools(tx, auth.person())}


def _found(tx: Connection, endpoint_id: str) -> EndpointDetail:
    found = queries.endpoint(tx, auth.person(), endpoint_id)
    if found is None:
        abort(404, NO_SUCH)
    return found
