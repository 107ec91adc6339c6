"""The newest values: what moved is news, what is gone is gone, and inventories travel only when they changed."""

from __future__ import annotations

import json
import os
import zlib

import pytest
from fettle_agent import inventories
from fettle_agent.collectors import Reading
from fettle_agent.newest import Newest


def test_value_within_its_dead_band_is_no_news() -> None:
    newest = Newest()
    newest.take("cpu", [Reading("cpu.busy_percent", 10)])
    assert newest.moved
    newest.tell()
    newest.take("cpu", [Reading("cpu.busy_percent", 20)])
    assert not newest.moved
    newest.take("cpu", [Reading("cpu.busy_percent", 26)])
    assert newest.moved


def test_creeping_value_is_news_against_what_was_told() -> None:
    newest = Newest()
    newest.take("disk", [Reading("disk.free_percent", 50, "/")])
    newest.tell()
    moved = []
    for step in range(1, 5):
        newest.take("disk", [Reading("disk.free_percent", 50 - step * 0.4, "/")])
        moved.append(newest.moved)
    assert moved == [False, False, True, True]


def test_instance_that_left_is_news_and_no_longer_told() -> None:
    newest = Newest()
    newest.take("disk", [Reading("disk.free_percent", 50, "/"), Reading("disk.free_percent", 60, "/mnt")])
    newest.tell()
    newest.take("disk", [Reading("disk.free_percent", 50, "/")])
    assert newest.moved
    assert [reading.instance for reading in newest.tell()] == ["/"]


def test_live_tells_only_what_was_just_read() -> None:
    newest = Newest()
    newest.take("cpu", [Reading("cpu.busy_percent", 10)])
    newest.take("memory", [Reading("memory.used_percent", 20)])
    assert len(newest.tell_fresh()) == 2
    newest.take("cpu", [Reading("cpu.busy_percent", 11)])
    assert [reading.value for reading in newest.tell_fresh()] == [11]
    assert newest.tell_fresh() == []


def test_vitals_are_bounded() -> None:
    newest = Newest()
    newest.take("services", [Reading("service.running", 1, f"s{number}") for number in range(600)])
    assert len(newest.tell()) == 512


def test_inventory_is_sent_once_until_it_changes() -> None:
    event = inventories.event("hardware", {"b": 1, "a": "ä"}, "")
    assert event is not None
    assert json.loads(zlib.decompress(event.inventory.json)) == {"a": "ä", "b": 1}
    assert inventories.event("hardware", {"a": "ä", "b": 1}, event.inventory.digest) is None
    assert inventories.event("hardware", {"a": "ä", "b": 2}, event.inventory.digest) is not None


def test_inventory_over_the_bound_is_refused() -> None:
    with pytest.raises(inventories.TooLarge):
        inventories.event("software", {"noise": os.urandom(400_000).hex()}, "")
