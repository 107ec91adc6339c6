"""How the API says no: RFC 9457 problem documents whose `detail` is a sentence that says what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint, HTTPError, Schema, fields
from fettle_server.change.library.rules import LibraryError
from fettle_server.change.patches.rules import PatchError
from fettle_server.change.rollouts.plans import RolloutError
from fettle_server.change.rules import ChangeError
from fettle_server.estate.calendars.rules import CalendarError
from fettle_server.estate.endpoints.views import EndpointQueryError
from fettle_server.estate.people.rules import Forbidden, PeopleError
from fettle_server.estate.rooms.rules import RoomError
from fettle_server.observed import log
from fettle_server.paging import PageError
from fettle_server.proactive.rulebook.rules import NoSuchRule, Overtaken, RuleBookError
from fettle_server.reactive.rules import Refused
from fettle_server.reactive.views import IncidentQueryError
from flask import Response, jsonify, request
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
NO_SUCH_PATH = "There is nothing at this address. /api/v1/openapi.json lists what there is."


class Problem(Schema):
    """RFC 9457: what went wrong, in a form that programs and people read."""

    type = fields.String(required=True, metadata={"description": "always about:blank: `status` and `title` say the kind"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True, metadata={"description": "what happened and what to do, as a sentence"})
    errors = fields.Dict(metadata={"description": "of a request that cannot be read: the messages by place and field"})


def install(blueprint: APIBlueprint) -> None:
    """Turn every error under the blueprint into a problem document."""
    for kind, status in (
        (Forbidden, 403),
        (PeopleError, 400),
        (Refused, 409),
        (CalendarError, 409),
        (ChangeError, 409),
        (RolloutError, 409),
        (RoomError, 409),
        (LibraryError, 400),
        (PatchError, 400),
        (PageError, 400),
        (NoSuchRule, 404),
        (Overtaken, 409),
        (RuleBookError, 400),
        (EndpointQueryError, 400),
        (IncidentQueryError, 400),
    ):
        blueprint.register_error_handler(kind, _answer_with(status))
    blueprint.register_error_handler(HTTPError, _unreadable)
    blueprint.register_error_handler(CSRFError, answer)
    blueprint.register_error_handler(HTTPException, answer)
    blueprint.register_error_handler(Exception, _broken)


def problem(status: int, detail: str, **more: Any) -> Response:
    """A problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    response = jsonify(body)
    response.status_code, response.mimetype = status, MEDIA_TYPE
    return response


def answer(error: HTTPException) -> Response:
    """The problem document for an error of HTTP's own; headers that belong to it (WWW-Authenticate, Allow) are kept."""
    detail = error.description or HTTPStatus(error.code or 500).phrase
    if isinstance(error, RateLimitExceeded):
        detail = "Too many requests: wait as long as Retry-After says, and ask less often."
    response = problem(error.code or 500, detail)
    for name, value in error.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def _broken(error: Exception) -> Response:
    log().exception(
        "an API request failed", route=request.url_rule.rule if request.url_rule else "", error=type(error).__name__
    )
    return problem(500, "Something went wrong on the server's side. It has been logged; try again later.")


def _answer_with(status: int) -> Any:
    return lambda error: problem(status, str(error))


def _unreadable(error: HTTPError) -> Response:
    """A request whose parameters or body do not fit the schema."""
    places = error.detail if isinstance(error.detail, dict) else {}
    wrong = sorted({field for messages in places.values() if isinstance(messages, dict) for field in messages})
    named = f": look at {', '.join(wrong)}" if wrong else ""
    return problem(error.status_code, f"The request cannot be read{named}. `errors` says what each should be.", errors=places)
