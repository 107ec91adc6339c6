"""Lines through days: the intervals that forecasts state hold as often as they say, on histories whose truth is known."""

from __future__ import annotations

import random
from statistics import mean

import pytest
from fettle_server.proactive.forecasts import trend


def steady(rng, rate):
    """A disk that fills evenly, read with noise."""
    return lambda day, level: (level - rate, level - rate + rng.gauss(0, rate * 1.5))


def wandering(rng, rate):
    """A disk that fills by chance."""
    return lambda day, level: (after := level - rng.gauss(rate, rate * 2), after)


def both(rng, rate):
    return lambda day, level: (after := level - rng.gauss(rate, rate), after + rng.gauss(0, rate * 2))


def on_weekdays(rng, rate):
    """Filled on school days only, and switched off at the weekend."""

    def step(day, level):
        if day % 7 >= 5:
            return level, None
        after = level - rate * 7 / 5 * rng.expovariate(1)
        return after, after + rng.gauss(0, rate / 2)

    return step


def heavy(rng, rate):
    """Filled in lumps, with passing files on top."""
    return lambda day, level: (after := level - rate * rng.choice([0, 0, 0, 1, 1, 4]), after - abs(rng.gauss(0, rate)))


def with_jumps(rng, rate):
    """A clean-up and a big installation on the way."""

    def step(day, level):
        after = level - rng.gauss(rate, rate * 0.7) + {10: 40 * rate, 20: -25 * rate}.get(day, 0)
        return after, after + rng.gauss(0, rate)

    return step


KINDS = (steady, wandering, both, on_weekdays, heavy, with_jumps)


def trials(kind, seed, count=120):
    """(the forecast, the days it took in truth) of so many made-up disks."""
    rng = random.Random(seed)
    for _ in range(count):
        rate, days = rng.uniform(0.3, 4), rng.choice([21, 30, 45, 60])
        step = kind(rng, rate)
        level = rate * days * rng.uniform(0.8, 1) + rng.uniform(5, 60) * rate
        points, jump = [], level * 0.025
        for day in range(days):
            level, seen = step(day, level)
            points += [(day, seen)] if seen is not None else []
        line = trend.fit(points, jump=jump)
        told = trend.reach(line, 0.0) if line else None
        day = days - 1
        while level > 0 and day < 2000:
            day += 1
            level, _ = step(day, level)
        if told and told.days > 0:
            yield told, day - points[-1][0]


def held(kind, seed):
    return [told.low <= truth <= told.high for told, truth in trials(kind, seed)]


@pytest.mark.parametrize("seed", [7, 2026])
def test_intervals_hold_about_as_often_as_they_say(seed):
    found = [(told.low <= truth <= told.high, told.sure_percent) for kind in KINDS for told, truth in trials(kind, seed)]
    assert 0.75 <= mean(hit for hit, _ in found) <= 0.92
    assert abs(100 * mean(hit for hit, _ in found) - mean(sure for _, sure in found)) <= 8


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_history_makes_the_forecast_too_sure(kind):
    assert mean(held(kind, 11)) >= 0.68


def test_the_likely_day_is_neither_early_nor_late_on_the_whole():
    errors = sorted(told.days / truth for kind in (steady, both, with_jumps) for told, truth in trials(kind, 5) if truth > 0)
    assert 0.85 <= errors[len(errors) // 2] <= 1.15


def test_a_line_that_does_not_fall_reaches_nothing():
    assert trend.reach(trend.fit([(day, 50.0) for day in range(30)], jump=1), 0.0) is None
    assert trend.reach(trend.fit([(day, 50.0 + day) for day in range(30)], jump=1), 0.0) is None


def test_jumps_are_cut_out_of_the_slope():
    points = [(day, 100.0 - day + (60 if day >= 15 else 0) + day % 2 * 0.1) for day in range(30)]
    assert trend.fit(points, jump=5).slope == pytest.approx(-1, abs=0.05)


def test_one_odd_day_does_not_turn_the_line():
    points = [(day, 100.0 - day) for day in range(30)]
    points[12] = (12, 20.0)
    assert trend.theil_sen([points]) == pytest.approx(-1, abs=0.05)


@pytest.mark.parametrize("points", [[], [(3, 7.0)]])
def test_too_few_points_make_no_line(points):
    assert trend.fit(points, jump=1) is None if points else trend.theil_sen([points]) is None
