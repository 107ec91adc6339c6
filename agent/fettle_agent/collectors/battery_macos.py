"""The wear of a Mac's battery, by `system_profiler SPPowerDataType`. psutil reads the charge (see battery)."""

from __future__ import annotations

import re
from collections.abc import Callable

from fettle_agent.collectors import Collected, Reading, Setup, profiler_macos
from fettle_agent.collectors.documents import Row, at, number, rows

_HEALTH = "sppower_battery_health_info"
_PERCENT = re.compile(r"^(\d{1,3})\s?%$")


def readings(report: Row) -> tuple[Reading, ...]:
    """The readings in system_profiler's report; none for a Mac without a battery."""
    found = []
    for part in rows(report.get("SPPowerDataType")):
        capacity = at(part, _HEALTH, "sppower_battery_health_maximum_capacity")
        percent = _PERCENT.match(capacity) if isinstance(capacity, str) else None
        if percent is not None:
            found.append(Reading("battery.health_percent", float(percent[1])))
        cycles = number(at(part, _HEALTH, "sppower_battery_cycle_count"))
        if cycles:
            found.append(Reading("battery.cycles", cycles))
    return tuple(found)


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of battery.health_percent and battery.cycles."""
    return lambda: Collected(readings(profiler_macos.report("SPPowerDataType")))
