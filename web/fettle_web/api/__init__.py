"""The REST API under /api/v1: the same queries and actions as the pages, as JSON.

Owns the blueprint, its limits and its description (/api/v1/openapi.json). The views are beside, one file for each noun.
"""

from __future__ import annotations

from typing import Any

from apiflask import APIFlask
from flask import Response, current_app, jsonify, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from fettle_web import auth
from fettle_web.api import (
    changing,
    endpoints,
    explanations,
    holding,
    incidents,
    keys,
    library,
    likenesses,
    maintenance,
    notices,
    patches,
    people,
    places,
    problems,
    requests,
    rollouts,
    rulebook,
)
from fettle_web.api.blueprint import api

_DESCRIPTION = """Endpoints, their readings and their incidents, for scripts.

Make a token on your account page and send it as `Authorization: Bearer fettle_pat_...`. It may do what you may, at most in the
role that you gave it. Errors are RFC 9457 problem documents whose `detail` says what to do."""


def install(app: APIFlask) -> None:
    """Add the API to the app, with its description."""
    app.config.update(_SPEC)
    app.security_schemes = {"token": {"type": "http", "scheme": "bearer", "description": "an API token: fettle_pat_..."}}
    app.register_blueprint(api)
    app.before_request(_nothing_there)


_SPEC = {
    "OPENAPI_VERSION": "3.1.0",
    "DESCRIPTION": _DESCRIPTION,
    "LICENSE": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "SERVERS": [{"url": "/", "description": "this server"}],
    "HTTP_ERROR_SCHEMA": problems.Problem,
    "VALIDATION_ERROR_SCHEMA": problems.Problem,
    "AUTO_404_RESPONSE": True,
}


@api.get("/openapi.json")
@api.doc(hide=True)
@auth.public
def openapi() -> Response:
    """The API in OpenAPI's words."""
    app = current_app
    assert isinstance(app, APIFlask)
    return jsonify(_as_problems(app.spec))


def _nothing_there() -> Response | None:
    """The API's own answer to an address or a method that it does not have."""
    error = request.routing_exception
    if not auth.is_api() or not isinstance(error, NotFound | MethodNotAllowed):
        return None
    if isinstance(error, NotFound):
        error.description = problems.NO_SUCH_PATH
    elif error.valid_methods:
        error.description = (
            f"This address takes {' or '.join(sorted(set(error.valid_methods) - {'HEAD', 'OPTIONS'}))}, not {request.method}."
        )
    return problems.answer(error)


def _as_problems(spec: Any) -> Any:
    """The description with errors under the media type that they are sent with."""
    for path in spec["paths"].values():
        for operation in path.values():
            for status, response in operation.get("responses", {}).items():
                content = response.get("content", {})
                if status >= "400" and "application/json" in content:
                    content[problems.MEDIA_TYPE] = content.pop("application/json")
    return spec


__all__ = [
    "changing",
    "endpoints",
    "explanations",
    "holding",
    "incidents",
    "install",
    "keys",
    "library",
    "likenesses",
    "maintenance",
    "notices",
    "patches",
    "people",
    "places",
    "requests",
    "rollouts",
    "rulebook",
]
