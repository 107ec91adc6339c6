"""What is common to all systems' event logs: counts of errors by source and id, never the text.

A source that was heard of lately is still counted when it falls silent, at 0, or else its fault could never end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fettle_agent.collectors import Collected, Reading

HOUR_S = 3600.0
MAX_SOURCES = 40


class Level(StrEnum):
    """The two levels that count."""

    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: its source ("kernel", "Disk:7"), its level, and how long ago it was."""

    source: str
    level: Level
    age_s: float


_KEYS = {Level.ERROR: "log.errors_per_hour", Level.CRITICAL: "log.critical_per_hour"}


def counted(entries: Iterable[Entry]) -> Collected:
    """The events of the last hour by source, and 0 for the sources that have only older ones; the loudest come first."""
    totals: dict[Level, Counter[str]] = {level: Counter() for level in Level}
    for entry in entries:
        totals[entry.level][entry.source] += 1 if entry.age_s <= HOUR_S else 0
    return Collected(tuple(reading for level in Level for reading in _loudest(_KEYS[level], totals[level])))


def _loudest(key: str, totals: Mapping[str, int]) -> list[Reading]:
    ordered = sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:MAX_SOURCES]
    return [Reading(key, count, source) for source, count in ordered]
