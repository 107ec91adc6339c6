"""A person's own account: the password, the sign-ins that are open, the API tokens."""

from __future__ import annotations

from fettle_server.clock import utc_now
from fettle_server.estate.people import actions, queries
from fettle_server.estate.people.rules import PeopleError, Role
from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, security, store
from fettle_web.pages import sign_in

TOKEN_DAYS = (30, 90, 180, 365)
CHANGES_LIMIT = "10 per minute"

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("")
def show() -> ResponseReturnValue:
    """Who one is, where one is signed in, and one's tokens."""
    return _page()


@blueprint.get("/password")
def password() -> ResponseReturnValue:
    """The form for a new password."""
    return _password_page(auth.safe_next(request.args.get("next")))


@blueprint.post("/password")
@security.limiter.limit(CHANGES_LIMIT, key_func=lambda: f"password:{auth.person().id}")
def set_password() -> ResponseReturnValue:
    """Take the new password; every other sign-in of the person ends."""
    who, onwards, now = auth.person(), auth.safe_next(request.form.get("next")), utc_now()
    new = request.form.get("new", "")
    if (wrong := _objection(new)) is not None:
        return _password_page(onwards, wrong)
    try:
        with store.writing() as tx:
            actions.set_password(tx, who, new, now)
            fresh = sign_in.start_session(tx, who)
    except PeopleError as error:
        return _password_page(onwards, str(error))
    response = redirect(onwards if who.must_change_password else url_for(".show"), 303)
    auth.begin(response, fresh)
    flash("Your password is changed. Every other sign-in of yours has ended.")
    return response


@blueprint.post("/sessions/<session_id>/end")
def end_session(session_id: str) -> ResponseReturnValue:
    """End one of one's own sign-ins."""
    with store.writing() as tx:
        actions.end_session_by_id(tx, auth.person(), session_id, utc_now())
    flash("That sign-in has ended.")
    return redirect(url_for(".show"), 303)


@blueprint.post("/sessions/end")
def end_sessions() -> ResponseReturnValue:
    """End all of one's own sign-ins, this one too."""
    with store.writing() as tx:
        actions.end_sessions_of(tx, auth.person(), auth.person().id, utc_now())
    response = redirect(url_for(auth.SIGN_IN), 303)
    auth.end(response)
    return response


@blueprint.post("/tokens")
def make_token() -> ResponseReturnValue:
    """Make an API token and show it, this once."""
    days = request.form.get("days", type=int)
    try:
        role = Role(request.form.get("role", ""))
        with store.writing() as tx:
            token = actions.create_api_token(tx, auth.person(), request.form.get("name", ""), role, days, utc_now())
    except ValueError:
        return _page(error="Choose a role from the list.", status=400)
    except PeopleError as error:
        return _page(error=str(error), status=400)
    return _page(token=token)


@blueprint.post("/tokens/<int:token_id>/revoke")
def revoke_token(token_id: int) -> ResponseReturnValue:
    """End one of one's own tokens."""
    with store.writing() as tx:
        if token_id not in {token.id for token in queries.api_tokens(tx, auth.person())}:
            abort(404)
        actions.revoke_api_token(tx, auth.person(), token_id, utc_now())
    flash("The token is revoked.")
    return redirect(url_for(".show"), 303)


def _page(token: str = "", error: str = "", status: int = 200) -> ResponseReturnValue:
    who = auth.person()
    with store.reading() as tx:
        sessions = queries.sessions(tx, who, store.settings(), utc_now())
        tokens = queries.api_tokens(tx, who)
    page = render_template(
        "pages/account.html",
        nav="account",
        sessions=sessions,
        this_session=queries.session_id(auth.secret()),
        tokens=tokens,
        roles=_roles_up_to(who.role),
        token_days=TOKEN_DAYS,
        new_token=token,
        error=error,
        now=utc_now(),
    )
    return make_response(page, status)


def _password_page(onwards: str, error: str = "") -> ResponseReturnValue:
    return make_response(
        render_template("pages/password.html", nav="account", onwards=onwards, error=error), 400 if error else 200
    )


def _objection(new: str) -> str | None:
    """Why the form cannot be taken as it is; a one-time password was asked for a moment ago and is not asked for again."""
    who = auth.person()
    if new != request.form.get("again", ""):
        return "The two new passwords differ: type the same one twice."
    with store.reading() as tx:
        old = new if who.must_change_password else request.form.get("old", "")
        known = queries.check_sign_in(tx, who.name, old) is not None
    if who.must_change_password and known:
        return "Choose another password than the one-time password."
    if not who.must_change_password and not known:
        return "The present password is not right."
    return None


def _roles_up_to(role: Role) -> list[Role]:
    ranks = [Role.VIEWER, Role.APPROVER, Role.TECHNICIAN, Role.ADMINISTRATOR]
    return ranks[: ranks.index(role) + 1]
