"""What apt offers, from the plan of an upgrade that it prints; nothing is fetched and no lock is taken.

Owns the reading of apt's and dpkg's words. The archive gives neither severity, CVE nor day of release with a package, so those
stay empty: the date in a Release file is only when the archive was last written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fettle_agent.collectors import NothingKnown, tools
from fettle_agent.packages import Offer

LISTS = "var/lib/apt/lists"
ARCHIVES = "var/cache/apt/archives"
RESTART = ("run/reboot-required", "var/run/reboot-required")
"""Debian's flag that a restart is due; the file of that name with ".pkgs" says which packages asked for it."""

PLAN = ("apt-get", "-s", "-q", "-o", "Debug::NoLocking=true")
PRESENT = ("installed", "triggers-awaited", "triggers-pending")
_PLAN_S = 90.0
_TOO_LONG = 300
_INSTALL = re.compile(r"^Inst (\S+) \[([^\]]*)\] \((\S+) ([^\[\)]*)(?:\[([^\]]*)\])?")
_CHANGE = re.compile(r"^(?:Inst|Remv) (\S+)", re.MULTILINE)
_SECURITY = re.compile(r"-security\b|Debian-Security|\bESM\b|esm-", re.IGNORECASE)
_DPKG_FORMAT = r"${Package}\t${Architecture}\t${Version}\t${db:Status-Want}\t${db:Status-Status}\t${binary:Summary}\n"


@dataclass(frozen=True, slots=True)
class Installed:
    """A package as dpkg has it."""

    name: str
    architecture: str
    version: str
    held: bool
    title: str


def parse_plan(plan: str) -> Iterator[tuple[Offer, str]]:
    """The upgrades of installed packages in apt's plan, each with its architecture.

    New packages that an upgrade brings along have no old version in brackets and are no offers.
    """
    for found in map(_INSTALL.match, plan.splitlines()):
        if found is not None:
            name, installed, version, origins, architecture = found.groups()
            yield Offer("apt", name, version, installed, security=bool(_SECURITY.search(origins))), architecture or ""


def changes(plan: str) -> tuple[str, ...]:
    """The names of all that a plan puts on, changes or takes off."""
    return tuple(dict.fromkeys(_CHANGE.findall(plan)))


def parse_installed(text: str) -> Iterator[Installed]:
    """The packages that are properly installed, in what dpkg-query printed."""
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 6 and fields[4] in PRESENT:
            yield Installed(fields[0], fields[1], fields[2], fields[3] == "hold", fields[5].strip()[:_TOO_LONG])


def installed(*names: str) -> tuple[Installed, ...]:
    """What dpkg has of those packages, of all where none is named; what it does not know is left out."""
    return tuple(parse_installed(tools.run("dpkg-query", "-W", "-f", _DPKG_FORMAT, *names, timeout_s=30, accept=(0, 1))))


def versions(there: tuple[Installed, ...], names: tuple[str, ...]) -> dict[str, Installed]:
    """Each of those names that is installed; a name may carry an architecture, else the system's own is meant."""
    found: dict[str, Installed] = {}
    for one in there:
        found[f"{one.name}:{one.architecture}"] = one
        if one.name in found:
            own = tools.run("dpkg", "--print-architecture", timeout_s=10).strip()
            one = one if one.architecture == own else found[one.name]  # noqa: PLW2901 - of two, the system's own
        found[one.name] = one
    return {name: found[name] for name in names if name in found}


def file_name(name: str, version: str, architecture: str) -> str:
    """What apt calls a package's file in its cache; a colon is written as apt writes it."""
    return f"{name.partition(':')[0]}_{version.replace(':', '%3a')}_{architecture}.deb"


def restart_pending(root: Path) -> bool:
    """Whether a package asked for a restart that has not been yet."""
    return any((root / flag).exists() for flag in RESTART)


def restart_packages(root: Path) -> tuple[str, ...]:
    """The packages that asked for it, as far as they said so."""
    for flag in RESTART:
        try:
            lines = (root / f"{flag}.pkgs").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        return tuple(sorted({line.strip() for line in lines if line.strip()}))
    return ()


def offers(root: Path = Path("/")) -> tuple[Offer, ...]:
    """Every upgrade, those of held packages too, and what is installed but waits for a restart.

    Raises:
        NothingKnown: apt has no lists, from which it would plan nothing and look up to date.
        CollectError: it could not plan.
    """
    if not any((root / LISTS).glob("*Release")):
        raise NothingKnown("apt has no package lists yet: nobody has run apt-get update here")
    there = installed()
    planned = dict(parse_plan(tools.run(*PLAN, "dist-upgrade", timeout_s=_PLAN_S)))
    held = {one.name for one in there if one.held}
    if held:
        all_of_them = tools.run(*PLAN, "--ignore-hold", "dist-upgrade", timeout_s=_PLAN_S)
        planned |= {
            replace(offer, held=True): architecture
            for offer, architecture in parse_plan(all_of_them)
            if offer.name.partition(":")[0] in held
        }
    by_name = {one.name: one for one in there}
    waiting = {name: by_name[name] for name in restart_packages(root) if name in by_name}
    found = [_known(offer, architecture, by_name, root) for offer, architecture in planned.items()]
    found += [
        Offer("apt", one.name, one.version, title=one.title, held=one.held, state="reboot pending") for one in waiting.values()
    ]
    return tuple(found)


def _known(offer: Offer, architecture: str, by_name: Mapping[str, Installed], root: Path) -> Offer:
    """The offer with its title, and whether its file is here already."""
    one = by_name.get(offer.name.partition(":")[0])
    here = root / ARCHIVES / file_name(offer.name, offer.version, architecture)
    return replace(offer, title=one.title if one else "", state="downloaded" if here.exists() else "offered")
