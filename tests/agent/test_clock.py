"""Steady time: no wall clock moves it, and the server's word moves only what leaves the machine."""

from __future__ import annotations

from fettle_agent.clock import Clock
from hypothesis import given
from hypothesis import strategies as st


class Hands:
    """A machine's two clocks."""

    def __init__(self, boot_s: float = 100.0, wall_s: float = 1_000_000.0) -> None:
        self.boot, self.wall = boot_s, wall_s

    def clock(self, anchor_ms: int | None = None, lead_ms: int = 0) -> Clock:
        return Clock("b", lambda: self.boot, anchor_ms=anchor_ms, lead_ms=lead_ms, wall_s=lambda: self.wall)

    def tick(self, seconds: float) -> None:
        self.boot += seconds
        self.wall += seconds


def test_steady_time_begins_at_the_wall_clock_where_nothing_better_is_known() -> None:
    clock = Hands().clock()
    assert (clock.steady_ms(), clock.server_ms(), clock.lead_ms()) == (1_000_000_000, 1_000_000_000, None)


def test_lead_of_an_earlier_boot_is_taken_off() -> None:
    assert Hands().clock(lead_ms=3_600_000).server_ms() == 1_000_000_000 - 3_600_000


@given(st.integers(-(10**9), 10**9))
def test_wall_clock_that_steps_moves_neither_steady_nor_learned_time(step_s: int) -> None:
    hands = Hands()
    clock = hands.clock()
    clock.learn(2_000_000_000, clock.boot_ms())
    hands.wall += step_s
    hands.tick(5)
    assert clock.steady_ms() == 1_000_005_000
    assert clock.server_ms() == 2_000_005_000


def test_learned_time_is_kept_over_a_restart_within_the_boot() -> None:
    hands = Hands()
    first = hands.clock()
    first.learn(2_000_000_000, first.boot_ms())
    hands.tick(60)
    hands.wall = 5.0
    again = hands.clock(anchor_ms=first.anchor_ms)
    assert again.server_ms() == again.steady_ms() == 2_000_060_000


def test_lead_is_the_wall_clock_against_the_server() -> None:
    clock = Hands().clock()
    clock.learn(1_000_000_000 - 90_000, clock.boot_ms())
    assert clock.lead_ms() == 90_000


def test_noise_of_the_line_is_no_news() -> None:
    clock = Hands().clock()
    assert clock.learn(1_000_000_000, clock.boot_ms())
    assert not clock.learn(1_000_000_100, clock.boot_ms())
    assert clock.learn(1_000_001_000, clock.boot_ms())
    assert not clock.learn(1_000_002_500, clock.boot_ms(), tolerance_ms=2_000)


def test_each_step_of_the_wall_clock_is_told_once() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.tick(30)
    assert clock.wall_step_ms() == 0
    hands.wall -= 3_600
    assert [clock.wall_step_ms(), clock.wall_step_ms()] == [-3_600_000, 0]
