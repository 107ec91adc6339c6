"""Memory and swap: what is left, and how hard the machine pages.

Reads psutil. A machine without swap has no swap readings. Windows does not count its paging, so it has no swap traffic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import psutil

from fettle_agent.collectors import Collected, Reading, Setup
from fettle_agent.collectors.changes import Rates


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of memory.* and swap.*."""
    rates = Rates()

    def collect() -> Collected:
        rates.tick()
        memory = psutil.virtual_memory()
        used = 100.0 * (memory.total - memory.available) / memory.total if memory.total else 0.0
        own = (Reading("memory.used_percent", used), Reading("memory.available_bytes", memory.available))
        return Collected((*own, *_swap(rates)))

    return collect


def _swap(rates: Rates) -> Iterator[Reading]:
    try:
        swap = psutil.swap_memory()
    except (OSError, RuntimeError):
        return
    if not swap.total:
        return
    yield Reading("swap.used_percent", min(100.0, 100.0 * swap.used / swap.total))
    if sys.platform == "win32":
        return
    traffic = rates.per_second("swap", swap.sin + swap.sout)
    if traffic is not None:
        yield Reading("swap.io_bytes_per_second", traffic)
