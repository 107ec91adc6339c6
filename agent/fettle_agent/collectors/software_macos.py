"""macOS's software inventory, by `system_profiler SPApplicationsDataType`.

What belongs to macOS itself is left out, and what lies in people's folders is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fettle_agent.collectors import Collected, Setup, inventory, profiler_macos
from fettle_agent.collectors.documents import Row, rows

_LEFT_OUT = ("/System/", "/Users/", "/Volumes/", "/private/")


def packages(report: Row) -> Iterator[Row]:
    """The applications in system_profiler's report."""
    for row in rows(report.get("SPApplicationsDataType")):
        path = row.get("path")
        if not isinstance(path, str) or path.startswith(_LEFT_OUT):
            continue
        maker = "Apple" if row.get("obtained_from") == "apple" else None
        yield {"name": row.get("_name"), "version": row.get("version"), "maker": maker, "source": "applications"}


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of the "software" inventory."""

    def collect() -> Collected:
        report = profiler_macos.report("SPApplicationsDataType", timeout_s=240)
        return Collected(inventory={"software": inventory.software(packages(report))})

    return collect
