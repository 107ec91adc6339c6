"""How the PC is now, as the rules want to know it: the one place of the job's child that reads clocks, disk and battery."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil

from fettle_agent.jobs.rules import Facts, Me
from fettle_agent.place import here


class Clock:
    """The server's time, from where it was at this boot's start by the running agent's best knowledge."""

    def __init__(self, zero_ms: int | None) -> None:
        place = here()
        self._boot_s = place.boot_s
        self.boot = place.boot_id()
        self._zero_ms = round(time.time() * 1000) - round(place.boot_s() * 1000) if zero_ms is None else zero_ms

    def now_ms(self) -> int:
        """Now, by the server's clock."""
        return self._zero_ms + round(self._boot_s() * 1000)


def look(clock: Clock) -> Facts:
    """How the PC is."""
    now_ms, local = clock.now_ms(), time.localtime()
    return Facts(
        now_ms=now_ms,
        clock_gap_ms=round(time.time() * 1000) - now_ms,
        weekday=local.tm_wday,
        minute=local.tm_hour * 60 + local.tm_min,
        free_bytes=_free_bytes(),
        charge_percent=_charge_percent(),
    )


def me(state: Path) -> Me:
    """Who this PC is.

    Raises:
        NotEnrolled: nobody yet.
    """
    from fettle_agent import identity

    known = identity.load(state)
    return Me(known.endpoint_id, known.school, here().system())


def _free_bytes() -> int | None:
    system_disk = os.environ.get("SYSTEMDRIVE", "C:") + "\\" if sys.platform == "win32" else "/"
    try:
        return int(psutil.disk_usage(system_disk).free)
    except OSError:
        return None


def _charge_percent() -> float | None:
    try:
        battery = psutil.sensors_battery()
    except (OSError, AttributeError, NotImplementedError):
        return None
    return None if battery is None or battery.power_plugged is not False else float(battery.percent)
