"""The package files kept so that former versions can be brought back, in a folder of the agent's own.

A file is complete or not there: it is renamed into place after it is on the disk. A file's time is when it was last needed.
Files that nobody needed in 200 days, which is as long as a manifest can live, are forgotten; of a folder that is full the
oldest, but none that was needed within a day: whoever knows which can be wanted back says so (`need`) before more is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from fettle_agent import log

MAX_AGE_S = 200 * 86_400.0
MAX_BYTES = 2 * 2**30
FREE_SHARE = 4
"""Kept files take at most MAX_BYTES, and at most one part in so many of what would be free without them."""
_NEEDED_S = 86_400.0


class Kept:
    """The folder of one provider; files are NAME_VERSION_..., where a colon in the version is written %3a."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, name: str, version: str = "") -> list[Path]:
        """The kept files of a package, of that version where one is given, the newest first."""
        start = f"{name}_{version.replace(':', '%3a')}_" if version else f"{name}_"
        try:
            files = [path for path in self._folder.iterdir() if path.name.startswith(start) and path.is_file()]
        except OSError:
            return []
        return sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)

    def take(self, source: Path, name: str) -> str:
        """Keep a copy under that name; why it could not be, or empty."""
        with self.incoming() as folder:
            try:
                if not self._make_room(source.stat().st_size):
                    return f"{name} could not be kept: the package files kept so far take all the room that they may."
                copy = folder / "copy"
                shutil.copyfile(source, copy)
                with copy.open("rb") as written:
                    os.fsync(written.fileno())
                copy.replace(self._folder / name)
            except OSError as error:
                return f"{name} could not be kept: {error.strerror}."
        return ""

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A folder beside the kept files for what is not complete yet; gone afterwards."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self._folder) as folder:
            yield Path(folder)

    def _make_room(self, size_bytes: int) -> bool:
        """Forget the oldest files until one of that size may be kept too; none at all where it may not even so."""
        files = sorted(
            ((path.stat(), path) for path in self._folder.iterdir() if path.is_file()), key=lambda one: one[0].st_mtime
        )
        kept = sum(about.st_size for about, _ in files)
        over = kept + size_bytes - min(MAX_BYTES, (shutil.disk_usage(self._folder).free + kept) // FREE_SHARE)
        spare = sorted((one for one in files if one[0].st_mtime < time.time() - _NEEDED_S), key=lambda one: one[0].st_mtime)
        if over > sum(about.st_size for about, _ in spare):
            return False
        for about, path in spare:
            if over <= 0:
                break
            path.unlink()
            over -= about.st_size
            log.info("a kept package file was forgotten for want of room", file=path.name, size_bytes=about.st_size)
        return True

    def forget_old(self) -> None:
        """Forget the files, and what a power cut left of fetching, that are too old."""
        limit = time.time() - MAX_AGE_S
        with contextlib.suppress(OSError):
            for path in list(self._folder.iterdir()):
                if path.is_dir() and path.stat().st_mtime < time.time() - 86_400:
                    shutil.rmtree(path, ignore_errors=True)
                elif path.is_file() and path.stat().st_mtime < limit:
                    path.unlink()


def need(folder: Path, versions: Iterable[tuple[str, str]]) -> None:
    """Say that the kept files of these (package, version) are needed now; an architecture may stand behind the name."""
    names = [(name, version) for name, version in versions if version]
    starts = tuple(
        start
        for name, version in names
        for plain in {name, name.partition(":")[0], name.rpartition(".")[0]}
        for start in (f"{plain}_{version.replace(':', '%3a')}_", f"{plain}.{version}.nupkg")
    )
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(starts):
                os.utime(path)


def checksum(path: Path) -> str:
    """The sha256 of a file, empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
