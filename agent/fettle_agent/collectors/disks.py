"""Disks: space and file slots of each volume, whether it became read-only, and how hard each disk works.

Owns which volumes and disks are the machine's own. Network file systems are never touched (a dead server would hang the
call), nor are pseudo file systems, images, and what a person plugged in: such a volume's name may be about that person.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from fettle_agent.collectors import Collected, Reading, Setup
from fettle_agent.collectors.changes import Rates

_IMAGES = frozenset({"squashfs", "iso9660", "udf", "cd9660", "erofs", "cramfs", "romfs"})
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "webdav", "9p", "ceph", "glusterfs", "afs", "ncpfs", "virtiofs"}
)
_PSEUDO = frozenset({"tmpfs", "devtmpfs", "overlay", "aufs", "ramfs", "autofs", "devfs", "nullfs", "proc", "sysfs"})
_NOT_OURS = re.compile(
    r"^/(media|run/media|run/user|Volumes|home/.|Users/.|snap/|var/lib/(docker|containers|snapd)/)|^/System/Volumes/(?!Data$)"
)
_REAL_DISK = re.compile(r"^(sd[a-z]+|hd[a-z]+|vd[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+|pmem\d+|disk\d+|PhysicalDrive\d+)$")


@dataclass(frozen=True, slots=True)
class Volume:
    """A mounted file system of the machine's own; `name` is what people call it: "/", "C:"."""

    name: str
    path: str
    device: str
    read_only: bool


def own_volumes(partitions: Iterable[Any]) -> tuple[Volume, ...]:
    """The machine's own volumes among psutil's partitions; of several mounts of one device, that with the shortest path."""
    best: dict[str, Volume] = {}
    for partition in partitions:
        options = partition.opts.split(",")
        kind = partition.fstype.lower()
        if not kind or kind in _IMAGES | _NETWORK | _PSEUDO or (kind.startswith("fuse") and kind != "fuseblk"):
            continue
        if _NOT_OURS.match(partition.mountpoint) or {"cdrom", "removable", "remote"} & set(options):
            continue
        name = partition.mountpoint.rstrip("\\") if len(partition.mountpoint) > 1 else partition.mountpoint
        volume = Volume(name, partition.mountpoint, partition.device, "ro" in options)
        present = best.get(volume.device)
        if present is None or len(volume.path) < len(present.path):
            best[volume.device] = volume
    return tuple(sorted(best.values(), key=lambda volume: volume.name))


def should_be_writable(fstab: str) -> frozenset[str]:
    """The mount points that /etc/fstab mounts for writing."""
    fields = (line.split() for line in fstab.splitlines() if not line.lstrip().startswith("#"))
    return frozenset(row[1] for row in fields if len(row) >= 4 and "ro" not in row[3].split(","))


def space(setup: Setup) -> Callable[[], Collected]:
    """The collector of a volume's free space, free file slots and loss of writing.

    A volume is "read-only" only if it ought to be writable: the fstab says so, or this agent saw it writable before.
    """
    writable: set[str] = set(should_be_writable(_fstab()))

    def collect() -> Collected:
        readings: list[Reading] = []
        for volume in own_volumes(psutil.disk_partitions(all=False)):
            if not volume.read_only:
                writable.add(volume.path)
            if volume.path in writable:
                readings.append(Reading("disk.read_only", float(volume.read_only), volume.name))
            try:
                readings += _space(volume)
            except OSError:
                continue
        return Collected(tuple(readings))

    return collect


def _space(volume: Volume) -> Iterator[Reading]:
    if sys.platform == "win32":
        usage = shutil.disk_usage(volume.path)
        free, usable, files, files_free = usage.free, usage.total, 0, 0
    else:
        state = os.statvfs(volume.path)
        free = state.f_bavail * state.f_frsize
        usable = free + (state.f_blocks - state.f_bfree) * state.f_frsize
        files, files_free = state.f_files, state.f_favail
    if usable <= 0:
        return
    yield Reading("disk.free_percent", 100.0 * free / usable, volume.name)
    yield Reading("disk.free_bytes", free, volume.name)
    if files > 0:
        yield Reading("disk.inodes_free_percent", min(100.0, 100.0 * files_free / files), volume.name)


def _fstab() -> str:
    try:
        with open("/etc/fstab", encoding="utf-8", errors="replace") as file:
            return file.read(65_536)
    except OSError:
        return ""


def work(setup: Setup) -> Callable[[], Collected]:
    """The collector of each disk's traffic and, where the system counts it (Linux), of its busy time."""
    rates = Rates()

    def collect() -> Collected:
        rates.tick()
        readings: list[Reading] = []
        for disk, counters in sorted((psutil.disk_io_counters(perdisk=True, nowrap=False) or {}).items()):
            if _REAL_DISK.match(disk):
                readings += _work(rates, disk, counters)
        return Collected(tuple(readings))

    return collect


def _work(rates: Rates, disk: str, counters: Any) -> Iterator[Reading]:
    read = rates.per_second((disk, "read"), counters.read_bytes)
    written = rates.per_second((disk, "written"), counters.write_bytes)
    busy_ms = getattr(counters, "busy_time", None)
    busy = None if busy_ms is None else rates.per_second((disk, "busy"), busy_ms)
    if read is not None:
        yield Reading("disk.read_bytes_per_second", read, disk)
    if written is not None:
        yield Reading("disk.write_bytes_per_second", written, disk)
    if busy is not None:
        yield Reading("disk.busy_percent", min(100.0, busy / 10.0), disk)
