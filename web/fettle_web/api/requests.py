"""Requests for change by API: proposed, decided, reviewed, counted; the schedule, templates, and how schools take changes."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any

from fettle_server.change.requests import actions, queries
from fettle_server.change.requests.queries import ChangeFilter
from fettle_server.change.requests.schedule import schedule
from fettle_server.change.requests.settings import set_school, settings_of
from fettle_server.change.requests.statistics import statistics
from fettle_server.change.requests.templates import add_template, template, templates, withdraw_template
from fettle_server.change.requests.views import ChangeDetail, Preview, Proposal, SchoolSettings, TemplateRow
from fettle_server.change.rules import ChangeKind, Outcome, Step
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.people.rules import Act
from flask import abort
from marshmallow import RAISE

from fettle_web import auth, store
from fettle_web.api import change_schemas as shapes
from fettle_web.api.blueprint import api

NO_SUCH = "There is no change of that number in your schools. /api/v1/changes lists them."
NO_SCHOOL = "There is no school of that number among yours. /api/v1/schools lists them."
_REFUSED = {403: "your role or your schools do not allow it", 409: "it cannot be done as things stand; `detail` says why"}
_SPAN = dt.timedelta(days=90)


@api.get("/changes")
@api.input(shapes.ChangesQuery, location="query", unknown=RAISE)
@api.output(shapes.ChangesOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def changes(query_data: dict[str, Any]) -> dict[str, Any]:
    """A page of the changes of your schools, newest first."""
    given = query_data
    wanted = ChangeFilter("" if given["state"] == "all" else given["state"], given["kind"], given["school"], given["q"])
    with store.reading() as tx:
        page = queries.changes(tx, auth.person(), wanted, given["after"], given["limit"])
    return {"changes": page.rows, "after": page.after}


@api.get("/changes/<int:number>")
@api.output(shapes.ChangeDetailOut)
@api.doc(security="token")
def change(number: int) -> dict[str, Any]:
    """One change with its decisions, rollouts, incidents and record."""
    with store.reading() as tx:
        return _detail(_found(tx, number))


@api.post("/changes")
@api.input(shapes.ProposalIn)
@api.output(shapes.ChangeDetailOut, status_code=201)
@api.doc(security="token", responses=_REFUSED)
def propose(json_data: dict[str, Any]) -> dict[str, Any]:
    """Propose a change; a standard one is approved at once."""
    person, wanted = auth.demand(Act.PROPOSE_CHANGE), _proposal(json_data)
    with store.writing() as tx:
        return _detail(_found(tx, actions.propose(tx, person, wanted, utc_now())))


@api.post("/changes/preview")
@api.input(shapes.ProposalIn)
@api.output(shapes.PreviewOut)
@api.doc(security="token", responses=_REFUSED)
def preview(json_data: dict[str, Any]) -> Preview:
    """What a proposal would be: its risk with the reasons, who must decide, whom it reaches. Nothing is made."""
    person, wanted = auth.demand(Act.PROPOSE_CHANGE), _proposal(json_data)
    with store.reading() as tx:
        return actions.preview(tx, person, wanted, utc_now())


@api.post("/changes/<int:number>/decide")
@api.input(shapes.DecideIn)
@api.output(shapes.ChangeDetailOut)
@api.doc(security="token", responses=_REFUSED)
def decide(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Say yes or no to one step; duties are kept apart."""
    said = json_data
    with store.writing() as tx:
        _found(tx, number)
        step = Step(said["step"])
        actions.decide(tx, auth.person(), number, step, said["approved"], said["why"], utc_now(), said["school"])
        return _detail(_found(tx, number))


