"""The agent about itself: what it takes of the machine, its tools included, and how many collectors fail."""

from __future__ import annotations

import os
from collections.abc import Callable

import psutil

from fettle_agent.collectors import Collected, Reading, Setup
from fettle_agent.collectors.changes import Rates


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of agent.*; processor time is that of the agent and of all the tools that it ran."""
    process, rates = psutil.Process(), Rates()

    def collect() -> Collected:
        rates.tick()
        spent = os.times()
        readings = [
            Reading("agent.memory_bytes", process.memory_info().rss),
            Reading("agent.collectors_failing", setup.collectors_failing()),
        ]
        share = rates.per_second("cpu", spent.user + spent.system + spent.children_user + spent.children_system)
        if share is not None:
            readings.append(Reading("agent.cpu_percent", min(100.0, 100.0 * share)))
        return Collected(tuple(readings))

    return collect
