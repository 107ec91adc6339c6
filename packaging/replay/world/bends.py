"""How readings leave the ordinary: one machine's reading held at values for a time, and what is ordinary for each.

Values are plain physics of school PCs (a full disk has next to nothing free, a dead switch reaches nobody); nothing here knows
from which value on anybody would call it a fault.
"""

from __future__ import annotations

import random
from typing import NamedTuple


class Bend(NamedTuple):
    """A reading's values from `start` to `end`: pairs of (seconds since the epoch, value), each held until the next."""

    reading: str
    instance: str
    start: float
    end: float
    values: tuple[tuple[float, float], ...]


ORDINARY = {
    "cpu.busy_percent": 12.0,
    "process.largest_cpu_percent": 20.0,
    "memory.used_percent": 52.0,
    "disk.free_percent": 45.0,
    "disk.smart_failing": 0.0,
    "disk.smart_reallocated": 0.0,
    "disk.smart_pending": 0.0,
    "disk.read_only": 0.0,
    "battery.health_percent": 88.0,
    "temperature.celsius": 52.0,
    "temperature.headroom": 45.0,
    "fan.stalled": 0.0,
    "gateway.reachable": 1.0,
    "dns.working": 1.0,
    "dns.latency_ms": 12.0,
    "service.running": 1.0,
    "updates.reboot_pending": 0.0,
    "updates.security_pending": 0.0,
    "clock.offset_seconds": 0.0,
    "boot.duration_seconds": 38.0,
    "logon.duration_seconds": 18.0,
}
"""What each reading is while nothing bends it. A small disk of 128 GB has about SMALL_DISK_FREE of it free."""

SMALL_DISK_FREE = 19.0


def flat(reading: str, instance: str, start: float, end: float, value: float) -> Bend:
    """One value for the whole time."""
    return Bend(reading, instance, start, end, ((start, value),))


def trembling(dice: random.Random, reading: str, instance: str, start: float, end: float) -> Bend:
    """Free space that comes and goes every few minutes: something fills the disk and gives it back."""
    values, moment, is_low = [], start, True
    while moment < end:
        values.append((moment, dice.uniform(0.5, 3.0) if is_low else dice.uniform(8.0, 16.0)))
        moment += dice.uniform(120, 1500)
        is_low = not is_low
    return Bend(reading, instance, start, end, tuple(values))


_SLOPE = 0.75


def runs_out_at(start: float, end: float, first_last: tuple[float, float], level: float) -> float:
    """When a value that falls like `falling` has come down to the level."""
    first, last = first_last
    return start + (end - start) * _SLOPE * (first - level) / (first - last)


def falling(reading: str, instance: str, start: float, end: float, first_last: tuple[float, float]) -> Bend:
    """A value that creeps from the first to the last in steps of six hours over three quarters of the time, and stays there."""
    first, last = first_last
    step, slope = 21_600.0, (end - start) * _SLOPE
    values = [
        (
            start + n * step,
            max(last, first + (last - first) * n * step / slope) if last < first else first + (last - first) * n * step / slope,
        )
        for n in range(int((end - start) // step) + 1)
    ]
    return Bend(reading, instance, start, end, tuple(values))
