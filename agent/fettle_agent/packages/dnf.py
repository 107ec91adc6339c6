"""dnf and rpm: install to an exact version, bring back, hold, remove, always without a question.

Owns the acts. Reading what dnf offers is dnf_offers's. An install never takes anything off: dnf is not told --allowerasing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fettle_agent.collectors import tools
from fettle_agent.packages import Offer, Progress, Ran, Unsupported, Wanted, dnf_offers, running
from fettle_agent.packages.dnf_offers import Installed
from fettle_agent.packages.keeping import Kept, checksum

SETTINGS = "etc/dnf/dnf.conf"
_DNF = ("-y", "--setopt=exit_on_lock=True", "--setopt=clean_requirements_on_remove=False")
_LOCKED = re.compile(r"already locked by|obtain the transaction lock|Failed to obtain|Waiting for process with pid")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_MARK = "# Written by a Fettle job; the next line too."
_OURS = re.compile(rf"^{re.escape(_MARK)}\nproxy=.*\n", re.MULTILINE)
_PROXY = re.compile(r"^\s*proxy\s*=\s*\S", re.MULTILINE)
_CACHE_URL = re.compile(r"https?://[A-Za-z0-9.-]{1,200}(?::[0-9]{1,5})?/?")
_FORMAT = r"%{name}\t%{arch}\t%{evr}\t \n"


def is_here() -> bool:
    """True where this machine has dnf and is no Debian on which somebody tries it."""
    return tools.find("dnf") is not None and tools.find("apt-get") is None


class Dnf:
    """The Provider of Fedora and its kin; `root` is where this machine's files are (tests have one of their own)."""

    name = "dnf"

    def __init__(self, keep: Path, root: Path = Path("/")) -> None:
        self._kept = Kept(keep)
        self._root = root
        elsewhere = root != Path("/")
        self._options = (f"--installroot={root}", "--releasever=0") if elsewhere else ()
        self._rpm_options = ("--root", str(root)) if elsewhere else ()

    def offers(self) -> tuple[Offer, ...]:
        """As Provider."""
        return dnf_offers.offers(self._options, self._rpm_options)

    def refresh(self) -> Ran:
        """As Provider."""
        return self._dnf("--refresh", "makecache", timeout_s=running.LISTS_S)

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """As Provider."""
        return {name: one.version for name, one in self._there(names).items()}

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        """As Provider."""
        chosen = self._chosen(wanted, only_upgrade=only_upgrade)
        if not chosen:
            return ()
        said = [str(self._file(one) or _said(one)) for one in chosen]
        words = (*self._options, "--assumeno", "install", "--", *said)
        return dnf_offers.changes(tools.run("dnf", *words, timeout_s=running.QUERY_S, accept=None))

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        """As Provider."""
        there = self._there(names)
        if not there:
            return ()
        words = (*self._options, "--setopt=clean_requirements_on_remove=False", "--assumeno", "remove", "--", *there)
        return dnf_offers.changes(tools.run("dnf", *words, timeout_s=running.QUERY_S, accept=None))

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        """As Provider."""
        return self._install(self._chosen(wanted, only_upgrade=False), ("--downloadonly",))

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        """As Provider: from the repository, as long as that still has it."""
        self._kept.forget_old()
        there = self._there(names)
        return {name: self._keep(there[name]) if name in there else "" for name in names}

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        """As Provider; a version that the repository has dropped is taken from what was kept."""
        chosen = self._chosen(wanted, only_upgrade=only_upgrade)
        if not chosen:
            return Ran(True, "Nothing to do: each of these packages is at that version or a newer one, or not installed.", 0)
        there = self._there([one.name for one in chosen])
        back = [one for one in chosen if one.name in there and one.version and _is_older(one.version, there[one.name].version)]
        if back and not allow_downgrade:
            names = ", ".join(f"{one.name} {there[one.name].version}" for one in back)
            return Ran(False, f"Newer versions are installed, and the signed work does not allow to go back: {names}.", 1)
        return running.joined(self.mend(), self._install(chosen, ()))

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        """As Provider."""
        there = self._there(names)
        if not there:
            return Ran(True, "Nothing to do: none of these packages is installed.", 0)
        return running.joined(self.mend(), self._dnf("remove", "--", *there))

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        """As Provider, by dnf's own versionlock.

        Raises:
            Unsupported: that plugin is not installed.
        """
        _check(names)
        ran = self._dnf("versionlock", "add" if held else "delete", "--", *names, timeout_s=running.QUERY_S)
        if "No such command" in ran.words:
            raise Unsupported("dnf can hold no package here: install its plugin versionlock (python3-dnf-plugin-versionlock).")
        return ran

    def use_cache(self, url: str) -> Ran:
        """As Provider: a proxy for HTTP such as apt-cacher-ng, which serves rpm repositories too, in dnf's own settings."""
        path = self._root / SETTINGS
        if url and not _CACHE_URL.fullmatch(url):
            return Ran(False, "The address of a cache is http:// or https://, a host and perhaps a port.", 1)
        try:
            text = _OURS.sub("", path.read_text(encoding="utf-8"))
            if url and _PROXY.search(text):
                return Ran(False, f"{path} names a proxy already that Fettle did not write; it is left as it is.", 1)
            if url and "[main]\n" not in text:
                return Ran(False, f"{path} has no section [main].", 1)
            new = path.with_name(f".{path.name}")
            new.write_text(text.replace("[main]\n", f"[main]\n{_MARK}\nproxy={url}\n", 1) if url else text, encoding="utf-8")
            new.chmod(0o644)
            new.replace(path)
        except OSError as error:
            return Ran(False, f"{path}: {error.strerror}", 1)
        return Ran(True, f"dnf downloads through {url}." if url else "dnf downloads directly.", 0)

    def mend(self) -> Ran:
        """Finish what a power cut or a kill left in the middle: two versions of a package of which one was to go."""
        there = dnf_offers.installed(self._rpm_options)
        if len({(one.name, one.architecture) for one in there}) == len(there):
            return Ran(True, "", 0)
        found = running.run("dnf", *self._options, "-q", "check", "--duplicates", timeout_s=running.QUERY_S, accept=(0, 1))
        if not found.words:
            return Ran(True, "", 0)
        said = Ran(True, "An earlier run was cut off and is finished first.", 0)
        return running.joined(said, found, self._dnf("remove", "--duplicates"))

    def _there(self, names: Sequence[str]) -> dict[str, Installed]:
        _check(names)
        there = dnf_offers.by_name(dnf_offers.installed(self._rpm_options, *names)) if names else {}
        return {name: there[name] for name in names if name in there}

    def _chosen(self, wanted: Sequence[Wanted], *, only_upgrade: bool) -> list[Wanted]:
        """The wanted with their versions known, as far as a source offers one; `only_upgrade` as in Provider.install."""
        there = self._there([one.name for one in wanted])
        newest = self._newest([one.name for one in wanted if not one.version])
        found = []
        for one in wanted:
            known = replace(one, version=one.version or newest.get(one.name, ""))
            now = there.get(one.name)
            if only_upgrade and (now is None or (known.version and not _is_older(now.version, known.version))):
                continue
            found.append(known)
        return found

    def _newest(self, names: Sequence[str]) -> dict[str, str]:
        if not names:
            return {}
        words = ("-q", "repoquery", "--latest-limit=1", "--qf", _FORMAT, "--", *names)
        said = tools.run("dnf", *self._options, *words, timeout_s=running.QUERY_S, accept=None)
        found = dnf_offers.by_name(dnf_offers.parse_installed(said))
        return {name: found[name].version for name in names if name in found}

    def _install(self, chosen: Sequence[Wanted], flags: Sequence[str]) -> Ran:
        """Install from kept files, from files whose hash was looked at, and from repositories, in one transaction."""
        with self._kept.incoming() as folder:
            said = []
            for one in chosen:
                file = self._file(one)
                if file is None and one.sha256:
                    file, why = self._fetched(one, folder)
                    if file is None:
                        return Ran(False, why, 1)
                said.append(str(file or _said(one)))
            return self._dnf(*flags, "install", "--", *said)

    def _file(self, one: Wanted) -> Path | None:
        """The kept file of that version, if there is one that may be installed."""
        names = (one.name, one.name.rpartition(".")[0])  # with an architecture behind it, or a point of its own (python3.11)
        kept = [path for name in names for path in self._kept.of(name, one.version)] if one.version else []
        return next((path for path in kept if one.sha256 in ("", checksum(path))), None)

    def _fetched(self, one: Wanted, folder: Path) -> tuple[Path | None, str]:
        ran = self._dnf("download", "--destdir", str(folder / one.name), "--", _said(one))
        for path in sorted((folder / one.name).glob("*.rpm")):
            found = checksum(path)
            if found == one.sha256:
                return path, ""
            return None, (
                f"{_said(one)} is refused: the signed work names the file with sha256 {one.sha256}, "
                f"the repository has another: {found}."
            )
        return None, ran.words

    def _keep(self, one: Installed) -> str:
        """Why that version cannot be brought back, empty where its file is kept now."""
        if self._kept.of(one.name, one.version):
            return ""
        spec = f"{one.name}-{one.version}.{one.architecture}"
        with self._kept.incoming() as folder:
            ran = self._dnf("download", "--destdir", str(folder), "--", spec)
            fetched = sorted(folder.glob("*.rpm"))
            if not fetched:
                return f"{one.name} {one.version} can be had nowhere any more: {ran.words[-300:]}"
            return self._kept.take(fetched[0], f"{one.name}_{one.version.replace(':', '%3a')}_{one.architecture}.rpm")

    def _dnf(self, *words: str, timeout_s: float = running.INSTALL_S) -> Ran:
        def act() -> Ran:
            return running.run("dnf", *self._options, *_DNF, *words, timeout_s=timeout_s)

        return running.waiting_for_lock(act, _LOCKED)


def _said(one: Wanted) -> str:
    """What to tell dnf: name-version, with the architecture last where the name carries one."""
    name, dot, architecture = one.name.rpartition(".")
    if dot and re.fullmatch(dnf_offers.ARCHITECTURES, architecture):
        return f"{name}-{one.version}.{architecture}" if one.version else one.name
    return f"{one.name}-{one.version}" if one.version else one.name


def _is_older(left: str, right: str) -> bool:
    """True where the left version is older; one without a release is compared by what both have."""
    if "-" not in right:
        left = left.partition("-")[0]
    if "-" not in left:
        right = right.partition("-")[0]
    return dnf_offers.compare(left, right) < 0


def _check(names: Sequence[str]) -> None:
    """Refuse what dnf would read as something else than a package's name: an option, a pattern, a file, a group."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise Unsupported(f"{name!r} is no name of an rpm package.")
