"""What is used up: batteries and solid-state disks. Pure.

Both wear over months and tell it in whole percent, so a year of days is looked at (the older ones thinly).
"""

from __future__ import annotations

from fettle_protocol import catalogue

from fettle_server.proactive.forecasts import trend
from fettle_server.proactive.forecasts.outlooks import NEVER, Days, Outlook, instances, many, series, span

BATTERY = "battery-wearing"
SSD = "ssd-wearing"
BATTERY_WORN = 50.0
SSD_WORN = 90.0
MONTH = 30.44
LEAST_DAYS = 60
_HEALTH = catalogue.BY_KEY["battery.health_percent"].number
_WEAR = catalogue.BY_KEY["disk.smart_wear_percent"].number
_ROUNDING = 0.29
"""The standard deviation of rounding to whole percent."""
_JUMP = 15.0
"""A battery that gains or loses so much from one day to the next was changed or measured anew."""


def battery(days: Days) -> list[Outlook]:
    """The months until the battery holds half of what it held when new; nothing where there is no battery."""
    points = _weekly(series(days, _HEALTH, "", "mean"))
    if not points:
        return []
    left = "the battery holds half of what it held when new"
    return [_wears(BATTERY, "", points, BATTERY_WORN, ("The battery", left))]


def ssd(days: Days) -> list[Outlook]:
    """The months until each solid-state disk has used 90 % of its life."""
    found = []
    for disk in instances(days, _WEAR):
        points = [(day, 100 - value) for day, value in _weekly(series(days, _WEAR, disk, "high"))]
        if points:
            words = (f"Disk {disk}", f"disk {disk} has used {SSD_WORN:.0f} % of its life")
            found.append(_wears(SSD, disk, points, 100 - SSD_WORN, words))
    return found


def _weekly(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """The last of each week: wear is slow, and seven times fewer points cost fifty times less."""
    last = {day // 7: (day, value) for day, value in points}
    return [last[week] for week in sorted(last)]


def _wears(rule: str, instance: str, points: list[tuple[int, float]], target: float, words: tuple[str, str]) -> Outlook:
    what, end = words
    past, unit = tuple(points), "% left"
    if points[-1][1] <= target:
        return Outlook(rule, instance, 0.0, f"{what} is worn out", 0, 0, 99, 0.0, past, unit, target)
    line = trend.fit(points, jump=_JUMP, least_noise=_ROUNDING) if span(points) >= LEAST_DAYS else None
    if line is None:
        return Outlook(rule, instance, None, f"{what} has too short a history to say how fast it wears", past=past, unit=unit)
    reach = trend.reach(line, target)
    if reach is None or reach.high > 4 * max(reach.days, 60):
        slow = line.slope >= 0 or (line.level - target) / -line.slope > trend.HORIZON_DAYS
        value, sentence = (NEVER / 10, "wears slowly") if slow else (None, "wears too unevenly to say when it is worn out")
        return Outlook(rule, instance, value, f"{what} {sentence}", past=past, unit=unit)
    months = [days / MONTH for days in (reach.days, reach.low, reach.high)]
    size, word = (MONTH, "month") if reach.days >= 3 * MONTH else (7.0, "week")
    between = f"between {reach.low / size:.0f} and {many(max(reach.high / size, 1), word)}, {reach.sure_percent} % sure"
    sentence = f"In {many(max(reach.days / size, 1), word)} {end} ({between})"
    return Outlook(
        rule, instance, months[0], sentence, months[1], months[2], reach.sure_percent, reach.days, past, unit, target
    )
