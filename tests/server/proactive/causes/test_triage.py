"""Triage: faults that look around first become one incident where their cause is, or incidents of their own."""

from __future__ import annotations

import datetime as dt
import itertools
import threading

import sqlalchemy as sa
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.causes import actions
from fettle_server.proactive.rules import ABSENT, Raise
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import Incident, IncidentEntry, IncidentSchool

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)


def seconds(number):
    return dt.timedelta(seconds=number)


def test_thirty_silent_pcs_in_a_room_are_one_incident(stored_scene):
    scene = stored_scene
    room = scene.room("R12")
    pcs = scene.pcs(30, room)
    scene.pcs(100)
    for start in range(0, 28, 7):
        scene.fall(pcs[start : start + 7], start)
    scene.look_until(0, 60)
    assert scene.incidents() == [("room", "Room R12 has lost its network or power: 28 of 30 PCs", "new", 28)]
    assert scene.stages() == {"parent": 28}
    assert scene.told() == [("opened", 1)]


def test_a_school_off_the_network_is_one_incident(scene):
    rooms = [scene.room(name) for name in ("R1", "R2", "R3")]
    pcs = [pk for room in rooms for pk in scene.pcs(8, room)] + scene.pcs(1, None, endpoint_class="server")
    scene.absent(pcs, 0)
    scene.look_until(0, 60)
    title = "Harbour School is off the network or without power: 25 PCs in 3 rooms"
    assert scene.incidents() == [("school", title, "new", 25)]


def test_all_servers_of_a_school_are_one_incident_whoever_is_connected_from_home(scene):
    servers = scene.pcs(2, None, endpoint_class="server")
    scene.pcs(3, None, endpoint_class="staff laptop")
    scene.absent(servers, 0)
    scene.look_until(0, 100)
    assert scene.incidents() == [("school", "Harbour School is off the network or without power: 2 PCs", "new", 2)]


def test_laptops_connected_from_home_hide_no_school_that_lost_its_line_at_the_bell(scene):
    rooms = [scene.room(name) for name in ("R1", "R2", "R3")]
    lost = [pk for room in rooms for pk in scene.pcs(2, room)] + scene.pcs(2, None, endpoint_class="server")
    scene.pcs(30, None, endpoint_class="staff laptop")
    scene.absent(lost, 0)
    scene.look_until(0, 100)
    title = "Harbour School is off the network or without power: 8 PCs in 3 rooms"
    assert scene.incidents() == [("school", title, "new", 8)]


def test_one_pc_alone_is_told_by_itself_once_it_has_looked_around(scene):
    (ill, *_) = scene.pcs(10, scene.room("R1"))
    scene.fall([ill], 0)
    scene.look_until(0, 50)
    assert scene.incidents() == []
    scene.look_until(60, 70)
    assert scene.incidents() == [("endpoint", "The network is lost", "new", 1)]
    assert scene.store.value(sa.select(Endpoint.open_incidents).where(Endpoint.pk == ill)) == 1


def test_what_is_over_before_it_is_told_is_never_told(scene):
    (ill, *_) = scene.pcs(10, scene.room("R1"))
    scene.fall([ill], 0)
    scene.recover([ill], 40)
    scene.look_until(0, 120)
    assert (scene.incidents(), scene.told()) == ([], [])
    ((stage, trail),) = scene.store.rows(sa.select(Fault.stage, Fault.trail))
    assert (stage, trail[0]["to_ms"] - trail[0]["from_ms"]) == ("gathering", 40_000)


def test_a_failed_dns_server_is_one_incident_of_the_school(scene):
    rooms = [scene.room(name) for name in ("R1", "R2")]
    pcs = [pk for room in rooms for pk in scene.pcs(10, room)]
    scene.fall(pcs[:18], 0, "dns-lost")
    scene.look_until(0, 60)
    title = "Harbour School cannot resolve names (DNS): 18 of 20 PCs in 2 rooms"
    assert scene.incidents() == [("school", title, "new", 18)]


def test_two_unrelated_faults_are_two_incidents(scene):
    pcs = scene.pcs(20, scene.room("R1"))
    scene.fall(pcs[:1], 0)
    scene.fall(pcs[1:2], 5, "dns-lost")
    scene.look_until(0, 120)
    assert [row[0] for row in scene.incidents()] == ["endpoint", "endpoint"]


def test_later_faults_of_the_room_join_and_the_last_clear_resolves(scene):
    pcs = scene.pcs(10, scene.room("R1"))
    scene.fall(pcs[:8], 0)
    scene.look_until(0, 60)
    scene.fall(pcs[8:], 90)
    assert scene.incidents()[0][2:] == ("new", 10)
    scene.recover(pcs[:9], 300)
    assert scene.incidents()[0][2:] == ("new", 1)
    scene.recover(pcs[9:], 301)
    assert scene.incidents()[0][2:] == ("resolved", 0)
    assert scene.told() == [("opened", 1), ("resolved", 1)]


