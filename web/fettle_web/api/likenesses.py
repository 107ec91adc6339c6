"""Problems: what incidents have in common, and the decision on it. The documents that tell errors are in problems.py."""

from __future__ import annotations

from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.proactive.problems import actions, queries
from fettle_server.proactive.problems.actions import ProblemError
from fettle_server.proactive.problems.queries import ProblemDetail
from fettle_server.proactive.problems.rules import ProblemState
from flask import abort
from marshmallow import RAISE

from fettle_web import auth, store
from fettle_web.api.blueprint import api
from fettle_web.api.schemas import PageQuery, maybe_time, time_field

NO_SUCH = "There is no problem of that number for which an incident of your schools speaks. /api/v1/problems lists them."
_REFUSALS = {403: "your role or your schools do not allow it", 409: "it is decided so already, or the reason is missing"}


class ProblemsQuery(PageQuery):
    """Which problems."""

    state = fields.String(load_default="", validate=OneOf(["", *ProblemState]))


class ProblemOut(Schema):
    """A problem in a list; `instance` and `model` are empty where they are not what is alike."""

    number = fields.Integer()
    state = fields.String(validate=OneOf(list(ProblemState)))
    title = fields.String()
    why = fields.String()
    rule = fields.String()
    instance = fields.String()
    model = fields.String()
    incidents = fields.Integer()
    schools = fields.Integer()
    proposed_at = time_field()
    updated_at = time_field()
    decided_at = maybe_time()
    decided_by = fields.String()
    reason = fields.String()


class ProblemsOut(Schema):
    """A page of problems."""

    problems = fields.List(fields.Nested(ProblemOut))
    after = fields.String(allow_none=True)


class ProblemIncidentOut(Schema):
    """An incident that speaks for a problem."""

    number = fields.Integer()
    state = fields.String()
    title = fields.String()
    school = fields.String()
    endpoint_id = fields.String()
    endpoint = fields.String()
    opened_at = time_field()
    resolved_at = maybe_time()


class ProblemDetailOut(ProblemOut):
    """One problem with the newest of its incidents that you see."""

    found = fields.List(fields.Nested(ProblemIncidentOut))
    may_decide = fields.Boolean()


class DecisionIn(Schema):
    """What is known of the cause, or why it is no problem."""

    reason = fields.String(load_default="", validate=Length(max=500))


@api.get("/problems")
@api.input(ProblemsQuery, location="query", unknown=RAISE)
@api.output(ProblemsOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def problems(query_data: dict[str, Any]) -> dict[str, Any]:
    """A page of the problems that incidents of your schools speak for, newest first."""
    with store.reading() as tx:
        page = queries.problems(tx, auth.person(), query_data["state"], query_data["after"], query_data["limit"])
    return {"problems": page.rows, "after": page.after}


@api.get("/problems/<int:number>")
@api.output(ProblemDetailOut)
@api.doc(security="token")
def problem(number: int) -> ProblemDetail:
    """One problem with its incidents."""
    with store.reading() as tx:
        return _found(tx, number)


@api.post("/problems/<int:number>/accept")
@api.input(DecisionIn)
@api.output(ProblemDetailOut)
@api.doc(security="token", responses=_REFUSALS)
def accept(number: int, json_data: dict[str, Any]) -> ProblemDetail:
    """Say that it is a problem, to be worked on."""
    return _decide(number, json_data["reason"], is_one=True)


@api.post("/problems/<int:number>/dismiss")
@api.input(DecisionIn)
@api.output(ProblemDetailOut)
@api.doc(security="token", responses=_REFUSALS)
def dismiss(number: int, json_data: dict[str, Any]) -> ProblemDetail:
    """Say that it is none, and why: it is not proposed again."""
    return _decide(number, json_data["reason"], is_one=False)


def _decide(number: int, reason: str, *, is_one: bool) -> ProblemDetail:
    try:
        with store.writing() as tx:
            _found(tx, number)
            if is_one:
                actions.accept(tx, auth.person(), number, utc_now(), reason)
            else:
                actions.dismiss(tx, auth.person(), number, reason, utc_now())
            return _found(tx, number)
    except ProblemError as error:
        abort(409, str(error))


def _found(tx: Connection, number: int) -> ProblemDetail:
    found = queries.problem(tx, auth.person(), number)
    if found is None:
        abort(404, NO_SUCH)
    return found
