"""Packed hours into lines of a chart: pure. Times are milliseconds since the epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from fettle_protocol import catalogue, packing
from fettle_protocol.packing import PackError, SeriesKey

from fettle_server.estate.endpoints.views import ReadingView, SeriesView

POINTS = 360
LINES = 100
"""Series that one chart shows at most: a machine with a thousand sensors must not make a page of a thousand lines."""
_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000

Packs = Sequence[tuple[int, bytes]]


@dataclass(slots=True)
class Line:
    """One series under way; four lists of one length."""

    times: list[int] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def put(self, time: int, low: float, mean: float, high: float) -> None:
        """Add one point."""
        self.times.append(time)
        self.low.append(low)
        self.mean.append(mean)
        self.high.append(high)


Lines = dict[SeriesKey, Line]


def minutes(packs: Packs, numbers: frozenset[int], first_ms: int, last_ms: int) -> Lines:
    """A point a minute, at most 360 a line. A pack that cannot be read is left out."""
    lines: Lines = {}
    for hour, pack in packs:
        for one in _minutes_of(pack, numbers):
            line = _line(lines, one.key)
            if line is None:
                continue
            for slot, value in enumerate(one.values):
                time = hour * _HOUR_MS + slot * _MINUTE_MS
                if value is not None and first_ms <= time <= last_ms:
                    line.put(time, value, value, value)
    return {key: thin(line) for key, line in lines.items() if line.times}


def hours(packs: Packs, numbers: frozenset[int], first_ms: int, last_ms: int) -> Lines:
    """A point an hour, in its middle, at most 360 a line, from the packs' directories alone."""
    lines: Lines = {}
    for hour, pack in packs:
        time = min(max(hour * _HOUR_MS + _HOUR_MS // 2, first_ms), last_ms)
        for one in _summaries_of(pack, numbers):
            line = _line(lines, one.key)
            if line is not None:
                line.put(time, one.lowest, one.mean, one.highest)
    return {key: thin(line) for key, line in lines.items()}


def thin(line: Line) -> Line:
    """The line with at most 360 points, each standing for as many neighbours: their lowest, mean and highest."""
    size = -(-len(line.times) // POINTS)
    if size <= 1:
        return line
    thinner = Line()
    for at in range(0, len(line.times), size):
        part = slice(at, at + size)
        mean = line.mean[part]
        middle = line.times[part][len(mean) // 2]
        thinner.put(middle, min(line.low[part]), sum(mean) / len(mean), max(line.high[part]))
    return thinner


def append(lines: Lines, readings: Iterable[ReadingView], numbers: frozenset[int], time: int) -> None:
    """Put the newest readings after what history has, where they are newer."""
    for reading in readings:
        number = catalogue.BY_KEY[reading.key].number
        if number not in numbers:
            continue
        line = _line(lines, (number, reading.instance))
        if line is not None and (not line.times or line.times[-1] < time):
            line.put(time, reading.value, reading.value, reading.value)


def views(lines: Lines) -> tuple[SeriesView, ...]:
    """The lines in the catalogue's order, rounded to the precision that history keeps."""
    return tuple(_view(key, line) for key, line in sorted(lines.items()))


def _view(key: SeriesKey, line: Line) -> SeriesView:
    number, instance = key
    spec = catalogue.BY_NUMBER[number]
    digits = max(spec.decimals, 0)
    low, mean, high = (tuple(round(value, digits) for value in values) for values in (line.low, line.mean, line.high))
    return SeriesView(spec.key, instance, spec.unit, spec.sentence, tuple(line.times), low, mean, high)


def _line(lines: Lines, key: SeriesKey) -> Line | None:
    if key not in lines and len(lines) >= LINES:
        return None
    return lines.setdefault(key, Line())


def _minutes_of(pack: bytes, numbers: frozenset[int]) -> Iterator[packing.Series]:
    try:
        wanted = [one.key for one in packing.summaries(pack, numbers)]
        yield from (one for one in packing.unpack(pack, wanted) if one.values)
    except PackError:
        return


def _summaries_of(pack: bytes, numbers: frozenset[int]) -> list[packing.Series]:
    try:
        return packing.summaries(pack, numbers)
    except PackError:
        return []
