"""Rooms and classes in the store: who stands where, and that what a person set is never guessed away."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import zlib

import pytest
import sqlalchemy as sa
from fettle_server.db import to_ms
from fettle_server.estate.calendars import actions as calendars
from fettle_server.estate.calendars.rules import Kind
from fettle_server.estate.calendars.views import NewEntry
from fettle_server.estate.endpoints.facts import Stocktake
from fettle_server.estate.endpoints.reports import take_stock
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role
from fettle_server.estate.rooms import actions, queries
from fettle_server.estate.rooms.rules import RoomError
from fettle_server.estate.tables import Endpoint
from fettle_server.journal.tables import Entry

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)


def hardware(**content) -> Stocktake:
    plain = json.dumps(content).encode()
    return Stocktake(
        to_ms(NOW), "hardware", hashlib.sha256(plain).hexdigest(), zlib.compress(plain), content.get("model", ""), ""
    )


def klass(store, pk: int) -> tuple[str, str]:
    columns = (Endpoint.endpoint_class, Endpoint.class_source)
    return tuple(store.rows(sa.select(*columns).where(Endpoint.pk == pk))[0])


def id_of(store, pk: int) -> str:
    return store.value(sa.select(Endpoint.id).where(Endpoint.pk == pk))


def test_hardware_that_arrives_says_the_class(store):
    pk = store.endpoint()
    with store.begin() as tx:
        take_stock(tx, [(pk, hardware(chassis="laptop"))], NOW)
    assert klass(store, pk) == ("staff laptop", "guessed")
    assert store.value(sa.select(Endpoint.classed_at).where(Endpoint.pk == pk)) == NOW
    assert store.value(sa.select(Entry.actor).where(Entry.kind == "endpoint.class")) == "system"


def test_a_class_that_a_person_set_outlives_new_hardware_and_rooms(store):
    pk = store.endpoint()
    with store.begin() as tx:
        actions.set_class(tx, SYSTEM, id_of_tx(tx, pk), "loan", NOW)
        take_stock(tx, [(pk, hardware(chassis="server"))], NOW)
        trolley = actions.make_room(tx, SYSTEM, 1, "Trolley A", kind="trolley", now=NOW)
        actions.set_room(tx, SYSTEM, id_of_tx(tx, pk), trolley, NOW)
    assert klass(store, pk) == ("loan", "set")


def id_of_tx(tx, pk: int) -> str:
    return tx.scalar(sa.select(Endpoint.id).where(Endpoint.pk == pk))


def test_letting_fettle_guess_again_forgets_what_was_set(store):
    pk = store.endpoint(system_version="Windows Server 2022")
    with store.begin() as tx:
        actions.set_class(tx, SYSTEM, id_of_tx(tx, pk), "loan", NOW)
        actions.set_class(tx, SYSTEM, id_of_tx(tx, pk), None, NOW)
    assert klass(store, pk) == ("server", "guessed")


def test_the_pcs_of_a_trolley_are_trolley_pcs_until_it_is_a_room(store):
    pks = [store.endpoint() for _ in range(3)]
    with store.begin() as tx:
        room = actions.make_room(tx, SYSTEM, 1, "Blue", kind="trolley", now=NOW)
        assert actions.set_rooms(tx, SYSTEM, [id_of_tx(tx, pk) for pk in pks], room, NOW) == 3
    assert {klass(store, pk)[0] for pk in pks} == {"trolley"}
    with store.begin() as tx:
        actions.change_room(tx, SYSTEM, room, "Blue room", "room", now=NOW)
    assert {klass(store, pk)[0] for pk in pks} == {"fixed suite"}


def test_a_removed_room_leaves_its_pcs_in_none(store):
    pk = store.endpoint()
    with store.begin() as tx:
        room = actions.make_room(tx, SYSTEM, 1, "Blue", now=NOW)
        actions.set_room(tx, SYSTEM, id_of_tx(tx, pk), room, NOW)
        assert [(row.name, row.endpoints) for row in queries.rooms_of(tx, SYSTEM, 1)] == [("Blue", 1)]
        actions.remove_room(tx, SYSTEM, room, NOW)
        assert queries.rooms_of(tx, SYSTEM, 1) == ()
    assert store.value(sa.select(Endpoint.room_id).where(Endpoint.pk == pk)) is None


def test_a_room_with_exams_is_not_removed(store):
    school = store.school()
    with store.begin() as tx:
        room = actions.make_room(tx, SYSTEM, school, "Hall", now=NOW)
        exam = NewEntry(Kind.EXAM, "GCSE", NOW.date(), NOW.date(), room_id=room)
        calendars.add_entry(tx, SYSTEM, school, exam, NOW)
        with pytest.raises(RoomError, match="exams"):
            actions.remove_room(tx, SYSTEM, room, NOW)


def test_a_pc_stands_in_a_room_of_its_own_school(store):
    pk, other = store.endpoint(school="One"), store.school("Two")
    with store.begin() as tx:
        room = actions.make_room(tx, SYSTEM, other, "Blue", now=NOW)
        with pytest.raises(RoomError, match="another school"):
            actions.set_room(tx, SYSTEM, id_of_tx(tx, pk), room, NOW)


def test_names_of_rooms_are_taken_once_in_each_school(store):
    one, two = store.school("One"), store.school("Two")
    with store.begin() as tx:
        actions.make_room(tx, SYSTEM, one, "Blue", now=NOW)
        actions.make_room(tx, SYSTEM, two, "Blue", now=NOW)
        with pytest.raises(RoomError, match="already"):
            actions.make_room(tx, SYSTEM, one, "BLUE", now=NOW)


def test_viewers_and_other_schools_people_change_nothing(store):
    pk = store.endpoint(school="One")
    vera = Person(7, "vera", Role.VIEWER, None)
    otto = Person(8, "otto", Role.TECHNICIAN, frozenset({store.school("Two")}))
    with store.begin() as tx:
        with pytest.raises(Forbidden):
            actions.set_class(tx, vera, id_of_tx(tx, pk), "loan", NOW)
        with pytest.raises(RoomError, match="no PC"):
            actions.set_class(tx, otto, id_of_tx(tx, pk), "loan", NOW)
        with pytest.raises(RoomError, match="no such school"):
            actions.make_room(tx, otto, 1, "Blue", now=NOW)
        assert queries.placed(tx, otto, 1) == queries.rooms_of(tx, otto, 1) == ()


def test_proposals_leave_out_what_stands_in_a_room_already(store):
    pks = [store.endpoint(f"R12-PC0{n}") for n in range(4)]
    with store.begin() as tx:
        room = actions.make_room(tx, SYSTEM, 1, "Room 12", now=NOW)
        actions.set_room(tx, SYSTEM, id_of_tx(tx, pks[0]), room, NOW)
        found = queries.room_proposals(tx, SYSTEM, 1)
    assert [(one.room_id, len(one.endpoints)) for one in found] == [(room, 3)]
