"""Rollouts, their PCs and jobs: status and steering."""

from __future__ import annotations

from typing import Any

from fettle_server.change.jobs import queries as jobs
from fettle_server.change.manifests import actions as signing
from fettle_server.change.manifests import queries as manifests
from fettle_server.change.manifests.rules import SigningError
from fettle_server.change.rollouts import actions, queries
from fettle_server.change.rollouts.plans import as_json
from fettle_server.change.rollouts.rules import RolloutError, RolloutState, TargetState
from fettle_server.change.rollouts.views import RolloutView
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from flask import Response, abort
from marshmallow import RAISE

from fettle_web import auth, store
from fettle_web.api.blueprint import api
from fettle_web.api.rollout_schemas import (
    BackOutIn,
    JobDetailOut,
    JobsOut,
    RolloutDetailOut,
    RolloutPageOut,
    RolloutQuery,
    SignaturesIn,
    TargetPageOut,
    TargetQuery,
    WhyIn,
)

_REFUSED = {403: "you may not run rollouts in all of its schools", 409: "it cannot be done as things stand; `detail` says why"}


@api.get("/rollouts")
@api.input(RolloutQuery, location="query", unknown=RAISE)
@api.output(RolloutPageOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def rollouts(query_data: dict[str, Any]) -> dict[str, Any]:
    """Rollouts that reach your schools, the newest first."""
    given = query_data
    states = (RolloutState(given["state"]),) if given["state"] else ()
    with store.reading() as tx:
        page = queries.rollouts(
            tx, auth.person(), utc_now(), states=states, change_id=given["change"], after=given["after"], limit=given["limit"]
        )
    return {"rollouts": page.rows, "after": page.after}


@api.get("/rollouts/<int:number>")
@api.output(RolloutDetailOut)
@api.doc(security="token")
def rollout(number: int) -> dict[str, Any]:
    """One rollout as it stands: its rings, the gate's arithmetic, what comes next."""
    with store.reading() as tx:
        return _detail(tx, _found(tx, number))


@api.get("/rollouts/<int:number>/pcs")
@api.input(TargetQuery, location="query", unknown=RAISE)
@api.output(TargetPageOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def rollout_pcs(number: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """A rollout's PCs, each with its state and why."""
    given, now = query_data, utc_now()
    states = (TargetState(given["state"]),) if given["state"] else ()
    with store.reading() as tx:
        _found(tx, number)
        page = queries.targets(
            tx, auth.person(), number, now, ring=given["ring"], states=states, school_id=given["school"], after=given["after"],
            limit=given["limit"],
        )  # fmt: skip
    return {"pcs": page.rows, "after": page.after}


@api.post("/rollouts/<int:number>/start")
@api.output(RolloutDetailOut)
@api.doc(security="token", responses=_REFUSED)
def start_rollout(number: int) -> dict[str, Any]:
    """Let it run: its change is approved, its manifest signed."""
    return _steer(number, "start")


@api.post("/rollouts/<int:number>/pause")
@api.input(WhyIn)
@api.output(RolloutDetailOut)
@api.doc(security="token", responses=_REFUSED)
def pause_rollout(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Begin nothing new for now."""
    return _steer(number, "pause", json_data["why"])


@api.post("/rollouts/<int:number>/resume")
@api.input(WhyIn)
@api.output(RolloutDetailOut)
@api.doc(security="token", responses=_REFUSED)
def resume_rollout(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Go on after a pause, or with a reason after a halt."""
    return _steer(number, "resume", json_data["why"])


@api.post("/rollouts/<int:number>/halt")
@api.input(WhyIn)
@api.output(RolloutDetailOut)
@api.doc(security="token", responses=_REFUSED)
def halt_rollout(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Stop it: what has not begun is taken back, an incident is opened."""
    return _steer(number, "halt", json_data["why"])


@api.post("/rollouts/<int:number>/cancel")
@api.input(WhyIn)
@api.output(RolloutDetailOut)
@api.doc(security="token", responses=_REFUSED)
def cancel_rollout(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Give it up for good; what was changed stays changed."""
    return _steer(number, "cancel", json_data["why"])


@api.post("/rollouts/<int:number>/back-out")
@api.input(BackOutIn)
@api.output(RolloutDetailOut, 201)
@api.doc(security="token", responses=_REFUSED)
def back_out(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """A rollout of its own that brings back what was there before; that one is answered."""
    person, now, why = auth.person(), utc_now(), json_data["why"]
    try:
        with store.writing() as tx:
            _found(tx, number)
            made = actions.back_out(tx, person, number, why, now, at_any_time=json_data["at_any_time"])
            return _detail(tx, _found(tx, made))
    except RolloutError as error:
        abort(409, str(error))


@api.get("/rollouts/<int:number>/signing.sh")
@api.doc(security="token", responses={409: "there is nothing to sign"})
def rollout_signing_file(number: int) -> Response:
    """The commands that sign what it waits for, for an approver's own machine."""
    try:
        with store.reading() as tx:
            _found(tx, number)
            unsigned = [row.id for row in manifests.of_rollout(tx, number) if not row.is_signed]
            text = signing.signing_file_of(tx, auth.person(), unsigned, utc_now())
    except SigningError as error:
        abort(409, str(error))
    return Response(text, mimetype="text/x-shellscript")


@api.post("/rollouts/<int:number>/signatures")
@api.input(SignaturesIn)
@api.output(RolloutDetailOut)
@api.doc(security="token", responses={409: "no signature of a key that is trusted; `detail` says what to do"})
def bring_rollout_signatures(number: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Take back what the signing commands printed."""
    try:
        with store.writing() as tx:
            _found(tx, number)
            signing.bring_signatures(tx, auth.person(), json_data["signatures"], utc_now())
            return _detail(tx, _found(tx, number))
    except SigningError as error:
        abort(409, str(error))


@api.get("/jobs/<uid>")
@api.output(JobDetailOut)
@api.doc(security="token")
def job(uid: str) -> dict[str, Any]:
    """One job with what the PC told of it."""
    with store.reading() as tx:
        found = jobs.job(tx, auth.person(), uid)
    if found is None:
        abort(404, "There is no such job, or it is in a school that you do not see.")
    return {"job": found.row, "entries": found.entries, "result": found.result}


@api.get("/endpoints/<endpoint_id>/jobs")
@api.output(JobsOut)
@api.doc(security="token")
def endpoint_jobs(endpoint_id: str) -> dict[str, Any]:
    """A PC's jobs, the newest first."""
    with store.reading() as tx:
        found = endpoints.endpoint(tx, auth.person(), endpoint_id)
        if found is None:
            abort(404, "There is no such endpoint, or it is in a school that you do not see.")
        return {"jobs": jobs.of_endpoint(tx, found.pk)}


def _steer(number: int, deed: str, why: str = "") -> dict[str, Any]:
    person, now = auth.person(), utc_now()
    try:
        with store.writing() as tx:
            _found(tx, number)
            if deed == "start":
                actions.start(tx, person, number, now)
            else:
                _WITH_WHY[deed](tx, person, number, why, now)
            return _detail(tx, _found(tx, number))
    except RolloutError as error:
        abort(409, str(error))


_WITH_WHY = {"pause": actions.pause, "resume": actions.resume, "halt": actions.halt, "cancel": actions.cancel}


def _found(tx: Connection, number: int) -> RolloutView:
    found = queries.rollout(tx, auth.person(), number, utc_now()) if number < 2**31 else None
    if found is None:
        abort(404, "There is no such rollout, or it reaches no school that you see.")
    return found


def _detail(tx: Connection, view: RolloutView) -> dict[str, Any]:
    return {
        "rollout": view.row,
        "rings": view.rings,
        "steps": view.steps,
        "plan": as_json(view.plan),
        "back_outs": view.back_outs,
        "manifests": manifests.of_rollout(tx, view.row.id),
        "may": view.may,
    }
