"""How long Linux's last start took, by `systemd-analyze time`; no data where systemd is not the first process.

The answer cannot change until the next start, so it is asked for once, and told for two hours only: a PC that is left on for a
week started slowly once. Sign-in has no duration on Linux that all desktops report, so logon.duration_seconds has no data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from fettle_agent.collectors import Collected, Reading, Setup, clock, tools
from fettle_agent.collectors.services_linux import SYSTEMD_SIGN

_LINE = re.compile(r"^Startup finished in ([^\n]+)$", re.MULTILINE)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|s|h|d)\b")
TOLD_FOR_S = 7200.0
"""How long after a start or sign-in its duration is told."""
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def parse_time(text: str) -> float | None:
    """Seconds from firmware to the running system; None while the start is not finished.

    The line ends in "= TOTAL" where the start had several phases; in a container it has but one and no total.
    """
    found = _LINE.search(text)
    parts = _PART.findall(found[1].rpartition("=")[2]) if found is not None else []
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of boot.duration_seconds: of a start that is longer ago than TOLD_FOR_S there is no data."""
    known: float | None = None

    def collect() -> Collected:
        nonlocal known
        if clock.uptime_s() > TOLD_FOR_S:
            return Collected()
        if known is None and os.path.isdir(SYSTEMD_SIGN):
            known = parse_time(tools.run("systemd-analyze", "time", timeout_s=15, accept=None))
        return Collected() if known is None else Collected((Reading("boot.duration_seconds", known),))

    return collect
