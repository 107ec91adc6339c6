"""What the package managers' tests share: captured samples, and a scratch Debian with a repository of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fettle_agent.packages.apt import Apt

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="session")
def sample() -> Callable[[str], str]:
    """Gives a sample's text by its file name."""
    return lambda name: (FIXTURES / name).read_text(encoding="utf-8")


@dataclass
class Debian:
    """A folder that apt and dpkg take for the whole machine, and a repository that offers packages made here."""

    root: Path
    keep: Path
    repository: Path = field(init=False)

    def __post_init__(self) -> None:
        self.repository = self.root.parent / "repository"
        for folder in (
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
        ):
            (self.root / folder).mkdir(parents=True)
        for folder in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/log/apt", "home", "run"):
            (self.root / folder).mkdir(parents=True)
        self.repository.mkdir()
        (self.root / "var/lib/dpkg/status").touch()
        (self.root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] copy:{self.repository} ./\n")
        (self.root / "apt.conf").write_text(
            f'Dir "{self.root}";\nDir::State::status "{self.root}/var/lib/dpkg/status";\nDir::Etc::main "none";\n'
            f'Dir::Bin::methods "/usr/lib/apt/methods";\nDir::Bin::dpkg "/usr/bin/dpkg";\nAPT::Sandbox::User "root";\n'
            f'DPkg::Options {{ "--root={self.root}"; "--force-script-chrootless"; }};\nAPT::Architecture "amd64";\n'
            'DPkg::Path "";\n'
        )
        (self.root / "home/.dpkg.cfg").write_text(f"root={self.root}\nforce-script-chrootless\n")
        self.apt = Apt(self.keep, self.root)

    def publish(self, *packages: Path) -> None:
        """Offer these package files and no others."""
        for old in self.repository.iterdir():
            old.unlink()
        for package in packages:
            shutil.copy(package, self.repository)
        listed = self._tool("dpkg-scanpackages", "--multiversion", ".", cwd=self.repository)
        (self.repository / "Packages").write_text(listed)
        (self.repository / "Release").write_text(self._tool("apt-ftparchive", "release", ".", cwd=self.repository))
        assert self.apt.refresh().worked

    def build(self, name: str, version: str, *, postinst: str = "", depends: str = "", breaks: str = "") -> Path:
        """A package that owns one file, which holds its version."""
        tree = self.root.parent / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "opt").mkdir()
        (tree / f"opt/{name}").write_text(version)
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Fettle <fettle@example.invalid>\n"
            + (f"Depends: {depends}\n" if depends else "")
            + (f"Breaks: {breaks}\n" if breaks else "")
            + f"Description: The {name} of a test\n"
        )
        if postinst:
            (tree / "DEBIAN/postinst").write_text(f"#!/bin/sh\nset -e\n{postinst}\n")
            (tree / "DEBIAN/postinst").chmod(0o755)
        file = self.root.parent / f"{name}_{version.replace(':', '%3a')}_all.deb"
        self._tool("dpkg-deb", "--root-owner-group", "-Znone", "-b", str(tree), str(file))
        return file

    def has(self, name: str) -> str:
        """What lies on the disk of that package: its version, empty where it is not there."""
        path = self.root / "opt" / name
        return path.read_text() if path.exists() else ""

    def status(self, name: str) -> str:
        """What dpkg says of it."""
        return self._tool("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", name).strip()

    def _tool(self, *words: str, cwd: Path | None = None) -> str:
        return subprocess.run(words, check=True, capture_output=True, text=True, cwd=cwd).stdout


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Debian]:
    """A scratch Debian; needs root, and Debian's own tools."""
    missing = [tool for tool in ("apt-get", "dpkg-scanpackages", "apt-ftparchive", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"apt cannot be tried for real here: {', '.join(missing)} is not installed (apt-utils, dpkg-dev)")
    if os.geteuid() != 0:
        pytest.skip("apt cannot be tried for real here: dpkg changes owners of files, which only root may")
    root = tmp_path / "root"
    monkeypatch.setenv("APT_CONFIG", str(root / "apt.conf"))
    monkeypatch.setenv("HOME", str(root / "home"))
    monkeypatch.setenv("DPKG_ROOT", str(root))
    return Debian(root, tmp_path / "keep")
