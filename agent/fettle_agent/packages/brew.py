"""Homebrew: formulae and casks at the newest version, which is the only one that it has.

It refuses to be run by root, so it runs as whoever owns it. Source: the manual page brew(1), `brew outdated --json=v2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fettle_agent.collectors import CollectError, tools
from fettle_agent.collectors.documents import parse, rows
from fettle_agent.packages import Offer, Progress, Ran, Unsupported, Wanted, running

_ASK_S = 120.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@+._-]*(?:/[A-Za-z0-9][A-Za-z0-9@+._-]*){0,2}")
_QUIET = {
    "HOMEBREW_NO_AUTO_UPDATE": "1",
    "HOMEBREW_NO_INSTALL_CLEANUP": "1",
    "HOMEBREW_NO_ENV_HINTS": "1",
    "NONINTERACTIVE": "1",
}


def is_here() -> bool:
    """True where this machine has Homebrew."""
    return tools.find("brew") is not None


def parse_outdated(text: str) -> Iterator[Offer]:
    """The offers in `brew outdated --json=v2`.

    Raises:
        CollectError: the text is no JSON.
    """
    facts = parse(text, "brew")
    for row in (*rows(facts.get("formulae")), *rows(facts.get("casks"))):
        name, version, there = str(row.get("name")), row.get("current_version"), row.get("installed_versions")
        if isinstance(version, str) and _NAME.fullmatch(name):
            yield Offer("brew", name[:200], version[:120], _last(there)[:120], held=row.get("pinned") is True)


def parse_installed(text: str) -> dict[str, str]:
    """Versions by name in `brew list --versions`: name version..., the newest last."""
    lines = (line.split() for line in text.splitlines())
    return {words[0]: words[-1] for words in lines if len(words) > 1 and _NAME.fullmatch(words[0])}


def offers() -> tuple[Offer, ...]:
    """What Homebrew's lists have that is newer; the lists are not fetched anew.

    Raises:
        CollectError: Homebrew failed.
    """
    ran = _brew("outdated", "--json=v2", timeout_s=_ASK_S, whole=True)
    if not ran.worked:
        raise CollectError(f"brew failed with status {ran.status}")
    return tuple(parse_outdated(ran.words))


class Brew:
    """The Provider of Homebrew."""

    name = "brew"

    def __init__(self, keep: Path) -> None:
        del keep  # Homebrew has no former versions

    def offers(self) -> tuple[Offer, ...]:
        """As Provider."""
        return offers()

    def refresh(self) -> Ran:
        """As Provider."""
        return _brew("update", timeout_s=running.LISTS_S)

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """As Provider."""
        _check(names)
        there = parse_installed(_brew("list", "--versions", "--", *names, timeout_s=_ASK_S, whole=True).words)
        return {name: there[name] for name in names if name in there}

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        """As Provider: Homebrew prints no plan that could be read."""
        return ()

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        """As Provider."""
        return ()

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        """As Provider."""
        return _brew("fetch", "--", *self._newest(wanted))

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        """As Provider: what is not installed can be taken off again, what is cannot be brought back."""
        there = self.installed(names)
        return {name: "Homebrew has only the newest version of a formula." if name in there else "" for name in names}

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        """As Provider; a version that is not the one that Homebrew has now is refused."""
        there = self.installed([one.name for one in wanted])
        chosen = [one for one in wanted if (one.name in there or not only_upgrade) and there.get(one.name, "-") != one.version]
        names = self._newest(chosen)
        new, old = [name for name in names if name not in there], [name for name in names if name in there]
        said = [Ran(True, "" if names else "Nothing to do.", 0)]
        for verb, some in (("install", new), ("upgrade", old)):
            if some and said[-1].worked:
                said.append(_brew(verb, "--", *some))
        return running.joined(*said)

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        """As Provider."""
        there = self.installed(names)
        return _brew("uninstall", "--", *there) if there else Ran(True, "Nothing to do: none of these is installed.", 0)

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        """As Provider."""
        _check(names)
        return _brew("pin" if held else "unpin", "--", *names)

    def use_cache(self, url: str) -> Ran:
        """As Provider.

        Raises:
            Unsupported: always.
        """
        raise Unsupported("Homebrew has no setting for a local cache of its downloads.")

    def _newest(self, wanted: Sequence[Wanted]) -> list[str]:
        """The names, where each version wanted is the one that Homebrew has now."""
        _check([one.name for one in wanted])
        if any(one.sha256 for one in wanted):
            raise Unsupported("Homebrew looks at the hash in its own formula, not at another: leave it out.")
        asked = [one for one in wanted if one.version]
        said = _brew("info", "--json=v2", "--", *(one.name for one in asked), timeout_s=_ASK_S, whole=True) if asked else None
        newest = _newest_versions(said.words if said else "{}")
        for one in asked:
            if newest.get(one.name) != one.version:
                raise Unsupported(f"Homebrew has {newest.get(one.name) or 'no version'} of {one.name}, and not {one.version}.")
        return [one.name for one in wanted]


def _newest_versions(text: str) -> dict[str, str]:
    try:
        facts = parse(text, "brew")
    except CollectError:
        return {}
    stable = {str(row.get("name")): str((row.get("versions") or {}).get("stable")) for row in rows(facts.get("formulae"))}
    return stable | {str(row.get("token")): str(row.get("version")) for row in rows(facts.get("casks"))}


def _last(versions: Any) -> str:
    return str(versions[-1]) if isinstance(versions, list) and versions else ""


def _brew(*words: str, timeout_s: float = running.INSTALL_S, whole: bool = False) -> Ran:
    path = tools.find("brew")
    if path is None:
        return Ran(False, "brew is not installed.", running.NO_TOOL)
    owner = Path(path).resolve().stat().st_uid
    environment = _QUIET | ({"HOME": _home(owner)} if owner else {})
    return running.run(path, *words, timeout_s=timeout_s, environment=environment, user=owner or None, whole=whole)


def _home(owner: int) -> str:
    """The folder of whoever owns Homebrew, where it keeps its cache."""
    import pwd

    try:
        return pwd.getpwuid(owner).pw_dir
    except KeyError:
        return "/var/empty"


def _check(names: Sequence[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise Unsupported(f"{name!r} is no name of a Homebrew formula or cask.")
