"""macOS's error counts: the crash and panic reports that the system wrote, by program.

The unified log calls thousands of harmless lines an hour "error", and reading it costs minutes of processor, so it is not
counted. Only the reports' file names are read, and only those of the system's own folder: people's folders are theirs.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fettle_agent.collectors import Collected, Setup
from fettle_agent.collectors.eventlog import HOUR_S, Entry, Level, counted

REPORTS = Path("/Library/Logs/DiagnosticReports")
_REPORT = re.compile(r"^(.{1,60}?)[-_]\d{4}-\d{2}-\d{2}-\d{6}\S*\.(ips|crash|panic)$")
_MAX_AGE_S = 24 * HOUR_S


def entries(reports: Iterable[tuple[str, float]]) -> Iterator[Entry]:
    """The events of those file names and ages in seconds; a report of another kind is passed over."""
    for name, age_s in reports:
        found = _REPORT.match(name)
        if found is not None and age_s <= _MAX_AGE_S:
            panic = found[2] == "panic" or found[1].lower().startswith(("panic", "kernel"))
            yield Entry("kernel:panic" if panic else f"{found[1]}:crash", Level.CRITICAL if panic else Level.ERROR, age_s)


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of log.*."""

    def collect() -> Collected:
        return counted(entries(_reports(time.time())))

    return collect


def _reports(now_s: float) -> Iterator[tuple[str, float]]:
    try:
        with os.scandir(REPORTS) as folder:
            for entry in folder:
                yield entry.name, now_s - entry.stat().st_mtime
    except OSError:
        return
