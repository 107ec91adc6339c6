"""Updates that PCs lack, how far each PC is, and schools by the 14-day clock."""

from __future__ import annotations

from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf
from fettle_protocol.steps import PROVIDERS
from fettle_server.change.patches import queries
from fettle_server.change.patches.rules import PatchState, Standing
from fettle_server.change.patches.views import EndpointPatches, LackingFilter, UpdateDetail
from fettle_server.clock import utc_now
from flask import abort
from marshmallow import RAISE

from fettle_web import auth, store
from fettle_web.api import schemas
from fettle_web.api.blueprint import api
from fettle_web.api.endpoints import NO_SUCH as NO_SUCH_PC
from fettle_web.pages.patches import compliance_of

NO_SUCH = "There is no update of that number in your schools. /api/v1/patches lists them."


class PatchesQuery(schemas.PageQuery):
    """Which updates."""

    school = fields.Integer(load_default=None)
    provider = fields.String(load_default="", validate=OneOf(["", *PROVIDERS]))
    security = fields.Boolean(load_default=False)
    overdue = fields.Boolean(load_default=False)
    search = fields.String(load_default="", validate=Length(max=100))


class UpdateOut(Schema):
    """An update that PCs were offered."""

    id = fields.Integer()
    provider = fields.String()
    name = fields.String()
    version = fields.String()
    title = fields.String()
    security = fields.Boolean()
    severity = fields.String(metadata={"description": "critical, important, moderate, low; empty: not stated"})
    cvss = fields.Float(allow_none=True)
    cves = fields.List(fields.String())
    reference = fields.String()
    released_on = fields.Date(allow_none=True)
    first_seen_at = schemas.time_field()
    due_on = fields.Date(allow_none=True, metadata={"description": "the last day in time; null: no clock runs"})
    clock = fields.String(metadata={"description": "what the 14 days run from, in words"})


class LackingOut(UpdateOut):
    """An update with how many PCs lack it."""

    lacking = fields.Integer()
    overdue = fields.Integer()
    restart = fields.Integer(metadata={"description": "how many have it installed and wait for a restart: not fixed"})
    failed = fields.Integer()
    approved = fields.Integer()
    schools = fields.Integer()
    earliest_due_on = fields.Date(allow_none=True)


class PatchPageOut(Schema):
    """A page of updates, the earliest due day first."""

    patches = fields.List(fields.Nested(LackingOut))
    after = fields.String(allow_none=True)
    total = fields.Integer(allow_none=True)


class SchoolCountOut(Schema):
    """How many PCs of a school lack an update."""

    school_id = fields.Integer()
    school = fields.String()
    lacking = fields.Integer()
    overdue = fields.Integer()


class ExceptionOut(Schema):
    """An update that need not be in time; `school_id` null: everywhere."""

    id = fields.Integer()
    school_id = fields.Integer(allow_none=True)
    school = fields.String()
    why = fields.String()
    by = fields.String()
    at = schemas.time_field()
    until = fields.Date()


class PatchDetailOut(Schema):
    """One update: how many PCs are in each state, and where it is lacking."""

    update = fields.Nested(LackingOut)
    states = fields.Dict(metadata={"description": "PCs by state"})
    schools = fields.List(fields.Nested(SchoolCountOut))
    exceptions = fields.List(fields.Nested(ExceptionOut))


class PatchEndpointsQuery(schemas.PageQuery):
    """Which PCs of an update."""

    state = fields.String(load_default="", validate=OneOf(["", *(state.value for state in PatchState)]))
    school = fields.Integer(load_default=None)
    search = fields.String(load_default="", validate=Length(max=100))


class PatchStepOut(Schema):
    """A step and when it was seen."""

    name = fields.String()
    at = schemas.time_field()


class PatchRowOut(Schema):
    """One PC with one update."""

    endpoint_id = fields.String()
    endpoint = fields.String()
    school_id = fields.Integer()
    school = fields.String()
    update = fields.Nested(UpdateOut)
    state = fields.String(validate=OneOf([state.value for state in PatchState]))
    installed = fields.String(metadata={"description": "the version that it had when it was offered"})
    words = fields.String(metadata={"description": "the operating system's own, at the last step"})
    change_id = fields.Integer(allow_none=True)
    due_on = fields.Date(allow_none=True)
    steps = fields.Function(
        lambda row: [{"name": name, "at": schemas.rfc3339(at)} for name, at in row.steps],
        metadata={"type": "array", "items": {"type": "object"}},
    )


