"""When a wider cause is over: who is heard decides, and who is not is waited for."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.causes.ending import is_over
from fettle_server.proactive.causes.rules import Case, calm_moments

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)


def seconds(number):
    return dt.timedelta(seconds=number)


def connect(scene, pks, at, *, connected=True):
    with scene.store.begin() as tx:
        values = {"connected": connected, "connected_since": NOW + seconds(at), "last_seen": NOW + seconds(at)}
        tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pks)).values(values))


@pytest.mark.parametrize(("recovered", "ill", "over"), [(1, 0, False), (2, 0, True), (7, 3, True), (6, 4, False)])
def test_enough_of_those_that_can_be_heard_must_be_well(recovered, ill, over):
    assert is_over(recovered, ill) is over


def test_pcs_that_were_switched_off_meanwhile_are_waited_for_and_not_told(stored_scene):
    scene = stored_scene
    pcs = scene.pcs(10, scene.room("R1"))
    scene.fall(pcs, 0)
    scene.look_until(0, 60)
    connect(scene, pcs[7:], 300, connected=False)
    scene.recover(pcs[:7], 600)
    scene.look_until(1190, 5000, 300)
    assert [(row[0], row[2], row[3]) for row in scene.incidents()] == [("room", "resolved", 0)]
    assert scene.stages() == {"late": 3}
    assert scene.told() == [("opened", 1), ("resolved", 1)]


def test_one_that_comes_back_ill_is_told_once_it_was_heard_for_minutes(scene):
    pcs = scene.pcs(10, scene.room("R1"))
    scene.fall(pcs, 0)
    scene.look_until(0, 60)
    connect(scene, pcs[9:], 300, connected=False)
    scene.recover(pcs[:9], 600)
    scene.look_until(1190, 1300)
    connect(scene, pcs[9:], 4000)
    scene.recover(pcs[:1], 4010)
    scene.look_until(4020, 4290, 30)
    assert len(scene.incidents()) == 1
    scene.look_until(4300, 8000, 300)
    assert [row[0] for row in scene.incidents()] == ["room", "endpoint"]


def test_a_room_of_which_nobody_is_back_is_still_lost(scene):
    rooms = [scene.room(name) for name in ("R1", "R2", "R3", "R4")]
    pcs = [scene.pcs(6, room) for room in rooms]
    scene.absent([pk for some in pcs for pk in some], 0)
    scene.look_until(0, 60)
    scene.recover(pcs[0] + pcs[1] + pcs[2], 600, "absent")
    scene.look_until(600, 1400, 20)
    assert [(row[0], row[2], row[3]) for row in scene.incidents()] == [("school", "resolved", 0), ("room", "new", 6)]


@pytest.mark.parametrize(("began_s", "until_s"), [(0, 7200), (20_700, 22_500)], ids=["lessons later", "as the school closes"])
def test_a_room_that_was_left_during_a_cut_is_not_lost(scene, began_s, until_s):
    rooms = [scene.room(name) for name in ("R1", "R2", "R3", "R4")]
    pcs = [scene.pcs(6, room) for room in rooms]
    scene.absent([pk for some in pcs for pk in some], began_s)
    scene.look_until(began_s, began_s + 60)
    scene.recover(pcs[0] + pcs[1] + pcs[2], until_s, "absent")
    scene.look_until(until_s, until_s + 800, 20)
    assert [(row[0], row[2]) for row in scene.incidents()] == [("school", "resolved")]


def test_a_trolley_that_was_closed_with_a_fault_is_not_lost(scene):
    rooms = [scene.room(name) for name in ("R1", "R2", "R3")]
    first, second, trolley = (scene.pcs(6, room) for room in rooms)
    scene.fall(first + second + trolley, 0, "dns-lost")
    scene.look_until(0, 60)
    connect(scene, trolley, 300, connected=False)
    with scene.store.begin() as tx:
        tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(trolley)).values(leave="sleeping"))
    scene.recover(first + second, 600, "dns-lost")
    scene.look_until(600, 1400, 20)
    assert [(row[0], row[2]) for row in scene.incidents()] == [("school", "resolved")]


def test_what_began_while_a_pc_could_not_be_heard_waits_for_its_end(scene):
    (pc, *_) = pcs = scene.pcs(10, scene.room("R1"))
    connect(scene, pcs, 100)
    scene.fall(pcs[:8], 50)
    assert scene.stages() == {"late": 8}
    scene.recover(pcs[:7], 130)
    scene.look_until(100, 390, 30)
    assert scene.incidents() == []
    scene.look_until(400, 700, 30)
    assert [row[0] for row in scene.incidents()] == ["endpoint"]
    assert scene.store.value(sa.select(Endpoint.open_incidents).where(Endpoint.pk == pc)) == 0


def test_a_night_is_no_recovery_of_what_comes_and_goes(scene):
    (pc, *_) = scene.pcs(2)
    for at in (0, 600, 1200):
        scene.fall([pc], at, "disk-full")
        scene.recover([pc], at + 300, "disk-full")
    connect(scene, [pc], 1600, connected=False)
    scene.look_until(1600, 40_000, 900)
    assert [row[2] for row in scene.incidents()] == ["new"]
    connect(scene, [pc], 40_000)
    scene.look_until(40_000, 60_000, 900)
    assert [row[2] for row in scene.incidents()] == ["resolved"]


def test_a_long_storm_is_looked_at_while_it_lasts_and_after():
    def case(at):
        return Case(at, at, 1, 1, NOW, NOW + seconds(at))

    moments = [(moment - NOW).total_seconds() for moment in calm_moments([case(at) for at in (*range(0, 260, 20), 400)])]
    assert moments == [120, 240, 270, 430]
