"""apt and dpkg: install to an exact version, bring back, hold, remove, always without a question.

Owns the acts. Reading what apt offers is apt_offers's. A run that was cut off is mended before the next begins, and an install
never takes anything off (--no-remove): what a signer did not name stays.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fettle_agent.collectors import CollectError, tools
from fettle_agent.packages import Offer, Progress, Ran, Unsupported, Wanted, apt_offers, running
from fettle_agent.packages.apt_offers import Installed
from fettle_agent.packages.keeping import Kept, checksum

CACHE_FILE = "etc/apt/apt.conf.d/30fettle-cache"
_UNFINISHED = "var/lib/dpkg/updates"
_CONFFILES = ("--force-confdef", "--force-confold")
_APT_GET = (
    "-q",
    "-y",
    "-o",
    f"DPkg::Lock::Timeout={running.LOCK_S:.0f}",
    *(word for option in _CONFFILES for word in ("-o", f"DPkg::Options::={option}")),
)
_LOCKED = re.compile(r"Could not get lock \S*(?:archives|lists)|was locked by another process|is locked by another process")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](?::[a-z0-9]+)?")
_CANDIDATE = re.compile(r"^(\S+):\n\s+Installed: .*\n\s+Candidate: (\S+)", re.MULTILINE)
_HASH = re.compile(r"^SHA256: ([0-9a-f]{64})$", re.MULTILINE)
_CACHE_URL = re.compile(r"https?://[A-Za-z0-9.-]{1,200}(?::[0-9]{1,5})?/?")


def is_here() -> bool:
    """True where this machine has apt."""
    return tools.find("apt-get") is not None


@dataclass(frozen=True, slots=True)
class _Target:
    """A package on its way: what to tell apt (name=version, or a kept file), and why not where it cannot be."""

    wanted: Wanted
    said: str
    why: str = ""


_HALF = ("unpacked", "half-configured", "half-installed", "triggers-awaited", "triggers-pending")


class Apt:
    """The Provider of Debian and its kin; `root` is where this machine's files are (tests have one of their own)."""

    name = "apt"

    def __init__(self, keep: Path, root: Path = Path("/")) -> None:
        self._kept = Kept(keep)
        self._root = root

    def offers(self) -> tuple[Offer, ...]:
        """As Provider."""
        return apt_offers.offers(self._root)

    def refresh(self) -> Ran:
        """As Provider; a list that could not be fetched is a failure, though apt would only warn."""
        return self._apt_get("-o", "APT::Update::Error-Mode=any", "update", timeout_s=running.LISTS_S)

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """As Provider."""
        return {name: one.version for name, one in self._there(names).items()}

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        """As Provider."""
        targets = self._targets(wanted, only_upgrade=only_upgrade)
        if not targets or any(target.why for target in targets):
            return ()
        try:
            said = (target.said for target in targets)
            flags = _flags(only_upgrade=only_upgrade, allow_downgrade=allow_downgrade)
            return apt_offers.changes(tools.run(*apt_offers.PLAN, *flags, "install", "--", *said, timeout_s=running.QUERY_S))
        except CollectError:
            return ()

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        """As Provider."""
        there = self._there(names)
        try:
            return apt_offers.changes(tools.run(*apt_offers.PLAN, "remove", "--", *there, timeout_s=running.QUERY_S))
        except CollectError:
            return ()

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        """As Provider."""
        return self._install(self._targets(wanted, only_upgrade=False), ("--download-only", "--allow-downgrades"), progress)

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        """As Provider: from apt's own cache, else from the repository, as long as that still has it."""
        self._kept.forget_old()
        there = self._there(names)
        return {name: self._keep(there[name]) if name in there else "" for name in names}

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        """As Provider; a version that the repository has dropped is taken from what was kept."""
        mended = self.mend()  # first: what was cut off while it was configured has its new version's number already
        targets = self._targets(wanted, only_upgrade=only_upgrade)
        if not targets:
            return running.joined(mended, self._left_alone(wanted))
        if any(target.why for target in targets):
            return running.joined(mended, self._install(targets, (), progress))
        flags = _flags(only_upgrade=only_upgrade, allow_downgrade=allow_downgrade)
        return running.joined(mended, self._install(targets, ("--no-remove", *flags), progress))

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        """As Provider."""
        there = self._there(names)
        if not there:
            return Ran(True, "Nothing to do: none of these packages is installed.", 0)
        return running.joined(self.mend(), self._apt_get("remove", "--", *there, progress=progress))

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        """As Provider."""
        _check(names)
        return _waiting("apt-mark", "hold" if held else "unhold", "--", *names, timeout_s=running.QUERY_S)

    def use_cache(self, url: str) -> Ran:
        """As Provider: apt-cacher-ng, or any other proxy for HTTP, in a file of apt's settings that is Fettle's own."""
        path = self._root / CACHE_FILE
        if url and not _CACHE_URL.fullmatch(url):
            return Ran(False, "The address of a cache is http:// or https://, a host and perhaps a port.", 1)
        try:
            if not url:
                path.unlink(missing_ok=True)
                return Ran(True, "apt downloads directly.", 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}")
            new.write_text(f'// Written by a Fettle job.\nAcquire::http::Proxy "{url}";\n', encoding="ascii")
            new.chmod(0o644)
            new.replace(path)
        except OSError as error:
            return Ran(False, f"{path}: {error.strerror}", 1)
        return Ran(True, f"apt downloads through {url}.", 0)

    def mend(self) -> Ran:
        """Finish what a power cut or a kill left in the middle; no words where nothing was.

        Its failure stops nothing: a package that can never be configured is best mended by the version that is installed next.
        """
        if not self._is_unfinished():
            return Ran(True, "", 0)
        configured = _waiting("dpkg", *_CONFFILES, "--configure", "-a", timeout_s=running.INSTALL_S)
        fixed = self._apt_get("--no-remove", "-f", "install")
        said = Ran(True, "An earlier run was cut off and is finished first.", 0)
        return running.joined(said, configured, fixed, *(() if fixed.worked else self._put_back()))

    def _put_back(self) -> Sequence[Ran]:
        """Put kept files in place of packages that were cut off while they were unpacked, where no repository has them."""
        broken = tools.run("dpkg-query", "-W", "-f", r"${Package}\t${db:Status-Eflag}\n", timeout_s=30, accept=None)
        names = [line.partition("\t")[0] for line in broken.splitlines() if line.endswith("\treinstreq")]
        files = [path for name in names for path in self._kept.of(name)[:1]]
        return [running.run("dpkg", *_CONFFILES, "-i", *map(str, files))] if files else []

    def _left_alone(self, wanted: Sequence[Wanted]) -> Ran:
        """There is nothing to install; a failure where one of the packages is there but was never set up to its end."""
        words = ("-W", "-f", r"${Package} ${db:Status-Status}\n", "--", *(one.name for one in wanted))
        states = tools.run("dpkg-query", *words, timeout_s=30, accept=None).splitlines()
        half = [name for name, _, state in (line.partition(" ") for line in states) if state in _HALF]
        if half:
            return Ran(False, f"{', '.join(half)}: unpacked, but its own set-up does not come to its end.", 1)
        return Ran(True, "Nothing to do: each of these packages is at that version or a newer one, or not installed.", 0)

    def _is_unfinished(self) -> bool:
        with contextlib.suppress(OSError):
            if any(name.isdigit() for name in os.listdir(self._root / _UNFINISHED)):  # noqa: PTH208 - names alone
                return True
        return bool(tools.run("dpkg", "--audit", timeout_s=60, accept=None).strip())

    def _there(self, names: Sequence[str]) -> dict[str, Installed]:
        _check(names)
        return apt_offers.versions(apt_offers.installed(*names), tuple(names)) if names else {}

    def _install(self, targets: Sequence[_Target], flags: Sequence[str], progress: Progress) -> Ran:
        refused = [target.why for target in targets if target.why]
        if refused:
            return Ran(False, "\n".join(refused)[: running.MAX_WORDS], 1)
        return self._apt_get(*flags, "install", "--", *(target.said for target in targets), progress=progress)

    def _targets(self, wanted: Sequence[Wanted], *, only_upgrade: bool) -> list[_Target]:
        """What to tell apt; with `only_upgrade` without what is not installed, or is as new already."""
        there = self._there([one.name for one in wanted])
        newest = self._candidates([one.name for one in wanted if not one.version])
        targets = []
        for one in wanted:
            version = one.version or newest.get(one.name, "")
            now = there.get(one.name)
            if only_upgrade and (now is None or (version and not _is_older(now.version, version))):
                continue
            targets.append(self._target(one, version))
        return targets

    def _target(self, one: Wanted, version: str) -> _Target:
        if not version:
            return _Target(one, "", f"{one.name}: no source of this PC offers it.")
        for path in self._kept.of(one.name.partition(":")[0], version):
            if _is_whole(path, version) and one.sha256 in ("", checksum(path)):
                return _Target(one, str(path))
        said = f"{one.name}={version}"
        return _Target(one, said, self._why_not(said, one.sha256) if one.sha256 else "")

    def _why_not(self, said: str, sha256: str) -> str:
        """Why this package file may not be installed; apt itself holds each download against the hash in its signed lists."""
        listed = set(_HASH.findall(tools.run("apt-cache", "show", "--", said, timeout_s=running.QUERY_S, accept=None)))
        if listed == {sha256}:
            return ""
        other = next(iter(sorted(listed - {sha256})), "no such version is offered")
        return f"{said} is refused: the signed work names the file with sha256 {sha256}, the repository has another: {other}."

    def _candidates(self, names: Sequence[str]) -> dict[str, str]:
        if not names:
            return {}
        said = tools.run("apt-cache", "policy", "--", *names, timeout_s=running.QUERY_S, accept=None)
        return {name: version for name, version in _CANDIDATE.findall(said) if version != "(none)"}

    def _keep(self, one: Installed) -> str:
        """Why that version cannot be brought back, empty where its file is kept now."""
        name = apt_offers.file_name(one.name, one.version, one.architecture)
        if any(_is_whole(path, one.version) for path in self._kept.of(one.name, one.version)):
            return ""
        cached = self._root / apt_offers.ARCHIVES / name
        if cached.exists() and _is_whole(cached, one.version):
            return self._kept.take(cached, name)
        with self._kept.incoming() as folder:
            said = f"{one.name}:{one.architecture}={one.version}"
            ran = running.run("apt-get", "-q", "download", "--", said, cwd=folder, timeout_s=running.INSTALL_S)
            fetched = sorted(folder.glob("*.deb"))
            if not ran.worked or not fetched:
                return f"{one.name} {one.version} can be had nowhere any more: {ran.words[-300:]}"
            return self._kept.take(fetched[0], name)

    def _apt_get(self, *words: str, progress: Progress | None = None, timeout_s: float = running.INSTALL_S) -> Ran:
        if progress is None:
            return _waiting("apt-get", *_APT_GET, *words, timeout_s=timeout_s)

        def on_status(line: str) -> None:
            percent = done_percent(line)
            if percent is not None:
                progress(percent)

        def act() -> Ran:
            return running.run("apt-get", *_APT_GET, "-o", running.STATUS_FD, *words, timeout_s=timeout_s, on_status=on_status)

        return running.waiting_for_lock(act, _LOCKED)