class PatchRowsOut(Schema):
    """A page of PCs of an update, by name."""

    endpoints = fields.List(fields.Nested(PatchRowOut))
    after = fields.String(allow_none=True)
    total = fields.Integer(allow_none=True)


class EndpointPatchesOut(Schema):
    """All updates of one PC; `looked_at` null: it never told."""

    standing = fields.String(validate=OneOf([standing.value for standing in Standing]))
    looked_at = schemas.maybe_time()
    seen_at = schemas.maybe_time()
    reboot_pending = fields.Boolean(allow_none=True)
    providers = fields.List(fields.Dict())
    refused = fields.String(metadata={"description": "what of its last report could not be read; empty: nothing"})
    due_on = fields.Date(allow_none=True)
    patches = fields.List(fields.Nested(PatchRowOut), attribute="rows")


class ComplianceOut(Schema):
    """A school's PCs by the 14-day clock."""

    school_id = fields.Integer()
    school = fields.String()
    endpoints = fields.Integer()
    on_time = fields.Integer()
    due_soon = fields.Integer(attribute="soon")
    overdue = fields.Integer()
    unknown_ = fields.Integer(attribute="unknown", data_key="unknown")
    excepted = fields.Integer()
    restart = fields.Integer()
    due_on = fields.Date(allow_none=True)
    percent = fields.Integer(allow_none=True, metadata={"description": "of the PCs that are known; null: none is"})
    warnings = fields.List(fields.String(), metadata={"description": "what falls due while nothing may be installed"})


class ComplianceListOut(Schema):
    """The schools, the worst first."""

    schools = fields.List(fields.Nested(ComplianceOut))


@api.get("/patches")
@api.input(PatchesQuery, location="query", unknown=RAISE)
@api.output(PatchPageOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def patches(query_data: dict[str, Any]) -> dict[str, Any]:
    """A page of the updates that PCs of your schools lack."""
    given = query_data
    wanted = LackingFilter(given["school"], given["provider"], given["security"], given["overdue"], given["search"])
    with store.reading() as tx:
        page = queries.lacking(tx, auth.person(), wanted, utc_now(), after=given["after"], limit=given["limit"])
    return {"patches": page.rows, "after": page.after, "total": page.total}


@api.get("/patches/<int:number>")
@api.output(PatchDetailOut)
@api.doc(security="token")
def patch(number: int) -> dict[str, Any]:
    """One update."""
    with store.reading() as tx:
        found: UpdateDetail | None = queries.update(tx, auth.person(), number, utc_now())
    if found is None:
        abort(404, NO_SUCH)
    states = {state.value: count for state, count in found.states.items()}
    return {"update": found.update, "states": states, "schools": found.schools, "exceptions": found.exceptions}


@api.get("/patches/<int:number>/endpoints")
@api.input(PatchEndpointsQuery, location="query", unknown=RAISE)
@api.output(PatchRowsOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def patch_endpoints(number: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """The PCs of an update, by name; without a state: all that lack it."""
    given, person = query_data, auth.person()
    state = PatchState(given["state"]) if given["state"] else None
    with store.reading() as tx:
        if queries.update(tx, person, number, utc_now()) is None:
            abort(404, NO_SUCH)
        page = queries.endpoints_of(
            tx, person, number, state=state, school_id=given["school"], search=given["search"], after=given["after"],
            limit=given["limit"],
        )  # fmt: skip
    return {"endpoints": page.rows, "after": page.after, "total": page.total}


@api.get("/endpoints/<endpoint_id>/patches")
@api.output(EndpointPatchesOut)
@api.doc(security="token")
def patches_of_endpoint(endpoint_id: str) -> EndpointPatches:
    """All updates of one PC: those that it lacks first."""
    with store.reading() as tx:
        found = queries.of_endpoint(tx, auth.person(), endpoint_id, utc_now())
    if found is None:
        abort(404, NO_SUCH_PC)
    return found


@api.get("/compliance")
@api.output(ComplianceListOut)
@api.doc(security="token")
def compliance() -> dict[str, Any]:
    """Your schools by the 14-day clock: evidence, not a certificate."""
    with store.reading() as tx:
        return {"schools": compliance_of(tx, auth.person(), utc_now())}
