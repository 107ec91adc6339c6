"""The catalogue: numbers and keys are unique and for ever, and every legal value fits the packing."""

from __future__ import annotations

import math

import pytest
from fettle_protocol import catalogue


def test_numbers_and_keys_are_unique():
    assert len(catalogue.BY_NUMBER) == len(catalogue.BY_KEY) == len(catalogue.ALL)


@pytest.mark.parametrize("spec", catalogue.ALL, ids=lambda spec: spec.key)
def test_a_reading_admits_its_range_and_nothing_else(spec):
    assert spec.admits(spec.low)
    assert spec.admits(spec.high)
    for value in (math.nan, math.inf, -math.inf, spec.high + 1 + abs(spec.high), spec.low - 1 - abs(spec.low)):
        assert not spec.admits(value)


@pytest.mark.parametrize("spec", catalogue.ALL, ids=lambda spec: spec.key)
def test_a_reading_says_what_it_is(spec):
    assert spec.sentence[0].isupper()
    assert not spec.sentence.endswith(".")
    assert spec.key == spec.key.lower()
    assert abs(max(abs(spec.low), abs(spec.high)) * 10.0**spec.decimals) < 2**62


def test_numbers_given_once_stay(snapshot_of_numbers):
    for number, key in snapshot_of_numbers.items():
        assert catalogue.BY_NUMBER[number].key == key


@pytest.fixture
def snapshot_of_numbers():
    """A few that agents in the field already use: renumbering them would mix up their history."""
    return {1: "cpu.busy_percent", 20: "disk.free_percent", 67: "dns.working", 90: "service.running", 133: "agent.test_fault"}
