"""Asks macOS's system_profiler for its report."""

from __future__ import annotations

from fettle_agent.collectors import tools
from fettle_agent.collectors.documents import Row, parse


def report(*kinds: str, timeout_s: float = 60) -> Row:
    """The report of those data types, one list for each.

    Raises:
        CollectError: system_profiler failed, or did not print JSON.
    """
    return parse(tools.run("system_profiler", "-json", *kinds, timeout_s=timeout_s), "system_profiler")
