"""Which class a machine seems to be, and which room its name speaks of."""

from __future__ import annotations

import pytest
from fettle_protocol.policy import EndpointClass
from fettle_server.estate.rooms.rules import Named, RoomError, check_name, guess_class, place_in, proposals
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, EndpointClass.FIXED),
        ({"chassis": "laptop"}, EndpointClass.STAFF_LAPTOP),
        ({"has_battery": True}, EndpointClass.STAFF_LAPTOP),
        ({"has_battery": True, "chassis": "desktop"}, EndpointClass.FIXED),
        ({"chassis": "laptop", "room_kind": "trolley"}, EndpointClass.TROLLEY),
        ({"system_version": "Windows Server 2022 Standard"}, EndpointClass.SERVER),
        ({"model": "Dell Inc. PowerEdge T150", "room_kind": "trolley"}, EndpointClass.SERVER),
        ({"chassis": "server"}, EndpointClass.SERVER),
        ({"system_version": "Windows 11 Education", "model": "HP ProDesk"}, EndpointClass.FIXED),
    ],
)
def test_a_machine_seems_to_be_what_it_is_made_as(told, expected):
    plain = {"system_version": "", "model": "", "chassis": "", "has_battery": False}
    assert guess_class(**(plain | told)) is expected


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("R12-PC03", "R12"),
        ("r12-pc-3", "R12"),
        ("LIB-07", "LIB"),
        ("ICT1_WS14", "ICT1"),
        ("ROOM 4 PC 2", "ROOM 4"),
        ("SCIENCE-LAB-12", "SCIENCE-LAB"),
        ("HEAD-LAPTOP", ""),
        ("PC-04012", ""),
        ("DESKTOP-4F7QK2A", ""),
        ("", ""),
    ],
)
def test_the_place_is_what_stands_before_the_number(name, place):
    assert place_in(name) == place


def named(*names: str) -> list[Named]:
    return [Named(f"{number:032x}", name) for number, name in enumerate(names)]


def test_pcs_of_one_prefix_are_proposed_as_a_room():
    found = proposals(named("R12-PC01", "R12-PC02", "r12-pc03", "LIB-01", "LIB-02"), [])
    assert [(one.prefix, one.room, one.room_id, len(one.endpoints)) for one in found] == [("R12", "Room 12", None, 3)]


def test_a_room_that_is_there_is_found_however_it_is_spelt():
    found = proposals(named("R12-PC01", "LIB-01"), [(5, "room 012"), (6, "Lib")])
    assert {(one.room, one.room_id) for one in found} == {("room 012", 5), ("Lib", 6)}


@given(st.lists(st.text(max_size=40), max_size=30))
def test_no_pc_is_proposed_twice_whatever_it_is_called(names):
    found = proposals(named(*names), [(1, "R1")])
    ids = [endpoint.id for one in found for endpoint in one.endpoints]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 121, "a\u202eb"])
def test_a_room_without_a_name_that_can_be_seen_is_refused(name):
    with pytest.raises(RoomError):
        check_name(name)
