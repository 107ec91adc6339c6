"""Notices and proofs: channels, routes, what became of deliveries, a test of a channel, and proofs that alerts work."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fettle_server.clock import utc_now
from fettle_server.estate.people.rules import Act, sees
from fettle_server.notify import editing, queries, rules, sending
from fettle_server.notify.rules import NoticeError
from fettle_server.paging import PageError
from fettle_server.proactive.proofs import actions as proof_actions
from fettle_server.proactive.proofs import queries as proof_queries
from fettle_server.proactive.proofs.actions import ProofError
from flask import abort
from marshmallow import RAISE

from fettle_web import auth, store
from fettle_web.api import notice_schemas as schemas
from fettle_web.api.blueprint import api

_EDITS = {400: "it does not make sense; `detail` says why", 403: "only administrators may"}


@api.get("/notices/channels")
@api.output(schemas.ChannelsOut)
@api.doc(security="token", responses={403: "only administrators may"})
def notice_channels() -> dict[str, Any]:
    """The channels, without their secrets."""
    auth.demand(Act.EDIT_NOTICES)
    with store.reading() as tx:
        return {"channels": queries.channels(tx)}


@api.post("/notices/channels")
@api.input(schemas.ChannelIn)
@api.output(schemas.ChannelMadeOut, status_code=201)
@api.doc(security="token", responses=_EDITS)
def add_notice_channel(json_data: dict[str, Any]) -> dict[str, Any]:
    """Add a channel; a webhook's signing key is in this answer only."""
    who, given = auth.demand(Act.EDIT_NOTICES), json_data
    try:
        with store.writing() as tx:
            number, key = editing.add_channel(
                tx, who.actor, given["name"], given["kind"], given["target"], key=given["key"], now=utc_now()
            )
    except NoticeError as error:
        abort(400, str(error))
    return {"id": number, "signing_key": key}


@api.delete("/notices/channels/<int:channel_id>")
@api.output({}, status_code=204)
@api.doc(security="token", responses={403: "only administrators may"})
def remove_notice_channel(channel_id: int) -> str:
    """Remove a channel with its routes."""
    who = auth.demand(Act.EDIT_NOTICES)
    try:
        with store.writing() as tx:
            editing.remove_channel(tx, who.actor, channel_id, utc_now())
    except NoticeError as error:
        abort(404, str(error))
    return ""


@api.post("/notices/channels/<int:channel_id>/test")
@api.output(schemas.TestOut)
@api.doc(security="token", responses={403: "only administrators may"})
def test_notice_channel(channel_id: int) -> dict[str, Any]:
    """Send a test now, and tell what the receiver said."""
    auth.demand(Act.EDIT_NOTICES)
    result = sending.test(store.writing, channel_id, store.settings())
    if result is None:
        abort(404, "There is no such channel. /api/v1/notices/channels lists them.")
    return {"sent": result.is_sent, "answer": result.text}


@api.get("/notices/routes")
@api.output(schemas.RoutesOut)
@api.doc(security="token", responses={403: "only administrators may"})
def notice_routes() -> dict[str, Any]:
    """The routes; where there is none, nobody is told anything."""
    auth.demand(Act.EDIT_NOTICES)
    with store.reading() as tx:
        found = queries.routes(tx)
    rows = [
        {**asdict(row), **rules.as_json(row.wanted), "sentence": rules.sentence(row.wanted, {}, row.words)} for row in found
    ]
    return {"routes": rows}


@api.post("/notices/routes")
@api.input(schemas.RouteIn)
@api.output(schemas.MadeOut, status_code=201)
@api.doc(security="token", responses=_EDITS)
def add_notice_route(json_data: dict[str, Any]) -> dict[str, Any]:
    """Add a route."""
    return {"id": _set_route(None, json_data)}


@api.put("/notices/routes/<int:route_id>")
@api.input(schemas.RouteIn)
@api.output(schemas.MadeOut)
@api.doc(security="token", responses=_EDITS)
def set_notice_route(route_id: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Replace what a route wants."""
    return {"id": _set_route(route_id, json_data)}


@api.delete("/notices/routes/<int:route_id>")
@api.output({}, status_code=204)
@api.doc(security="token", responses={403: "only administrators may"})
def remove_notice_route(route_id: int) -> str:
    """Remove a route."""
    who = auth.demand(Act.EDIT_NOTICES)
    try:
        with store.writing() as tx:
            editing.remove_route(tx, who.actor, route_id, utc_now())
    except NoticeError as error:
        abort(404, str(error))
    return ""


@api.get("/notices/deliveries")
@api.input(schemas.DeliveriesQuery, location="query", unknown=RAISE)
@api.output(schemas.DeliveriesOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list", 403: "only administrators may"})
def notice_deliveries(query_data: dict[str, Any]) -> dict[str, Any]:
    """A page of what was sent and what not, and why, the newest first."""
    auth.demand(Act.EDIT_NOTICES)
    given = query_data
    try:
        with store.reading() as tx:
            page = queries.deliveries(
                tx, state=given["state"], incident_number=given["incident"], after=given["after"], limit=given["limit"]
            )
    except PageError as error:
        abort(400, str(error))
    return {"deliveries": page.rows, "after": page.after}


@api.get("/proofs")
@api.output(schemas.ProofsOut)
@api.doc(security="token")
def proofs() -> dict[str, Any]:
    """Each of your schools with the last proof that its alerts work."""
    with store.reading() as tx:
        return {"schools": proof_queries.schools(tx, auth.person(), store.settings().proof_every_days)}


@api.get("/proofs/<int:proof_id>")
@api.output(schemas.ProofOut)
@api.doc(security="token")
def proof(proof_id: int) -> proof_queries.ProofRow:
    """One proof with its steps."""
    with store.reading() as tx:
        found = proof_queries.proof(tx, auth.person(), proof_id)
    if found is None:
        abort(404, "There is no proof of that number in your schools. /api/v1/proofs lists the last ones.")
    return found


@api.post("/schools/<int:school_id>/proofs")
@api.output(schemas.MadeOut, status_code=201)
@api.doc(security="token", responses={403: "your role does not allow it", 409: "it cannot be begun; `detail` says why"})
def prove(school_id: int) -> dict[str, Any]:
    """Prove now that a school's alerts work."""
    if not sees(auth.person(), school_id):
        abort(404, "There is no school of that number among yours. /api/v1/schools lists them.")
    who = auth.demand(Act.PROVE_ALERTS, school_id)
    try:
        with store.writing() as tx:
            return {"id": proof_actions.prove(tx, who, school_id, utc_now())}
    except ProofError as error:
        abort(409, str(error))


def _set_route(route_id: int | None, given: dict[str, Any]) -> int:
    who = auth.demand(Act.EDIT_NOTICES)
    try:
        with store.writing() as tx:
            wanted = rules.from_json(given)
            return editing.set_route(tx, who.actor, route_id, given["channel_id"], wanted, given["escalate_to"], now=utc_now())
    except NoticeError as error:
        abort(400, str(error))
