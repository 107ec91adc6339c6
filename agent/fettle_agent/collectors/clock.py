"""Time: this clock against the server's, and how long the machine has been up.

The offset is measured by the link, which alone hears the server; this collector only hands it on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import psutil

from fettle_agent.collectors import Collected, Reading, Setup

_DAY_S = 86_400


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of clock.offset_seconds (no data before the server was heard) and boot.uptime_days."""

    def collect() -> Collected:
        readings = [Reading("boot.uptime_days", uptime_s() / _DAY_S)]
        offset = setup.clock_offset_s()
        if offset is not None:
            readings.append(Reading("clock.offset_seconds", offset))
        return Collected(tuple(readings))

    return collect


def uptime_s() -> float:
    """Seconds since the start, sleep included; Linux's own clock of it does not move when the wall clock is set."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return max(0.0, time.time() - psutil.boot_time())
