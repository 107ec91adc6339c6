"""The package files kept so that former versions can be brought back, in a folder of the agent's own.

A file is complete or not there: it is renamed into place after it is on the disk. Files that nobody brought back in 200 days,
which is as long as a manifest can live, are forgotten.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MAX_AGE_S = 200 * 86_400.0


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

    def forget_old(self) -> None:
        """Forget the files, and what a power cut left of fetching, that are too old."""
        limit = time.time() - MAX_AGE_S
        with contextlib.suppress(OSError):
            for path in list(self._folder.iterdir()):
                if path.is_dir() and path.stat().st_mtime < time.time() - 86_400:
                    shutil.rmtree(path, ignore_errors=True)
                elif path.is_file() and path.stat().st_mtime < limit:
                    path.unlink()


def checksum(path: Path) -> str:
    """The sha256 of a file, empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
