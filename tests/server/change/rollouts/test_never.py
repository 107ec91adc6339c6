"""What must never happen, on the real store, whatever PCs, people and the clock do in whatever order."""

from __future__ import annotations

import shutil

import pytest
import sqlalchemy as sa
from fettle_server import db
from fettle_server.change.jobs.rules import JobState, Told
from fettle_server.change.jobs.tables import Job
from fettle_server.change.rollouts import actions, settings
from fettle_server.change.rollouts.plans import Gate, RolloutError
from fettle_server.change.rollouts.rules import RingState
from fettle_server.change.rollouts.tables import Freeze, RolloutRing, RolloutTarget
from fettle_server.estate.people.rules import SYSTEM
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.server.change.rollouts.conftest import HOUR, MINUTE, Scene, two_rings
from tests.server.conftest import Store

REBOOT = {"kind": "reboot"}
PCS = 5
BEGUN = (JobState.RUNNING.value, JobState.DONE.value, JobState.FAILED.value)
which = st.sampled_from((0, 0, 0, 1, 2))  # 0 is the bench: most that matters happens there
deeds = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.sampled_from((1, 15, 40))),
        st.tuples(st.sampled_from(("begin", "done", "fail", "ill", "off", "on", "repeat")), which),
        st.tuples(st.sampled_from(("freeze", "thaw", "pause", "resume")), st.integers(1, 3)),
    ),
    min_size=4,
    max_size=16,
)


class World:
    """Five PCs that obey as agents do: one job each, begun in its window only and never twice; and who watches them."""

    def __init__(self, scene):
        self.scene = scene
        self.pks = scene.pcs(PCS)
        scene.rollout(two_rings(gate=Gate(unwell_percent=0, seen_s=0, seen_percent=0)), steps=(REBOOT,))
        bench = scene.in_ring(0)
        self.pks = bench + [pk for pk in self.pks if pk not in bench]
        self.begun = {}
        self.unwell = set()
        self.resumed = 0
        scene.tick()

    def do(self, deed, number):
        getattr(self, deed)(number)
        self.check()

    def tick(self, minutes):
        self.scene.tick(minutes * MINUTE)

    def begin(self, place):
        job = self._job(place)
        if job is None or job.state != "released" or place in self.begun or not job.start_at <= self.scene.now < job.until_at:
            return
        assert not self._frozen(), "a job may begin in a freeze"
        self.begun[place] = job.id
        self.scene.report([self.pks[place]], Told.RECEIVED, Told.STARTED)

    def done(self, place):
        self.begin(place)
        if place in self.begun:
            self.scene.report([self.pks[place]], Told.DONE)

    def fail(self, place):
        self.begin(place)
        job = self._job(place)
        if place in self.begun and job is not None and job.state == "running":
            self.scene.report([self.pks[place]], Told.FAILED, why="it broke")
            self.unwell.add(place)

    def ill(self, place):
        open_there = self.scene.store.rows(sa.text(f"SELECT 1 FROM faults WHERE endpoint_pk = {self.pks[place]}"))
        if not open_there:
            self.scene.fall_ill([self.pks[place]])

    def off(self, place):
        self.scene.set([self.pks[place]], connected=False, last_seen=self.scene.now)

    def on(self, place):
        self.scene.set([self.pks[place]], connected=True, connected_since=self.scene.now)

    def freeze(self, hours):
        with self.scene.store.begin() as tx:
            settings.freeze(tx, SYSTEM, "Exams", self.scene.now, self.scene.now + hours * HOUR, self.scene.now)
        self.scene.tick()

    def thaw(self, _):
        now = self.scene.now
        with self.scene.store.begin() as tx:
            tx.execute(sa.update(Freeze).where(Freeze.ends_at > now, Freeze.ended_at.is_(None)).values(ended_at=now))

    def pause(self, _):
        self._try(actions.pause, "a look")

    def resume(self, _):
        if self._try(actions.resume, "it was looked at"):
            self.resumed += 1

    def repeat(self, place):
        """What an agent says twice, after a cut line, changes nothing."""
        job = self._job(place)
        if job is not None and job.state in ("done", "failed"):
            self.scene.report([self.pks[place]], Told.RECEIVED, Told.STARTED)
            assert self._job(place).state == job.state

    def check(self):
        rows = self.scene.store.rows(sa.select(Job.endpoint_pk, sa.func.count()).group_by(Job.endpoint_pk))
        assert all(row[1] == 1 for row in rows), "a PC has two jobs"
        assert len(set(self.begun.values())) == len(self.begun)
        passed = {
            row.number
            for row in self.scene.store.rows(sa.select(RolloutRing.number, RolloutRing.state))
            if row.state == RingState.PASSED
        }
        if 0 not in passed:
            later = sa.select(RolloutTarget.endpoint_pk).where(RolloutTarget.ring == 1, RolloutTarget.job_id.is_not(None))
            assert self.scene.store.rows(later) == [], "a ring began before the one before it had passed"
        if 0 in passed and not self.resumed:
            assert 0 not in self.unwell, "a ring passed its gate with a failure"

    def _try(self, what, why):
        try:
            self.scene.act(what, why)
        except RolloutError:
            return False
        return True

    def _job(self, place):
        found = self.scene.store.rows(sa.select(Job.__table__).where(Job.endpoint_pk == self.pks[place]))
        return found[0] if found else None

    def _frozen(self):
        now = self.scene.now
        on = sa.select(Freeze.id).where(Freeze.starts_at <= now, Freeze.ends_at > now, Freeze.ended_at.is_(None))
        return bool(self.scene.store.rows(on))


@pytest.fixture
def new_store(sqlite_template, tmp_path):
    """A maker of fresh stores: each course of events has its own."""
    made = iter(range(10_000))

    def make():
        path = tmp_path / f"{next(made)}.db"
        shutil.copyfile(sqlite_template, path)
        url = f"sqlite:///{path}"
        return Store(url, db.open_engine(url))

    return make


@hypothesis_settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(course=deeds)
@example(course=[("fail", 0), ("tick", 15), ("tick", 15), ("resume", 1), ("tick", 15)])
@example(course=[("fail", 0), ("pause", 1), ("tick", 40), ("tick", 40)])
@example(course=[("freeze", 2), ("begin", 0), ("tick", 40), ("begin", 0)])
@example(course=[("done", 0), ("tick", 15), ("tick", 15), ("freeze", 1), ("begin", 1), ("repeat", 0), ("thaw", 1), ("fail", 1)])
def test_no_ring_passes_a_failed_gate_no_job_runs_twice_and_nothing_begins_in_a_freeze(new_store, course):
    store = new_store()
    world = World(Scene(store))
    try:
        for deed, number in course:
            world.do(deed, number)
    finally:
        store.engine.dispose()


def test_a_look_that_dies_in_the_middle_loses_and_repeats_nothing(scene):
    scene.pcs(6)
    scene.rollout()

    class Died(Exception):
        """The server was killed."""

    def dies():
        with scene.store.begin() as tx:
            actions.tick(tx, scene.id, scene.now)
            raise Died

    for _ in range(3):
        with pytest.raises(Died):
            dies()
    assert scene.store.rows(sa.select(Job.id)) == []
    scene.tick()
    assert scene.jobs("released") == scene.in_ring(0)
    scene.take(scene.in_ring(0))
    with pytest.raises(Died):
        dies()
    scene.tick(MINUTE)
    scene.tick(11 * MINUTE)
    assert len(scene.jobs("released")) == 5
