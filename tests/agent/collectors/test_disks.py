"""Disks: which volumes are the machine's own, what is read of them, and a real file system on a loop device."""

import os
import subprocess
from collections import namedtuple

import psutil
import pytest
from fettle_agent.collectors import disks
from fettle_agent.collectors.changes import Rates

Partition = namedtuple("Partition", "device mountpoint fstype opts")
Counters = namedtuple("Counters", "read_bytes write_bytes busy_time")


@pytest.mark.parametrize(
    ("partition", "name"),
    [
        (Partition("/dev/sda2", "/", "ext4", "rw,relatime"), "/"),
        (Partition("/dev/loop7", "/srv/share", "ext4", "rw"), "/srv/share"),
        (Partition("/dev/sda1", "/boot/efi", "vfat", "rw"), "/boot/efi"),
        (Partition("/dev/sdb1", "/data", "fuseblk", "rw"), "/data"),
        (Partition("C:\\", "C:\\", "NTFS", "rw,fixed"), "C:"),
        (Partition("/dev/disk3s5", "/System/Volumes/Data", "apfs", "rw"), "/System/Volumes/Data"),
        (Partition("/dev/loop1", "/snap/core/1", "squashfs", "ro"), None),
        (Partition("server:/home", "/srv/home", "nfs4", "rw"), None),
        (Partition("//server/x", "/srv/x", "cifs", "rw"), None),
        (Partition("someone@host:", "/srv/y", "fuse.sshfs", "rw"), None),
        (Partition("overlay", "/srv/z", "overlay", "rw"), None),
        (Partition("tmpfs", "/tmp", "tmpfs", "rw"), None),
        (Partition("/dev/sdc1", "/media/someone/STICK", "vfat", "rw"), None),
        (Partition("/dev/dm-3", "/home/someone", "ext4", "rw"), None),
        (Partition("/dev/sr0", "/srv/cd", "iso9660", "ro"), None),
        (Partition("D:\\", "D:\\", "UDF", "ro,cdrom"), None),
        (Partition("E:\\", "E:\\", "FAT32", "rw,removable"), None),
        (Partition("Z:\\", "Z:\\", "NTFS", "rw,remote"), None),
        (Partition("/dev/disk4s1", "/Volumes/Stick", "exfat", "rw"), None),
        (Partition("/dev/disk3s1", "/System/Volumes/VM", "apfs", "rw"), None),
    ],
)
def test_only_the_machines_own_volumes_count(partition, name):
    assert [volume.name for volume in disks.own_volumes([partition])] == ([name] if name else [])


def test_of_several_mounts_of_a_device_the_shortest_counts():
    mounts = [Partition("/dev/sda2", path, "ext4", "rw") for path in ("/var/lib/x", "/", "/mnt")]

    assert [volume.path for volume in disks.own_volumes(mounts)] == ["/"]


def test_fstab_says_what_should_be_writable():
    fstab = "# comment / ext4\nUUID=1 / ext4 errors=remount-ro 0 1\nUUID=2 /usr ext4 ro,nodev 0 2\nshort line\n"

    assert disks.should_be_writable(fstab) == {"/"}


def _space(setup, monkeypatch, *options, fstab=""):
    monkeypatch.setattr(disks, "_fstab", lambda: fstab)
    rounds = iter([[Partition("/dev/sda2", "/", "ext4", option)] for option in options])
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: next(rounds))
    collect = disks.space(setup)
    return [[reading.value for reading in collect().readings if reading.key == "disk.read_only"] for _ in options]


def test_volume_that_became_read_only_is_a_fault(setup, monkeypatch):
    assert _space(setup, monkeypatch, "rw", "ro,relatime") == [[0.0], [1.0]]


def test_volume_that_the_fstab_wants_writable_is_a_fault_at_once(setup, monkeypatch):
    assert _space(setup, monkeypatch, "ro", fstab="/dev/sda2 / ext4 errors=remount-ro 0 1") == [[1.0]]


def test_volume_that_is_meant_to_be_read_only_says_nothing(setup, monkeypatch):
    assert _space(setup, monkeypatch, "ro", "ro") == [[], []]


def test_volume_that_refuses_costs_only_itself(setup, monkeypatch):
    mounts = [Partition("/dev/sda2", "/", "ext4", "rw"), Partition("/dev/sdb1", "/nowhere", "ext4", "rw")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)

    readings = disks.space(setup)().readings
    assert {reading.instance for reading in readings if reading.key == "disk.free_percent"} == {"/"}


def test_free_space_is_what_df_shows(setup, values):
    found = values(disks.space(setup)())
    state = os.statvfs("/")
    assert found["disk.free_percent", "/"] == pytest.approx(
        100 * state.f_bavail / (state.f_bavail + state.f_blocks - state.f_bfree), abs=1
    )


def test_busy_disk_is_the_share_of_time_with_work(setup, monkeypatch, values, clock):
    monkeypatch.setattr(disks, "Rates", lambda: Rates(clock))
    rounds = iter([{"sda": Counters(0, 0, 0), "sda1": Counters(0, 0, 0)}, {"sda": Counters(1_000_000, 50_000, 7_500)}])
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk, nowrap: next(rounds))
    collect = disks.work(setup)
    assert collect().readings == ()
    clock.now += 10

    assert values(collect()) == {
        ("disk.read_bytes_per_second", "sda"): 100_000,
        ("disk.write_bytes_per_second", "sda"): 5_000,
        ("disk.busy_percent", "sda"): 75,
    }


def test_machine_without_disk_counters_has_no_data(setup, monkeypatch):
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk, nowrap: None)

    assert disks.work(setup)().readings == ()


@pytest.mark.root
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to mount")
def test_full_file_system_on_a_loop_device_is_seen(setup, tmp_path, values):
    image, mount = tmp_path / "image", tmp_path / "volume"
    mount.mkdir()
    image.write_bytes(b"\0" * 8_000_000)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", str(image)], check=True)
    if subprocess.run(["/usr/bin/mount", "-o", "loop", str(image), str(mount)], check=False, capture_output=True).returncode:
        pytest.skip("this machine mounts no loop devices")
    try:
        collect = disks.space(setup)
        before = values(collect())["disk.free_percent", str(mount)]
        (mount / "filler").write_bytes(b"x" * int(os.statvfs(mount).f_bavail * os.statvfs(mount).f_frsize * 0.98))
        after = values(collect())["disk.free_percent", str(mount)]
    finally:
        subprocess.run(["/usr/bin/umount", str(mount)], check=True)
    assert before > 50
    assert after < 10
