"""What collectors remember between two runs: counters to make rates of, and results to keep while their source is unchanged.

Owns the arithmetic of both. Time is the monotonic clock, passed in as a function so that tests own it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

Value = TypeVar("Value")
Clock = Callable[[], float]


class Rates:
    """Growth per second of named counters from one run to the next; a counter that fell (reset, unplugged) starts anew."""

    __slots__ = ("_before", "_clock", "_now")

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._before: dict[Hashable, tuple[float, float]] = {}
        self._now = 0.0

    def tick(self) -> None:
        """Start a run: all counters until the next tick are of this moment."""
        self._now = self._clock()

    def per_second(self, name: Hashable, total: float) -> float | None:
        """The growth per second since this counter was last seen; None the first time and after a reset."""
        before = self._before.get(name)
        self._before[name] = (self._now, total)
        if before is None or total < before[1] or self._now <= before[0]:
            return None
        return (total - before[1]) / (self._now - before[0])

    def forget_unseen(self) -> None:
        """End a run: forget the counters that this run did not name, so that memory does not grow with what is gone."""
        self._before = {name: before for name, before in self._before.items() if before[0] == self._now}


class Renewed(Generic[Value]):
    """A costly answer, asked for anew only when the cheap signature of its source changed or the answer is too old.

    A question that failed is not remembered.
    """

    __slots__ = ("_ask", "_asked", "_clock", "_last", "_max_age_s", "_signature")

    def __init__(
        self,
        ask: Callable[[], Value],
        signature: Callable[[], Hashable],
        *,
        max_age_s: float | Callable[[], float],
        clock: Clock = time.monotonic,
    ) -> None:
        self._ask, self._signature, self._clock = ask, signature, clock
        self._max_age_s = max_age_s if callable(max_age_s) else lambda: max_age_s
        self._last: tuple[Hashable, Value] | None = None
        self._asked = 0.0

    def value(self) -> Value:
        """The answer, kept or new. May raise what the question raises."""
        seen, now = self._signature(), self._clock()
        if self._last is not None and self._last[0] == seen and now - self._asked < self._max_age_s():
            return self._last[1]
        self._last = None
        value = self._ask()
        self._last, self._asked = (seen, value), now
        return value


def file_times(paths: Iterable[str]) -> tuple[int | None, ...]:
    """When each file last changed (ns), None where it is not there: a cheap signature of what a tool would read."""
    return tuple(_changed(path) for path in paths)


def _changed(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
