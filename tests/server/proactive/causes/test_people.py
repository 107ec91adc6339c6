"""What people do to incidents that triage keeps: one reopened by hand stands for itself again, and blocks nothing."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.journal.tables import Entry
from fettle_server.proactive.stages.actions import add_silence
from fettle_server.proactive.stages.views import Reach
from fettle_server.reactive import actions as people
from fettle_server.reactive.tables import Incident

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
DAY = 86_400


def act(scene, at, deed, *args):
    with scene.store.begin() as tx:
        deed(tx, SYSTEM, *args, NOW + dt.timedelta(seconds=at))


@pytest.fixture
def merged(scene):
    """A room's incident that took another one over, and the endpoint of that one."""
    pks = scene.pcs(6, scene.room("Room 1"))
    for start, fallen in ((0, pks[:1]), (400, pks[1:2]), (550, pks[2:])):
        scene.fall(fallen, start)
        scene.look_until(start, start + 100)
    number = scene.store.value(sa.select(Incident.number).where(Incident.merged_into.is_not(None)))
    return number, pks


def test_a_merged_incident_that_a_person_reopens_takes_what_its_pc_has_next(scene, merged):
    number, pks = merged
    act(scene, 800, people.reopen, number, "it is another fault")
    scene.recover(pks, 900)
    scene.fall([pks[1]], DAY)
    scene.look_until(DAY, DAY + 100)
    open_ones = scene.store.rows(sa.select(Incident.number, Incident.open_faults).where(Incident.resolved_at.is_(None)))
    assert [tuple(row) for row in open_ones] == [(number, 1)]


def test_what_came_and_went_stays_open_when_a_person_reopens_it(scene):
    (pk,) = scene.pcs(1)
    for start in range(0, 2400, 600):
        scene.fall([pk], start, "disk-full", "C:")
        scene.recover([pk], start + 300, "disk-full", "C:")
    act(scene, 2500, people.resolve, 1, "done")
    act(scene, DAY, people.reopen, 1, "it is not")
    scene.look(DAY + 10)
    assert scene.incidents()[0][2] == "new"


def test_a_batch_that_joins_a_cause_of_many_schools_tells_each_school_once(scene):
    names = [f"School {number}" for number in range(6)]
    pks = {name: scene.pcs(6, school=name) for name in names}
    scene.fall([pks[name][0] for name in names], 0, "service-stopped", "Spooler")
    scene.look_until(0, 700, step=50)
    before = scene.store.value(sa.select(sa.func.count()).select_from(Entry).where(Entry.kind == "incident.joined"))
    assert [row[0] for row in scene.incidents()] == ["service"]
    scene.fall([pk for some in pks.values() for pk in some[1:]], 800, "service-stopped", "Spooler")
    after = scene.store.value(sa.select(sa.func.count()).select_from(Entry).where(Entry.kind == "incident.joined"))
    assert after - before == len(names)
    assert scene.incidents()[0][3] == 36


def test_a_forecast_that_was_silenced_is_of_low_urgency_when_it_is_told(scene):
    (pk,) = scene.pcs(1)
    with scene.store.begin() as tx:
        add_silence(tx, SYSTEM, Reach(), until=NOW + dt.timedelta(hours=1), reason="builders", now=NOW)
    scene.fall([pk], 60, "disk-will-fill", "C:", severity="watch")
    scene.look(3600)
    assert scene.store.rows(sa.select(Incident.urgency)) == [("low",)]


def test_a_wider_incident_whose_count_is_wrong_still_ends(scene):
    pks = scene.pcs(6, scene.room("Room 1"))
    scene.fall(pks, 0)
    scene.look_until(0, 100)
    with scene.store.begin() as tx:
        tx.execute(sa.update(Incident).values(open_faults=Incident.open_faults + 1))
    scene.recover(pks, 200)
    assert scene.incidents()[0][2] == "new"
    scene.look(900)
    assert scene.incidents()[0][2:] == ("resolved", 0)
