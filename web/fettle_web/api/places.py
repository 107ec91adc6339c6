"""Schools' calendars and rooms, and the room and class of an endpoint."""

from __future__ import annotations

from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf, Range
from fettle_protocol.policy import CLASSES
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.calendars import actions as calendar_actions
from fettle_server.estate.calendars import queries as calendars
from fettle_server.estate.calendars import transfer
from fettle_server.estate.calendars.rules import DAY_MINUTES, Kind
from fettle_server.estate.calendars.views import BellRow, Lesson, NewEntry
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Act, Person
from fettle_server.estate.rooms import actions, queries
from fettle_server.estate.rooms.rules import RoomKind
from flask import Response, abort, request

from fettle_web import auth, store
from fettle_web.api.blueprint import api
from fettle_web.api.endpoints import NO_SUCH as NO_SUCH_PC

NO_SUCH_SCHOOL = "There is no such school among yours. /api/v1/schools lists them."
_REFUSALS = {403: "your role or your schools do not allow it", 409: "it cannot be so; `detail` says why"}
_MINUTE = {"description": "minutes of the day; null: all day"}


class LessonShape(Schema):
    """A lesson, in minutes of the day."""

    name = fields.String(required=True, validate=Length(1, 60))
    starts = fields.Integer(required=True, validate=Range(0, DAY_MINUTES))
    ends = fields.Integer(required=True, validate=Range(0, DAY_MINUTES))


class BellShape(Schema):
    """A weekday's hours (0: Monday), in minutes of the day."""

    weekday = fields.Integer(required=True, validate=Range(0, 6))
    opens = fields.Integer(required=True, validate=Range(0, DAY_MINUTES))
    closes = fields.Integer(required=True, validate=Range(0, DAY_MINUTES))
    lessons = fields.List(fields.Nested(LessonShape), load_default=list)


class EntryIn(Schema):
    """An entry of a school's own calendar; both days are included."""

    kind = fields.String(required=True, validate=OneOf([kind.value for kind in Kind]))
    title = fields.String(required=True, validate=Length(1, 200))
    starts_on = fields.Date(required=True)
    ends_on = fields.Date(required=True)
    from_minute = fields.Integer(load_default=None, allow_none=True, metadata=_MINUTE)
    to_minute = fields.Integer(load_default=None, allow_none=True, metadata=_MINUTE)
    room_id = fields.Integer(load_default=None, allow_none=True)
    uid = fields.String(load_default="", validate=Length(max=200))


class EntryOut(EntryIn):
    """An entry; `school_id` null: it counts for all schools."""

    id = fields.Integer()
    school_id = fields.Integer(allow_none=True)
    room = fields.String()
    source = fields.String()


class CalendarIn(Schema):
    """All of a school's own entries and bell times; what is left out is removed."""

    entries = fields.List(fields.Nested(EntryIn), required=True, validate=Length(max=calendar_actions.MAX_ENTRIES))
    bells = fields.List(fields.Nested(BellShape), load_default=list, validate=Length(max=7))


class CalendarOut(Schema):
    """A school's calendar, with the entries for all schools. No bells: the usual hours, 08:30 to 15:30 on weekdays."""

    school_id = fields.Integer()
    time_zone = fields.String()
    entries = fields.List(fields.Nested(EntryOut))
    bells = fields.List(fields.Nested(BellShape))


class RoomIn(Schema):
    """A room or a trolley to make."""

    name = fields.String(required=True, validate=Length(1, 120))
    kind = fields.String(load_default="room", validate=OneOf([kind.value for kind in RoomKind]))


class RoomOut(RoomIn):
    """A room, with how many PCs stand in it."""

    id = fields.Integer()
    school_id = fields.Integer()
    endpoints = fields.Integer()
    ill = fields.Integer()


class RoomsOut(Schema):
    """A school's rooms by name."""

    rooms = fields.List(fields.Nested(RoomOut))


class PlaceIn(Schema):
    """Where an endpoint stands and what it is; what is left out stays."""

    room_id = fields.Integer(allow_none=True, metadata={"description": "a room of its school; null: no room"})
    endpoint_class = fields.String(
        allow_none=True, validate=OneOf([one.value for one in CLASSES]), metadata={"description": "null: as Fettle guesses"}
    )


class PlaceOut(Schema):
    """Where an endpoint stands and what it is."""

    room_id = fields.Integer(allow_none=True)
    room = fields.String()
    endpoint_class = fields.String()
    class_source = fields.String(metadata={"description": "guessed or set"})


