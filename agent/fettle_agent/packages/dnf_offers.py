"""What dnf offers, from its cache: updates, and the advisories that speak of them. Nothing is fetched.

Owns the reading of dnf's and rpm's words. An update counts for all advisories that the installed version lacks, not only for
the newest one's, for it mends all of them. dnf 4 prints of an advisory the day of its last change only, which a vendor that
revises one makes later than its first day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest

from fettle_agent.collectors import CollectError, tools
from fettle_agent.packages import Offer

ARCHITECTURES = "noarch|x86_64|aarch64|i[36]86|ppc64le|s390x|armv7hl"
SEVERITIES = ("critical", "important", "moderate", "low")
"""As vendors of rpm packages name them, the worst first."""

_SECOND = ("i386", "i686")
_UPDATES = 100
_ASK_S = 90.0
_PACKAGE = re.compile(rf"^(\S+)\.({ARCHITECTURES})\s+([A-Za-z0-9]\S*)\s+\S+\s*$")
_LISTED = re.compile(rf"^(\S+)\s+(?:(\w+)/Sec\.|\w+)\s+(\S+)-([^-\s]+-[^-\s]+)\.({ARCHITECTURES})\s*$")
_HEAD = re.compile(r"^=+\n {2}(.*)\n=+\n", re.MULTILINE)
_ID = re.compile(r"^\s*Update ID\s*: (\S+)$", re.MULTILINE)
_DAY = re.compile(r"^\s*(?:Issued|Updated)\s*: (\d{4}-\d\d-\d\d)", re.MULTILINE)
_CVE = re.compile(r"^\s*(?:CVEs)?\s*: (CVE-\d{4}-\d{4,})$", re.MULTILINE)
_CHANGE = re.compile(r"^ (\S+)", re.MULTILINE)
_WAITING = re.compile(r"^\s+\* (\S+)$", re.MULTILINE)
_PARTS = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
_RPM_FORMAT = r"%{NAME}\t%{ARCH}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{SUMMARY}\n"


@dataclass(frozen=True, slots=True)
class Advisory:
    """A vendor's word on what an update mends."""

    title: str = ""
    cves: tuple[str, ...] = ()
    day: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An advisory's entry for one package: its id, and its severity in lower case; None where it is not about security."""

    advisory: str
    package: str
    severity: str | None


@dataclass(frozen=True, slots=True)
class Installed:
    """A package as rpm has it; `version` is [epoch:]version-release."""

    name: str
    architecture: str
    version: str
    title: str


def parse_updates(listing: str) -> Iterator[tuple[str, str, str]]:
    """Name, architecture and version of what `dnf check-update` lists; what it would obsolete comes after and is left out."""
    for line in listing.partition("\nObsoleting")[0].splitlines():
        found = _PACKAGE.match(line)
        if found is not None:
            yield found[1], found[2], found[3]


def parse_listed(listing: str) -> Iterator[Listed]:
    """The entries of `dnf updateinfo list`."""
    for found in map(_LISTED.match, listing.splitlines()):
        if found is not None:
            is_security = found[2] is not None or "/Sec." in found[0]
            yield Listed(found[1], f"{found[3]}.{found[5]}", (found[2] or "").lower() if is_security else None)


def parse_advisories(text: str) -> dict[str, Advisory]:
    """The advisories of `dnf updateinfo info`, by id."""
    parts = _HEAD.split(text)[1:]
    found: dict[str, Advisory] = {}
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        named, day = _ID.search(body), _DAY.search(body)
        if named is not None:
            cves = tuple(sorted(set(_CVE.findall(body))))
            found[named[1]] = Advisory(title.strip()[:300], cves, day[1] if day else None)
    return found


def parse_installed(text: str) -> Iterator[Installed]:
    """The packages in what rpm printed."""
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 4:
            yield Installed(fields[0], fields[1], fields[2], fields[3].strip()[:300])


def changes(plan: str) -> tuple[str, ...]:
    """The names of all that a plan puts on, changes or takes off, in what `dnf --assumeno` printed."""
    table = plan.rpartition("\nTransaction Summary\n")[0].rpartition("Dependencies resolved.\n")[2]
    return tuple(dict.fromkeys(name for name in _CHANGE.findall(table) if name != "Package"))


def installed(options: Iterable[str] = (), *names: str) -> tuple[Installed, ...]:
    """What rpm has of those packages, of all where none is named."""
    asked = ("--", *names) if names else ("-a",)
    return tuple(parse_installed(tools.run("rpm", *options, "-q", "--qf", _RPM_FORMAT, *asked, timeout_s=60, accept=None)))


