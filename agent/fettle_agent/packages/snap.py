"""snap: each snap at an exact revision, by the client of snapd.

A version here is the revision, which is exact where the version that a publisher writes is not. snapd keeps the former
revision by itself, so that it can be brought back without a download; it also refreshes by itself, unless a snap is held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fettle_agent.collectors import CollectError, tools
from fettle_agent.packages import Offer, Progress, Ran, Unsupported, Wanted, running

_ASK_S = 120.0
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}(?:_[a-z0-9]{1,10})?")
_REVISION = re.compile(r"x?[0-9]{1,9}")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)([kMG]?)B$")
_FACTOR = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def is_here() -> bool:
    """True where this machine has snap."""
    return tools.find("snap") is not None


@dataclass(frozen=True, slots=True)
class Row:
    """A line of one of snap's tables."""

    name: str
    version: str
    revision: str
    size_bytes: int | None
    held: bool
    disabled: bool


def parse(text: str) -> Iterator[Row]:
    """The rows of `snap list` or `snap refresh --list`, by the names that their first line gives the columns."""
    lines = text.splitlines()
    heads = next((line.split() for line in lines if line.startswith("Name ")), [])
    if not {"Name", "Version", "Rev"} <= set(heads):
        return
    for line in lines[lines.index(next(line for line in lines if line.startswith("Name "))) + 1 :]:
        row = dict(zip(heads, line.split(), strict=False))
        if "Rev" in row and _NAME.fullmatch(row["Name"]) and _REVISION.fullmatch(row["Rev"]):
            size, notes = _SIZE.match(row.get("Size", "")), row.get("Notes", "").split(",")
            size_bytes = int(float(size[1]) * _FACTOR[size[2]]) if size else None
            yield Row(row["Name"], row["Version"], row["Rev"], size_bytes, "held" in notes, "disabled" in notes)


def offers() -> tuple[Offer, ...]:
    """What snapd would refresh; it asks its store for that.

    Raises:
        CollectError: snapd does not answer.
    """
    there = _installed()
    found = []
    for row in parse(tools.run("snap", "refresh", "--list", timeout_s=_ASK_S)):
        now = there.get(row.name)
        revision = now.revision if now else ""
        held = now.held if now else False
        title = f"{row.name} {row.version}"
        found.append(Offer("snap", row.name, row.revision, revision, title, size_bytes=row.size_bytes, held=held))
    return tuple(found)


class Snap:
    """The Provider of snapd."""

    name = "snap"

    def __init__(self, keep: Path) -> None:
        del keep  # snapd keeps former revisions itself

    def offers(self) -> tuple[Offer, ...]:
        """As Provider."""
        return offers()

    def refresh(self) -> Ran:
        """As Provider: snapd has no lists; it looks whenever it is asked."""
        return _snap("refresh", "--list")

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """As Provider."""
        _check(names)
        there = _installed()
        return {name: there[name].revision for name in names if name in there}

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        """As Provider: snapd plans nothing beforehand."""
        return ()

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        """As Provider."""
        return ()

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        """As Provider.

        Raises:
            Unsupported: always, for snapd takes no file that was downloaded before without giving up its signatures.
        """
        raise Unsupported("snapd downloads only when it refreshes: there is no step of downloading before.")

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        """As Provider: snapd keeps the former revision of each snap."""
        return dict.fromkeys(names, "")

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        """As Provider; a former revision that is still on the disk is gone back to without a download."""
        _check([one.name for one in wanted])
        if any(one.sha256 for one in wanted):
            raise Unsupported("snapd holds snaps against its store's own signatures, not against a hash: leave it out.")
        there, kept = _installed(), _kept()
        orders = []
        for one in wanted:
            revision = _revision(one)
            now = there.get(one.name)
            if now is None:
                orders += [] if only_upgrade else [("install", *revision, one.name)]
            elif one.version and _is_newer(now.revision, one.version):
                if only_upgrade:
                    continue
                if not allow_downgrade:
                    return Ran(False, f"{one.name} is at revision {now.revision}, newer than {one.version}.", 1)
                back = (one.name, one.version) in kept
                orders.append(("revert", *revision, one.name) if back else ("refresh", *revision, one.name))
            elif now.revision != one.version:
                orders.append(("refresh", *revision, one.name))
        return running.each(_snap, orders, progress)

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        """As Provider; snapd keeps a snapshot of the settings."""
        return running.each(_snap, [("remove", name) for name in self.installed(names)], progress)

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        """As Provider."""
        _check(names)
        return _snap("refresh", "--hold" if held else "--unhold", *names)

    def use_cache(self, url: str) -> Ran:
        """As Provider: snapd's own proxy for its downloads."""
        if not url:
            return running.each(
                _snap, [("unset", "system", "proxy.http"), ("unset", "system", "proxy.https")], running.unwatched
            )
        return _snap("set", "system", f"proxy.http={url}", f"proxy.https={url}")


def _installed() -> dict[str, Row]:
    return {row.name: row for row in parse(tools.run("snap", "list", timeout_s=_ASK_S))}


def _kept() -> set[tuple[str, str]]:
    """The revisions that are on the disk but not in use."""
    try:
        return {(row.name, row.revision) for row in parse(tools.run("snap", "list", "--all", timeout_s=_ASK_S)) if row.disabled}
    except CollectError:
        return set()


def _revision(one: Wanted) -> tuple[str, ...]:
    if one.version and not _REVISION.fullmatch(one.version):
        raise Unsupported(f"The version of {one.name} must be a revision: a number.")
    return (f"--revision={one.version}",) if one.version else ()


def _is_newer(left: str, right: str) -> bool:
    return int(left.lstrip("x")) > int(right.lstrip("x"))


def _snap(*words: str) -> Ran:
    return running.run("snap", *words)


def _check(names: Sequence[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise Unsupported(f"{name!r} is no name of a snap.")
