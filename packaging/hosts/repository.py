"""A real Debian repository: built, listed and signed by Debian's own tools within a host."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hosts.host import Host

_DISTS = "/srv/repository/dists/stable"
_LIST = """cd /srv/repository
for which in all amd64; do apt-ftparchive packages pool > dists/stable/main/binary-$which/Packages; done
option=APT::FTPArchive::Release
apt-ftparchive -o $option::Suite=stable -o $option::Codename=stable -o $option::Components=main \\
    -o "$option::Architectures=all amd64" -o $option::Label=School-Security release dists/stable > /srv/Release
mv /srv/Release dists/stable/Release
"""
CONTROL = """Package: {name}
Version: {version}
Architecture: all
Maintainer: Fettle's tests <tests@fettle.invalid>
Section: education
Priority: optional
Description: for lessons
"""


@dataclass
class Repository:
    """A real Debian repository, signed, that keeps every version that was ever put into it."""

    place: Path
    url: str
    workshop: Host

    def build(self) -> Repository:
        """Its key, and an empty pool."""
        (self.place / "pool").mkdir(parents=True)
        self.workshop.sh("mkdir", "-p", "/root/keys", "/srv/repository")
        keys = (
            "gpg --homedir /root/keys --batch --quiet --passphrase '' --quick-generate-key 'School software' ed25519 sign never"
        )
        self.workshop.sh("sh", "-c", "chmod 700 /root/keys; " + keys)
        (self.place / "school.asc").write_text(self._gpg("--armor", "--export").stdout)
        return self

    def _gpg(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.workshop.sh("gpg", "--homedir", "/root/keys", "--batch", "--quiet", "--yes", *words)

    def put(
        self, name: str, version: str, files: dict[str, tuple[str, int]], scripts: dict[str, str], about: str = "for lessons"
    ) -> None:
        """Build a package (path -> (content, mode); maintainer scripts by name), and list and sign anew."""
        tree = self.workshop.root / "srv/build" / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(CONTROL.format(name=name, version=version))
        for script, text in scripts.items():
            (tree / "DEBIAN" / script).write_text(text)
            (tree / "DEBIAN" / script).chmod(0o755)
        conffiles = [f"/{path}" for path in files if path.startswith("etc/")]
        if conffiles:
            (tree / "DEBIAN/conffiles").write_text("\n".join(conffiles) + "\n")
        for path, (text, mode) in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
            (tree / path).chmod(mode)
        deb = f"{name}_{version}_all.deb"
        self.workshop.sh("dpkg-deb", "--root-owner-group", "--build", f"/srv/build/{name}-{version}", f"/srv/{deb}")
        shutil.copy(self.workshop.root / "srv" / deb, self.place / "pool" / deb)
        self.publish()

    def publish(self) -> None:
        """List what the pool holds, and sign the list."""
        inside = self.workshop.root / "srv/repository"
        shutil.rmtree(inside)
        shutil.copytree(self.place / "pool", inside / "pool")
        (inside / "dists/stable/main/binary-all").mkdir(parents=True)
        (inside / "dists/stable/main/binary-amd64").mkdir()
        self.workshop.sh("sh", "-ec", _LIST)
        self._gpg("--clearsign", "--output", f"{_DISTS}/InRelease", f"{_DISTS}/Release")
        shutil.rmtree(self.place / "dists", ignore_errors=True)
        shutil.copytree(inside / "dists", self.place / "dists")

    def use(self, host: Host) -> None:
        """Make a host take its software from here, and from nowhere else."""
        keyring = host.root / "etc/apt/keyrings/school.asc"
        keyring.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.place / "school.asc", keyring)
        line = f"deb [signed-by=/etc/apt/keyrings/school.asc] {self.url} stable main\n"
        (host.root / "etc/apt/sources.list").write_text(line)
