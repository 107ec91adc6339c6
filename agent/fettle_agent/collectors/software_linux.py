"""Linux's software inventory, from dpkg or rpm as installed.

The list is read anew when the package database changed, and at least once a day. It is not kept in memory between, so most
runs give nothing: the inventory then stands as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from fettle_agent.collectors import Collected, Setup, inventory, tools
from fettle_agent.collectors.changes import file_times

_DPKG_FORMAT = r"${db:Status-Status}\t${Package}\t${Version}\n"
_RPM_FORMAT = r"%{NAME}\t%{VERSION}-%{RELEASE}\t%{VENDOR}\n"
_DATABASES = (
    "/var/lib/dpkg/status",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
)
MAX_AGE_S = 86_400.0


def parse_dpkg(text: str) -> Iterator[dict[str, Any]]:
    """The installed packages in what dpkg-query printed; what was removed but left its settings is not installed."""
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 3 and fields[0] == "installed":
            yield {"name": fields[1], "version": fields[2], "source": "dpkg"}


def parse_rpm(text: str) -> Iterator[dict[str, Any]]:
    """The installed packages in what rpm printed; the keys that rpm keeps as packages are not software."""
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 3 and fields[0] != "gpg-pubkey":
            yield {
                "name": fields[0],
                "version": fields[1],
                "maker": None if fields[2] == "(none)" else fields[2],
                "source": "rpm",
            }


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of the "software" inventory; no data on a system with neither dpkg nor rpm."""
    last: tuple[tuple[int | None, ...], float] | None = None

    def collect() -> Collected:
        nonlocal last
        state, now = file_times(_DATABASES), time.monotonic()
        if last is not None and last[0] == state and now - last[1] < MAX_AGE_S:
            return Collected()
        section = inventory.software(_installed())
        last = (state, now)
        return Collected(inventory={"software": section}) if section["packages"] else Collected()

    return collect


def _installed() -> Iterator[dict[str, Any]]:
    if tools.find("dpkg-query") is not None:
        yield from parse_dpkg(tools.run("dpkg-query", "-W", "-f", _DPKG_FORMAT, timeout_s=30))
    elif tools.find("rpm") is not None:
        yield from parse_rpm(tools.run("rpm", "-qa", "--qf", _RPM_FORMAT, timeout_s=60))
