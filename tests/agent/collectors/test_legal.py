"""What may leave a collector."""

import math

from fettle_agent.collectors import Collected, Reading
from fettle_agent.collectors.legal import MAX_INSTANCES, lawful, legal
from fettle_protocol import catalogue
from hypothesis import given
from hypothesis import strategies as st


def test_impossible_value_is_dropped_and_its_neighbours_stay():
    readings = [Reading("cpu.busy_percent", 101.0), Reading("memory.used_percent", 40.0), Reading("no.such", 1.0)]

    assert legal(readings) == (Reading("memory.used_percent", 40.0),)


def test_not_a_number_is_dropped():
    assert legal([Reading("cpu.busy_percent", math.nan), Reading("clock.offset_seconds", math.inf)]) == ()


def test_first_of_two_readings_of_one_thing_is_kept():
    assert [reading.value for reading in legal([Reading("fan.rpm", 900, "a"), Reading("fan.rpm", 800, "a")])] == [900]


def test_instances_are_bounded_in_number_and_length():
    kept = legal([Reading("service.running", 1, f"{number:03}" + "é" * 200) for number in range(MAX_INSTANCES + 5)])

    assert len(kept) == MAX_INSTANCES
    assert all(len(reading.instance.encode()) <= 120 for reading in kept)


def test_instance_of_a_reading_that_has_none_is_dropped():
    assert legal([Reading("cpu.busy_percent", 5, "core 1")]) == (Reading("cpu.busy_percent", 5.0),)


def test_inventory_passes():
    assert lawful(lambda: Collected(inventory={"hardware": {"maker": "x"}}))().inventory == {"hardware": {"maker": "x"}}


@given(st.lists(st.builds(Reading, st.sampled_from([*catalogue.BY_KEY, "x"]), st.floats(), st.text(), st.text())))
def test_nothing_unlawful_leaves(readings):
    for reading in legal(readings):
        assert catalogue.BY_KEY[reading.key].admits(reading.value)
        assert len(reading.instance.encode()) <= 120
        assert len(reading.detail) <= 120
