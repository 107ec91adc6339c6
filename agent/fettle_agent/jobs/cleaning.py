"""Removes old temporary files: a closed list of folders, never through a link, never onto another disk.

On Linux and macOS every folder is opened by its name inside its parent's descriptor without following links, so that nobody can
swap one for a link while this runs. Windows has no such calls; there links and junctions are looked for before each step, and a
user can at most have their own files in their own folder removed.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DAYS = 7
_MAX_DEPTH = 40
_WITHIN_S = 600.0
_KEPT = (".X11-unix", ".ICE-unix", ".XIM-unix", ".font-unix", "systemd-private-", "snap-private-tmp", ".Test-unix")
"""Folders that the system itself keeps there, by how their names begin."""


@dataclass(slots=True)
class Cleaned:
    """What came of it."""

    files: int = 0
    size_bytes: int = 0
    refused: int = 0
    is_whole: bool = True

    def words(self) -> str:
        """As a sentence."""
        text = f"{self.files} old temporary files removed, {self.size_bytes / 1e6:.1f} MB."
        text += f" {self.refused} could not be removed, most of them in use." if self.refused else ""
        return text if self.is_whole else text + " There was more than ten minutes' work; the rest is left for another time."


def folders(system: str) -> list[Path]:
    """Where temporary files lie on that system."""
    if system == "windows":
        windows = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"))
        users = Path(os.environ.get("SYSTEMDRIVE", "C:") + "\\Users")
        return [windows / "Temp", *sorted(users.glob("*/AppData/Local/Temp"))]
    return [Path("/private/tmp"), Path("/private/var/tmp")] if system == "macos" else [Path("/tmp"), Path("/var/tmp")]  # noqa: S108


def clean(places: Iterable[Path], older_than_days: int, now_s: float) -> Cleaned:
    """Remove the files in those folders that nobody changed or read for so long, and the folders that are empty then."""
    done, end_s = Cleaned(), time.monotonic() + _WITHIN_S
    oldest_s = now_s - older_than_days * 86_400
    for place in places:
        _clean_top(place, oldest_s, end_s, done)
    return done


if sys.platform != "win32":
    _Disk = tuple[int, str]
    _OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

    def _clean_top(place: Path, oldest_s: float, end_s: float, done: Cleaned) -> None:
        try:
            descriptor = os.open(place, _OPEN)
        except OSError:
            return  # not there, or a link
        try:
            _clean_folder(descriptor, _disk(descriptor), (oldest_s, end_s), 0, done)
        finally:
            os.close(descriptor)

    def _disk(descriptor: int) -> _Disk:
        """The device, and on Linux the mount: a folder of the same disk may be mounted there, somebody's home for one."""
        try:
            told = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii")
        except OSError:
            told = ""
        return os.fstat(descriptor).st_dev, next((line for line in told.splitlines() if line.startswith("mnt_id:")), "")

    def _clean_folder(descriptor: int, disk: _Disk, times: tuple[float, float], depth: int, done: Cleaned) -> None:
        with os.scandir(descriptor) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            if time.monotonic() > times[1]:
                done.is_whole = False
                return
            if depth or not name.startswith(_KEPT):
                _clean_entry(descriptor, name, disk, times, depth, done)

    def _clean_entry(parent: int, name: str, disk: _Disk, times: tuple[float, float], depth: int, done: Cleaned) -> None:
        try:
            seen = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if seen.st_dev != disk[0]:
                return
            if stat.S_ISDIR(seen.st_mode):
                _descend(parent, name, disk, times, depth, done)
                if max(seen.st_mtime, seen.st_ctime) < times[0]:
                    _remove_if_empty(parent, name)
            elif (stat.S_ISREG(seen.st_mode) or stat.S_ISLNK(seen.st_mode)) and _last_touched(seen) < times[0]:
                os.unlink(name, dir_fd=parent)
                done.files += 1
                done.size_bytes += seen.st_blocks * 512 if seen.st_nlink == 1 else 0
        except FileNotFoundError:
            return
        except OSError:
            done.refused += 1

    def _descend(parent: int, name: str, disk: _Disk, times: tuple[float, float], depth: int, done: Cleaned) -> None:
        if depth >= _MAX_DEPTH:
            return
        descriptor = os.open(name, _OPEN, dir_fd=parent)
        try:
            if _disk(descriptor) == disk:
                _clean_folder(descriptor, disk, times, depth + 1, done)
        finally:
            os.close(descriptor)

    def _remove_if_empty(parent: int, name: str) -> None:
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError:
            return

else:

    def _clean_top(place: Path, oldest_s: float, end_s: float, done: Cleaned) -> None:
        for folder, inner, names in os.walk(place, topdown=True):
            inner[:] = [name for name in inner if not _is_link(Path(folder) / name)]
            for name in names:
                if time.monotonic() > end_s:
                    done.is_whole = False
                    return
                _clean_file(Path(folder) / name, oldest_s, done)

    def _clean_file(path: Path, oldest_s: float, done: Cleaned) -> None:
        try:
            seen = path.lstat()
            if not _is_link(path) and _last_touched(seen) < oldest_s:
                path.unlink()
                done.files += 1
                done.size_bytes += seen.st_size
        except OSError:
            done.refused += 1

    def _is_link(path: Path) -> bool:
        return bool(path.lstat().st_file_attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT)


def _last_touched(seen: os.stat_result) -> float:
    """Read counts as well as written; a link's or file's own change of name or rights too, where the system keeps that time."""
    changed_s = seen.st_ctime if sys.platform != "win32" else seen.st_mtime
    return max(seen.st_mtime, seen.st_atime, changed_s)
