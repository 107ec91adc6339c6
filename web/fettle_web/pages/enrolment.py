"""Letting machines in and out: enrolment tokens with the command to run on a PC, and revoking a PC for good."""

from __future__ import annotations

import datetime as dt

from fettle_server.clock import utc_now
from fettle_server.config import split_address
from fettle_server.estate.endpoints import actions as endpoint_actions
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.enrolment import actions, pki, queries
from fettle_server.estate.enrolment.actions import NewToken
from fettle_server.estate.enrolment.rules import EnrolmentError
from fettle_server.estate.people.rules import Act
from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store

LIFETIMES = ((1, "1 hour"), (24, "1 day"), (24 * 7, "1 week"), (24 * 30, "30 days"))
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 -- compared with, not bound to

blueprint = Blueprint("enrolment", __name__)


@blueprint.get("/enrolment")
def show() -> ResponseReturnValue:
    """The tokens that still enrol, and the form for another."""
    return _page()


@blueprint.post("/enrolment")
def create() -> ResponseReturnValue:
    """Make a token and show the command that uses it, this once."""
    who = auth.demand(Act.MANAGE_ENDPOINTS)
    school, uses, hours = (
        request.form.get("school", ""),
        request.form.get("uses", type=int),
        request.form.get("hours", type=int),
    )
    try:
        pin = pki.certificate_sha256(pki.load_authority(store.settings().data).certificate)
        with store.writing() as tx:
            made = actions.create_token(tx, who, school, uses or 0, dt.timedelta(hours=min(hours or 0, 10_000)), utc_now(), pin)
    except (EnrolmentError, pki.PkiError) as error:
        return _page(error=str(error), status=400)
    return _page(made=made)


@blueprint.post("/enrolment/<int:token_id>/end")
def end(token_id: int) -> ResponseReturnValue:
    """Let a token enrol no further machine."""
    who = auth.demand(Act.MANAGE_ENDPOINTS)
    try:
        with store.writing() as tx:
            actions.end_token(tx, who, token_id, utc_now())
    except EnrolmentError as error:
        return _page(error=str(error), status=404)
    flash("That token enrols no further machine.")
    return redirect(url_for(".show"), 303)


@blueprint.post("/pcs/<endpoint_id>/revoke")
def revoke(endpoint_id: str) -> ResponseReturnValue:
    """Shut a PC out at once: its certificates are no longer taken. It can only come back with a new token."""
    who = auth.demand(Act.MANAGE_ENDPOINTS)
    try:
        with store.writing() as tx:
            endpoint_actions.revoke(tx, who, endpoint_id, utc_now())
    except endpoint_actions.EndpointError:
        abort(404)
    return redirect(url_for("pages.pc", endpoint_id=endpoint_id, done="revoked"), 303)


def _page(made: NewToken | None = None, error: str = "", status: int = 200) -> ResponseReturnValue:
    who = auth.demand(Act.MANAGE_ENDPOINTS)
    with store.reading() as tx:
        tokens, schools = queries.tokens(tx, who, utc_now()), endpoints.schools(tx, who)
    page = render_template(
        "pages/enrolment.html",
        nav="enrolment",
        tokens=tokens,
        schools=schools,
        lifetimes=LIFETIMES,
        made=made,
        server=agents_address(),
        error=error,
    )
    return make_response(page, status)


def agents_address() -> str:
    """Where agents reach this server, as far as it can know: the setting, or the name that this page was reached by."""
    host, port = split_address(store.settings().grpc)
    if host in _EVERYWHERE:
        host = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
    return f"{host}:{port}"
