"""The processor: how busy, how much waits for it, and how fast it runs against what it could.

Reads the counters that psutil reads on every system. Load is the system's own average over a minute, which Windows has not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import psutil

from fettle_agent.collectors import Collected, Reading, Setup

Times = dict[str, float]
LEAST_S = 0.5
"""Processor seconds below which a share is noise: the counters move in steps of a hundredth."""


def busy_percent(before: Times, after: Times) -> float | None:
    """The share of time between two sums of counters in which some core worked; None where too little time passed.

    Guest time is counted in user time already; waiting for a disk is idleness of the processor.
    """
    spent = {
        name: max(0.0, value - before.get(name, 0.0)) for name, value in after.items() if name not in ("guest", "guest_nice")
    }
    total = sum(spent.values())
    if total < LEAST_S:
        return None
    idle = spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    return min(100.0, max(0.0, 100.0 * (total - idle) / total))


def busy(setup: Setup) -> Callable[[], Collected]:
    """The collector of cpu.busy_percent and cpu.load_per_core; the first run has no share yet."""
    before: Times = psutil.cpu_times()._asdict()

    def collect() -> Collected:
        nonlocal before
        after: Times = psutil.cpu_times()._asdict()
        share = busy_percent(before, after)
        readings = []
        if share is not None:
            before = after
            readings.append(Reading("cpu.busy_percent", share))
        if sys.platform != "win32":
            readings.append(Reading("cpu.load_per_core", os.getloadavg()[0] / (os.cpu_count() or 1)))
        return Collected(tuple(readings))

    return collect


def frequency(setup: Setup) -> Callable[[], Collected]:
    """The collector of cpu.frequency_percent; no data where the system does not tell the rated maximum."""

    def collect() -> Collected:
        speed = psutil.cpu_freq()
        if speed is None or not speed.max or not speed.current:
            return Collected()
        return Collected((Reading("cpu.frequency_percent", 100.0 * speed.current / speed.max),))

    return collect
