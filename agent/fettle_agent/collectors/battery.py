"""The battery: charge and mains on every system, wear from Linux's own files.

psutil reads the charge everywhere. The wear of Windows's and macOS's batteries is read by battery_windows and battery_macos.
A machine without a battery has no data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from fettle_agent.collectors import Collected, Reading, Setup

_SUPPLIES = Path("/sys/class/power_supply")


def charge(setup: Setup) -> Callable[[], Collected]:
    """The collector of battery.charge_percent and battery.on_mains."""

    def collect() -> Collected:
        battery = psutil.sensors_battery()
        if battery is None:
            return Collected()
        readings = [Reading("battery.charge_percent", min(100.0, battery.percent))]
        if battery.power_plugged is not None:
            readings.append(Reading("battery.on_mains", float(battery.power_plugged)))
        return Collected(tuple(readings))

    return collect


def wear_linux(setup: Setup, *, root: Path = _SUPPLIES) -> Callable[[], Collected]:
    """The collector of battery.health_percent and battery.cycles from the kernel's files."""

    def collect() -> Collected:
        for supply in sorted(root.glob("BAT*")) if root.is_dir() else ():
            readings = tuple(_wear(supply))
            if readings:
                return Collected(readings)
        return Collected()

    return collect


def _wear(supply: Path) -> Iterator[Reading]:
    for kind in ("energy", "charge"):
        full, design = _number(supply / f"{kind}_full"), _number(supply / f"{kind}_full_design")
        if full and design:
            yield Reading("battery.health_percent", 100.0 * full / design)
            break
    cycles = _number(supply / "cycle_count")
    if cycles:
        yield Reading("battery.cycles", cycles)


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii", errors="replace"))
    except (OSError, ValueError):
        return None
