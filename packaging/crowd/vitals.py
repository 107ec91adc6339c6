"""What a played PC feels: some twenty readings that wander as a used machine's do, minute by minute, and bend under a fault.

Owns the numbers. They are a function of the PC and the minute, so that vitals, packed history and evidence agree without
being kept. Not a model of any real school: only likely enough to look at.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fettle_protocol import catalogue, packing
from fettle_protocol.v1 import link_pb2 as pb

from crowd.estate import Pc

SeriesKey = packing.SeriesKey
_GIB = 1024.0**3


FOREVER = 2**40


@dataclass(frozen=True, slots=True)
class Bend:
    """A fault's grip on one reading: the value it is pushed to, from and until which minute since the epoch."""

    key: SeriesKey
    value: float
    from_minute: int
    until_minute: int = FOREVER


@dataclass(frozen=True, slots=True)
class _Taste:
    """What tells one PC from the next, shares of 1."""

    busy: float
    memory: float
    free: float
    wear: int
    updates: int
    battery: int


def at(pc: Pc, minute: int, bends: Sequence[Bend], second: int = 0) -> dict[SeriesKey, float]:
    """Every reading at that minute since the epoch, within the catalogue's ranges."""
    noise = random.Random(pc.place * 10_000_000_019 + minute * 60 + second).random
    taste = _taste(pc.serial)
    lesson = 0.5 + 0.5 * math.sin((minute + pc.place % 30) / 47)  # lessons come and go
    busy = 4 + 40 * lesson * noise() + 15 * taste.busy
    memory = 35 + 20 * taste.memory + 15 * lesson + 2 * noise()
    free = 21 + 60 * taste.free - minute % 10_080 / 10_080
    size = pc.model.disk_gib * 1e9
    readings = {
        _key("cpu.busy_percent"): busy,
        _key("cpu.load_per_core"): busy / 60,
        _key("memory.used_percent"): memory,
        _key("memory.available_bytes"): pc.model.memory_gib * _GIB * (1 - memory / 100),
        _key("swap.used_percent"): 3 + 4 * lesson,
        _key("disk.free_percent", pc.volume): free,
        _key("disk.free_bytes", pc.volume): size * free / 100,
        _key("disk.busy_percent", "disk0"): 1 + 30 * noise() * lesson,
        _key("disk.smart_failing", "disk0"): 0,
        _key("disk.smart_wear_percent", "disk0"): taste.wear,
        _key("temperature.celsius", "cpu"): 38 + busy / 4 + 2 * noise(),
        _key("network.link_up", pc.interface): 1,
        _key("network.received_bytes_per_second", pc.interface): 2e5 * noise() * lesson,
        _key("network.sent_bytes_per_second", pc.interface): 3e4 * noise() * lesson,
        _key("gateway.reachable"): 1,
        _key("gateway.latency_ms"): 0.8 + 3 * noise(),
        _key("dns.working"): 1,
        _key("dns.latency_ms"): 4 + 15 * noise(),
        _key("process.count"): round(140 + 40 * lesson + 6 * noise()),
        _key("updates.security_pending"): taste.updates,
        _key("boot.uptime_days"): minute % 7200 / 1440,
        _key("agent.cpu_percent"): 0.1 + 0.1 * noise(),
        _key("agent.memory_bytes"): 40e6,
    }
    if pc.is_laptop:
        readings[_key("battery.charge_percent")] = 55 + 45 * lesson
        readings[_key("battery.on_mains")] = 1
        readings[_key("battery.health_percent")] = taste.battery
        readings[_key("wifi.signal_dbm", pc.interface)] = -45 - 20 * noise()
    for bend in bends:
        if bend.from_minute <= minute < bend.until_minute:
            readings[bend.key] = bend.value * (0.98 + 0.04 * noise()) if bend.value not in (0, 1) else bend.value
    return {key: _legal(key, value) for key, value in readings.items()}


def readings(values: Mapping[SeriesKey, float]) -> list[pb.Reading]:
    """Those values as the wire has them."""
    return [pb.Reading(key=number, instance=instance, value=value) for (number, instance), value in values.items()]


def hour(pc: Pc, number: int, bends: Sequence[Bend], until_minute: int | None = None) -> bytes:
    """The packed hour of that number since the epoch; `until_minute` cuts the hour in progress short."""
    minutes = range(number * 60, min(number * 60 + 60, until_minute or number * 60 + 60))
    slots: dict[SeriesKey, list[float | None]] = {}
    for place, minute in enumerate(minutes):
        for key, value in at(pc, minute, bends).items():
            slots.setdefault(key, [None] * packing.SLOTS)[place] = value
    return packing.pack(slots)


def instance_of(pc: Pc, reading: str) -> str | None:
    """The instance under which a played PC has that reading, None where it has none."""
    number = catalogue.BY_KEY[reading].number
    return next((instance for have, instance in at(pc, 0, ()) if have == number), None)


@lru_cache(maxsize=50_000)
def _taste(serial: str) -> _Taste:
    dice = random.Random(serial)
    return _Taste(dice.random(), dice.random(), dice.random(), dice.randint(2, 40), dice.randint(0, 3), dice.randint(60, 98))


@lru_cache(maxsize=1000)
def _key(key: str, instance: str = "") -> SeriesKey:
    return catalogue.BY_KEY[key].number, instance


def _legal(key: SeriesKey, value: float) -> float:
    spec = catalogue.BY_NUMBER[key[0]]
    return min(max(value, spec.low), spec.high)
