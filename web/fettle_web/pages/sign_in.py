"""Signing in and out."""

from __future__ import annotations

import threading

from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.people import actions, queries
from fettle_server.estate.people.rules import Person
from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, devices, security, store

NAME_LIMIT = "10 per minute; 60 per hour"
"""Wrong passwords for one name, whoever tries; what one address may try is a setting."""
_HASHING = threading.BoundedSemaphore(4)
"""Each check takes a core and 19 MiB for a moment: many at once wait in line rather than take the server down."""
WRONG = "The name or the password is not right. Both are as they were given to you, capital letters included."

blueprint = Blueprint("sign_in", __name__)


@blueprint.get("/sign-in")
@auth.public
def show() -> ResponseReturnValue:
    """The form; or onwards, for somebody who is signed in."""
    onwards = auth.safe_next(request.args.get("next"))
    if auth.current() is not None:
        return redirect(onwards, 303)
    return _form(onwards)


@blueprint.post("/sign-in")
@auth.public
@security.limiter.limit(lambda: store.settings().sign_in_limit)
@security.limiter.limit(
    NAME_LIMIT, key_func=lambda: f"name:{_name().casefold()}", deduct_when=lambda answer: answer.status_code == 401
)
def enter() -> ResponseReturnValue:
    """Sign in, and go to where the person was going."""
    onwards, now = auth.safe_next(request.form.get("next")), utc_now()
    with _HASHING, store.reading() as tx:
        who = queries.check_sign_in(tx, _name(), request.form.get("password", ""))
    with store.writing() as tx:
        actions.note_sign_in(tx, who, _name(), now, security.address())
        if who is None:
            return _form(onwards, error=WRONG, status=401)
        actions.end_session(tx, auth.secret(), now)
        fresh = start_session(tx, who)
    response = redirect(url_for(auth.CHANGE_PASSWORD, next=onwards) if who.must_change_password else onwards, 303)
    auth.begin(response, fresh)
    return response


@blueprint.post("/sign-out")
def leave() -> ResponseReturnValue:
    """End this sign-in."""
    with store.writing() as tx:
        actions.end_session(tx, auth.secret(), utc_now())
    response = redirect(url_for(auth.SIGN_IN), 303)
    auth.end(response)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def start_session(tx: Connection, who: Person) -> str:
    """A new sign-in for the browser that asks; its secret."""
    device = devices.describe(request.headers.get("User-Agent", ""))
    return actions.start_session(tx, who, security.address(), device, store.settings(), utc_now())


def _form(onwards: str, error: str = "", status: int = 200) -> Response:
    return make_response(render_template("pages/sign_in.html", onwards=onwards, error=error, name=_name()), status)


def _name() -> str:
    return request.form.get("name", "").strip()[:200]
