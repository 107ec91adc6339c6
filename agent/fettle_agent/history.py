"""The history of the hour under way: one slot a minute, the mean of its samples, packed when the hour ends.

Owns slots and when an hour is over. Does not own the byte format (fettle_protocol.packing) nor the disk (spool).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from fettle_protocol import catalogue, packing

from fettle_agent.collectors import Reading

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_BACK_MS = 300_000
_NOTHING = array("d", [math.nan]) * packing.SLOTS


@dataclass(frozen=True, slots=True)
class Hour:
    """One packed hour; `hour` counts from the Unix epoch."""

    hour: int
    pack: bytes


class History:
    """Slots of the hour under way, by the server's time."""

    def __init__(self) -> None:
        self._hour = 0
        self._minute = 0
        self._at_ms = 0
        self._slots: dict[packing.SeriesKey, array[float]] = {}
        self._sums: dict[packing.SeriesKey, list[float]] = {}

    def restore(self, hour: int, pack: bytes) -> None:
        """Take up the hour that an earlier process was in.

        Raises:
            PackError: the pack is damaged; nothing was taken.
        """
        series = packing.unpack(pack, None)
        self._hour = hour
        for one in series:
            self._slots[one.key] = array("d", [math.nan if value is None else value for value in one.values])

    def add(self, readings: Iterable[Reading], now_ms: int) -> Hour | None:
        """Take samples; the hour before, packed, where these begin a new one."""
        finished = self.roll(now_ms)
        for reading in readings:
            key = (catalogue.BY_KEY[reading.key].number, reading.instance)
            held = self._sums.get(key)
            if held is None:
                self._sums[key] = [reading.value, 1]
            else:
                held[0] += reading.value
                held[1] += 1
        return finished

    def roll(self, now_ms: int) -> Hour | None:
        """Move on to the minute of that time; the hour before, packed, where it is over."""
        if 0 < self._at_ms - now_ms < _BACK_MS:
            now_ms = self._at_ms  # a correction of a few seconds must not reopen an hour that was sent
        self._at_ms = now_ms
        hour, minute = divmod(now_ms // _MINUTE_MS, 60)
        if (hour, minute) == (self._hour, self._minute):
            return None
        self._fold()
        finished = self.packed() if hour != self._hour else None
        if hour != self._hour:
            self._slots = {}
        self._hour, self._minute = hour, minute
        return finished

    def packed(self) -> Hour | None:
        """The hour under way as it stands, the present minute included; None while it is empty."""
        self._fold(keep=True)
        if not self._slots:
            return None
        series = {key: [None if math.isnan(value) else value for value in slots] for key, slots in self._slots.items()}
        return Hour(self._hour, packing.pack(series))

    def _fold(self, *, keep: bool = False) -> None:
        """Bring the present minute's means into their slots."""
        for key, (total, count) in self._sums.items():
            slots = self._slots.get(key)
            if slots is None:
                if len(self._slots) >= packing.MAX_SERIES:
                    continue
                slots = self._slots[key] = _NOTHING[:]
            slots[self._minute] = total / count
        if not keep:
            self._sums.clear()
