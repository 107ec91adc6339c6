"""The server's one reader of the clock; everything else is given `now`.

A replay puts a clock of its own in place (`use`), so that a year passes in minutes through the same code.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time: the system's clock, or a replay's."""

    def epoch_ns(self) -> int:
        """Nanoseconds since the epoch, as the wall says."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever count up."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        ...


class _SystemClock:
    """The machine's own."""

    def epoch_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


_clock: Clock = _SystemClock()


def use(clock: Clock | None) -> None:
    """Tell the time by this clock from now on, in this process; None: by the system's again."""
    global _clock
    _clock = clock or _SystemClock()


def utc_now() -> dt.datetime:
    """The present, aware, UTC, cut to whole milliseconds (what the store keeps)."""
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=now_ms())


def now_ms() -> int:
    """The present as milliseconds since the epoch: for hot paths that keep no datetime."""
    return _clock.epoch_ns() // 1_000_000


def monotonic() -> float:
    """Seconds that only ever count up: for durations and deadlines within one process."""
    return _clock.monotonic()


def sleep(seconds: float) -> None:
    """Let that much time pass."""
    _clock.sleep(seconds)
