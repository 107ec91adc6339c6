"""Lines through days of readings: how fast something moves, how sure that is, and when it gets somewhere. Pure.

The model is the plainest that is honest for disks and batteries alike: a level that drifts evenly, wanders by chance from
day to day (so that the future is the less known the farther it lies), and is read with some noise. The drift is the
median of all slopes between two days (Theil-Sen), so that single odd days do not turn it; jumps such as a clean-up or a
big installation are cut out of it. How much it wanders and how noisy it is are told apart by how its differences grow
with the time between (the structure function).
Source: Theil 1950, Sen 1968; Harvey, "Forecasting, Structural Time Series Models", the local level with drift.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

Points = Sequence[tuple[int, float]]
"""(day, value), oldest day first; days may be missing."""

HORIZON_DAYS = 730
"""Farther than this nothing is said."""
_WITHIN = 0.80
_Z = 1.45
"""Half the width of the 80 % interval in standard deviations: 1.28 if spread and slope were known; they are estimates, of
some thirty days, which the back-test in the tests asks this for."""
_NORMAL = NormalDist()
_MAD = 1.4826
_LAG_DAYS = 10
_THEIL_SEN = 1.2
"""How much more the median slope of a wandering line varies than the best one would."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A line as of `day`: where it stands, how much it moves a day, and what is not known of both."""

    day: int
    level: float
    slope: float
    level_variance: float
    slope_variance: float
    wander: float
    span_days: int


@dataclass(frozen=True, slots=True)
class Reach:
    """In how many days a line gets down to a level: most likely, and between which days with `sure_percent`."""

    days: float
    low: float
    high: float
    sure_percent: int


def fit(points: Points, *, jump: float, least_noise: float = 0.0) -> Fit | None:
    """The line through the points; None where no two of them lie within one unbroken stretch.

    `jump` is the least difference of neighbouring days that may count as a jump; `least_noise` the standard deviation
    below which no reading of the kind is exact (that of rounding).
    """
    stretches = [part for part in cut(points, jump) if len(part) > 1]
    slope = theil_sen(stretches)
    if slope is None:
        return None
    noise, wander = _spread(stretches, slope)
    noise = max(noise, least_noise**2)
    last = list(cut(points, jump))[-1]
    level, level_variance = _level(last, slope, noise, wander)
    span = sum(part[-1][0] - part[0][0] for part in stretches)
    count = sum(len(part) for part in stretches)
    slope_variance = _THEIL_SEN * wander / span + 12 * noise / (count * span * span)
    return Fit(points[-1][0], level, slope, level_variance, slope_variance, wander, span)


def reach(line: Fit, target: float) -> Reach | None:
    """When the line comes down to the target; None where it does not within the horizon, or nobody can say when."""
    height = line.level - target
    if height <= 0:
        return Reach(0, 0, 0, 99)
    if line.slope >= 0 or height / -line.slope > HORIZON_DAYS:
        return None
    high = _first(lambda days: height + line.slope * days + _Z * _deviation(line, days) <= 0)
    if high is None:
        return None
    low = _first(lambda days: height + line.slope * days - _Z * _deviation(line, days) <= 0)
    low = max(0, (low or 0) - 1)
    stretch = _NORMAL.inv_cdf((1 + _WITHIN) / 2) / _Z
    chance = _by(line, height, high, stretch) - (_by(line, height, low, stretch) if low else 0)
    return Reach(height / -line.slope, low, high, max(1, min(99, round(100 * chance))))


def theil_sen(stretches: Sequence[Points]) -> float | None:
    """The median slope of all pairs of days that lie in one stretch; None where there is no pair."""
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for part in stretches
        for earlier, later in itertools.combinations(part, 2)
    ]
    return median(slopes) if slopes else None


def cut(points: Points, jump: float) -> list[list[tuple[int, float]]]:
    """The points in stretches, broken wherever neighbouring days differ by far more than is usual, and more than `jump`."""
    steps = [after[1] - before[1] for before, after in itertools.pairwise(points)]
    usual = median(steps) if steps else 0.0
    limit = max(jump, 6 * _MAD * median(abs(step - usual) for step in steps)) if steps else 0.0
    stretches = [[points[0]]] if points else []
    for point, step in zip(points[1:], steps, strict=True):
        if abs(step - usual) > limit:
            stretches.append([])
        stretches[-1].append(point)
    return stretches


def spread_of(values: Sequence[float]) -> tuple[float, float]:
    """The median, and the standard deviation that the median distance from it stands for."""
    middle = median(values)
    return middle, _MAD * median(abs(value - middle) for value in values)


def _spread(stretches: Sequence[Points], slope: float) -> tuple[float, float]:
    """(variance of the noise, variance by which it wanders in a day): squared differences are 2 noise + wander * days.

    Short histories tell the two apart badly, and to take wandering for noise is the error that makes a forecast too sure
    of itself: so the wandering is taken a third of the way to the most that the longer differences allow.
    """
    span = sum(part[-1][0] - part[0][0] for part in stretches)
    farthest = min(_LAG_DAYS, span / 2)
    pairs = [
        (lag, (later[1] - earlier[1] - slope * lag) ** 2 / (1 - lag / (span + 1)))  # the slope took its part of each
        for part in stretches
        for place, earlier in enumerate(part)
        for later in part[place + 1 : place + 1 + _LAG_DAYS]
        if (lag := later[0] - earlier[0]) <= farthest
    ]
    if not pairs:
        return 0.0, 0.0
    count = len(pairs)
    mean_lag, mean_square = sum(lag for lag, _ in pairs) / count, sum(square for _, square in pairs) / count
    across = sum((lag - mean_lag) ** 2 for lag, _ in pairs)
    told = sum((lag - mean_lag) * (square - mean_square) for lag, square in pairs) / across if across else 0.0
    longer = [square / lag for lag, square in pairs if lag >= mean_lag]
    most = sum(longer) / len(longer)
    told = min(max(told, 0.0), most)
    wander = told + (most - told) / 3
    return max(0.0, mean_square - wander * mean_lag) / 2, wander


def _level(points: Points, slope: float, noise: float, wander: float) -> tuple[float, float]:
    """Where the line stands on the last day, and the variance of that: a Kalman filter over the last stretch."""
    (day, level), variance = points[0], noise
    for next_day, value in points[1:]:
        gap = next_day - day
        level, variance, day = level + slope * gap, variance + wander * gap, next_day
        gain = variance / (variance + noise) if noise else 1.0
        level, variance = level + gain * (value - level), (1 - gain) * variance
    return level, variance


def _deviation(line: Fit, days: float) -> float:
    return math.sqrt(line.level_variance + line.wander * days + line.slope_variance * days * days)


def _by(line: Fit, height: float, days: float, stretch: float) -> float:
    """The chance that the line is down by that day."""
    deviation = _deviation(line, days) / stretch or 1e-9
    return _NORMAL.cdf(-(height + line.slope * days) / deviation)


def _first(is_down: Callable[[int], bool]) -> int | None:
    """The first day, up to twice the horizon, from which on it is down."""
    days = range(2 * HORIZON_DAYS + 1)
    found = bisect.bisect_left(days, True, key=is_down)
    return found if found < len(days) else None
