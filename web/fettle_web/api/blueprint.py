"""The blueprint that every view of the API hangs on, and what all of them share: the prefix, the limit, the form of errors."""

from __future__ import annotations

from apiflask import APIBlueprint

from fettle_web import auth, security
from fettle_web.api import problems

LIMIT = "1200 per minute"
"""What one token (or one signed-in person) may ask; a script that pages through the largest estate stays far below."""


def caller() -> str:
    """Whom the limit counts: a token, a person, or an address that has neither."""
    who = auth.current()
    return f"{who.id}/{who.token}" if who else security.address()


api = APIBlueprint("api", __name__, url_prefix="/api/v1")
problems.install(api)
security.limiter.limit(lambda: LIMIT, key_func=caller)(api)
