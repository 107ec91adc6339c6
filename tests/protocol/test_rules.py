"""The rule step: what it must do in each case, and what it must never do whatever comes."""

from __future__ import annotations

import math

import pytest
from fettle_protocol.rules import WELL, Cleared, Direction, Levels, Phase, Raised, State, step
from hypothesis import given
from hypothesis import strategies as st

ABOVE = Levels(Direction.ABOVE, 90, 10_000, 80, 5_000, 60_000)
BELOW = Levels(Direction.BELOW, 4, 10_000, 6, 5_000, 60_000)

readings = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(0, 100), st.just(float("nan"))),
        st.integers(-120_000, 120_000).filter(bool),
    ),
    max_size=80,
)


def fold(levels, steps, state=WELL, now_ms=1_000_000):
    """Every (time, decision) of a series of (value, ms since the one before)."""
    found = []
    for value, passed_ms in steps:
        now_ms += passed_ms
        state, decision = step(state, levels, value, now_ms)
        if decision is not None:
            found.append((now_ms, decision))
    return found


@pytest.mark.parametrize(("levels", "bad", "good", "between"), [(ABOVE, 95, 70, 85), (BELOW, 3, 10, 5)], ids=["above", "below"])
class TestWalk:
    def test_fault_raises_only_after_its_duration(self, levels, bad, good, between):
        assert fold(levels, [(bad, 1000)] * 10) == []
        ((at, raised),) = fold(levels, [(bad, 1000)] * 11)
        assert at - raised.since_ms == 10_000

    def test_one_good_reading_starts_the_duration_anew(self, levels, bad, good, between):
        assert fold(levels, [(bad, 1000)] * 10 + [(good, 1000)] + [(bad, 1000)] * 10) == []

    def test_fault_clears_only_below_clear_level(self, levels, bad, good, between):
        steps = [(bad, 1000)] * 11 + [(between, 1000)] * 50
        assert [type(decision) for _, decision in fold(levels, steps)] == [Raised]

    def test_fault_clears_after_its_own_duration(self, levels, bad, good, between):
        steps = [(bad, 1000)] * 11 + [(good, 1000)] * 6
        (_, _), (at, cleared) = fold(levels, steps)
        assert isinstance(cleared, Cleared)
        assert at - cleared.since_ms == 5_000

    def test_a_trembling_reading_does_not_flap(self, levels, bad, good, between):
        steps = [(bad, 1000)] * 11 + [(between, 1000), (bad, 1000)] * 30
        assert len(fold(levels, steps)) == 1

    def test_missing_data_neither_raises_nor_clears(self, levels, bad, good, between):
        assert fold(levels, [(bad, 1000)] + [(None, 1000)] * 30) == []
        steps = [(bad, 1000)] * 11 + [(math.nan, 1000)] * 30
        assert len(fold(levels, steps)) == 1

    def test_a_gap_starts_the_duration_anew(self, levels, bad, good, between):
        assert fold(levels, [(bad, 1000)] * 5 + [(bad, 61_000)] + [(bad, 1000)] * 9) == []

    def test_a_clock_that_steps_back_starts_the_duration_anew(self, levels, bad, good, between):
        assert fold(levels, [(bad, 1000)] * 9 + [(bad, -500_000)] + [(bad, 1000)] * 9) == []


def test_a_duration_of_nothing_raises_and_clears_at_once():
    at_once = Levels(Direction.ABOVE, 1, 0, 0, 0, 1000)
    assert [type(decision) for _, decision in fold(at_once, [(1, 5), (0, 5), (1, 5)])] == [Raised, Cleared, Raised]


@pytest.mark.parametrize("levels", [(Direction.ABOVE, 90, 91), (Direction.BELOW, 4, 3)])
def test_levels_that_contradict_themselves_are_refused(levels):
    direction, raise_level, clear_level = levels
    with pytest.raises(ValueError, match="clear level"):
        Levels(direction, raise_level, 0, clear_level, 0, 1000)


@given(readings, st.sampled_from([ABOVE, BELOW]))
def test_raises_and_clears_take_turns_beginning_with_a_raise(steps, levels):
    kinds = [type(decision) for _, decision in fold(levels, steps)]
    assert kinds == [Raised, Cleared] * (len(kinds) // 2) + [Raised] * (len(kinds) % 2)


@given(readings, st.sampled_from([ABOVE, BELOW]))
def test_nothing_is_decided_before_its_duration(steps, levels):
    for at, decision in fold(levels, steps):
        least = levels.raise_for_ms if isinstance(decision, Raised) else levels.clear_for_ms
        assert at - decision.since_ms >= least


@given(st.lists(st.tuples(st.one_of(st.none(), st.just(float("nan"))), st.integers(-100_000, 100_000))))
def test_missing_data_alone_never_decides_nor_changes_anything(steps):
    state = State(Phase.RAISING, 5, 7)
    for value, now_ms in steps:
        assert step(state, ABOVE, value, now_ms) == (state, None)


@given(readings)
def test_a_state_that_was_written_down_and_read_back_decides_the_same(steps):
    state, now_ms = WELL, 1_000_000
    for value, passed_ms in steps:
        now_ms += passed_ms
        copy = State(Phase(str(state.phase)), state.since_ms, state.seen_ms)
        assert step(copy, BELOW, value, now_ms) == step(state, BELOW, value, now_ms)
        state, _ = step(state, BELOW, value, now_ms)
