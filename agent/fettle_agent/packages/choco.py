"""Chocolatey: packages by name, each at an exact version.

A former version's package file is kept; what its script downloads from the maker is not, and may be gone.
Source: docs.chocolatey.org, the commands outdated, list, upgrade, uninstall and pin, with --limit-output.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fettle_agent.collectors import CollectError, tools
from fettle_agent.packages import Offer, Progress, Ran, Unsupported, Wanted, running

RESTART = (1641, 3010)
_OUTDATED = 2
_ASK_S = 300.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+-]*")


def _home() -> Path:
    return Path(os.environ.get("ChocolateyInstall") or r"C:\ProgramData\chocolatey")  # noqa: SIM112 - its own spelling


def program() -> str | None:
    """Chocolatey's own program."""
    path = _home() / "bin" / "choco.exe"
    return str(path) if path.exists() else tools.find("choco")


def is_here() -> bool:
    """True where this machine has Chocolatey."""
    return program() is not None


def parse_outdated(text: str) -> Iterator[Offer]:
    """The offers in `choco outdated --limit-output`: name|installed|available|pinned."""
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 4 and _NAME.fullmatch(fields[0]) and _VERSION.fullmatch(fields[2]) and fields[1] != fields[2]:
            yield Offer("choco", fields[0], fields[2], fields[1], held=fields[3].lower() == "true")


def parse_installed(text: str) -> dict[str, str]:
    """Versions by name in `choco list --limit-output`: name|version."""
    rows = (line.strip().split("|") for line in text.splitlines())
    return {row[0].lower(): row[1] for row in rows if len(row) == 2 and _NAME.fullmatch(row[0])}


def offers() -> tuple[Offer, ...]:
    """Every package of which a source has a newer version.

    Raises:
        CollectError: Chocolatey failed.
    """
    words = ("outdated", "--limit-output", "--ignore-unfound")
    return tuple(parse_outdated(tools.run(_program(), *words, timeout_s=_ASK_S, accept=(0, _OUTDATED))))


class Choco:
    """The Provider of Chocolatey."""

    name = "choco"

    def __init__(self, keep: Path) -> None:
        self._keep = keep

    def offers(self) -> tuple[Offer, ...]:
        """As Provider."""
        return offers()

    def refresh(self) -> Ran:
        """As Provider: Chocolatey has no lists; it looks whenever it is asked."""
        words = ("outdated", "--limit-output", "--ignore-unfound")
        return running.run(_program(), *words, timeout_s=running.LISTS_S, accept=(0, _OUTDATED))

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """As Provider."""
        _check(names)
        there = parse_installed(tools.run(_program(), "list", "--limit-output", timeout_s=_ASK_S, accept=(0, _OUTDATED)))
        return {name: there[name.lower()] for name in names if name.lower() in there}

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        """As Provider: Chocolatey does not print a plan that could be read."""
        return ()

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        """As Provider."""
        return ()

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        """As Provider.

        Raises:
            Unsupported: always; `choco download` is part of the licensed edition only.
        """
        raise Unsupported("Chocolatey can fetch a package before only in its licensed edition.")

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        """As Provider: a copy of the package file that Chocolatey itself keeps of what is installed."""
        from fettle_agent.packages.keeping import Kept

        kept = Kept(self._keep)
        kept.forget_old()
        found = {}
        for name in names:
            version = self.installed([name]).get(name)
            source = _home() / "lib" / name / f"{name}.nupkg"
            found[name] = "" if version is None else kept.take(source, f"{name}.{version}.nupkg")
        return found

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        """As Provider; kept package files are a source beside Chocolatey's own."""
        if any(one.sha256 for one in wanted):
            raise Unsupported("Chocolatey has no hash of a package to look at: leave it out.")
        there = self.installed([one.name for one in wanted])
        orders: list[tuple[str, ...]] = []
        for one in wanted:
            if only_upgrade and one.name not in there:
                continue
            back = ("--allow-downgrade",) if allow_downgrade and one.version else ()
            source = ("--source", str(self._keep)) if back and self._has(one) else ()
            orders.append(("upgrade", one.name, *_version(one), *back, *source, "-y", "--no-progress", "--limit-output"))
        return running.each(_choco, orders, progress)

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        """As Provider."""
        there = self.installed(names)
        return running.each(_choco, [("uninstall", name, "-y", "--no-progress", "--limit-output") for name in there], progress)

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        """As Provider."""
        _check(names)
        orders = [("pin", "add" if held else "remove", f"--name={name}", "--limit-output") for name in names]
        return running.each(_choco, orders, running.unwatched)

    def use_cache(self, url: str) -> Ran:
        """As Provider: Chocolatey's proxy for all its downloads."""
        words = ("set", "--name=proxy", f"--value={url}") if url else ("unset", "--name=proxy")
        return running.each(_choco, [("config", *words, "--limit-output")], running.unwatched)

    def _has(self, one: Wanted) -> bool:
        return (self._keep / f"{one.name}.{one.version}.nupkg").exists()


def _program() -> str:
    found = program()
    if found is None:
        raise CollectError("choco is not installed")
    return found


def _version(one: Wanted) -> tuple[str, ...]:
    if one.version and not _VERSION.fullmatch(one.version):
        raise Unsupported(f"{one.version!r} is no version that Chocolatey could be told.")
    return (f"--version={one.version}",) if one.version else ()


def _choco(*words: str) -> Ran:
    return running.run(_program(), *words, accept=(0, *RESTART))


def _check(names: Sequence[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise Unsupported(f"{name!r} is no name of a Chocolatey package.")
