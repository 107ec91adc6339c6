"""A demo PC, and what may be wrong with one."""

from __future__ import annotations

from dataclasses import dataclass

ILL = ("disk-full", "service-stopped", "memory-exhausted", "disk-failing")
WATCH = ("disk-low", "wifi-weak", "dns-slow", "battery-worn", "hot", "disk-low", "battery-worn", "wifi-weak", "disk-low")
INSTANCES = {
    "disk-full": "C:",
    "disk-low": "C:",
    "hot": "CPU",
    "wifi-weak": "wlan0",
    "service-stopped": "Print Spooler",
    "disk-failing": "nvme0",
}
BEGAN_MINUTES = {
    "disk-full": 41, "service-stopped": 26, "memory-exhausted": 12, "disk-failing": 172, "disk-low": 1400, "wifi-weak": 150,
    "dns-slow": 34, "battery-worn": 4300, "hot": 55,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pc:
    """A demo PC: its keys, name and place, and the rule that it breaks, if any."""

    pk: int
    id: str
    name: str
    school_id: int
    model: str
    system: str
    version: str
    fault: str
    heard: bool