def test_a_room_that_is_part_of_a_lost_school_is_promoted_in_place(scene):
    rooms = [scene.room(name) for name in ("R1", "R2", "R3")]
    pcs = [scene.pcs(8, room) for room in rooms]
    scene.fall(pcs[0], 0)
    scene.look_until(0, 60)
    assert scene.incidents()[0][0] == "room"
    scene.fall(pcs[1] + pcs[2], 100)
    scene.look_until(100, 160)
    assert [(row[0], row[3]) for row in scene.incidents()] == [("school", 24)]
    assert scene.told() == [("opened", 1), ("promoted", 1)]


def test_incidents_of_single_pcs_are_taken_over_silently(stored_scene):
    scene = stored_scene
    pcs = scene.pcs(10, scene.room("R1"))
    scene.fall(pcs[:2], 0)
    scene.look_until(0, 70)
    assert [row[0] for row in scene.incidents()] == ["endpoint", "endpoint"]
    scene.fall(pcs[2:], 80)
    scene.look_until(80, 130)
    assert [(row[0], row[3]) for row in scene.incidents()] == [("room", 10)]
    assert sorted(scene.told()) == [("opened", 1), ("opened", 2), ("promoted", 1), ("resolved", 2)]
    assert scene.store.rows(sa.select(Incident.state, Incident.merged_into).where(Incident.number == 2)) == [("closed", 1)]
    assert set(scene.store.rows(sa.select(Endpoint.open_incidents))) == {(0,)}


def test_what_a_person_has_taken_in_hand_stays_theirs(scene):
    pcs = scene.pcs(10, scene.room("R1"))
    scene.fall(pcs[:1], 0)
    scene.look_until(0, 70)
    with scene.store.begin() as tx:
        entry = {"incident_number": 1, "at": NOW, "kind": "comment", "actor": "user:ada", "text": "I am on it", "detail": {}}
        tx.execute(sa.insert(IncidentEntry).values(entry))
    scene.fall(pcs[1:], 80)
    scene.look_until(80, 130)
    assert [(row[0], row[3]) for row in scene.incidents()] == [("endpoint", 1), ("room", 9)]


def test_two_rooms_lost_together_are_one_cause_that_names_them(scene):
    rooms = [scene.room(name) for name in ("R1", "R2")]
    pcs = [pk for room in rooms for pk in scene.pcs(6, room)]
    scene.pcs(100)
    scene.fall(pcs, 0)
    scene.look_until(0, 60)
    title = "Rooms R1 and R2 of Harbour School have lost their network or power: 12 of 12 PCs"
    assert scene.incidents() == [("school", title, "new", 12)]


def test_the_rest_is_split_when_most_of_a_cause_is_over(stored_scene):
    scene = stored_scene
    pcs = scene.pcs(10, scene.room("R1"))
    scene.fall(pcs, 0)
    scene.look_until(0, 60)
    scene.recover(pcs[:8], 600)
    scene.look_until(600, 1190, 60)
    assert len(scene.incidents()) == 1
    scene.look(1200)
    rows = scene.incidents()
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("room", "resolved", 0), ("endpoint", "new", 1), ("endpoint", "new", 1),
    ]  # fmt: skip
    assert scene.told() == [("opened", 1), ("resolved", 1), ("opened", 2), ("opened", 3)]


def test_a_cause_of_which_half_is_ill_is_not_split(scene):
    pcs = scene.pcs(10, scene.room("R1"))
    scene.fall(pcs, 0)
    scene.look_until(0, 60)
    scene.recover(pcs[:5], 600)
    scene.look_until(600, 1800, 60)
    assert [(row[0], row[2], row[3]) for row in scene.incidents()] == [("room", "new", 5)]


def test_a_service_that_stops_everywhere_is_one_incident_of_its_build(stored_scene):
    scene = stored_scene
    new, old = "Windows 11 24H2", "Windows 10"
    ill = []
    for school in ("Oak", "Ash", "Elm"):
        ill += scene.pcs(4, school=school, system_version=new)
        scene.pcs(40, school=school, system_version=old)
    for place, pk in enumerate(ill):
        scene.fall([pk], place * 20, "service-stopped", "Spooler")
    scene.look_until(0, 620, 20)
    title = "Service Spooler has stopped on 12 PCs of 3 schools: all run Windows 11 24H2"
    assert scene.incidents(Incident.school_id) == [("build", title, "new", 12, None)]
    assert len(scene.store.rows(sa.select(IncidentSchool))) == 3


