"""Approvers' keys: whose signature PCs obey, and the orders by which they learn of other keys. No private key comes here."""

from __future__ import annotations

from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length
from fettle_protocol.signing import public_pem
from fettle_server.change.manifests import actions as signing
from fettle_server.change.manifests import queries as manifests
from fettle_server.change.manifests.rules import Purpose, SigningError
from fettle_server.change.manifests.views import ManifestRow
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.people.rules import Act
from flask import Response, abort

from fettle_web import auth, store
from fettle_web.api.blueprint import api
from fettle_web.api.rollout_schemas import SignaturesIn
from fettle_web.api.schemas import maybe_time, time_field

_NOT_YOU = "you may not manage keys"


class KeyOut(Schema):
    """The public half of an approver's key."""

    id = fields.String()
    name = fields.String()
    public_pem = fields.Function(lambda row: public_pem(row.public).decode(), metadata={"type": "string"})
    added_by = fields.String()
    added_at = time_field()
    retired_at = maybe_time()


class KeyOrderOut(Schema):
    """An order by which PCs trust the keys `add` (public halves, hexadecimal) and the keys `retire` (ids) no more."""

    id = fields.String(attribute="uid")
    add = fields.List(fields.String(), attribute="said.add")
    retire = fields.List(fields.String(), attribute="said.retire")
    created_at = time_field()
    expires_at = time_field()


class KeysOut(Schema):
    """All keys, active ones first, and the orders that wait for a signature."""

    keys = fields.List(fields.Nested(KeyOut))
    waiting = fields.List(fields.Nested(KeyOrderOut))


class KeyIn(Schema):
    """A key to trust."""

    name = fields.String(required=True, validate=Length(1, 120))
    public_pem = fields.String(required=True, validate=Length(1, 4000))


class RetireIn(Schema):
    """Why a key is retired."""

    why = fields.String(load_default="", validate=Length(max=300))


class RotateIn(Schema):
    """The ids of the keys that PCs are to trust from now on, and of those that they are to trust no more."""

    add = fields.List(fields.String(validate=Length(1, 16)), load_default=[], validate=Length(max=20))
    retire = fields.List(fields.String(validate=Length(1, 16)), load_default=[], validate=Length(max=20))


class KeyMadeOut(Schema):
    """The key's id."""

    id = fields.String()


@api.get("/keys")
@api.output(KeysOut)
@api.doc(security="token", responses={403: _NOT_YOU})
def keys() -> dict[str, Any]:
    """Approvers' public keys, and the orders to PCs about them that wait for a signature."""
    auth.demand(Act.MANAGE_KEYS)
    with store.reading() as tx:
        return _standing(tx)


@api.post("/keys")
@api.input(KeyIn)
@api.output(KeyMadeOut, 201)
@api.doc(security="token", responses={403: _NOT_YOU, 409: "the key cannot be taken; `detail` says why"})
def add_key(json_data: dict[str, Any]) -> dict[str, Any]:
    """Trust an approver's key from now on."""
    try:
        with store.writing() as tx:
            pem = json_data["public_pem"].encode()
            return {"id": signing.add_key(tx, auth.person(), json_data["name"], pem, utc_now())}
    except SigningError as error:
        abort(409, str(error))


@api.post("/keys/<key_id>/retire")
@api.input(RetireIn)
@api.output({}, 204)
@api.doc(security="token", responses={403: _NOT_YOU, 409: "there is no such active key"})
def retire_key(key_id: str, json_data: dict[str, Any]) -> str:
    """Take no more signatures of a key."""
    try:
        with store.writing() as tx:
            signing.retire_key(tx, auth.person(), key_id, json_data["why"], utc_now())
    except SigningError as error:
        abort(409, str(error))
    return ""


@api.post("/keys/rotate")
@api.input(RotateIn)
@api.output(KeysOut, 201)
@api.doc(security="token", responses={403: _NOT_YOU, 409: "these keys cannot be; `detail` says why"})
def rotate_keys(json_data: dict[str, Any]) -> dict[str, Any]:
    """Make the order by which every PC trusts other keys; it waits for a signature that they obey already."""
    try:
        with store.writing() as tx:
            signing.rotate(tx, auth.person(), tuple(json_data["add"]), tuple(json_data["retire"]), utc_now())
            return _standing(tx)
    except SigningError as error:
        abort(409, str(error))


@api.get("/keys/signing.sh")
@api.doc(security="token", responses={403: _NOT_YOU, 409: "there is nothing to sign"})
def key_signing_file() -> Response:
    """The commands that sign the orders that wait, for an approver's own machine."""
    person = auth.demand(Act.MANAGE_KEYS)
    try:
        with store.reading() as tx:
            text = signing.signing_file_of(tx, person, [row.id for row in _waiting(tx)], utc_now())
    except SigningError as error:
        abort(409, str(error))
    return Response(text, mimetype="text/x-shellscript")


@api.post("/keys/signatures")
@api.input(SignaturesIn)
@api.output(KeysOut)
@api.doc(security="token", responses={403: _NOT_YOU, 409: "no signature by a trusted key; `detail` says what to do"})
def bring_key_signatures(json_data: dict[str, Any]) -> dict[str, Any]:
    """Take back what the signing commands printed; the orders then go to every PC."""
    person = auth.demand(Act.MANAGE_KEYS)
    try:
        with store.writing() as tx:
            signing.bring_signatures(tx, person, json_data["signatures"], utc_now(), of_keys=True)
            return _standing(tx)
    except SigningError as error:
        abort(409, str(error))


def _standing(tx: Connection) -> dict[str, Any]:
    return {"keys": manifests.keys(tx), "waiting": _waiting(tx)}


def _waiting(tx: Connection) -> list[ManifestRow]:
    return manifests.unsigned(tx, utc_now(), purpose=Purpose.KEYS)
