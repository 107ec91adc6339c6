"""flatpak: applications and runtimes of the whole system, each at an exact commit.

A version here is the commit, for the version that an application calls itself by may be the same for many. Flatpak keeps no
hash of a file that a signer could name, and its repositories keep former commits as long as they like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fettle_agent.collectors import tools
from fettle_agent.packages import Offer, Progress, Ran, Unsupported, Wanted, running

_ASK_S = 120.0
_LISTED = ("--system", "--columns=application,branch,origin,version,name")
_ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9_.-]*){0,2}")


def is_here() -> bool:
    """True where this machine has flatpak."""
    return tools.find("flatpak") is not None


def parse(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, origin and title of each line of a listing."""
    for line in text.splitlines():
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) == 5 and _NAME.fullmatch(fields[0]) and _ORIGIN.fullmatch(fields[2]):
            yield f"{fields[0]}//{fields[1]}", fields[2], " ".join(field for field in (fields[4], fields[3]) if field)[:300]


def offers() -> tuple[Offer, ...]:
    """Every update that flatpak knows of from its cache; where that is empty, as after an update, its remotes are asked.

    Raises:
        CollectError: flatpak failed.
    """
    words = ("remote-ls", "--updates", *_LISTED)
    status, listing = tools.ended("flatpak", *words, "--cached", timeout_s=_ASK_S)
    found = []
    for name, origin, title in parse(tools.run("flatpak", *words, timeout_s=_ASK_S) if status else listing):
        commit = _commit("remote-info", "--system", "--show-commit", origin, name)
        found.append(Offer("flatpak", name, commit, _commit("info", "--system", "--show-commit", name), title))
    return tuple(offer for offer in found if offer.version)


class Flatpak:
    """The Provider of flatpak, for the system's applications; those of a person are left alone."""

    name = "flatpak"

    def __init__(self, keep: Path) -> None:
        del keep  # flatpak brings former commits back from its repositories

    def offers(self) -> tuple[Offer, ...]:
        """As Provider."""
        return offers()

    def refresh(self) -> Ran:
        """As Provider."""
        return _flatpak("update", "--appstream", "--system", "--noninteractive")

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """As Provider; a name is ID or ID//BRANCH."""
        _check(names)
        there = {name: _commit("info", "--system", "--show-commit", name) for name in names}
        return {name: commit for name, commit in there.items() if commit}

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        """As Provider: flatpak plans nothing beforehand."""
        return ()

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        """As Provider."""
        return ()

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        """As Provider."""
        _check_wanted(wanted)
        return running.each(
            _flatpak, [("update", "--system", "-y", "--noninteractive", "--no-deploy", *_at(one)) for one in wanted], progress
        )

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        """As Provider: a commit that is deployed now stays in the system's repository until it is pruned."""
        return dict.fromkeys(names, "")

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        """As Provider; which of two commits is the newer flatpak does not say, so each goes to the one named."""
        _check_wanted(wanted)
        there = self.installed([one.name for one in wanted])
        orders: list[tuple[str, ...]] = []
        for one in wanted:
            if one.name not in there and not only_upgrade:
                orders.append(("install", "--system", "-y", "--noninteractive", one.name))
            if (one.name not in there and one.version and not only_upgrade) or one.name in there:
                orders.append(("update", "--system", "-y", "--noninteractive", *_at(one)))
        return running.each(_flatpak, orders, progress)

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        """As Provider."""
        there = self.installed(names)
        return running.each(_flatpak, [("uninstall", "--system", "-y", "--noninteractive", name) for name in there], progress)

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        """As Provider, by flatpak's masks."""
        _check(names)
        flags = () if held else ("--remove",)
        return running.each(
            _flatpak, [("mask", "--system", *flags, name.partition("/")[0]) for name in names], running.unwatched
        )

    def use_cache(self, url: str) -> Ran:
        """As Provider.

        Raises:
            Unsupported: always.
        """
        raise Unsupported("flatpak has no setting for a local cache of its downloads.")


def _commit(*words: str) -> str:
    """The whole commit that flatpak tells, for its listings cut it short; empty where it knows no such application."""
    said = tools.run("flatpak", *words, timeout_s=_ASK_S, accept=None).strip()
    return said if _COMMIT.fullmatch(said) else ""


def _at(one: Wanted) -> tuple[str, ...]:
    return (f"--commit={one.version}", one.name) if one.version else (one.name,)


def _flatpak(*words: str) -> Ran:
    return running.run("flatpak", *words)


def _check(names: Sequence[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise Unsupported(f"{name!r} is no name of a flatpak application.")


def _check_wanted(wanted: Sequence[Wanted]) -> None:
    _check([one.name for one in wanted])
    for one in wanted:
        if one.sha256:
            raise Unsupported("flatpak gives no file whose hash could be looked at: name the commit as the version instead.")
        if one.version and not _COMMIT.fullmatch(one.version):
            raise Unsupported(f"The version of {one.name} must be a commit: 64 hexadecimal digits.")
