"""What two people, or a person and the worker, do to one rollout at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from fettle_server.change import record
from fettle_server.change.requests import actions as requests
from fettle_server.change.rollouts import actions
from fettle_server.change.rollouts.looks import open_look
from fettle_server.change.rules import ChangeState
from fettle_server.estate.people.rules import SYSTEM

from tests.server.change.rivals import meanwhile, wait_for
from tests.server.change.rollouts.conftest import MINUTE, Scene


@pytest.fixture
def postgresql_scene(postgresql_store):
    """A scene where several write at once."""
    for store in postgresql_store():
        yield Scene(store)


def _due_for_its_second_ring(scene):
    scene.pcs(6)
    scene.rollout()
    scene.tick()
    scene.take(scene.in_ring(0))
    scene.tick(MINUTE)
    scene.now += 11 * MINUTE


def _halt(scene):
    return lambda tx: actions.halt(tx, SYSTEM, scene.id, "the phones ring", scene.now)


def _tick(scene):
    return lambda tx: actions.tick(tx, scene.id, scene.now)


def test_no_ring_is_let_go_by_a_look_that_waited_for_a_halt(stored_scene):
    scene = stored_scene
    _due_for_its_second_ring(scene)
    meanwhile(scene.store, _halt(scene), _tick(scene))
    assert scene.state() == ("halted", 0)
    assert scene.ring_row(1).released_at is None
    assert scene.jobs("waiting", "released") == []


def test_a_halt_that_waited_for_a_look_takes_back_the_ring_that_it_let_go(stored_scene):
    scene = stored_scene
    _due_for_its_second_ring(scene)
    meanwhile(scene.store, _tick(scene), _halt(scene))
    scene.tick()
    assert scene.state() == ("halted", 1)
    assert sorted(scene.jobs("cancelled")) == sorted(scene.in_ring(1))


@pytest.mark.postgresql
def test_a_withdrawal_and_a_look_never_wait_for_each_other_for_ever(postgresql_scene):
    """A look holds the rollout first and then the change; so does whoever decides about the change."""
    scene = postgresql_scene
    scene.pcs(1)
    scene.rollout(start=False)

    def withdraw():
        with scene.store.begin() as tx:
            requests.withdraw(tx, SYSTEM, scene.change, "not wanted", scene.now)

    with ThreadPoolExecutor(1) as pool:
        with scene.store.begin() as tx:
            open_look(tx, scene.id, scene.now)
            other = pool.submit(withdraw)
            wait_for(scene.store, other)
            assert record.state_of(tx, scene.change) is ChangeState.APPROVED
        other.result(timeout=5)
    assert scene.change_state() == "withdrawn"
