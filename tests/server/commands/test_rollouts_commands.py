"""`fettle rollout ...`, `fettle window ...` and `fettle freeze ...` as people run them."""

from __future__ import annotations

import json

import pytest
from fettle_server import clock

from tests.server.change.rollouts.conftest import DAY, Scene, two_rings


@pytest.fixture
def scene(store, tmp_path):
    """A store that a data directory speaks of, with a school's PCs and an approved and signed rollout of today."""
    (tmp_path / "fettle.toml").write_text(f'database = "{store.url}"\n')
    scene = Scene(store)
    scene.now = clock.utc_now()
    scene.pcs(2)
    scene.rollout(two_rings(rings=two_rings().rings[1:]), start=False)
    return scene


def test_a_rollout_is_steered_to_its_end_and_undone(scene, fettle, tmp_path):
    def rollout(deed, *words):
        return fettle("rollout", deed, tmp_path, *words)

    assert rollout("start", 1).out == "Rollout 1 was started.\n"
    scene.tick()
    assert rollout("pause", 1).status == 0
    assert rollout("resume", 1).status == 0
    scene.tick()
    scene.take(scene.in_ring(0)[:1])
    scene.tick()
    assert rollout("halt", 1).status == 2
    assert rollout("halt", 1, "--why", "The phones ring").status == 0
    refused = rollout("resume", 1)
    assert (refused.status, "It was halted. Say why it may go on" in refused.err) == (1, True)
    (row,) = json.loads(rollout("list", "--json").out)["rollouts"]
    assert (row["state"], row["counts"]["changed"], row["title"]) == ("halted", 1, "Editors")
    undo = json.loads(rollout("back-out", 1, "--why", "It hurt", "--json").out)
    assert (undo["id"], undo["undoes"], undo["direction"], undo["state"]) == (2, 1, "back out", "running")
    shown = json.loads(rollout("status", 1, "--json").out)
    assert (shown["back_outs"], [one["state"] for one in shown["targets"]]) == ([2], ["changed", "withdrawn"])
    assert "Rollout 2 of change 1 (back out): Editors" in rollout("status", 2).out
    assert rollout("cancel", 2, "--why", "Not tonight").out == "Rollout 2 was cancelled.\n"
    assert rollout("back-out", 1, "--why", "After all").out == "Rollout 3 undoes rollout 1: it is running.\n"


_CANNOT = (
    (("rollout", "start", 9), "There is no rollout 9."),
    (("rollout", "back-out", 1, "--why", "x"), "No PC has taken it yet: cancel the rollout instead."),
    (("rollout", "pause", 1, "--as", "nobody"), "There is nobody active named nobody"),
    (("window", "add", "mon,nie", "16:00", "18:00"), "Days are said like this"),
    (("window", "add", "mon", "16h", "18:00"), "A time of day is said like this"),
    (("window", "add", "mon", "16:00", "18:00", "--room", "Lab"), "Say the room's school too"),
    (("window", "drop", 7), "There is no change window 7"),
    (("freeze", "add", "Mocks", "monday", "tuesday"), "A time is said like this"),
    (("freeze", "add", "Mocks", "2026-05-12", "2026-05-11"), "A freeze ends after it starts"),
    (("freeze", "end", 7), "There is no freeze 7"),
)


def test_what_cannot_be_is_said_in_one_line(scene, fettle, tmp_path):
    for words, says in _CANNOT:
        refused = fettle(*words[:2], tmp_path, *words[2:])
        assert (refused.status, refused.out, refused.err.count("\n")) == (1, "", 1), words
        assert says in refused.err


def test_windows_and_freezes_of_a_school_are_set_listed_and_ended(scene, fettle, tmp_path):
    school = ("--school", "Harbour School")
    added = fettle("window", "add", tmp_path, "mon,tue,wed,thu,fri,sat,sun", "17:00", "22:00", *school)
    assert added.out == "Window 1 was added.\n"
    (window,) = json.loads(fettle("window", "list", tmp_path, "--json").out)["windows"]
    assert (window["school"], window["days"], window["from_minute"]) == ("Harbour School", [0, 1, 2, 3, 4, 5, 6], 17 * 60)
    assert "17:00 to 22:00" in fettle("window", "list", tmp_path).out
    first, last = (clock.utc_now().date() + days * DAY for days in (-1, 30))
    assert fettle("freeze", "add", tmp_path, "Mocks", f"{first}T08:00", f"{last}T08:00", *school).out == "Freeze 1 was set.\n"
    (freeze,) = json.loads(fettle("freeze", "list", tmp_path, "--json").out)["freezes"]
    assert (freeze["title"], freeze["starts_at"][:10]) == ("Mocks", str(first))

    def opens():
        return json.loads(fettle("window", "next", tmp_path, *school, "--json").out)["windows"][0]["from"][:10]

    assert opens() == str(last)
    assert fettle("freeze", "end", tmp_path, 1).status == 0
    assert opens() < str(first + 4 * DAY)
    assert "22:00" in fettle("window", "next", tmp_path, *school).out
    assert fettle("window", "drop", tmp_path, 1).status == 0
    assert json.loads(fettle("window", "list", tmp_path, "--json").out) == {"windows": []}
