"""How a demo PC's readings go over the weeks: daily rhythm, noise, and the course of its one fault. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from fettle_protocol import catalogue
from fettle_protocol.packing import SeriesKey

Curve = Callable[[float], float]
"""A value by hours before now (0 is now)."""

LESSONS = (9, 15)


def curves(seed: int, *, laptop: bool, fault: str) -> dict[tuple[str, str], Curve]:
    """What a PC reports, by reading and instance."""
    chance = random.Random(seed)
    base_memory, base_heat, free = chance.uniform(38, 58), chance.uniform(38, 46), chance.uniform(28, 70)
    found: dict[tuple[str, str], Curve] = {
        ("cpu.busy_percent", ""): lambda ago: _clip(6 + 34 * _day(ago) * _wave(seed, ago) + 18 * _noise(seed, ago, 7)),
        ("memory.used_percent", ""): lambda ago: _clip(base_memory + 16 * _day(ago) + 4 * _noise(seed + 1, ago, 3)),
        ("swap.used_percent", ""): lambda ago: _clip(3 + 4 * _day(ago)),
        ("disk.free_percent", "C:"): lambda ago: _clip(free + ago * 0.01 + 0.3 * _noise(seed + 2, ago, 1)),
        ("disk.busy_percent", "C:"): lambda ago: _clip(4 + 22 * _day(ago) * _noise(seed + 3, ago, 9)),
        ("temperature.celsius", "CPU"): lambda ago: (
            base_heat + 20 * _day(ago) * _wave(seed, ago) + 2 * _noise(seed + 4, ago, 5)
        ),
        ("gateway.latency_ms", ""): lambda ago: 0.6 + 1.8 * _noise(seed + 5, ago, 11) ** 2,
        ("dns.latency_ms", ""): lambda ago: 4 + 9 * _noise(seed + 6, ago, 12) ** 2,
        ("network.received_bytes_per_second", "eth0"): lambda ago: 2e5 + 4e6 * _day(ago) * _noise(seed + 7, ago, 9) ** 2,
        ("network.sent_bytes_per_second", "eth0"): lambda ago: 8e4 + 6e5 * _day(ago) * _noise(seed + 8, ago, 9) ** 2,
        ("updates.pending", ""): lambda ago: float(max(0, round(6 - ago / 120))),
        ("boot.uptime_days", ""): lambda ago: max(0.0, 2.3 - ago / 24),
    }
    if laptop:
        found["battery.charge_percent", ""] = lambda ago: _clip(74 + 22 * math.sin(ago / 3.1))
        found["wifi.signal_dbm", "wlan0"] = lambda ago: -58 - 9 * _noise(seed + 9, ago, 2)
    return found | FAULTS.get(fault, {})


FAULTS: dict[str, dict[tuple[str, str], Curve]] = {
    "disk-full": {("disk.free_percent", "C:"): lambda ago: _clip(2.3 + min(ago, 1.3) * 2.4 + max(0.0, ago - 1.3) * 0.06)},
    "disk-low": {("disk.free_percent", "C:"): lambda ago: _clip(8.6 + ago * 0.06)},
    "memory-exhausted": {("memory.used_percent", ""): lambda ago: _clip(97.4 - max(0.0, ago - 0.4) * 9, 48)},
    "hot": {("temperature.celsius", "CPU"): lambda ago: 96.5 - min(ago, 6) * 5.2 + 1.2 * _noise(77, ago, 6)},
    "dns-slow": {("dns.latency_ms", ""): lambda ago: 1450 - min(ago, 1.5) * 900 if ago < 1.5 else 9.0},
    "wifi-weak": {("wifi.signal_dbm", "wlan0"): lambda ago: -84 + min(ago, 8) * 2 + 2 * _noise(5, ago, 3)},
    "service-stopped": {("service.running", "Print Spooler"): lambda ago: 0.0 if ago < 0.45 else 1.0},
    "gateway-lost": {("gateway.reachable", ""): lambda ago: 0.0 if ago < 0.2 else 1.0},
    "disk-failing": {("disk.smart_failing", "nvme0"): lambda ago: 1.0 if ago < 3 else 0.0},
    "battery-worn": {("battery.health_percent", ""): lambda _ago: 47.0},
}


def key_of(name: str, instance: str) -> SeriesKey:
    """The packed form's key of a reading."""
    return catalogue.BY_KEY[name].number, instance


def _day(ago: float) -> float:
    """1 in lessons, little at night; now is taken to be mid-morning."""
    hour = (11.5 - ago) % 24
    return 1.0 if LESSONS[0] <= hour < LESSONS[1] else 0.35 if 8 <= hour < 17 else 0.05


def _wave(seed: int, ago: float) -> float:
    return 0.6 + 0.4 * math.sin(ago * 5.1 + seed) * math.sin(ago * 1.7 + seed / 3)


def _noise(seed: int, ago: float, rate: float) -> float:
    """Smooth noise between 0 and 1."""
    at = ago * rate
    low = math.floor(at)
    first, second = (random.Random(seed * 1_000_003 + low + step).random() for step in (0, 1))
    share = at - low
    return first + (second - first) * (share * share * (3 - 2 * share))


def _clip(value: float, low: float = 0.0) -> float:
    return min(100.0, max(low, value))
