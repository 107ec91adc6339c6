"""Linux's pending updates, by apt or dnf as installed; nothing is downloaded and no lock is taken.

apt plans the upgrade that it would do and prints it; dnf is asked from its cache. Planning costs a second of processor, so it
is done anew only when the package database or the lists changed. A pending restart is Debian's own flag file, or dnf's word.
"""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Callable, Hashable, Iterable

from fettle_agent.collectors import Collected, CollectError, Setup, tools
from fettle_agent.collectors.changes import Renewed, file_times
from fettle_agent.collectors.updates import Updates

REBOOT_FLAGS = ("/run/reboot-required", "/var/run/reboot-required")
MAX_AGE_S = 86_400.0
_DAY_S = 86_400.0
_APT_STATE = ("/var/lib/dpkg/status", "/var/lib/apt/lists", "/var/lib/apt/lists/partial", "/etc/apt/preferences.d")
_APT_LISTS = "/var/lib/apt/lists/*Release"
_APT_CHECKS = ("/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/periodic/update-stamp", "/var/lib/apt/lists/partial")
_DNF_STATE = (
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/cache/dnf",
    "/var/cache/libdnf5",
)
_DNF_CHECKS = ("/var/cache/dnf/*/repodata/repomd.xml", "/var/cache/libdnf5/*/repodata/repomd.xml")
_INSTALL = re.compile(r"^Inst \S+ \[[^\]]*\] \((\S+) ([^\[\)]*)")
_SECURITY = re.compile(r"-security\b|Debian-Security|\bESM\b|esm-", re.IGNORECASE)
_PACKAGE = re.compile(r"^[A-Za-z0-9][\w.+-]*\.(?:noarch|x86_64|aarch64|i[36]86|ppc64le|s390x|armv7hl)\s+\S+\s+\S+\s*$")
_DNF_UPDATES = 100


def parse_apt(plan: str) -> tuple[int, int]:
    """How many installed packages apt's plan upgrades, and how many of them from a security archive.

    New packages that an upgrade brings along have no old version in brackets and are not counted.
    """
    origins = [found[2] for found in map(_INSTALL.match, plan.splitlines()) if found is not None]
    return len(origins), sum(1 for origin in origins if _SECURITY.search(origin))


def parse_dnf(listing: str) -> int:
    """How many packages `dnf check-update` lists; what it would obsolete comes after and is not counted."""
    lines = listing.partition("\nObsoleting")[0].splitlines()
    return sum(1 for line in lines if _PACKAGE.match(line))


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of updates.*; no data on a system with neither apt nor dnf."""
    if tools.find("apt-get") is not None:
        counts = Renewed(ask_apt, lambda: file_times(_APT_STATE), max_age_s=MAX_AGE_S)
        return lambda: _updates(counts.value(), _APT_CHECKS, os.path.exists(REBOOT_FLAGS[0]) or os.path.exists(REBOOT_FLAGS[1]))
    if tools.find("dnf") is not None:
        known = Renewed(ask_dnf, _dnf_state, max_age_s=MAX_AGE_S)
        return lambda: _updates(known.value(), _DNF_CHECKS, _dnf_restart())
    return Collected


def ask_apt() -> tuple[int, int] | None:
    """The counts of apt's plan; None where apt has no lists, from which it would plan nothing and look up to date.

    Raises:
        CollectError: apt could not plan, as when packages are half installed.
    """
    if not glob.glob(_APT_LISTS):
        return None
    return parse_apt(tools.run("apt-get", "-s", "-q", "-o", "Debug::NoLocking=true", "dist-upgrade", timeout_s=90))


def ask_dnf() -> tuple[int, int]:
    """The counts of dnf's cache.

    Raises:
        CollectError: dnf failed, as when it has no cache yet.
    """
    accept = (0, _DNF_UPDATES)
    pending = parse_dnf(tools.run("dnf", "-q", "-C", "check-update", timeout_s=90, accept=accept))
    return pending, parse_dnf(tools.run("dnf", "-q", "-C", "--security", "check-update", timeout_s=90, accept=accept))


def _updates(counts: tuple[int, int] | None, checks: Iterable[str], reboot: bool | None) -> Collected:
    if counts is None:
        return Updates(reboot_pending=reboot).collected()
    return Updates(counts[0], counts[1], reboot, _days_since(checks, time.time())).collected()


def _days_since(patterns: Iterable[str], now: float) -> float | None:
    """Days since the newest of those files changed; None where there is none, 0 where a clock was set back."""
    changed = [seen for seen in file_times(path for pattern in patterns for path in glob.glob(pattern)) if seen is not None]
    return max(0.0, (now - max(changed) / 1e9) / _DAY_S) if changed else None


def _dnf_state() -> Hashable:
    return file_times(_DNF_STATE)


def _dnf_restart() -> bool | None:
    """Whether dnf's own tool says that a restart is due; None where that plugin is not installed.

    Status 1 alone does not say so: dnf ends with it too when it knows no such command.
    """
    try:
        status, output = tools.ended("dnf", "-C", "needs-restarting", "-r", timeout_s=60)
    except CollectError:
        return None
    if status == 1 and "Reboot is required" in output:
        return True
    return False if status == 0 else None