def test_an_update_that_reaches_laptops_days_later_is_the_same_incident(scene):
    desktops = [pk for school in ("Oak", "Ash") for pk in scene.pcs(6, school=school, model="ProDesk", system_version="24H2")]
    laptops = [
        pk for school in ("Oak", "Ash", "Elm") for pk in scene.pcs(2, school=school, model="ProBook", system_version="24H2")
    ]
    for school in ("Oak", "Ash", "Elm"):
        scene.pcs(60, school=school, model="Other", system_version="22H2")
    for at, pks in ((0, desktops), (86_400, laptops[:1]), (2 * 86_400, laptops[1:])):
        scene.fall(pks, at, "service-stopped", "Spooler")
        scene.look_until(at, at + 620, 20)
    assert [(row[0], row[3]) for row in scene.incidents()] == [("model", 18)]


def test_what_a_burst_left_behind_does_not_make_the_next_one_usual(scene):
    day = 86_400
    pcs = scene.pcs(12, system_version="Windows 11 24H2")
    scene.pcs(100, system_version="Windows 10")
    for start in (0, 14 * day):
        scene.fall(pcs, start, "service-stopped", "Spooler")
        scene.look_until(start, start + 620, 20)
        with scene.store.begin() as tx:  # mended in the evening, when most are off
            tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pcs[4:])).values(connected=False))
        scene.recover(pcs[:4], start + 1000, "service-stopped", "Spooler")
        scene.look_until(start + 1000, start + 2000, 100)
        with scene.store.begin() as tx:
            values = {"connected": True, "connected_since": NOW + seconds(start + 3000)}
            tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pcs[4:])).values(values))
        scene.recover(pcs[4:], start + 3010, "service-stopped", "Spooler")
    assert [(row[0], row[2]) for row in scene.incidents()] == [("service", "resolved")] * 2


def test_a_late_told_loss_of_a_covered_room_is_no_incident(scene):
    pcs = scene.pcs(10, scene.room("R1"))
    scene.absent(pcs, 0)
    scene.look_until(0, 60)
    scene.recover(pcs, 600, ABSENT)
    scene.fall(pcs[:3], 700, since=-20)  # raised late, began long ago: its own time counts
    with scene.store.begin() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(Fault).where(Fault.stage == "gathering")) == 3
    said_ms = int((NOW + seconds(30)).timestamp() * 1000)
    said = [(pk, Raise(said_ms, "gateway-lost", "", "ill", 1.0, said_ms, [], 1, "", False)) for pk in pcs[5:8]]
    scene._judge(said, 720)
    assert scene.stages() == {"gathering": 3, "late": 3}


def test_a_storm_that_repeats_is_one_incident_that_returns(scene):
    pcs = scene.pcs(10, scene.room("R1"))
    for start in itertools.islice(itertools.count(0, 400), 4):
        scene.fall(pcs, start)
        scene.look_until(start, start + 60)
        scene.recover(pcs, start + 200)
    assert [(row[0], row[2]) for row in scene.incidents()] == [("room", "new")]  # it comes and goes
    scene.look(1400 + 2 * 3600 + 1)
    assert scene.incidents()[0][2] == "resolved"
    assert [kind for kind, _ in scene.told()] == ["opened", "resolved", "reopened", "resolved", "reopened", "resolved"]


def test_two_writers_that_clear_at_once_count_right(stored_scene):
    scene = stored_scene
    pcs = scene.pcs(12, scene.room("R1"))
    scene.fall(pcs, 0)
    scene.look_until(0, 60, 30)
    halves = [threading.Thread(target=scene.recover, args=(part, 300)) for part in (pcs[:6], pcs[6:])]
    for half in halves:
        half.start()
    for half in halves:
        half.join()
    assert scene.incidents()[0][2:] == ("resolved", 0)
    assert [kind for kind, _ in scene.told()] == ["opened", "resolved"]


def test_a_storm_is_written_in_pieces_and_is_one_incident(stored_scene, monkeypatch):
    monkeypatch.setattr(actions, "PIECE", 5)
    early, late = stored_scene.pcs(1, stored_scene.room("Room 1")), stored_scene.pcs(12, 1)
    stored_scene.fall(early, 0)
    stored_scene.look_until(0, 100, step=50)
    stored_scene.fall(late, 300)
    with stored_scene.store.begin() as tx:
        assert [len(piece.groups[0].members) for piece in actions.plan(tx, NOW + seconds(335))] == [4, 4, 5]
    stored_scene.look(335)
    stored_scene.look(370)
    assert [(scope, count) for scope, _, _, count in stored_scene.incidents()] == [("room", 13)]
    assert stored_scene.stages() == {"parent": 13}
    assert stored_scene.told() == [("opened", 1), ("promoted", 1)]
