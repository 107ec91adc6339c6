"""Who is expected, what a habit allows, and that no restart or jump of a clock makes anybody absent."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pytest
from fettle_protocol.policy import EndpointClass
from fettle_server.db import from_ms, to_ms
from fettle_server.proactive.presence import rules
from fettle_server.proactive.presence.rules import Expectation, Turnout, Watch
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
GRACE = dt.timedelta(minutes=5)
MINUTE = dt.timedelta(minutes=1)


@pytest.mark.parametrize(
    ("endpoint_class", "when"),
    [
        (EndpointClass.SERVER, Expectation.ALWAYS),
        (EndpointClass.FIXED, Expectation.LESSONS),
        (EndpointClass.TROLLEY, Expectation.NEVER),
        (EndpointClass.STAFF_LAPTOP, Expectation.NEVER),
        (EndpointClass.LOAN, Expectation.NEVER),
        ("of another age", Expectation.NEVER),
    ],
)
def test_only_servers_and_fixed_suites_are_expected(endpoint_class: str, when: Expectation):
    assert rules.expectation(endpoint_class) is when


@dataclass
class Server:
    """A server in real time, whose wall clock somebody moves and which somebody restarts."""

    real_s: float = 0.0
    wall_ahead_s: float = 0.0
    booted_s: float = 0.0
    watch: Watch | None = None

    def wall(self) -> dt.datetime:
        return NOW + dt.timedelta(seconds=self.real_s + self.wall_ahead_s)

    def restart(self) -> None:
        self.booted_s = self.real_s
        self.watch = rules.begin(to_ms(self.wall()), 0.0)

    def beat(self) -> None:
        assert self.watch is not None
        self.watch = rules.beat(self.watch, to_ms(self.wall()), self.real_s - self.booted_s)

    def misses(self, left: dt.datetime) -> bool:
        assert self.watch is not None
        now = self.wall()
        if not rules.is_heard(self.watch, to_ms(now)):
            return False
        ready = from_ms(self.watch.since_ms) + GRACE
        return rules.silence_due(left, rules.PATIENCE, ready, now) <= now


_deeds = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("restart"), st.integers(0, 600)),
        st.tuples(st.just("jump"), st.integers(-7200, 7200)),
    ),
    max_size=12,
)


@given(_deeds)
@settings(max_examples=150)
def test_no_restart_or_jump_misses_anybody_sooner_than_after_watched_patience(deeds: list[tuple[str, int]]):
    server = Server()
    server.restart()
    for _ in range(100):
        server.real_s += 5
        server.beat()
    left, watched_s = server.wall(), 0.0
    for deed, amount in [*deeds, ("wait", 400)]:
        if deed == "jump":
            server.wall_ahead_s += amount
        elif deed == "restart":
            server.real_s += amount
            server.restart()
            watched_s = 0.0
        for _ in range(amount if deed == "wait" else 0):
            server.real_s += 5
            server.beat()
            watched_s += 5
            if server.misses(left):
                # a jump of less than half a minute is not told from a clock that is being set right
                assert watched_s + rules.JUMP_MS / 1000 >= rules.PATIENCE.total_seconds()
                return
    raise AssertionError("nobody ever missed it")


def test_jump_begins_the_watch_anew_and_drift_does_not():
    watch = rules.begin(to_ms(NOW), 1000.0)
    drifted = rules.beat(watch, to_ms(NOW + dt.timedelta(seconds=3610)), 4600.0)
    jumped = rules.beat(watch, to_ms(NOW + dt.timedelta(seconds=3700)), 4600.0)
    assert drifted.since_ms == watch.since_ms
    assert jumped.since_ms == to_ms(NOW + dt.timedelta(seconds=3700))


def test_stale_mark_hears_nobody():
    watch = rules.begin(to_ms(NOW), 0.0)
    assert rules.is_heard(watch, to_ms(NOW) + 30_000)
    assert not rules.is_heard(watch, to_ms(NOW) + 30_001)
    assert not rules.is_heard(watch, to_ms(NOW) - 60_000)


def _known(days: int, missed: int = 0) -> Turnout:
    turnout = Turnout()
    for _ in range(days):
        turnout = rules.counted(turnout, is_there=True)
    for _ in range(missed):
        turnout = rules.counted(turnout, is_there=False)
    return turnout


def _first_no_show(turnout: Turnout, leave: str) -> int:
    return next(
        days for days in range(1, 100) if rules.is_no_show(Turnout(turnout.in_use, turnout.present, days), leave, today=False)
    )


@pytest.mark.parametrize(
    ("days", "leave", "missed"), [(10, "clean", 6), (20, "clean", 4), (200, "clean", 3), (60, "abrupt", 2), (200, "abrupt", 2)]
)
def test_regular_pc_is_missed_after_days_that_its_habit_makes_improbable(days: int, leave: str, missed: int):
    assert _first_no_show(_known(days), leave) == missed


def test_pc_that_was_hardly_ever_seen_is_given_weeks_when_it_went_as_it_should():
    assert not rules.is_no_show(_known(2, missed=15), "clean", today=False)


def test_pc_that_comes_every_other_day_is_given_weeks():
    turnout = Turnout()
    for day in range(200):
        turnout = rules.counted(turnout, is_there=day % 2 == 0)
    assert _first_no_show(turnout, "clean") > 12


def test_nobody_is_missed_without_a_whole_missed_day():
    assert not rules.is_no_show(_known(200), "abrupt", today=True)


def test_long_absence_does_not_excuse_itself_but_is_remembered():
    away = _known(100, missed=30)
    assert away.habit == _known(100).habit
    back = rules.counted(away, is_there=True)
    assert back.missed == 0
    assert back.habit < 0.7


@given(st.lists(st.booleans(), max_size=60))
def test_habit_is_always_a_probability(days: list[bool]):
    turnout = Turnout()
    for is_there in days:
        turnout = rules.counted(turnout, is_there=is_there)
    assert 0 < turnout.habit < 1
    assert 0 < turnout.chance() <= 1


def test_silent_school_is_closed_while_its_server_is_heard():
    turnout = _known(100, missed=5)
    assert not rules.is_school_silent(turnout, today=True, has_server=True, server_is_absent=False)
    assert rules.is_school_silent(turnout, today=True, has_server=False, server_is_absent=False)


def test_silent_school_with_its_server_is_missed_at_once():
    assert rules.is_school_silent(_known(1), today=True, has_server=True, server_is_absent=True)


def test_snow_day_of_a_school_without_server_is_no_fault():
    assert not rules.is_school_silent(_known(100), today=True, has_server=False, server_is_absent=False)


@pytest.mark.parametrize(
    ("lost", "schools", "connected", "is_cut"), [(900, 3, 10, True), (300, 1, 0, False), (300, 3, 600, False)]
)
def test_all_schools_at_once_are_the_servers_own_line(lost: int, schools: int, connected: int, is_cut: bool):
    assert rules.is_cut_off(lost, schools, connected) is is_cut


def test_hours_are_learned_and_told():
    hours = None
    for _ in range(6):
        for weekday in range(5):
            hours = rules.learn(hours, weekday, range(8, 16))
        hours = rules.learn(rules.learn(hours, 5, ()), 6, ())
    assert rules.usual_words(hours) == "usually on 08-16 on weekdays"
    assert rules.usual(hours, 5) is None
    assert rules.share(hours, 0, 9) == 1


def test_one_odd_day_changes_no_habit_of_hours():
    hours = None
    for _ in range(6):
        hours = rules.learn(hours, 0, range(8, 16))
    assert rules.usual(rules.learn(hours, 0, range(24)), 0) == (8, 16)


def test_hours_of_a_stay_over_midnight_end_with_the_day():
    came = dt.datetime(2026, 11, 23, 22, 10, tzinfo=dt.UTC)
    assert rules.hours_of([(came, dt.datetime(2026, 11, 24, 0, 0, tzinfo=dt.UTC))]) == {22, 23}
