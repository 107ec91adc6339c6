"""The back-test: the very step function over stored hours, with the hours that cannot matter never decoded."""

from __future__ import annotations

import dataclasses
import math

from fettle_protocol import packing
from fettle_protocol.rules import WELL, Cleared, Raised, step
from fettle_server.proactive.policies import shipped
from fettle_server.proactive.rulebook.backtest import HOUR_MS, MINUTE_MS, Episode, Place, Tally, episodes
from hypothesis import given, settings
from hypothesis import strategies as st

HOT = dataclasses.replace(shipped().rule("memory-exhausted"), raise_for_s=180, clear_for_s=120)
PLACE = Place(1, "a" * 32, "pc-1", 1, "Harbour School", "windows", "fixed suite")
MEMORY = (10, "")


def hour(number, values, key=MEMORY):
    """A packed hour: the values from its first minute on."""
    slots = [*values, *[None] * (packing.SLOTS - len(values))]
    return number, packing.pack({key: slots, (1, ""): [5.0] * packing.SLOTS})


def by_hand(rule, hours):
    """The episodes by folding every minute, one after the other."""
    state, raised, found = WELL, None, []
    for number, values in hours:
        for slot, value in enumerate(values):
            now_ms = number * HOUR_MS + slot * MINUTE_MS
            state, decision = step(state, rule.levels, math.nan if value is None else round(value, 1), now_ms)
            if isinstance(decision, Raised):
                raised = (decision.since_ms, now_ms)
            elif isinstance(decision, Cleared):
                found.append(Episode("", *raised, now_ms))
                raised = None
    return [*found, Episode("", *raised, None)] if raised else found


def test_a_crossing_that_lasts_is_an_episode_with_its_times():
    packed = [hour(100, [50.0] * 10 + [97.0] * 10 + [50.0] * 10)]
    ((found,),), decoded = episodes([HOT], PLACE, packed)
    start = 100 * HOUR_MS
    assert found == Episode("", start + 10 * MINUTE_MS, start + 13 * MINUTE_MS, start + 22 * MINUTE_MS)
    assert decoded == 1


def test_a_fault_across_hours_stays_open_to_the_end():
    packed = [hour(100, [97.0] * 60), hour(101, [98.0] * 60)]
    ((found,),), decoded = episodes([HOT], PLACE, packed)
    assert (found.since_ms, found.cleared_ms) == (100 * HOUR_MS, None)
    assert decoded == 1


def test_hours_that_never_come_near_are_not_decoded():
    _, decoded = episodes([HOT], PLACE, [hour(number, [50.0] * 60) for number in range(100, 200)])
    assert decoded == 0


def test_two_rules_are_folded_in_one_pass():
    packed = [hour(100, [50.0] * 10 + [92.0] * 30 + [50.0] * 20)]
    lower = dataclasses.replace(HOT, raise_level=90, clear_level=80)
    (present, edited), _ = episodes([HOT, lower], PLACE, packed)
    assert (len(present), len(edited)) == (0, 1)


def test_a_rule_that_is_off_or_of_another_class_raises_nothing():
    packed = [hour(100, [97.0] * 60)]
    off = dataclasses.replace(HOT, enabled=False)
    foreign = dataclasses.replace(HOT, classes=("trolley",))
    assert episodes([off, foreign], PLACE, packed) == ([[], []], 0)


def test_instances_are_told_apart_and_foreign_ones_left_out():
    rule = dataclasses.replace(shipped().rule("disk-full"), instances=("C:", "D:"))
    slots = {(20, name): [2.0] * 60 for name in ("C:", "D:", "E:")}
    (found,), _ = episodes([rule], PLACE, [(100, packing.pack(slots))])
    assert [episode.instance for episode in found] == ["C:", "D:"]


def test_a_damaged_hour_is_passed_over():
    packed = [(99, b"nonsense"), hour(100, [97.0] * 60)]
    (found,), _ = episodes([HOT], PLACE, packed)
    assert len(found) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([50.0, 89.0, 90.0, 92.0, 95.0, 99.0, None]), min_size=60, max_size=60), max_size=4))
def test_passing_hours_over_changes_nothing(hours):
    numbered = [(100 + index * (1 if index < 3 else 9), values) for index, values in enumerate(hours)]
    (found,), _ = episodes([HOT], PLACE, [hour(number, values) for number, values in numbered])
    assert found == by_hand(HOT, numbered)


def test_a_tally_counts_by_day_and_keeps_the_longest():
    tally = Tally(0, 3 * 24 * HOUR_MS)
    tally.add(PLACE, [Episode("C:", 0, 1000, 5000), Episode("C:", 30 * HOUR_MS, 30 * HOUR_MS, None)])
    tally.add(PLACE._replace(pk=2, school_id=2), [Episode("", at, at, at + 1) for at in range(40)])
    outcome = tally.outcome()
    assert (outcome.faults, outcome.endpoints, outcome.schools) == (42, 2, 2)
    assert [count for _, count in outcome.days] == [41, 1, 0, 0]
    assert outcome.longest_s == 42 * 3600
    assert (len(outcome.examples), outcome.examples[0].cleared) == (12, None)
