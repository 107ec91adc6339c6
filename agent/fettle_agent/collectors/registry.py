"""The registry: every collector by name, with its system, lane, interval and time limit, as one table.

Only the readers of the running system are imported, because each import costs memory on every PC of an estate. Intervals
follow from the agent's budget (0.14 % of a core): what is read in memory runs often, what walks all processes or starts a
tool runs seldom, and what plans or lists packages only looks whether anything changed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from fettle_agent.collectors import Collected, Collector, Lane, Setup
from fettle_agent.collectors.legal import lawful

ALL = ("linux", "windows", "macos")
_MINUTE, _HOUR = 60.0, 3600.0
_CHEAP, _SLOW = Lane.CHEAP, Lane.SLOW


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `factory` is MODULE:FUNCTION, where {system} stands for the running system."""

    name: str
    factory: str
    lane: Lane
    every_s: float
    timeout_s: float
    systems: tuple[str, ...] = ALL


TABLE: tuple[Row, ...] = (
    Row("test_fault", "testfault:collector", _CHEAP, 1, 1),
    Row("cpu", "cpu:busy", _CHEAP, 10, 1),
    Row("cpu_frequency", "cpu:frequency", _CHEAP, _MINUTE, 1),
    Row("memory", "memory:collector", _CHEAP, 10, 1),
    Row("disk_space", "disks:space", _CHEAP, 10, 2),
    Row("disk_work", "disks:work", _CHEAP, 10, 1, ("linux",)),
    Row("disk_work", "disks:work", _CHEAP, 30, 2, ("windows", "macos")),
    Row("network", "network:collector", _CHEAP, 10, 2, ("linux",)),
    Row("network", "network:collector", _CHEAP, _MINUTE, 5, ("windows", "macos")),
    Row("clock", "clock:collector", _CHEAP, _MINUTE, 1),
    Row("own", "own:collector", _CHEAP, _MINUTE, 1),
    Row("processes", "processes:collector", _CHEAP, 30, 5, ("linux",)),
    Row("processes", "processes:collector", _SLOW, 2 * _MINUTE, 20, ("windows", "macos")),
    Row("temperatures", "temperatures:collector", _SLOW, 30, 10),
    Row("battery", "battery:charge", _SLOW, _MINUTE, 5),
    Row("battery_wear", "battery:wear_linux", _SLOW, _HOUR, 5, ("linux",)),
    Row("battery_wear", "battery_{system}:collector", _SLOW, 12 * _HOUR, 60, ("windows", "macos")),
    Row("wifi", "wifi_{system}:collector", _SLOW, _MINUTE, 15, ("linux", "windows")),
    Row("wifi", "wifi_{system}:collector", _SLOW, 10 * _MINUTE, 60, ("macos",)),
    Row("gateway", "reachability:collector", _SLOW, 20, 10, ("linux",)),
    Row("gateway", "reachability:collector", _SLOW, _MINUTE, 20, ("windows", "macos")),
    Row("dns", "dns:collector", _SLOW, 20, 10),
    Row("services", "services_{system}:collector", _SLOW, 10, 60, ("linux",)),
    Row("services", "services_{system}:collector", _SLOW, _MINUTE, 60, ("windows", "macos")),
    Row("smart", "smart:collector", _SLOW, _HOUR, 120),
    Row("event_log", "eventlog_{system}:collector", _SLOW, 5 * _MINUTE, _MINUTE, ("linux",)),
    Row("event_log", "eventlog_{system}:collector", _SLOW, 15 * _MINUTE, 2 * _MINUTE, ("windows", "macos")),
    Row("updates", "updates_{system}:collector", _SLOW, 10 * _MINUTE, 3 * _MINUTE, ("linux",)),
    Row("updates", "updates_{system}:collector", _SLOW, 6 * _HOUR, 10 * _MINUTE, ("windows", "macos")),
    Row("boot", "boot_{system}:collector", _SLOW, 10 * _MINUTE, _MINUTE, ("linux", "windows")),
    Row("hardware", "hardware_{system}:collector", _SLOW, 12 * _HOUR, 3 * _MINUTE),
    Row("software", "software_{system}:collector", _SLOW, 10 * _MINUTE, _MINUTE, ("linux",)),
    Row("software", "software_{system}:collector", _SLOW, 6 * _HOUR, 5 * _MINUTE, ("windows", "macos")),
)


def collectors(setup: Setup) -> tuple[Collector, ...]:
    """The collectors of the running system, in the table's order."""
    rows = (row for row in TABLE if setup.system in row.systems)
    return tuple(Collector(row.name, row.lane, row.every_s, row.timeout_s, lawful(_made(row, setup))) for row in rows)


def _made(row: Row, setup: Setup) -> Callable[[], Collected]:
    module, _, function = row.factory.format(system=setup.system).partition(":")
    make: Callable[[Setup], Callable[[], Collected]] = getattr(
        importlib.import_module(f"fettle_agent.collectors.{module}"), function
    )
    return make(setup)
