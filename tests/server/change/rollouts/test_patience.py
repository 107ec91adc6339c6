"""How long a rollout waits for its PCs: time in which they could not be asked is never silence; and those that left."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server.change.jobs import actions as jobs
from fettle_server.change.jobs.rules import Report, Told
from fettle_server.change.jobs.tables import Job
from fettle_server.change.rollouts import actions, settings, stopping, ticking
from fettle_server.change.rollouts.windows import Frozen, end_of_patience
from fettle_server.change.tables import ChangeEntry
from fettle_server.estate.calendars import actions as calendars
from fettle_server.estate.calendars.rules import Kind
from fettle_server.estate.calendars.views import NewEntry
from fettle_server.estate.people.rules import SYSTEM

from tests.server.change.rollouts.conftest import DAY, EVENING, HOUR, MINUTE, two_rings


@pytest.mark.parametrize("deed", [actions.pause, actions.halt])
def test_who_could_not_be_asked_before_the_deadline_has_all_the_time_again(scene, deed):
    scene.pcs(4, connected=False)
    scene.rollout()
    scene.tick()
    scene.act(deed, "the line is down")
    scene.tick(HOUR, 3)
    scene.act(actions.resume, "it is mended")
    scene.tick(HOUR)
    assert scene.state()[0] == "running"
    assert set(scene.targets().values()) == {"waiting"}
    scene.tick(HOUR)
    scene.tick(MINUTE)
    assert "1 of 1 said nothing until the deadline" in scene.why


def _freeze(tx, scene, starts):
    settings.freeze(tx, SYSTEM, "Mocks", starts, starts + DAY, scene.now, school_id=scene.school)


def _examine(tx, scene, starts):
    calendars.add_entry(tx, SYSTEM, scene.school, NewEntry(Kind.EXAM, "Mocks", starts.date(), starts.date()), scene.now)


@pytest.mark.parametrize("shut", [_freeze, _examine])
def test_a_freeze_or_an_exam_in_the_middle_of_a_ring_makes_nobody_silent(scene, shut):
    scene.pcs(2, connected=False)
    scene.rollout(two_rings(deadline_s=10 * 3600))
    scene.tick()
    with scene.store.begin() as tx:
        shut(tx, scene, EVENING + 7 * HOUR)
    scene.tick(6 * HOUR, 5)
    assert scene.state() == ("running", 0)
    assert scene.targets()[scene.in_ring(0)[0]] == "waiting"
    scene.tick(5 * HOUR)
    assert scene.state() == ("halted", 0)


def test_freezes_that_overlap_count_once():
    freezes = [
        Frozen(None, None, "", EVENING + HOUR * first, EVENING + HOUR * last) for first, last in ((1, 3), (2, 4), (9, 12))
    ]
    assert end_of_patience(freezes, EVENING, 2 * HOUR) == EVENING + 5 * HOUR
    assert end_of_patience(freezes, EVENING, 7 * HOUR) == EVENING + 13 * HOUR
    assert end_of_patience(freezes, EVENING + dt.timedelta(hours=2), HOUR) == EVENING + 5 * HOUR


def test_a_pc_that_was_silent_and_left_the_estate_is_waited_for_no_more(scene):
    scene.pcs(4, connected=False)
    scene.rollout()
    scene.tick()
    scene.tick(HOUR, 3)
    bench = scene.in_ring(0)
    scene.set(bench, revoked_at=scene.now)
    scene.act(actions.resume, "that PC was scrapped")
    scene.tick(MINUTE)
    assert scene.targets()[bench[0]] == "gone"
    assert scene.jobs("cancelled") == bench
    assert scene.state() == ("running", 1)


def test_a_try_that_was_taken_back_and_failed_is_followed_by_another(scene):
    scene.pcs(4)
    scene.rollout()
    scene.tick()
    bench = scene.in_ring(0)
    former = scene.store.value(sa.select(Job.uid).where(Job.endpoint_pk.in_(bench)))
    scene.act(actions.halt, "the phones ring")
    scene.act(actions.resume, "they stopped")

    def say(told):
        with scene.store.begin() as tx:
            jobs.report(tx, [(bench[0], scene.now, Report(former, told))], scene.now)
        scene.tick(MINUTE)
        return scene.targets()[bench[0]]

    assert [say(Told.STARTED), say(Told.FAILED)] == ["running", "waiting"]
    assert scene.state()[0] == "running"
    assert scene.jobs("released") == bench
    scene.take(bench)
    scene.tick(MINUTE)
    assert scene.targets()[bench[0]] == "changed"


@pytest.mark.parametrize("deed", [actions.pause, actions.halt, actions.cancel])
def test_many_jobs_are_taken_back_by_the_looks_that_follow(stored_scene, monkeypatch, deed):
    scene = stored_scene
    monkeypatch.setattr(stopping, "PIECE", 2)
    scene.pcs(6)
    scene.rollout(two_rings(rings=two_rings().rings[1:]))
    scene.tick()
    scene.act(deed, "the phones ring")
    assert len(scene.jobs("released")) == 4
    with scene.store.begin() as tx:
        assert ticking.live(tx, scene.now) == [scene.id]
    scene.tick()
    assert len(scene.jobs("cancelled")) == 6
    assert set(scene.targets().values()) == {"withdrawn"}
    taken = sa.select(ChangeEntry.detail).where(ChangeEntry.kind.startswith("rollout")).order_by(ChangeEntry.id.desc())
    assert deed is actions.pause or scene.store.rows(taken)[0].detail["taken_back"] == 6


def test_what_a_person_took_from_one_pc_comes_back_by_no_resume(scene):
    scene.pcs(3)
    scene.rollout(two_rings(rings=two_rings().rings[1:]))
    scene.tick()
    chosen = scene.in_ring(0)[0]
    with scene.store.begin() as tx:
        uid = tx.scalar(sa.select(Job.uid).where(Job.endpoint_pk == chosen))
        jobs.cancel_by_hand(tx, SYSTEM, uid, "an interview is held at it", scene.now)
    scene.tick()
    scene.act(actions.pause, "lunch")
    scene.act(actions.resume, "")
    scene.tick(MINUTE)
    assert scene.targets()[chosen] == "withdrawn"
    assert len(scene.jobs("released")) == 2


def test_a_pc_that_began_as_its_job_was_taken_back_is_undone_too(scene):
    scene.pcs(3)
    scene.rollout(two_rings(rings=two_rings().rings[1:]))
    scene.tick()
    first, late, _ = scene.in_ring(0)
    scene.take([first])
    scene.tick()
    undone = scene.id
    scene.id = scene.act(actions.back_out, "it hurt")
    former = scene.store.value(sa.select(Job.uid).where(Job.endpoint_pk == late))
    with scene.store.begin() as tx:
        jobs.report(tx, [(late, scene.now, Report(former, Told.STARTED))], scene.now)
    scene.tick(rollout_id=undone)
    scene.tick(MINUTE)
    assert scene.targets() == {first: "waiting", late: "waiting"}


def test_what_was_backed_out_and_cancelled_is_backed_out_again(scene):
    scene.pcs(1)
    scene.rollout(two_rings(rings=two_rings().rings[1:]))
    scene.tick()
    pks = scene.in_ring(0)
    scene.take(pks)
    scene.tick(MINUTE)
    undone = scene.id
    scene.id = scene.act(actions.back_out, "it hurt")
    scene.tick()
    scene.act(actions.cancel, "not tonight")
    scene.id = undone
    scene.id = scene.act(actions.back_out, "it hurts still")
    scene.tick(MINUTE)
    assert scene.targets() == {pks[0]: "waiting"}
    released = sa.select(Job.rollout_id).where(Job.state == "released")
    assert scene.store.rows(released) == [(scene.id,)]
