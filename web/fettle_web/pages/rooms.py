"""A school's rooms with the PCs and classes in each, what PCs' names propose, and a PC's own place."""

from __future__ import annotations

from collections import defaultdict

from fettle_protocol.policy import CLASSES
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.views import SchoolTile
from fettle_server.estate.people.rules import Act, Person
from fettle_server.estate.rooms import actions, queries
from fettle_server.estate.rooms.queries import Placed
from fettle_server.estate.rooms.rules import RoomError, RoomKind
from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store

NOWHERE = "none"
GUESS = "guess"
blueprint = Blueprint("rooms", __name__)


@blueprint.get("/schools/<int:school_id>/rooms")
def show(school_id: int) -> ResponseReturnValue:
    """The rooms' page."""
    return _page(school_id)


@blueprint.post("/schools/<int:school_id>/rooms")
def make(school_id: int) -> ResponseReturnValue:
    """Make a room or a trolley."""
    person, form = _editor(school_id), request.form
    try:
        with store.writing() as tx:
            actions.make_room(tx, person, school_id, form.get("name", ""), kind=form.get("kind", ""), now=utc_now())
    except RoomError as error:
        return _page(school_id, error=str(error), status=400)
    return _done(school_id, "Made.")


@blueprint.post("/schools/<int:school_id>/rooms/<int:room_id>")
def change(school_id: int, room_id: int) -> ResponseReturnValue:
    """Call a room by another name, or say that it is a trolley."""
    person, form = _room_editor(school_id, room_id), request.form
    try:
        with store.writing() as tx:
            actions.change_room(tx, person, room_id, form.get("name", ""), form.get("kind", ""), now=utc_now())
    except RoomError as error:
        return _page(school_id, error=str(error), status=400)
    return _done(school_id, "Kept.")


@blueprint.post("/schools/<int:school_id>/rooms/<int:room_id>/remove")
def remove(school_id: int, room_id: int) -> ResponseReturnValue:
    """Remove a room; its PCs are in none then."""
    person = _room_editor(school_id, room_id)
    try:
        with store.writing() as tx:
            actions.remove_room(tx, person, room_id, utc_now())
    except RoomError as error:
        return _page(school_id, error=str(error), status=400)
    return _done(school_id, "Removed. Its PCs are in no room now.")


@blueprint.post("/schools/<int:school_id>/rooms/pcs")
def place(school_id: int) -> ResponseReturnValue:
    """Put the ticked PCs into a room, or set their class."""
    person, chosen = _editor(school_id), request.form.getlist("pc")
    if not chosen:
        return _page(school_id, error="Tick some PCs first.", status=400)
    try:
        with store.writing() as tx:
            count = _put(tx, person, chosen)
    except RoomError as error:
        return _page(school_id, error=str(error), status=400)
    return _done(school_id, f"{count} {'PC' if count == 1 else 'PCs'} changed.")


@blueprint.post("/schools/<int:school_id>/rooms/proposals")
def accept(school_id: int) -> ResponseReturnValue:
    """Put the PCs whose names begin alike into the room that was proposed, made if there is none."""
    person, prefix = _editor(school_id), request.form.get("prefix", "")
    now = utc_now()
    try:
        with store.writing() as tx:
            found = next((one for one in queries.room_proposals(tx, person, school_id) if one.prefix == prefix), None)
            if found is None:
                raise RoomError("These PCs are in a room already: look again.")
            room_id = found.room_id or actions.make_room(tx, person, school_id, found.room, now=now)
            actions.set_rooms(tx, person, [one.id for one in found.endpoints], room_id, now)
    except RoomError as error:
        return _page(school_id, error=str(error), status=400)
    return _done(school_id, f"{len(found.endpoints)} PCs are in {found.room} now.")


@blueprint.post("/pcs/<endpoint_id>/place")
def place_one(endpoint_id: str) -> ResponseReturnValue:
    """Set the room and the class of one PC."""
    person = auth.person()
    with store.reading() as tx:
        detail = endpoints.endpoint(tx, person, endpoint_id)
    if detail is None:
        abort(404)
    auth.demand(Act.EDIT_PLACES, detail.school_id)
    try:
        with store.writing() as tx:
            _put(tx, person, [endpoint_id])
    except RoomError:
        abort(400)
    return redirect(url_for("pages.pc", endpoint_id=endpoint_id), 303)


def _put(tx: Connection, person: Person, chosen: list[str]) -> int:
    """Do what the form says about room and class; an empty field leaves things as they are."""
    room, klass, now = request.form.get("room", ""), request.form.get("class", ""), utc_now()
    count = 0
    if room:
        if room != NOWHERE and not room.isdigit():
            raise RoomError("There is no such room.")
        count = actions.set_rooms(tx, person, chosen, None if room == NOWHERE else int(room), now)
    if klass:
        count = max(count, actions.set_classes(tx, person, chosen, None if klass == GUESS else klass, now))
    return count


def _done(school_id: int, text: str) -> ResponseReturnValue:
    flash(text)
    return redirect(url_for(".show", school_id=school_id), 303)


def _page(school_id: int, error: str = "", status: int = 200) -> ResponseReturnValue:
    person = auth.person()
    with store.reading() as tx:
        school = _school(tx, school_id)
        inside: dict[int | None, list[Placed]] = defaultdict(list)
        for one in queries.placed(tx, person, school_id):
            inside[one.room_id].append(one)
        page = render_template(
            "pages/rooms.html",
            nav="rooms",
            school=school,
            rooms=queries.rooms_of(tx, person, school_id),
            inside=inside,
            proposals=queries.room_proposals(tx, person, school_id),
            classes=CLASSES,
            kinds=tuple(RoomKind),
            error=error,
        )
    return make_response(page, status)


def _school(tx: Connection, school_id: int) -> SchoolTile:
    found = next((tile for tile in endpoints.schools(tx, auth.person()) if tile.id == school_id), None)
    if found is None:
        abort(404)
    return found


def _editor(school_id: int) -> Person:
    """Who asks, where they see the school and may change it."""
    with store.reading() as tx:
        _school(tx, school_id)
    return auth.demand(Act.EDIT_PLACES, school_id)


def _room_editor(school_id: int, room_id: int) -> Person:
    """The same, where the room is one of the school's."""
    person = _editor(school_id)
    with store.reading() as tx:
        if room_id not in {room.id for room in queries.rooms_of(tx, person, school_id)}:
            abort(404)
    return person
