"""Network links: up or down, speed, damage and traffic of each real interface.

Owns which interfaces are real: cards of the machine, not loopback, tunnels, bridges or the inside of containers. Frames that
Linux drops on arrival are not counted as damage: it drops what nobody asked for (other protocols) all day long.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from fettle_agent.collectors import Collected, Reading, Setup
from fettle_agent.collectors.changes import Clock, Rates

_LINUX_NAMES = re.compile(r"^(eth|en|wl|ww|usb)[a-z0-9]*$")
_MACOS_NAMES = re.compile(r"^en\d+$")
_WINDOWS_UNREAL = re.compile(
    r"loopback|vethernet|virtual|hyper-v|teredo|isatap|6to4|bluetooth|local area connection\*|npcap|wan miniport"
    r"|tap-|vpn|tunnel|wintun",
    re.IGNORECASE,
)
_WINDOW_S, _STEP_S = 600.0, 60.0
_UNKNOWN_SPEEDS = frozenset({0, 65535, 0xFFFFFFFF})


def is_real(name: str, platform: str = sys.platform) -> bool:
    """True for a card of this machine; a Linux name is asked of the kernel too, which knows what is only software."""
    if platform == "win32":
        return not _WINDOWS_UNREAL.search(name)
    if platform == "darwin":
        return bool(_MACOS_NAMES.match(name))
    return bool(_LINUX_NAMES.match(name)) or os.path.exists(f"/sys/class/net/{name}/device")


class Damage:
    """Damaged packets an hour over the last ten minutes, so that one bad packet is not a rate of hundreds."""

    __slots__ = ("_clock", "_seen")

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def per_hour(self, interface: str, total: int) -> float | None:
        """The rate, once a minute of it has been seen; a counter that fell starts anew."""
        now = self._clock()
        seen = self._seen.setdefault(interface, deque())
        if seen and total < seen[-1][1]:
            seen.clear()
        if not seen or now - seen[-1][0] >= _STEP_S:
            seen.append((now, total))
        while len(seen) > 1 and now - seen[1][0] >= _WINDOW_S:
            seen.popleft()
        elapsed = now - seen[0][0]
        return None if elapsed < _STEP_S else (total - seen[0][1]) * 3600.0 / elapsed


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of network.*: interfaces that a person switched off are left out."""
    rates, damage = Rates(), Damage()

    def collect() -> Collected:
        rates.tick()
        counters = psutil.net_io_counters(pernic=True, nowrap=False)
        readings: list[Reading] = []
        for name, link in sorted(psutil.net_if_stats().items()):
            if is_real(name) and _switched_on(link):
                readings += _link(name, link)
                if name in counters:
                    readings += _traffic(name, counters[name], rates, damage)
        return Collected(tuple(readings))

    return collect


def _switched_on(link: Any) -> bool:
    flags = getattr(link, "flags", "")
    return not flags or "up" in flags.split(",")


def _link(name: str, link: Any) -> Iterator[Reading]:
    up = link.isup and (not link.flags or "running" in link.flags.split(","))
    yield Reading("network.link_up", float(up), name)
    if up and link.speed not in _UNKNOWN_SPEEDS:
        yield Reading("network.link_speed", link.speed, name)


def _traffic(name: str, counters: Any, rates: Rates, damage: Damage) -> Iterator[Reading]:
    received = rates.per_second((name, "received"), counters.bytes_recv)
    sent = rates.per_second((name, "sent"), counters.bytes_sent)
    if received is not None:
        yield Reading("network.received_bytes_per_second", received, name)
    if sent is not None:
        yield Reading("network.sent_bytes_per_second", sent, name)
    dropped_in = 0 if sys.platform == "linux" else counters.dropin
    errors = damage.per_hour(name, counters.errin + counters.errout + counters.dropout + dropped_in)
    if errors is not None:
        yield Reading("network.errors_per_hour", errors, name)
