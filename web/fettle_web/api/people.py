"""API tokens: a person's own, listed and revoked. They are made on the account page, by somebody who signed in."""

from __future__ import annotations

from typing import Any

from fettle_server.clock import utc_now
from fettle_server.estate.people import actions, queries
from flask import abort

from fettle_web import auth, store
from fettle_web.api import schemas
from fettle_web.api.blueprint import api

NO_SUCH = "You have no such token. /api/v1/tokens lists yours."


@api.get("/tokens")
@api.output(schemas.TokensOut)
@api.doc(security="token")
def tokens() -> dict[str, Any]:
    """Your own tokens, newest first, revoked ones too."""
    with store.reading() as tx:
        return {"tokens": queries.api_tokens(tx, auth.person())}


@api.delete("/tokens/<int:token_id>")
@api.output({}, status_code=204)
@api.doc(security="token")
def revoke_token(token_id: int) -> str:
    """End one of your own tokens at once."""
    who = auth.person()
    with store.writing() as tx:
        if token_id not in {token.id for token in queries.api_tokens(tx, who)}:
            abort(404, NO_SUCH)
        actions.revoke_api_token(tx, who, token_id, utc_now())
    return ""
