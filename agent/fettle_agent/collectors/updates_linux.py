"""Linux's pending updates, by apt or dnf, and by flatpak and snap where they are; nothing is downloaded and no lock is taken.

apt plans the upgrade that it would do and prints it; dnf is asked from its cache. Planning costs a second of processor, so it
is done anew only when the package database or the lists changed. A pending restart is Debian's own flag file, or dnf's word.
The readings count what apt or dnf offers; the section names the others' offers too.
"""

from __future__ import annotations

import glob
import importlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from fettle_agent.collectors import Collected, Setup, tools
from fettle_agent.collectors.changes import file_times
from fettle_agent.collectors.updates import Look, Updates, collected, source
from fettle_agent.packages import Offer

REBOOT_FLAGS = ("/run/reboot-required", "/var/run/reboot-required")
MAX_AGE_S = 86_400.0
_DAY_S = 86_400.0
_APT_STATE = (
    "/var/lib/dpkg/status",
    "/var/lib/apt/lists",
    "/var/lib/apt/lists/partial",
    "/etc/apt/preferences.d",
    "/var/cache/apt/archives",
    "/run/reboot-required.pkgs",
    "/var/run/reboot-required.pkgs",
)
_APT_CHECKS = ("/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/periodic/update-stamp", "/var/lib/apt/lists/partial")
_DNF_STATE = (
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/cache/dnf",
    "/var/cache/libdnf5",
    "/etc/dnf/plugins/versionlock.list",
)
_DNF_CHECKS = ("/var/cache/dnf/*/repodata/repomd.xml", "/var/cache/libdnf5/*/repodata/repomd.xml")
_OTHERS = {
    "flatpak": ("/var/lib/flatpak/.changed", "/var/lib/flatpak/repo"),
    "snap": ("/var/lib/snapd/snaps",),
}
"""Other package managers, and the files that change with what they have. snapd can only be asked to look in its store, so it
is asked once a day."""


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of updates.*; no data on a system with none of the package managers."""
    others = tuple(_others())
    if tools.find("apt-get") is not None:
        apt = _source("apt", "apt_offers", _APT_STATE)
        return lambda: _updates((apt(), *(ask() for ask in others)), _APT_CHECKS, any(map(os.path.exists, REBOOT_FLAGS)))
    if tools.find("dnf") is not None:
        dnf = _source("dnf", "dnf_offers", _DNF_STATE)
        return lambda: _updates((dnf(), *(ask() for ask in others)), _DNF_CHECKS, _dnf_restart())
    return lambda: collected(Updates(), tuple(ask() for ask in others))


def _source(provider: str, module: str, state: Iterable[str]) -> Callable[[], Look]:
    """What a provider offers; its reader is imported only where it is installed."""
    ask = cast(Callable[[], tuple[Offer, ...]], importlib.import_module(f"fettle_agent.packages.{module}").offers)
    return source(provider, ask, lambda: file_times(state), max_age_s=MAX_AGE_S)


def _others() -> Iterator[Callable[[], Look]]:
    for name, state in _OTHERS.items():
        if tools.find(name) is not None:
            yield _source(name, name, state)


def _updates(looks: tuple[Look, ...], checks: Iterable[str], reboot: bool | None) -> Collected:
    own = looks[0]
    days = None if own.pending is None else _days_since(checks, time.time())
    return collected(Updates(own.pending, own.security, reboot, days), looks)


def _days_since(patterns: Iterable[str], now: float) -> float | None:
    """Days since the newest of those files changed; None where there is none, 0 where a clock was set back."""
    changed = [seen for seen in file_times(path for pattern in patterns for path in glob.glob(pattern)) if seen is not None]
    return max(0.0, (now - max(changed) / 1e9) / _DAY_S) if changed else None


def _dnf_restart() -> bool | None:
    return cast("bool | None", importlib.import_module("fettle_agent.packages.dnf_offers").restart()[0])