def done_percent(line: str) -> int | None:
    """How much of the whole a line of apt's status tells: downloads are its first half, installing the second."""
    kind, _, rest = line.partition(":")
    try:
        percent = min(100.0, max(0.0, float(rest.split(":")[1])))
    except (IndexError, ValueError):
        return None
    return {"dlstatus": int(percent / 2), "pmstatus": int(50 + percent / 2)}.get(kind)


def _flags(*, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
    return (*(("--only-upgrade",) if only_upgrade else ()), *(("--allow-downgrades",) if allow_downgrade else ()))


def _waiting(tool: str, *words: str, timeout_s: float) -> Ran:
    return running.waiting_for_lock(lambda: running.run(tool, *words, timeout_s=timeout_s), _LOCKED)


def _is_older(installed: str, version: str) -> bool:
    return tools.ended("dpkg", "--compare-versions", installed, "lt", version)[0] == 0


def _is_whole(path: Path, version: str) -> bool:
    """True where the file is a package of that version; kept files are complete, and apt's cache holds no partial ones."""
    status, said = tools.ended("dpkg-deb", "-f", str(path), "Version", timeout_s=30)
    return status == 0 and said.strip() == version


def _check(names: Sequence[str]) -> None:
    """Refuse what apt would read as something else than a package's name: an option, a pattern, a removal ("name-")."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise Unsupported(f"{name!r} is no name of a Debian package.")
