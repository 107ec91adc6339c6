"""No order of a rollout or a change that is over stays signed and live, unless some PC may still need it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from fettle_server.change.manifests.tables import Manifest
from fettle_server.change.requests import actions as requests
from fettle_server.change.rollouts import actions, ending, plans, queries
from fettle_server.change.rollouts.plans import RolloutError, When
from fettle_server.change.rollouts.tables import Rollout
from fettle_server.change.rules import Outcome
from fettle_server.change.tables import Change
from fettle_server.estate.people.rules import SYSTEM

from tests.server.change.rollouts.conftest import DAY, MINUTE, NOON, two_rings


def _live(scene):
    live = (Manifest.withdrawn_at.is_(None), Manifest.expires_at > scene.now, Manifest.signed_at.is_not(None))
    return [row.purpose for row in scene.store.rows(sa.select(Manifest.purpose).where(*live).order_by(Manifest.id))]


def _may(scene):
    with scene.store.begin() as tx:
        return queries.rollout(tx, SYSTEM, scene.id, scene.now).may


def _finished(scene):
    scene.pcs(1)
    scene.rollout(two_rings(rings=two_rings().rings[1:]))
    scene.tick()
    scene.take(scene.in_ring(0))
    scene.tick(MINUTE, 12)
    assert scene.state()[0] == "finished"


def _close(scene):
    with scene.store.begin() as tx:
        tx.execute(sa.update(Change).values(risk="low"))
        requests.review(tx, SYSTEM, scene.change, Outcome.SUCCESSFUL, "All is well", "", scene.now)


def test_a_rollout_that_is_cancelled_before_its_start_leaves_nothing_signed(stored_scene):
    scene = stored_scene
    scene.pcs(2)
    scene.rollout(start=False)
    assert _live(scene) == ["forward", "back out"]
    scene.act(actions.cancel, "not wanted")
    assert _live(scene) == []


@pytest.mark.parametrize(("when", "live"), [(When.WINDOWS, []), (When.ANY_TIME, ["back out"])])
def test_the_way_back_stays_signed_only_where_a_pc_was_handed_a_job(scene, when, live):
    scene.now = NOON
    scene.pcs(2)
    scene.rollout(two_rings(when=when))
    scene.tick()
    scene.act(actions.cancel, "not wanted")
    assert _live(scene) == live
    assert _may(scene) == (("back out",) if live else ())


def test_a_closed_change_keeps_what_late_pcs_still_take_and_no_way_back(scene):
    _finished(scene)
    assert _may(scene) == ("back out",)
    _close(scene)
    assert _live(scene) == ["forward"]
    assert _may(scene) == ()
    with pytest.raises(RolloutError, match="propose a change that brings the former versions back"):
        scene.act(actions.back_out, "too late")


def test_a_closed_change_that_was_undone_is_still_undone_on_pcs_that_come_late(scene):
    _finished(scene)
    scene.id = scene.act(actions.back_out, "it hurt")
    scene.tick()
    scene.take(scene.in_ring(0))
    scene.tick(MINUTE, 12)
    _close(scene)
    assert _live(scene) == ["back out"]


@pytest.mark.parametrize(("ahead", "days"), [(-5, 60), (50, 110), (300, plans.MOST_LIFE_DAYS)])
def test_a_manifest_stands_as_long_after_the_planned_time_as_it_may(scene, ahead, days):
    scene.pcs(1)
    scene.rollout(start=False)
    with scene.store.begin() as tx:
        tx.execute(sa.update(Change).values(planned_from=scene.now + ahead * DAY))
        actions.prepare(tx, scene.id, scene.now)
    forward = sa.select(Manifest.expires_at).where(Manifest.purpose == "forward").order_by(Manifest.id.desc())
    assert scene.store.value(forward.limit(1)) == scene.now + days * DAY


def test_what_nobody_started_while_it_stood_signed_is_over(stored_scene):
    scene = stored_scene
    scene.pcs(1)
    scene.rollout(two_rings(life_days=3), start=False)
    for days, state in ((2, "ready"), (2, "cancelled")):
        scene.now += days * DAY
        with scene.store.begin() as tx:
            ending.lapse(tx, scene.now)
        assert scene.state()[0] == state
    assert _live(scene) == []
    assert scene.change_state() == "withdrawn"
    assert scene.store.value(sa.select(Rollout.why)) == ending.LAPSED
