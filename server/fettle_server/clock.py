"""The server's one reader of the clock; everything else is given `now`."""

from __future__ import annotations

import datetime as dt
import time


def utc_now() -> dt.datetime:
    """The present, aware, UTC, cut to whole milliseconds (what the store keeps)."""
    now = dt.datetime.now(dt.UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def now_ms() -> int:
    """The present as milliseconds since the epoch: for hot paths that keep no datetime."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds that only ever count up: for durations and deadlines within one process."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Let that much time pass."""
    time.sleep(seconds)
