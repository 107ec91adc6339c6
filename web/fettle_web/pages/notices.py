"""Who is told what, and how: channels, routes as sentences, a test of each channel, and the log of what was sent."""

from __future__ import annotations

from fettle_server.clock import utc_now
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Act, Person
from fettle_server.notify import editing, queries, rules, sending
from fettle_server.notify.channels import KINDS
from fettle_server.notify.rules import Digest, NoticeError, State, Wanted, When
from fettle_server.paging import PageError
from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import address

blueprint = Blueprint("notices", __name__, url_prefix="/settings/notices")


@blueprint.get("")
def show() -> ResponseReturnValue:
    """Channels, routes and the log."""
    return _page()


@blueprint.post("/channels")
def add_channel() -> ResponseReturnValue:
    """Add a channel; a webhook's signing key is shown this once."""
    who, form = _editor(), request.form
    try:
        with store.writing() as tx:
            _, key = editing.add_channel(
                tx, who.actor, form.get("name", ""), form.get("kind", ""), form.get("target", ""), now=utc_now()
            )
    except NoticeError as error:
        return _page(error=str(error), status=400)
    if key:
        return _page(key=key)
    flash("The channel is there. Add a route that uses it.")
    return redirect(url_for(".show"), 303)


@blueprint.post("/channels/<int:channel_id>")
def set_channel(channel_id: int) -> ResponseReturnValue:
    """Rename a channel, or lead it elsewhere."""
    who, form = _editor(), request.form
    try:
        with store.writing() as tx:
            editing.set_channel(tx, who.actor, channel_id, form.get("name", ""), form.get("target", ""), now=utc_now())
    except NoticeError as error:
        return _page(error=str(error), status=400)
    flash("Saved.")
    return redirect(url_for(".show"), 303)


@blueprint.post("/channels/<int:channel_id>/remove")
def remove_channel(channel_id: int) -> ResponseReturnValue:
    """Remove a channel with its routes."""
    who = _editor()
    try:
        with store.writing() as tx:
            editing.remove_channel(tx, who.actor, channel_id, utc_now())
    except NoticeError as error:
        return _page(error=str(error), status=404)
    flash("The channel and its routes are gone.")
    return redirect(url_for(".show"), 303)


@blueprint.post("/channels/<int:channel_id>/test")
def test_channel(channel_id: int) -> ResponseReturnValue:
    """Send a test now, and show what the receiver said."""
    _editor()
    result = sending.test(store.writing, channel_id, store.settings())
    if result is None:
        abort(404)
    if not result.is_sent:
        return _page(error=f"The test was not taken: {result.text}", status=502)
    flash(f"The test was sent: {result.text}.")
    return redirect(url_for(".show"), 303)


@blueprint.post("/routes")
def add_route() -> ResponseReturnValue:
    """Add a route."""
    return _set_route(None)


@blueprint.post("/routes/<int:route_id>")
def set_route(route_id: int) -> ResponseReturnValue:
    """Change a route."""
    return _set_route(route_id)


@blueprint.post("/routes/<int:route_id>/remove")
def remove_route(route_id: int) -> ResponseReturnValue:
    """Remove a route."""
    who = _editor()
    try:
        with store.writing() as tx:
            editing.remove_route(tx, who.actor, route_id, utc_now())
    except NoticeError as error:
        return _page(error=str(error), status=404)
    flash("The route is gone.")
    return redirect(url_for(".show"), 303)


def _set_route(route_id: int | None) -> ResponseReturnValue:
    who, form = _editor(), request.form
    try:
        wanted = _wanted()
        further = form.get("escalate_to", type=int)
        with store.writing() as tx:
            channel_id = form.get("channel", type=int) or 0
            editing.set_route(tx, who.actor, route_id, channel_id, wanted, further, now=utc_now())
    except NoticeError as error:
        return _page(error=str(error), status=400)
    flash("Saved. The route counts for what happens from now on.")
    return redirect(url_for(".show"), 303)


def _editor() -> Person:
    return auth.demand(Act.EDIT_NOTICES)


def _page(error: str = "", key: str = "", status: int = 200) -> ResponseReturnValue:
    who = _editor()
    state = request.args.get("state", "")
    with store.reading() as tx:
        try:
            log = queries.deliveries(tx, state=state, after=request.args.get("after"))
        except PageError:
            abort(400)
        names = {school.id: school.name for school in endpoints.schools(tx, who)}
        routes = queries.routes(tx)
        page = render_template(
            "pages/notices.html",
            nav="notices",
            channels=queries.channels(tx),
            routes=[(route, rules.sentence(route.wanted, names, route.words)) for route in routes],
            names=names,
            log=log,
            state=state,
            next_page=address(after=log.after) if log.after else "",
            kinds=KINDS,
            states=list(State),
            whens=list(When),
            digests=list(Digest),
            days=rules.DAYS,
            time_words=rules.time_words,
            fresh=Wanted(),
            now=utc_now(),
            mail_host=store.settings().mail_host,
            error=error,
            new_key=key,
        )
    return make_response(page, status)


def _wanted() -> Wanted:
    """What the form asks for.

    Raises:
        NoticeError: it does not make sense.
    """
    form = request.form
    quiet = [_minute(form.get(name, "")) for name in ("quiet_from", "quiet_until")]
    return rules.from_json(
        {
            "schools": None if "all_schools" in form else form.getlist("school", type=int),
            "priorities": form.getlist("priority", type=int),
            "when": form.get("when", When.ANY.value),
            "digest": form.get("digest", Digest.NONE.value),
            "digest_at_min": rules.minute_of(form.get("digest_at") or "07:30"),
            "digest_day": form.get("digest_day", 0, type=int),
            "quiet_from_min": quiet[0],
            "quiet_until_min": quiet[1],
            "escalate_after_min": form.get("escalate_after", 0, type=int) if form.get("escalate_to") else 0,
        }
        | {name: name in form for name in ("rest", "resolved", "tests", "problems", "changes")}
    )


def _minute(text: str) -> int | None:
    return rules.minute_of(text) if text.strip() else None