def by_name(there: Iterable[Installed]) -> dict[str, Installed]:
    """The packages by name.architecture, and by name; of a kernel's many versions the one that was installed last."""
    found: dict[str, Installed] = {}
    for one in there:
        found[f"{one.name}.{one.architecture}"] = one
        if one.name not in found or one.architecture not in _SECOND:
            found[one.name] = one
    return found


def offers(options: tuple[str, ...] = (), rpm_options: tuple[str, ...] = ()) -> tuple[Offer, ...]:
    """Every update, those of locked packages too, with what the vendor's advisories say of it; and what waits for a restart.

    Raises:
        CollectError: dnf failed, as when it has no cache yet.
    """
    updates = list(parse_updates(_asked(*options, "check-update")))
    locked = [one for one in _locked(options) if one not in updates]
    there = by_name(installed(rpm_options))
    listed = list(parse_listed(_asked(*options, "updateinfo", "list", "--updates"))) if updates else []
    advisories = parse_advisories(_asked(*options, "updateinfo", "info", "--updates")) if listed else {}
    found = []
    for name, architecture, version in (*updates, *locked):
        now = there.get(f"{name}.{architecture}") or there.get(name)
        plain = name if now is there.get(name) else f"{name}.{architecture}"
        offer = Offer("dnf", plain, version, now.version if now else "", now.title if now else "")
        mends = [one for one in listed if one.package == f"{name}.{architecture}"]
        found.append(replace(_advised(offer, mends, advisories), held=(name, architecture, version) in locked))
    waiting = [there[name] for name in restart(options)[1] if name in there]
    found += [Offer("dnf", one.name, one.version, title=one.title, state="reboot pending") for one in waiting]
    return tuple(found)


def restart(options: tuple[str, ...] = ()) -> tuple[bool | None, tuple[str, ...]]:
    """Whether dnf's own tool says that a restart is due, and for which packages; None where that plugin is not installed.

    Status 1 alone does not say so: dnf ends with it too when it knows no such command.
    """
    try:
        status, said = tools.ended("dnf", *options, "-C", "needs-restarting", "-r", timeout_s=60)
    except CollectError:
        return None, ()
    if status == 1 and "Reboot is required" in said:
        return True, tuple(_WAITING.findall(said))
    return (False if status == 0 else None), ()


def compare(left: str, right: str) -> int:
    """-1, 0 or 1 as the left version is older than, the same as or newer than the right: rpm's own order.

    Source: rpmvercmp of rpm (rpm-version(7)); [epoch:]version-release.
    """
    for one, other in zip(_split(left), _split(right), strict=True):
        found = _compare_part(one, other)
        if found:
            return found
    return 0


def _split(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    number, _, release = (rest if colon else version).partition("-")
    return (epoch if colon else "0"), number, release


def _compare_part(left: str, right: str) -> int:
    for one, other in zip_longest(_PARTS.findall(left), _PARTS.findall(right), fillvalue=""):
        mine, theirs = _order(one), _order(other)
        if mine != theirs:
            return -1 if mine < theirs else 1
    return 0


def _order(part: str) -> tuple[int, int, str]:
    """By this parts sort: a tilde before the end, the end before a caret, that before letters, and those before digits."""
    if part == "~":
        return -2, 0, ""
    if not part:
        return -1, 0, ""
    if part == "^":
        return 0, 0, ""
    return (2, int(part), "") if part.isdigit() else (1, 0, part)


def _asked(*words: str) -> str:
    return tools.run("dnf", "-q", "-C", *words, timeout_s=_ASK_S, accept=(0, _UPDATES))


def _locked(options: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """The updates that versionlock hides; none where that plugin is missing."""
    try:
        if not _asked(*options, "versionlock", "list").strip():
            return []
    except CollectError:
        return []
    return list(parse_updates(_asked(*options, "--disableplugin=versionlock", "check-update")))


def _advised(offer: Offer, mends: list[Listed], advisories: Mapping[str, Advisory]) -> Offer:
    """The offer with what its advisories say; of several the worst severity, every CVE and the earliest day of security."""
    if not mends:
        return offer
    about = [one for one in mends if one.severity is not None] or mends
    said = [advisories.get(one.advisory, Advisory()) for one in about]
    worst = [severity for severity in SEVERITIES if severity in {one.severity for one in about}]
    return replace(
        offer,
        title=next((one.title for one in said if one.title), offer.title),
        security=about[0].severity is not None,
        severity=next(iter(worst), ""),
        cves=tuple(sorted({cve for one in said for cve in one.cves})),
        released_on=min((one.day for one in said if one.day), default=None),
        reference=min(one.advisory for one in about),
    )
