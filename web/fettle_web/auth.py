"""Who asks: the sign-in's cookie, the API's bearer token, and the guard that answers nobody else.

Owns cookies and the guard before every request. What a person may do is the server's to decide (estate.people.rules); a page or
API view that is not marked `public` is never reached without a person.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fettle_server.clock import utc_now
from fettle_server.estate.people import actions, queries, rules
from fettle_server.estate.people.rules import Act, Person
from flask import Flask, abort, current_app, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.wrappers import Response

from fettle_web import security, store

SIGN_IN, CHANGE_PASSWORD = "sign_in.show", "account.password"
_WITH_ONE_TIME_PASSWORD = {CHANGE_PASSWORD, "account.set_password", "sign_in.leave"}
_PUBLIC = "fettle_public"
_View = TypeVar("_View", bound=Callable[..., Any])


def install(app: Flask) -> None:
    """Guard every view of the app, and tell templates who asks."""
    app.before_request(_guard)
    app.context_processor(lambda: {"person": current(), "may": may})


def public(view: _View) -> _View:
    """Mark a view that answers without a sign-in."""
    setattr(view, _PUBLIC, True)
    return view


def current() -> Person | None:
    """Who asks, or None. An Authorization header is all that counts where there is one, and only the API reads it."""
    if "person" not in g:
        g.person = _by_token() if has_bearer() else _by_cookie()
    person: Person | None = g.person
    return person


def person() -> Person:
    """Who asks, behind the guard."""
    who = current()
    if who is None:
        abort(401, "Sign in first.")
    return who


def may(act: Act | str, school_id: int | None = None) -> bool:
    """True where the person who asks may do that (there): whether a page offers it."""
    who = current()
    return who is not None and rules.may(who, Act(act), school_id) is None


def demand(act: Act, school_id: int | None = None) -> Person:
    """Who asks, where they may do that.

    Raises:
        Forbidden: they may not.
    """
    who = person()
    rules.demand(who, act, school_id)
    return who


def is_api() -> bool:
    """True for a request to the API."""
    return request.path.startswith("/api/")


def has_bearer() -> bool:
    """True where an API request brings a token of its own, so that no cookie counts."""
    return is_api() and "Authorization" in request.headers


def cookie_name() -> str:
    """The sign-in cookie's name; browsers keep the first form to this host, its whole path, and HTTPS."""
    return "__Host-fettle" if security.is_https() else "fettle"


def secret() -> str:
    """The sign-in secret that the browser sent; empty for none."""
    return request.cookies.get(cookie_name(), "")


def begin(response: Response, new_secret: str) -> None:
    """Give the browser its sign-in, and a new form token with it."""
    session.clear()
    response.set_cookie(cookie_name(), new_secret, secure=security.is_https(), httponly=True, samesite="Lax", path="/")


def end(response: Response) -> None:
    """Take the browser's sign-in away."""
    session.clear()
    response.delete_cookie(cookie_name(), secure=security.is_https(), httponly=True, samesite="Lax", path="/")


def still_signed_in(kept_secret: str) -> bool:
    """True while that sign-in is good: for a live stream, which outlasts the request that was guarded."""
    with store.reading() as tx:
        return queries.person_of_session(tx, kept_secret, store.settings(), utc_now()) is not None


def safe_next(target: str | None) -> str:
    """The page to go to after signing in: a path of this console, whatever the address said."""
    if not target or not target.startswith("/") or target.startswith(("//", "/sign-in")) or "\\" in target:
        return "/"
    if not target.isprintable() or urlsplit(target).netloc or urlsplit(target).scheme:
        return "/"
    return target


def _guard() -> ResponseReturnValue | None:
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None:
        return None  # no such page: the router's own answer tells nothing
    if not (getattr(view, _PUBLIC, False) or request.endpoint == "static"):
        who = current()
        if who is None:
            return _turn_away()
        if who.must_change_password and request.endpoint not in _WITH_ONE_TIME_PASSWORD:
            return _ask_for_password()
    if not has_bearer():
        security.csrf.protect()
    return None


def _turn_away() -> ResponseReturnValue:
    if is_api():
        realm = WWWAuthenticate("bearer", {"realm": "fettle", **({"error": "invalid_token"} if has_bearer() else {})})
        reason = "This token is not known, has expired or was revoked." if has_bearer() else "Send an API token."
        abort(
            401,
            f"{reason} Make one on your account page and send it as `Authorization: Bearer fettle_pat_...`.",
            www_authenticate=realm,
        )
    if not _is_navigation():
        abort(401, "Your sign-in has ended. Load the page again to sign in.")
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for(SIGN_IN, next=target if target != "/" else None), 303)


def _ask_for_password() -> ResponseReturnValue:
    if is_api() or not _is_navigation():
        abort(403, "Choose a password of your own on the console first.")
    return redirect(url_for(CHANGE_PASSWORD), 303)


def _is_navigation() -> bool:
    """True where a person waits for a page, rather than a script for a part of one."""
    if "text/event-stream" in request.headers.get("Accept", "") or "X-Requested-With" in request.headers:
        return False
    return request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


def _by_cookie() -> Person | None:
    kept, now = secret(), utc_now()
    if not kept:
        return None
    with store.reading() as tx:
        who = queries.person_of_session(tx, kept, store.settings(), now)
        due = who is not None and queries.touch_due(tx, kept, now)
    if due and "X-Fettle-Live" not in request.headers:  # a page that refreshes itself is not a person who works
        with store.writing() as tx:
            actions.touch_session(tx, kept, now)
    return who


def _by_token() -> Person | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token, now = token.strip(), utc_now()
    if scheme.lower() != "bearer" or not token:
        return None
    with store.reading() as tx:
        who = queries.person_of_token(tx, token, now)
        due = who is not None and queries.token_touch_due(tx, token, now)
    if due:
        with store.writing() as tx:
            actions.touch_api_token(tx, token, now)
    return who
