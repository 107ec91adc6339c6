"""winget: applications by their ids, each at an exact version.

winget has no machine-readable list, so its table is read by the places of its columns' names; an id that winget itself cut
short with an ellipsis is left out, for nobody could act on it. Only the system-wide winget is used, never a person's.
Source: the command line reference of the Windows Package Manager (list, upgrade, install, uninstall, pin, show, source).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fettle_agent.collectors import CollectError, tools
from fettle_agent.packages import Offer, Progress, Ran, Unsupported, Wanted, running

NOTHING_NEWER = 0x8A15002B
RESTART = (0x8A150109, 0x8A15010A)
"""winget's return codes for "no applicable update" and "restart needed". Source: returnCodes.md of winget-cli."""

_ASK_S = 300.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+_-]*(?:\.[A-Za-z0-9+_-]+)+|[A-Z0-9]{12}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")
_QUIET = ("--disable-interactivity", "--accept-source-agreements")
_AGREED = (*_QUIET, "--accept-package-agreements", "--silent", "--exact", "--scope", "machine")


def program() -> str | None:
    """The system's winget, which is no command of the system's account; the newest of several."""
    folder = Path(os.environ.get("PROGRAMFILES", r"C:\Program Files")) / "WindowsApps"
    if sys.platform != "win32":
        return tools.find("winget")
    try:
        found = sorted(folder.glob("Microsoft.DesktopAppInstaller_*__8wekyb3d8bbwe/winget.exe"))
    except OSError:
        return None
    return str(found[-1]) if found else None


def is_here() -> bool:
    """True where this machine has winget."""
    return program() is not None


def parse(text: str) -> Iterator[dict[str, str]]:
    """The rows of winget's first table, by the names of its columns; a heading is told by the line of dashes below it."""
    lines = [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]
    rule = next((at for at, line in enumerate(lines) if at and line.startswith("----") and not line.strip("-")), None)
    if rule is None:
        return
    heads = [(found[0], found.start()) for found in re.finditer(r"\S+", lines[rule - 1])]
    for line in lines[rule + 1 :]:
        ends = [start for _, start in heads[1:]] + [len(line)]
        if len(line) <= heads[-1][1] - 1 and len(heads) > 1 and len(line) < heads[1][1]:
            return
        yield {name: line[start:end].strip() for (name, start), end in zip(heads, ends, strict=True)}


def offers() -> tuple[Offer, ...]:
    """Every upgrade that winget's sources have, pinned ones too.

    Raises:
        CollectError: winget failed.
    """
    words = ("upgrade", "--include-pinned", *_QUIET)
    return tuple(_offers(tools.run(_program(), *words, timeout_s=_ASK_S, accept=None), _pinned()))


def _offers(table: str, pinned: frozenset[str]) -> Iterator[Offer]:
    for row in parse(table):
        name, version = row.get("Id", ""), row.get("Available", "")
        if _NAME.fullmatch(name) and _VERSION.fullmatch(version):
            yield Offer("winget", name, version, row.get("Version", ""), row.get("Name", "")[:300], held=name in pinned)


class Winget:
    """The Provider of the Windows Package Manager."""

    name = "winget"

    def __init__(self, keep: Path) -> None:
        del keep  # its sources keep former versions

    def offers(self) -> tuple[Offer, ...]:
        """As Provider."""
        return offers()

    def refresh(self) -> Ran:
        """As Provider."""
        return running.run(_program(), "source", "update", "--disable-interactivity", timeout_s=running.LISTS_S)

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """As Provider."""
        _check(names)
        rows = {
            row.get("Id"): row.get("Version", "") for row in parse(tools.run(_program(), "list", *_QUIET, timeout_s=_ASK_S))
        }
        return {name: version for name in names if (version := rows.get(name))}

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        """As Provider: winget plans nothing beforehand."""
        return ()

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        """As Provider."""
        return ()

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        """As Provider.

        Raises:
            Unsupported: always: what `winget download` fetches winget does not use again.
        """
        raise Unsupported("winget cannot fetch an installer before and use it later.")

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        """As Provider: a former version can be brought back as long as the source lists it."""
        there = self.installed(names)
        return {name: self._why_not(name, there[name]) if name in there else "" for name in names}

    def _why_not(self, name: str, version: str) -> str:
        try:
            said = tools.run(_program(), "show", "--id", name, "--exact", "--versions", *_QUIET, timeout_s=_ASK_S)
        except CollectError as error:
            return f"{name}: {error}"
        listed = {line.strip() for line in said.splitlines()}
        return "" if version in listed else f"No source of winget has {name} {version} any more."

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        """As Provider; the installer's hash is the one in winget's own manifest, which winget looks at."""
        if any(one.sha256 for one in wanted):
            raise Unsupported("winget looks at the hash in its source's manifest, not at another: leave it out.")
        there = self.installed([one.name for one in wanted])
        orders = []
        for one in wanted:
            if only_upgrade and one.name not in there:
                continue
            version = _version(one)
            back = ("--uninstall-previous", "--force") if allow_downgrade and one.version and one.name in there else ()
            verb = "install" if back or one.name not in there else "upgrade"
            orders.append((verb, "--id", one.name, *version, *back, *_AGREED))
        return running.each(_winget, orders, progress)

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        """As Provider."""
        there = self.installed(names)
        flags = ("--exact", "--silent", "--scope", "machine", *_QUIET)
        return running.each(_winget, [("uninstall", "--id", name, *flags) for name in there], progress)

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        """As Provider, by winget's blocking pins."""
        _check(names)
        words = ("add", "--blocking") if held else ("remove",)
        return running.each(_winget, [("pin", *words, "--id", name, "--exact", *_QUIET) for name in names], running.unwatched)

    def use_cache(self, url: str) -> Ran:
        """As Provider.

        Raises:
            Unsupported: always; winget downloads by Delivery Optimization, which Windows's provider sets.
        """
        raise Unsupported("winget downloads by Delivery Optimization: set that cache.")


def _program() -> str:
    found = program()
    if found is None:
        raise CollectError("winget is not installed")
    return found


def _pinned() -> frozenset[str]:
    try:
        table = tools.run(_program(), "pin", "list", *_QUIET, timeout_s=_ASK_S, accept=None)
    except CollectError:
        return frozenset()
    return frozenset(row.get("Id", "") for row in parse(table))


def _version(one: Wanted) -> tuple[str, ...]:
    if one.version and not _VERSION.fullmatch(one.version):
        raise Unsupported(f"{one.version!r} is no version that winget could be told.")
    return ("--version", one.version) if one.version else ()


def _winget(*words: str) -> Ran:
    accept = (0, NOTHING_NEWER, *RESTART)
    return running.run(_program(), *words, accept=(*accept, *(code - 2**32 for code in accept)))


def _check(names: Sequence[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise Unsupported(f"{name!r} is no id of a winget package.")