@api.post("/changes/<int:number>/withdraw")
@api.input(shapes.ReasonIn)
@api.output(shapes.ChangeDetailOut)
@api.doc(security="token", responses=_REFUSED)
def withdraw(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Take a change back before anything was done."""
    with store.writing() as tx:
        _found(tx, number)
        actions.withdraw(tx, auth.person(), number, json_data["why"], utc_now())
        return _detail(_found(tx, number))


@api.post("/changes/<int:number>/review")
@api.input(shapes.ReviewIn)
@api.output(shapes.ChangeDetailOut)
@api.doc(security="token", responses=_REFUSED)
def review(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Write down what came of a change, and close it."""
    said = json_data
    with store.writing() as tx:
        _found(tx, number)
        actions.review(tx, auth.person(), number, Outcome(said["outcome"]), said["text"], said["lessons"], utc_now())
        return _detail(_found(tx, number))


@api.post("/changes/<int:number>/incidents")
@api.input(shapes.LinkIn)
@api.output(shapes.ChangeDetailOut)
@api.doc(security="token", responses=_REFUSED)
def link(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Put an incident beside a change."""
    with store.writing() as tx:
        _found(tx, number)
        actions.link(tx, auth.person(), number, json_data["incident"], json_data["why"], utc_now())
        return _detail(_found(tx, number))


@api.post("/changes/<int:number>/incidents/remove")
@api.input(shapes.LinkIn)
@api.output(shapes.ChangeDetailOut)
@api.doc(security="token", responses=_REFUSED)
def unlink(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Take an incident away from a change; nothing links it again by itself."""
    with store.writing() as tx:
        _found(tx, number)
        actions.unlink(tx, auth.person(), number, json_data["incident"], json_data["why"], utc_now())
        return _detail(_found(tx, number))


@api.get("/changes/statistics")
@api.input(shapes.SpanQuery, location="query", unknown=RAISE)
@api.output(shapes.StatisticsOut)
@api.doc(security="token")
def change_statistics(query_data: dict[str, Any]) -> dict[str, Any]:
    """FITS's change statistics: of all your schools together, then of each."""
    until = query_data.get("until") or utc_now()
    since = query_data.get("since") or until - _SPAN
    with store.reading() as tx:
        rows = statistics(tx, auth.person(), since, until)
    return {"since": since, "until": until, "statistics": rows}


@api.get("/changes/schedule")
@api.input(shapes.SpanQuery, location="query", unknown=RAISE)
@api.output(shapes.ScheduleOut)
@api.doc(security="token")
def change_schedule(query_data: dict[str, Any]) -> dict[str, Any]:
    """The forward schedule: changes, freezes, exams; of one school also when it is open for changes."""
    since = query_data.get("since") or utc_now()
    until, school = query_data.get("until") or since + _SPAN, query_data["school"]
    with store.reading() as tx:
        return {"schedule": schedule(tx, auth.person(), since, until, school, windows=school is not None)}


@api.get("/changes/templates")
@api.output(shapes.TemplatesOut)
@api.doc(security="token")
def change_templates() -> dict[str, Any]:
    """The templates of standard changes."""
    with store.reading() as tx:
        return {"templates": templates(tx, utc_now())}


@api.post("/changes/templates")
@api.input(shapes.TemplateIn)
@api.output(shapes.TemplateOut, status_code=201)
@api.doc(security="token", responses=_REFUSED)
def add_change_template(json_data: dict[str, Any]) -> TemplateRow | None:
    """Approve changes of one kind beforehand, within limits and for a time."""
    said, now = json_data, utc_now()
    texts = {name: said[name] for name in ("name", "why", "plan", "back_out_plan", "limits", "expires_at")}
    with store.writing() as tx:
        return template(tx, add_template(tx, auth.person(), **texts, now=now), now)


@api.post("/changes/templates/<int:number>/withdraw")
@api.input(shapes.ReasonIn)
@api.output(shapes.TemplateOut)
@api.doc(security="token", responses=_REFUSED)
def withdraw_change_template(number: int, json_data: dict[str, Any]) -> TemplateRow | None:
    """No further change may follow that template."""
    with store.writing() as tx:
        withdraw_template(tx, auth.person(), number, json_data["why"], utc_now())
        return template(tx, number, utc_now())


@api.get("/schools/<int:school_id>/changes")
@api.output(shapes.SchoolChangesOut)
@api.doc(security="token")
def school_changes(school_id: int) -> SchoolSettings:
    """How a school takes changes."""
    with store.reading() as tx:
        return _school(tx, school_id)


@api.put("/schools/<int:school_id>/changes")
@api.input(shapes.SchoolChangesIn)
@api.output(shapes.SchoolChangesOut)
@api.doc(security="token", responses=_REFUSED)
def set_school_changes(school_id: int, json_data: dict[str, Any]) -> SchoolSettings:
    """Set how a school takes changes."""
    said = json_data
    with store.writing() as tx:
        present = _school(tx, school_id)
        wanted = SchoolSettings(
            school_id, present.school, said["needs_final"], said["final_user_id"], "", said["at_once"], said["cache_url"]
        )
        set_school(tx, auth.person(), wanted, utc_now())
        return _school(tx, school_id)


def _proposal(said: dict[str, Any]) -> Proposal:
    values = said | {"kind": ChangeKind(said["kind"]), "steps": tuple(said["steps"])}
    values |= {"update_ids": tuple(said["update_ids"]), "mends": tuple(said["mends"])}
    return Proposal(**values)


def _detail(found: ChangeDetail) -> dict[str, Any]:
    """The change's row and the rest of it side by side, as the command line has them."""
    whole = {name: getattr(found, name) for name in found.__dataclass_fields__ if name != "row"}
    return asdict(found.row) | whole


def _found(tx: Connection, number: int) -> ChangeDetail:
    found = queries.change(tx, auth.person(), number)
    if found is None:
        abort(404, NO_SUCH)
    return found


def _school(tx: Connection, school_id: int) -> SchoolSettings:
    found = settings_of(tx, auth.person(), school_id)
    if found is None:
        abort(404, NO_SCHOOL)
    return found
