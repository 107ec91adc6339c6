"""The newest value of each reading, and whether any moved far enough since it was last told."""

from __future__ import annotations

from collections.abc import Sequence

from fettle_protocol import catalogue
from fettle_protocol.v1 import link_pb2

from fettle_agent.collectors import Reading

MAX_READINGS = 512

_Key = tuple[str, str]


class Newest:
    """What each collector gave last. A reading that its collector no longer gives is gone from here."""

    def __init__(self) -> None:
        self._values: dict[str, dict[_Key, float]] = {}
        self._told: dict[_Key, float] = {}
        self._fresh: set[str] = set()
        self.moved = False

    def take(self, collector: str, readings: Sequence[Reading]) -> None:
        """Replace what this collector gave; `moved` is set where one left its dead band, came or went."""
        values = {(reading.key, reading.instance): reading.value for reading in readings}
        if not self.moved:
            before = self._values.get(collector, values)
            self.moved = before.keys() != values.keys() or any(self._is_news(key, value) for key, value in values.items())
        self._values[collector] = values
        self._fresh.add(collector)

    def tell(self) -> list[link_pb2.Reading]:
        """Every reading, and remember them as told."""
        told = {key: value for values in self._values.values() for key, value in values.items()}
        self._told, self.moved = told, False
        return _packed(told)

    def tell_fresh(self) -> list[link_pb2.Reading]:
        """What was read since this was last asked: one second of a live watch."""
        fresh, self._fresh = self._fresh, set()
        return _packed({key: value for name in fresh for key, value in self._values[name].items()})

    def _is_news(self, key: _Key, value: float) -> bool:
        told = self._told.get(key)
        return told is None or abs(value - told) >= catalogue.BY_KEY[key[0]].dead_band


def _packed(values: dict[_Key, float]) -> list[link_pb2.Reading]:
    rows = [
        link_pb2.Reading(key=catalogue.BY_KEY[key].number, instance=instance, value=value)
        for (key, instance), value in values.items()
    ]
    return rows[:MAX_READINGS]
