"""What gets worse than it was: memory that is not given back, slow sign-ins and starts, heat. Pure.

Each is held against the PC's own past; times and heat also against its peers, so that a slow network, a new version or a
hot June is nobody's single fault.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from fettle_protocol import catalogue

from fettle_server.proactive.forecasts import trend
from fettle_server.proactive.forecasts.outlooks import Days, Outlook, instances, many, series

LEAK = "memory-leak"
SIGN_IN = "sign-in-slower"
BOOT = "boot-slower"
HEAT = "temperature-creeping"
LEAST_PEERS = 5
_MEMORY = catalogue.BY_KEY["memory.used_percent"].number
_UPTIME = catalogue.BY_KEY["boot.uptime_days"].number
_HEAT = catalogue.BY_KEY["temperature.celsius"].number
TIMES = {
    SIGN_IN: (catalogue.BY_KEY["logon.duration_seconds"].number, "sign-in"),
    BOOT: (catalogue.BY_KEY["boot.duration_seconds"].number, "start"),
}
_LATELY, _LATELY_SPAN, _PAST_SPAN = 7, 14, 75
_LEAST_LATELY, _LEAST_PAST = 3, 10
_FELT_S = 10.0
"""Slower by less is felt by nobody."""
_FULL_PERCENT = 95.0


@dataclass(frozen=True, slots=True)
class Peers:
    """What is usual among others of the model (times) or the school (rise of heat): the median, its spread, how many."""

    usual: float
    spread: float
    count: int


def peers(values: Sequence[float]) -> Peers | None:
    """What is usual among those; None where they are too few to tell."""
    if len(values) < LEAST_PEERS:
        return None
    middle, spread = trend.spread_of(values)
    return Peers(middle, spread, len(values))


def leak(days: Days) -> list[Outlook]:
    """How much memory is lost a day, boot by boot: the least that is used on a day, over the days between restarts."""
    recent = [(day, readings) for day, readings in days if day > days[-1][0] - 30]
    used = dict(series(recent, _MEMORY, "", "low"))
    uptime = series(recent, _UPTIME, "", "last")
    boots = [[(day, used[day]) for day in boot if day in used] for boot in _boots(uptime)]
    long = [boot for boot in boots if len(boot) >= 4]
    if not used or not uptime:
        return []
    past = tuple(sorted(used.items()))
    if not long or long[-1][-1][0] != past[-1][0]:
        return [Outlook(LEAK, "", 0.0, "Memory is given back: it restarts often enough", past=past, unit="% used")]
    slope = trend.theil_sen(long) or 0.0
    rising = [after[1] > before[1] for boot in long for before, after in itertools.pairwise(boot)]
    if slope <= 0 or sum(rising) < 0.75 * len(rising):
        return [
            Outlook(
                LEAK,
                "",
                max(slope, 0.0) if slope > 0 and all(rising) else 0.0,
                "Memory is given back",
                past=past,
                unit="% used",
            )
        ]
    left = max(0.0, _FULL_PERCENT - long[-1][-1][1]) / slope
    sentence = f"Memory is not given back: {slope:.1f} % more each day, and none will be left in {many(max(left, 1), 'day')}"
    return [Outlook(LEAK, "", slope, sentence, due_in_days=left, past=past, unit="% used", target=_FULL_PERCENT)]


def _boots(uptime: list[tuple[int, float]]) -> list[list[int]]:
    """Days grouped by the boot that they belong to: a boot ends where the uptime is less than it would have grown to."""
    boots: list[list[int]] = []
    before: tuple[int, float] | None = None
    for day, days_up in uptime:
        if before is None or days_up < before[1] + (day - before[0]) - 0.75:
            boots.append([])
        boots[-1].append(day)
        before = (day, days_up)
    return boots


def lately(days: Days, rule: str) -> float | None:
    """The median of the last seven days that had one; None where there were fewer than three in a fortnight."""
    points = _lately(series(days, TIMES[rule][0], "", "mean"), days)
    return median(value for _, value in points) if len(points) >= _LEAST_LATELY else None


def slower(days: Days, rule: str, usual: Peers | None) -> list[Outlook]:
    """How many times longer a sign-in or start takes than in the sixty days before, and than it does for its model's peers.

    The lesser of both counts: what is slow for all of a model is no fault of this PC.
    """
    number, what = TIMES[rule]
    points = series(days, number, "", "mean")
    now = lately(days, rule)
    if now is None:
        return []
    recent = _lately(points, days)
    past = [value for day, value in points if recent[0][0] - _PAST_SPAN <= day < recent[0][0]]
    if len(past) < _LEAST_PAST:
        return [
            Outlook(rule, "", None, f"Too few {what}s were seen to say whether they got slower", past=tuple(points), unit="s")
        ]
    before, spread = trend.spread_of(past)
    times = now / max(before, 1.0)
    if now - before < max(_FELT_S, 3 * spread):
        times = min(times, 1.0)
    if usual is not None:
        times = min(times, _against(now, usual))
    sentence = f"Its {what}s take {now:.0f} seconds, {before:.0f} before"
    if times > 1 and usual is not None:
        sentence += f", and {usual.usual:.0f} on {many(usual.count, 'PC')} of its model"
    return [Outlook(rule, "", times, sentence, past=tuple(points[-60:]), unit="s")]


def _against(now: float, usual: Peers) -> float:
    """How many times longer than its peers; 1 where it lies within three standard deviations of them."""
    return now / max(usual.usual, 1.0) if now - usual.usual > max(_FELT_S, 3 * usual.spread) else 1.0


def _lately(points: list[tuple[int, float]], days: Days) -> list[tuple[int, float]]:
    return [point for point in points if point[0] > days[-1][0] - _LATELY_SPAN][-_LATELY:]


def rises(days: Days) -> dict[str, float]:
    """By sensor, how many degrees warmer its calm hours of the last seven days are than those of a month and more before."""
    found = {}
    for sensor in instances(days, _HEAT):
        points = series(days, _HEAT, sensor, "mean")
        recent = _lately(points, days)
        past = [value for day, value in points if days[-1][0] - 90 <= day <= days[-1][0] - 28]
        if len(recent) >= _LEAST_LATELY and len(past) >= _LEAST_PAST:
            found[sensor] = median(value for _, value in recent) - median(past)
    return found


def heat(days: Days, usual: Peers | None) -> list[Outlook]:
    """By sensor, the rise that the school's other PCs do not share; nobody can say it of a PC that has too few beside it."""
    found = []
    for sensor, rise in rises(days).items():
        past = tuple(series(days, _HEAT, sensor, "mean")[-60:])
        if usual is None:
            sentence = f"{sensor} is {rise:+.0f} °C against its past; too few PCs stand beside it to tell dust from weather"
            found.append(Outlook(HEAT, sensor, None, sentence, past=past, unit="°C"))
            continue
        own = rise - usual.usual if rise > usual.usual + 3 * usual.spread else min(0.0, rise - usual.usual)
        sentence = f"{sensor} is {rise:.0f} °C warmer than a month ago at the same load, {usual.usual:.0f} on the PCs around it"
        found.append(Outlook(HEAT, sensor, own, sentence, past=past, unit="°C"))
    return found
