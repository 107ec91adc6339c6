"""What a person sees when something cannot be answered: what happened, and what to do next."""

from __future__ import annotations

from fettle_server.estate.endpoints.views import EndpointQueryError
from fettle_server.estate.people.rules import Forbidden
from fettle_server.observed import log
from fettle_server.paging import PageError
from fettle_server.reactive.views import IncidentQueryError
from flask import Flask, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from fettle_web import auth

_WORDS: dict[int, tuple[str, str]] = {
    400: ("That did not make sense", "The address or the form was not one of this console's. Go back and try again."),
    401: ("You are signed out", "Sign in again to go on."),
    403: ("You may not do that", "Ask an administrator if you need to."),
    404: ("There is nothing here", "It may have been removed, or it belongs to a school that you do not see."),
    405: ("That cannot be done here", "Go back to the page and use its buttons."),
    409: ("That cannot be done now", "Somebody else was quicker. Load the page again to see how things stand."),
    413: ("That is too much at once", "The form was larger than one megabyte."),
    422: ("That did not make sense", "Something in the form or the address could not be read."),
    429: ("Too many tries", "Wait a minute, then try again."),
    500: ("Something went wrong on our side", "It has been logged. Try again; if it stays, tell whoever runs this server."),
    503: ("Busy just now", "Try again in a moment."),
}
FORM_EXPIRED = (
    "That form was too old",
    "You signed in or out since it was opened. Go back, load the page again and repeat it.",
)


def install(app: Flask) -> None:
    """Show these pages for every error of a page; the API's errors are its own."""
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(CSRFError, _expired)
    app.register_error_handler(Forbidden, _forbidden)
    for kind in (PageError, EndpointQueryError, IncidentQueryError):
        app.register_error_handler(kind, _senseless)
    app.register_error_handler(Exception, _broken)


def _page(status: int, words: tuple[str, str]) -> ResponseReturnValue:
    title, text = words
    return render_template("pages/error.html", status=status, title=title, text=text, nav=""), status


def _refused(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400 or auth.is_api():
        return error.get_response()
    title, text = _WORDS.get(status, (error.name, "Go back and try again."))
    return _page(status, (title, text))


def _expired(error: CSRFError) -> ResponseReturnValue:
    return error.get_response() if auth.is_api() else _page(400, FORM_EXPIRED)


def _forbidden(error: Forbidden) -> ResponseReturnValue:
    return _page(403, (_WORDS[403][0], error.reason))


def _senseless(error: ValueError) -> ResponseReturnValue:
    return _page(400, (_WORDS[400][0], f"{error}."))


def _broken(error: Exception) -> ResponseReturnValue:
    log().exception("a page failed", path=request.path, error=type(error).__name__)
    return _page(500, _WORDS[500])