@api.get("/schools/<int:school_id>/calendar")
@api.output(CalendarOut)
@api.doc(security="token")
def calendar(school_id: int) -> dict[str, Any]:
    """A school's calendar."""
    with store.reading() as tx:
        _school(tx, school_id)
        return _calendar(tx, school_id)


@api.put("/schools/<int:school_id>/calendar")
@api.input(CalendarIn)
@api.output(CalendarOut)
@api.doc(security="token", responses=_REFUSALS)
def put_calendar(school_id: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Put these entries and bell times in the place of the school's own."""
    person = _editor(school_id)
    entries = [NewEntry(**{**one, "kind": Kind(one["kind"])}) for one in json_data["entries"]]
    bells = [_bell(one) for one in json_data["bells"]]
    with store.writing() as tx:
        calendar_actions.replace_all(tx, person, school_id, entries, bells, now=utc_now())
        return _calendar(tx, school_id)


@api.get("/schools/<int:school_id>/calendar.ics")
@api.doc(security="token", responses={200: "text/calendar"})
def calendar_file(school_id: int) -> Response:
    """A school's calendar as an iCalendar file."""
    with store.reading() as tx:
        _school(tx, school_id)
        content = transfer.as_file(tx, auth.person(), school_id, utc_now())
    return Response(content, content_type="text/calendar; charset=utf-8")


@api.put("/schools/<int:school_id>/calendar.ics")
@api.output(CalendarOut)
@api.doc(security="token", responses=_REFUSALS)
def put_calendar_file(school_id: int) -> dict[str, Any]:
    """Take in an iCalendar file, sent as the body: its events replace those of the same UIDs."""
    person = _editor(school_id)
    with store.writing() as tx:
        found = transfer.preview(tx, person, school_id, request.get_data(), utc_now())
        entries = [entry for entry, _ in found.taken]
        calendar_actions.take_in(tx, person, school_id, entries, now=utc_now(), series=found.series, source="API")
        return _calendar(tx, school_id)


@api.get("/schools/<int:school_id>/rooms")
@api.output(RoomsOut)
@api.doc(security="token")
def rooms(school_id: int) -> dict[str, Any]:
    """A school's rooms."""
    with store.reading() as tx:
        _school(tx, school_id)
        return {"rooms": queries.rooms_of(tx, auth.person(), school_id)}


@api.post("/schools/<int:school_id>/rooms")
@api.input(RoomIn)
@api.output(RoomsOut, status_code=201)
@api.doc(security="token", responses=_REFUSALS)
def make_room(school_id: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Make a room or a trolley."""
    person = _editor(school_id)
    with store.writing() as tx:
        actions.make_room(tx, person, school_id, json_data["name"], kind=json_data["kind"], now=utc_now())
        return {"rooms": queries.rooms_of(tx, person, school_id)}


@api.put("/endpoints/<endpoint_id>/place")
@api.input(PlaceIn)
@api.output(PlaceOut)
@api.doc(security="token", responses=_REFUSALS)
def put_place(endpoint_id: str, json_data: dict[str, Any]) -> Any:
    """Set the room and the class of an endpoint."""
    person, now = auth.person(), utc_now()
    with store.writing() as tx:
        found = endpoints.endpoint(tx, person, endpoint_id)
        if found is None:
            abort(404, NO_SUCH_PC)
        auth.demand(Act.EDIT_PLACES, found.school_id)
        if "room_id" in json_data:
            actions.set_room(tx, person, endpoint_id, json_data["room_id"], now)
        if "endpoint_class" in json_data:
            actions.set_class(tx, person, endpoint_id, json_data["endpoint_class"], now)
        return endpoints.endpoint(tx, person, endpoint_id)


def _calendar(tx: Connection, school_id: int) -> dict[str, Any]:
    person = auth.person()
    return {
        "school_id": school_id,
        "time_zone": calendars.calendar_of(tx, school_id).zone.key,
        "entries": calendars.entries(tx, person, school_id),
        "bells": calendars.bells(tx, person, school_id),
    }


def _bell(said: dict[str, Any]) -> BellRow:
    return BellRow(said["weekday"], said["opens"], said["closes"], tuple(Lesson(**one) for one in said["lessons"]))


def _school(tx: Connection, school_id: int) -> None:
    if school_id not in {tile.id for tile in endpoints.schools(tx, auth.person())}:
        abort(404, NO_SUCH_SCHOOL)


def _editor(school_id: int) -> Person:
    """Who asks, where they see the school and may change it."""
    with store.reading() as tx:
        _school(tx, school_id)
    return auth.demand(Act.EDIT_PLACES, school_id)
