"""What rollouts go by: change windows and freezes. Approvers' keys are in keys.py."""

from __future__ import annotations

from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf, Range
from fettle_protocol.policy import CLASSES
from fettle_server.change.rollouts import queries, settings
from fettle_server.change.rollouts.rules import RolloutError
from fettle_server.change.rollouts.settings import Span
from fettle_server.clock import utc_now
from fettle_server.estate.endpoints import queries as endpoints
from flask import abort

from fettle_web import auth, store
from fettle_web.api.blueprint import api
from fettle_web.api.schemas import time_field

_DAY_MINUTES = 24 * 60
_SENSELESS = {400: "a place or a time that cannot be; `detail` says which", 403: "you may not set that there"}


class PlaceIn(Schema):
    """Where; what is left out means all."""

    school = fields.Integer(load_default=None)
    room = fields.Integer(load_default=None)


class ChangeWindowIn(PlaceIn):
    """When a place takes changes: days of the week (0: Monday), minutes of the day in the school's own time."""

    endpoint_class = fields.String(load_default=None, validate=OneOf(CLASSES))
    days = fields.List(fields.Integer(validate=Range(0, 6)), required=True, validate=Length(1, 7))
    from_minute = fields.Integer(required=True, validate=Range(0, _DAY_MINUTES))
    to_minute = fields.Integer(required=True, validate=Range(0, _DAY_MINUTES))
    when = fields.String(load_default="", validate=OneOf(["", "term", "holiday"]))


class ChangeWindowOut(Schema):
    """A change window; places are empty where it is for all."""

    id = fields.Integer()
    school_id = fields.Integer(allow_none=True)
    school = fields.String()
    room_id = fields.Integer(allow_none=True)
    room = fields.String()
    endpoint_class = fields.String(allow_none=True)
    days = fields.List(fields.Integer())
    from_minute = fields.Integer()
    to_minute = fields.Integer()
    when = fields.String()


class ChangeWindowsOut(Schema):
    """The change windows that people set."""

    windows = fields.List(fields.Nested(ChangeWindowOut))


class OpeningOut(Schema):
    """A time in which changes may begin."""

    starts_at = time_field()
    ends_at = time_field()


class OpeningsOut(Schema):
    """The next of them at a school."""

    next = fields.List(fields.Nested(OpeningOut))


class FreezeIn(PlaceIn):
    """A time in which no change begins."""

    title = fields.String(required=True, validate=Length(1, 120))
    starts_at = time_field(required=True)
    ends_at = time_field(required=True)


class FreezeOut(Schema):
    """A freeze that is on or to come."""

    id = fields.Integer()
    school_id = fields.Integer(allow_none=True)
    school = fields.String()
    room_id = fields.Integer(allow_none=True)
    room = fields.String()
    title = fields.String()
    starts_at = time_field()
    ends_at = time_field()
    created_by = fields.String()


class FreezesOut(Schema):
    """The freezes of your schools."""

    freezes = fields.List(fields.Nested(FreezeOut))


class MadeOut(Schema):
    """The number of what was made."""

    id = fields.Integer()


@api.get("/change-windows")
@api.output(ChangeWindowsOut)
@api.doc(security="token")
def change_windows() -> dict[str, Any]:
    """When places take changes, where people set it."""
    with store.reading() as tx:
        return {"windows": queries.windows(tx, auth.person())}


@api.post("/change-windows")
@api.input(ChangeWindowIn)
@api.output(MadeOut, 201)
@api.doc(security="token", responses=_SENSELESS)
def add_change_window(json_data: dict[str, Any]) -> dict[str, Any]:
    """Set a change window for a place."""
    given = json_data
    span = Span(sorted(set(given["days"])), given["from_minute"], given["to_minute"], given["when"])
    place = {"school_id": given["school"], "room_id": given["room"], "endpoint_class": given["endpoint_class"]}
    try:
        with store.writing() as tx:
            return {"id": settings.add_window(tx, auth.person(), span, utc_now(), **place)}
    except RolloutError as error:
        abort(400, str(error))


@api.delete("/change-windows/<int:number>")
@api.output({}, 204)
@api.doc(security="token", responses={403: "you may not set that there"})
def remove_change_window(number: int) -> str:
    """Take a change window away."""
    try:
        with store.writing() as tx:
            settings.drop_window(tx, auth.person(), number, utc_now())
    except RolloutError as error:
        abort(404, str(error))
    return ""


@api.get("/schools/<int:school_id>/change-windows")
@api.output(OpeningsOut)
@api.doc(security="token")
def next_change_windows(school_id: int) -> dict[str, Any]:
    """When the school takes changes next."""
    with store.reading() as tx:
        if school_id not in {school.id for school in endpoints.schools(tx, auth.person())}:
            abort(404, "There is no such school, or you do not see it.")
        found = queries.next_windows(tx, school_id, utc_now(), 4)
    return {"next": [{"starts_at": start, "ends_at": end} for start, end in found]}


@api.get("/freezes")
@api.output(FreezesOut)
@api.doc(security="token")
def freezes() -> dict[str, Any]:
    """Freezes that are on or to come."""
    with store.reading() as tx:
        return {"freezes": queries.freezes(tx, auth.person(), utc_now())}


@api.post("/freezes")
@api.input(FreezeIn)
@api.output(MadeOut, 201)
@api.doc(security="token", responses=_SENSELESS)
def add_freeze(json_data: dict[str, Any]) -> dict[str, Any]:
    """Let no change begin at a place for a while."""
    given = json_data
    place = {"school_id": given["school"], "room_id": given["room"]}
    try:
        with store.writing() as tx:
            times = given["starts_at"], given["ends_at"]
            return {"id": settings.freeze(tx, auth.person(), given["title"], *times, utc_now(), **place)}
    except RolloutError as error:
        abort(400, str(error))


@api.delete("/freezes/<int:number>")
@api.output({}, 204)
@api.doc(security="token", responses={403: "you may not set that there"})
def end_freeze(number: int) -> str:
    """End a freeze now."""
    try:
        with store.writing() as tx:
            settings.end_freeze(tx, auth.person(), number, utc_now())
    except RolloutError as error:
        abort(404, str(error))
    return ""
