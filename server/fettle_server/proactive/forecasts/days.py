"""One day of one endpoint in a few hundred bytes: made from its hours' packed directories, and read back.

Pure. Owns which readings are kept for a year and the format of `daily.body`: zlib-compressed JSON, a list of
[number, instance, low, mean, high, last, minutes], values as whole numbers of the precision that history keeps.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fettle_protocol import catalogue, packing
from fettle_protocol.packing import PackError, SeriesKey

_KEYS = (
    "cpu.busy_percent", "memory.used_percent", "disk.free_percent", "disk.free_bytes", "disk.smart_reallocated",
    "disk.smart_pending", "disk.smart_wear_percent", "disk.smart_temperature", "battery.health_percent", "battery.cycles",
    "temperature.celsius", "process.count", "boot.uptime_days", "boot.duration_seconds", "logon.duration_seconds",
)  # fmt: skip
TRACKED = frozenset(catalogue.BY_KEY[key].number for key in _KEYS)
SERIES = 64
"""A day keeps at most so many series: a machine with a thousand sensors must not cost a thousand times as much."""
CALM_PERCENT = 30.0
_CPU = catalogue.BY_KEY["cpu.busy_percent"].number
_HEAT = frozenset(catalogue.BY_KEY[key].number for key in ("temperature.celsius", "disk.smart_temperature"))
_SCALE = {number: 10.0 ** catalogue.BY_NUMBER[number].decimals for number in TRACKED}
_MAX_PLAIN = 64 * 1024
_plain = tuple.__new__
"""A named tuple without its constructor's cost: a night reads some thirty million."""


class Reading(NamedTuple):
    """A series over one day; `last` is the mean of its last hour."""

    low: float
    mean: float
    high: float
    last: float
    minutes: int


Day = Mapping[SeriesKey, Reading]


def fold(packs: Iterable[bytes]) -> dict[SeriesKey, Reading]:
    """A day from its hours' packs, oldest first; empty where none of them tells anything. Damaged packs are left out.

    Temperatures count only in hours in which the processor was calm (below 30 % busy), so that days are alike; a day that
    had no such hour has none.
    """
    day: dict[SeriesKey, Reading] = {}
    for pack in packs:
        try:
            hour = packing.summaries(pack, TRACKED)
        except PackError:
            continue
        calm = next((one.mean < CALM_PERCENT for one in hour if one.key[0] == _CPU), True)
        for one in hour:
            if one.count > 0 and "\0" not in one.key[1] and (calm or one.key[0] not in _HEAT):  # no honest agent says such
                _add(day, one)
    return day


def _add(day: dict[SeriesKey, Reading], one: packing.Series) -> None:
    before = day.get(one.key)
    if before is None:
        if len(day) < SERIES:
            day[one.key] = Reading(one.lowest, one.mean, one.highest, one.mean, one.count)
        return
    minutes = before.minutes + one.count
    mean = before.mean + (one.mean - before.mean) * one.count / minutes
    day[one.key] = Reading(min(before.low, one.lowest), mean, max(before.high, one.highest), one.mean, minutes)


def encode(day: Day) -> bytes:
    """The day as it is stored."""
    rows = []
    for (number, instance), reading in sorted(day.items()):
        scale = _SCALE[number]
        rows.append([number, instance, *(round(value * scale) for value in reading[:4]), reading.minutes])
    return zlib.compress(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode(), 6)


def decode(body: bytes) -> dict[SeriesKey, Reading]:
    """The day that was stored."""
    rows = json.loads(zlib.decompressobj().decompress(body, _MAX_PLAIN))
    found = {}
    for number, instance, low, mean, high, last, minutes in rows:
        scale = _SCALE.get(number)  # a later program may track less
        if scale:
            values = (low / scale, mean / scale, high / scale, last / scale, minutes)
            found[number, instance] = _plain(Reading, values)
    return found
