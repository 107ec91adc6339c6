"""What the worker does for rollouts: its look at those under way, and at those that nobody started in time."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from fettle_server import db
from fettle_server.change.rollouts import handing
from fettle_server.change.rollouts.tables import Rollout
from fettle_server.config import Settings
from fettle_server.worker import rollouts, signed_work
from fettle_server.worker.jobs import Work

from tests.server.change.rollouts.conftest import DAY, two_rings


@pytest.fixture
def work(stored_scene, tmp_path):
    reading = db.open_engine(stored_scene.store.url, readonly=True)
    yield Work(Settings(data=tmp_path), stored_scene.store.engine, reading)
    reading.dispose()


def test_a_rollout_that_nobody_started_lapses_and_no_other(stored_scene, work):
    scene = stored_scene
    scene.pcs(1)
    for life_days in (3, 9):
        scene.rollout(two_rings(life_days=life_days), start=False)
    signed_work.lapse(work, scene.now + 5 * DAY)
    assert [row.state for row in scene.store.rows(sa.select(Rollout.state).order_by(Rollout.id))] == ["cancelled", "ready"]


def test_a_rollout_that_cannot_be_looked_at_keeps_no_other_from_its_look(stored_scene, work, monkeypatch):
    scene = stored_scene
    monkeypatch.setattr(handing, "MAKE_PIECE", 2)
    scene.pcs(3)
    broken = scene.rollout()
    scene.rollout(two_rings(rings=two_rings().rings[1:]))
    with scene.store.begin() as tx:
        tx.execute(sa.update(Rollout).where(Rollout.id == broken).values(plan={"rings": "none"}))
    assert rollouts.look(work, scene.now) is True
    assert len(scene.jobs("released")) == 2
    assert rollouts.look(work, scene.now) is False
    assert len(scene.jobs("released")) == 3
