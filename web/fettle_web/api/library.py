"""The definitive software library, documented builds, and PCs that drifted from theirs."""

from __future__ import annotations

from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf
from fettle_protocol.policy import CLASSES
from fettle_protocol.steps import INTERPRETERS, PROVIDERS
from fettle_server.change.library import actions, builds, queries
from fettle_server.change.library.actions import NewPackage, NewScript
from fettle_server.change.library.builds import NewBuild
from fettle_server.change.library.rules import SYSTEMS, ItemKind
from fettle_server.change.library.views import BuildView, ItemView
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from flask import abort
from marshmallow import RAISE

from fettle_web import auth, store
from fettle_web.api import schemas
from fettle_web.api.blueprint import api

NO_ITEM = "There is no item of that number. /api/v1/library lists them."
NO_BUILD = "There is no build of that number. /api/v1/builds lists them."
_REFUSED = {400: "it cannot be; `detail` says why", 403: "your role or your schools do not allow it"}


class LibraryQuery(Schema):
    """Which items."""

    kind = fields.String(load_default="", validate=OneOf(["", *ItemKind]))
    search = fields.String(load_default="", validate=Length(max=100))
    withdrawn = fields.Boolean(load_default=False)


class LibraryRowOut(Schema):
    """A package or a script. `installed` is how many PCs have it, where licences are counted."""

    id = fields.Integer()
    kind = fields.String()
    provider = fields.String()
    name = fields.String()
    version = fields.String()
    sha256 = fields.String()
    interpreter = fields.String()
    idempotent = fields.Boolean()
    systems = fields.List(fields.String())
    licences = fields.Integer(allow_none=True)
    installed = fields.Integer(allow_none=True)
    licence = fields.String()
    source = fields.String()
    notes = fields.String()
    added_by = fields.String()
    added_at = schemas.time_field()
    withdrawn_at = schemas.maybe_time()


class LibraryItemOut(LibraryRowOut):
    """One item; `body` is a script's."""

    body = fields.String()


class LibraryOut(Schema):
    """The library."""

    items = fields.List(fields.Nested(LibraryRowOut))


class PackageIn(Schema):
    """A package version to add."""

    provider = fields.String(required=True, validate=OneOf(PROVIDERS))
    name = fields.String(required=True)
    version = fields.String(required=True)
    sha256 = fields.String(load_default="")
    systems = fields.List(fields.String(validate=OneOf(SYSTEMS)), load_default=list)
    licences = fields.Integer(load_default=None, allow_none=True)
    licence = fields.String(load_default="")
    source = fields.String(load_default="")
    notes = fields.String(load_default="")


class ScriptIn(Schema):
    """A script version to add."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    body = fields.String(required=True)
    interpreter = fields.String(required=True, validate=OneOf(INTERPRETERS))
    idempotent = fields.Boolean(load_default=False)
    systems = fields.List(fields.String(validate=OneOf(SYSTEMS)), load_default=list)
    notes = fields.String(load_default="")


class BuildPlaceOut(Schema):
    """Where a build belongs; null means all."""

    id = fields.Integer()
    school_id = fields.Integer(allow_none=True)
    room_id = fields.Integer(allow_none=True)
    endpoint_class = fields.String(allow_none=True)
    words = fields.String()


class BuildOut(Schema):
    """A documented build, and how many of your PCs are of it, drifted, or not known."""

    id = fields.Integer()
    name = fields.String()
    version = fields.String()
    system = fields.String()
    description = fields.String()
    packages = fields.List(fields.Dict())
    absent = fields.List(fields.String())
    checklist = fields.List(fields.Dict())
    tested_by = fields.String()
    tested_at = schemas.maybe_time()
    created_at = schemas.time_field()
    retired_at = schemas.maybe_time()
    places = fields.List(fields.Nested(BuildPlaceOut))
    endpoints = fields.Integer()
    drifted = fields.Integer()
    unknown_ = fields.Integer(attribute="unknown", data_key="unknown")


class BuildRowOut(BuildOut):
    """A build in the list: the API's description takes no schema both alone and within another."""


class BuildsOut(Schema):
    """The builds."""

    builds = fields.List(fields.Nested(BuildRowOut))


class BuildPackageIn(Schema):
    """A package that a build has; without a version: any."""

    provider = fields.String(load_default="")
    name = fields.String(required=True)
    version = fields.String(load_default="")


