"""Linux's Wi-Fi signal: from /proc/net/wireless, or by `iw` on kernels that no longer keep that file.

Only the strength is read: neither the network's name nor any address.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

from fettle_agent.collectors import Collected, CollectError, Reading, Setup, tools

_SIGNAL = re.compile(r"^\s*signal:\s*(-?\d+)\s*dBm", re.MULTILINE)


def signals(table: str) -> tuple[Reading, ...]:
    """The signal of each interface in /proc/net/wireless; old drivers give it as an unsigned byte, 256 too high."""
    readings = []
    for line in table.splitlines()[2:]:
        name, colon, rest = line.partition(":")
        fields = rest.split()
        try:
            level = float(fields[2]) if colon and len(fields) >= 3 else None
        except ValueError:
            continue
        if level is not None and level != 0:
            readings.append(Reading("wifi.signal_dbm", level - 256 if level > 63 else level, name.strip()))
    return tuple(readings)


def signal_of(link: str) -> float | None:
    """The signal in what `iw dev NAME link` printed; None where there is no link."""
    found = _SIGNAL.search(link)
    return None if found is None else float(found[1])


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of wifi.signal_dbm; no data without a Wi-Fi link."""

    def collect() -> Collected:
        interfaces = _wireless()
        if not interfaces:
            return Collected()
        try:
            with open("/proc/net/wireless", encoding="ascii", errors="replace") as file:
                return Collected(signals(file.read(65_536)))
        except OSError:
            return Collected(_asked(interfaces))

    return collect


def _wireless() -> list[str]:
    """The interfaces with a radio."""
    try:
        return sorted(name for name in os.listdir("/sys/class/net") if os.path.exists(f"/sys/class/net/{name}/phy80211"))
    except OSError:
        return []


def _asked(interfaces: Iterable[str]) -> tuple[Reading, ...]:
    readings = []
    for name in interfaces:
        try:
            level = signal_of(tools.run("iw", "dev", name, "link", timeout_s=5))
        except CollectError:
            continue
        if level is not None:
            readings.append(Reading("wifi.signal_dbm", level, name))
    return tuple(readings)
