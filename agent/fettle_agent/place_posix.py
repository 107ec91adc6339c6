"""What Linux and macOS share: file permissions, locks and signals."""

from __future__ import annotations

import os
import signal
import sys
from io import FileIO
from pathlib import Path

if sys.platform != "win32":
    import fcntl

    def stop_signals() -> tuple[signal.Signals, ...]:
        """A service manager sends SIGTERM, a terminal SIGINT."""
        return signal.SIGTERM, signal.SIGINT

    def write_secret(path: Path, content: bytes) -> None:
        """Write beside, flush, rename: a reader sees the old content or the new, mode 0600 from the first byte."""
        beside = path.with_name(path.name + ".new")
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)

    def read_secret(path: Path) -> bytes:
        """The file's content."""
        return path.read_bytes()

    def private_folder(path: Path) -> None:
        """A folder that exists already keeps its owner's permissions: it may be a service's, set up with care."""
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True)

    def take_lock(path: Path) -> FileIO | None:
        """An exclusive flock; the system lets it go when the process ends, however it ends."""
        return _flock(path, fcntl.LOCK_EX)

    def is_locked(path: Path) -> bool:
        """A shared flock that is let go at once, so that two who ask do not see each other."""
        if not path.exists():
            return False
        held = _flock(path, fcntl.LOCK_SH, os.O_RDONLY)  # so that a disk that takes nothing can still be looked at
        if held is None:
            return True
        held.close()
        return False

    def _flock(path: Path, kind: int, way: int = os.O_RDWR | os.O_CREAT) -> FileIO | None:
        file = FileIO(os.open(path, way | os.O_CLOEXEC, 0o600), "r" if way == os.O_RDONLY else "r+")
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file