class BuildIn(Schema):
    """A build to document."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    system = fields.String(required=True, validate=OneOf(SYSTEMS))
    description = fields.String(load_default="")
    packages = fields.List(fields.Nested(BuildPackageIn), load_default=list)
    absent = fields.List(fields.String(), load_default=list)
    checklist = fields.List(fields.String(), load_default=list)


class BuildPlaceIn(Schema):
    """Where it belongs; nothing given: everywhere."""

    school = fields.Integer(load_default=None, allow_none=True)
    room = fields.Integer(load_default=None, allow_none=True)
    endpoint_class = fields.String(load_default=None, allow_none=True, validate=OneOf(CLASSES), data_key="class")


class DriftRowOut(Schema):
    """A PC that differs from its build."""

    endpoint_id = fields.String()
    endpoint = fields.String()
    school_id = fields.Integer()
    school = fields.String()
    build_id = fields.Integer()
    build = fields.String()
    items = fields.Integer()
    detail = fields.List(fields.Dict())
    at = schemas.time_field()


class DriftOut(Schema):
    """A page of PCs that drifted, the farthest first."""

    drift = fields.List(fields.Nested(DriftRowOut))
    after = fields.String(allow_none=True)
    total = fields.Integer(allow_none=True)


@api.get("/library")
@api.input(LibraryQuery, location="query", unknown=RAISE)
@api.output(LibraryOut)
@api.doc(security="token")
def library(query_data: dict[str, Any]) -> dict[str, Any]:
    """The library's packages and scripts."""
    with store.reading() as tx:
        return {"items": queries.items(tx, auth.person(), **query_data)}


@api.get("/library/<int:number>")
@api.output(LibraryItemOut)
@api.doc(security="token")
def library_item(number: int) -> ItemView:
    """One item, with a script's body."""
    with store.reading() as tx:
        return _item(tx, number)


@api.post("/library/packages")
@api.input(PackageIn)
@api.output(LibraryItemOut, status_code=201)
@api.doc(security="token", responses=_REFUSED)
def add_package(json_data: dict[str, Any]) -> ItemView:
    """Add a package version; what is in the library is never changed."""
    new = NewPackage(**json_data | {"systems": tuple(json_data["systems"])})
    with store.writing() as tx:
        return _item(tx, actions.add_package(tx, auth.person(), new, utc_now()))


@api.post("/library/scripts")
@api.input(ScriptIn)
@api.output(LibraryItemOut, status_code=201)
@api.doc(security="token", responses=_REFUSED)
def add_script(json_data: dict[str, Any]) -> ItemView:
    """Add a script version; what is in the library is never changed."""
    new = NewScript(**json_data | {"systems": tuple(json_data["systems"])})
    with store.writing() as tx:
        return _item(tx, actions.add_script(tx, auth.person(), new, utc_now()))


@api.post("/library/<int:number>/withdraw")
@api.output(LibraryItemOut)
@api.doc(security="token", responses={403: _REFUSED[403]})
def withdraw_item(number: int) -> ItemView:
    """Take an item out of use."""
    with store.writing() as tx:
        _item(tx, number)
        actions.withdraw(tx, auth.person(), number, utc_now())
        return _item(tx, number)


@api.get("/builds")
@api.output(BuildsOut)
@api.doc(security="token")
def list_builds() -> dict[str, Any]:
    """The documented builds."""
    with store.reading() as tx:
        return {"builds": queries.builds(tx, auth.person())}


@api.post("/builds")
@api.input(BuildIn)
@api.output(BuildOut, status_code=201)
@api.doc(security="token", responses=_REFUSED)
def create_build(json_data: dict[str, Any]) -> BuildView:
    """Document a build."""
    with store.writing() as tx:
        return _build(tx, builds.create(tx, auth.person(), NewBuild(**json_data), utc_now()))


@api.get("/builds/<int:number>")
@api.output(BuildOut)
@api.doc(security="token")
def one_build(number: int) -> BuildView:
    """One build."""
    with store.reading() as tx:
        return _build(tx, number)


@api.post("/builds/<int:number>/places")
@api.input(BuildPlaceIn)
@api.output(BuildOut)
@api.doc(security="token", responses=_REFUSED)
def assign_build(number: int, json_data: dict[str, Any]) -> BuildView:
    """Say where a build belongs; the narrowest place wins."""
    given = json_data
    with store.writing() as tx:
        _build(tx, number)
        builds.assign(
            tx, auth.person(), number, utc_now(), school_id=given["school"], room_id=given["room"],
            endpoint_class=given["endpoint_class"],
        )  # fmt: skip
        return _build(tx, number)


@api.get("/builds/<int:number>/drift")
@api.input(schemas.PageQuery, location="query", unknown=RAISE)
@api.output(DriftOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def drift_from_build(number: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """The PCs that drifted from a build, the farthest first."""
    with store.reading() as tx:
        _build(tx, number)
        page = queries.drifted(tx, auth.person(), number, after=query_data["after"], limit=query_data["limit"])
    return {"drift": page.rows, "after": page.after, "total": page.total}


def _item(tx: Connection, number: int) -> ItemView:
    found = queries.item(tx, auth.person(), number)
    if found is None:
        abort(404, NO_ITEM)
    return found


def _build(tx: Connection, number: int) -> BuildView:
    found = queries.build(tx, auth.person(), number)
    if found is None:
        abort(404, NO_BUILD)
    return found
