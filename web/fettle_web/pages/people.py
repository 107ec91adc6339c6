"""The administrator's page of people: adding them, their role and schools, locking them out."""

from __future__ import annotations

from fettle_server.clock import utc_now
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people import actions, queries
from fettle_server.estate.people.rules import Act, PeopleError, Role
from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store

blueprint = Blueprint("people", __name__, url_prefix="/people")


@blueprint.get("")
def show() -> ResponseReturnValue:
    """Everybody, and the form to add somebody."""
    return _page()


@blueprint.post("")
def add() -> ResponseReturnValue:
    """Add a person, and show the one-time password, this once."""
    admin, name = auth.demand(Act.MANAGE_PEOPLE), request.form.get("name", "")
    try:
        with store.writing() as tx:
            password = actions.add_user(tx, admin, name, _role(), _schools(), now=utc_now())
    except PeopleError as error:
        return _page(error=str(error), status=400)
    return _page(name=name.strip(), password=password)


@blueprint.post("/<int:user_id>")
def change(user_id: int) -> ResponseReturnValue:
    """Set a person's role and schools, or lock them out or in."""
    admin, active = auth.demand(Act.MANAGE_PEOPLE), "active" in request.form
    try:
        with store.writing() as tx:
            actions.set_user(tx, admin, user_id, _role(), _schools(), active, now=utc_now())
    except PeopleError as error:
        return _page(error=str(error), status=400)
    flash("Saved.")
    return redirect(url_for(".show"), 303)


@blueprint.post("/<int:user_id>/password")
def reset_password(user_id: int) -> ResponseReturnValue:
    """Give a person a new one-time password, and show it, this once."""
    admin = auth.demand(Act.MANAGE_PEOPLE)
    with store.writing() as tx:
        name = next((user.name for user in queries.users(tx, admin) if user.id == user_id), None)
        if name is None:
            abort(404)
        password = actions.reset_password(tx, admin, user_id, utc_now())
    return _page(name=name, password=password)


@blueprint.post("/<int:user_id>/sessions/end")
def end_sessions(user_id: int) -> ResponseReturnValue:
    """End every sign-in of a person."""
    admin = auth.demand(Act.MANAGE_PEOPLE)
    with store.writing() as tx:
        actions.end_sessions_of(tx, admin, user_id, utc_now())
    flash("Every sign-in of that person has ended.")
    return redirect(url_for(".show"), 303)


def _page(name: str = "", password: str = "", error: str = "", status: int = 200) -> ResponseReturnValue:
    admin = auth.demand(Act.MANAGE_PEOPLE)
    with store.reading() as tx:
        users, schools = queries.users(tx, admin), endpoints.schools(tx, admin)
    page = render_template(
        "pages/people.html",
        nav="people",
        users=users,
        schools=schools,
        roles=list(Role),
        new_name=name,
        new_password=password,
        error=error,
    )
    return make_response(page, status)


def _role() -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError as error:
        raise PeopleError("Choose a role from the list.") from error


def _schools() -> frozenset[int] | None:
    """The schools that were ticked; None: all of them.

    Raises:
        PeopleError: neither all nor any, or both.
    """
    if request.form.get("role") == Role.ADMINISTRATOR:
        return None
    everywhere, ticked = "all_schools" in request.form, frozenset(request.form.getlist("school", type=int))
    if everywhere and ticked:
        raise PeopleError("Choose either all schools or only some: take one of the two away.")
    if not everywhere and not ticked:
        raise PeopleError("Choose at least one school, or all schools.")
    return ticked or None
