"""Whether another program changes this PC's packages at this moment, by the locks that package managers hold while they do.

Only asks: no lock is taken, not even for a moment, because whoever came in that moment would fail. Sources: the manual page of
fcntl(2), F_GETLK; dpkg's frontend locking, https://www.debian.org/doc/manuals/debian-reference (lock-frontend and lock are
record locks, which apt, unattended-upgrades and PackageKit hold too); rpm's .rpm.lock in its database's folder, which it holds
for each transaction, dnf's among them.
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import psutil

LOCKS = (
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/lock",
    "var/lib/rpm/.rpm.lock",
    "usr/lib/sysimage/rpm/.rpm.lock",
)
_FLOCK = "@hhqqi"
"""struct flock as Linux has it for files of any size: type, whence, start, length, process."""


def holder(root: Path = Path("/")) -> str:
    """Who changes packages now, in words; empty where nobody does, or where this system has no such locks."""
    if sys.platform != "linux":
        return ""
    return next((who for name in LOCKS if (who := _holder(root / name))), "")


def _holder(path: Path) -> str:
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return ""
    size = struct.calcsize(_FLOCK + "0q")
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0).ljust(size, b"\0")
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)[: struct.calcsize(_FLOCK)])
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return "" if kind == fcntl.F_UNLCK else _named(pid)


def _named(pid: int) -> str:
    try:
        return psutil.Process(pid).name() if pid > 0 else "another program"
    except psutil.Error:
        return "another program"
