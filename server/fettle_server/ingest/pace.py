"""How fast one stream may speak, and how much of the writer's time one endpoint may take. Pure: the time is passed in."""

from __future__ import annotations

RATE_PER_S = 500.0
BURST = 5000.0
BYTES_PER_COST = 8192
PATIENCE_S = 30.0
"""A stream that was slowed for so long without a break is refused as a flood."""


EFFORT_SHARE = 0.2
EFFORT_BURST_S = 3.0
"""Seconds of the writer that one endpoint's messages may take at once; each second gives `EFFORT_SHARE` of one back.

A few thousand bytes can unpack to millions: the size of what arrives does not tell what it costs.
"""


class Effort:
    """What reading one endpoint's messages costs: a bucket that leaks."""

    __slots__ = ("_at_s", "_level_s")

    def __init__(self) -> None:
        self._level_s = 0.0
        self._at_s = 0.0

    def begin(self, now_s: float) -> None:
        """A message is about to be read."""
        self._level_s = max(0.0, self._level_s - (now_s - self._at_s) * EFFORT_SHARE)
        self._at_s = now_s

    def is_over(self, now_s: float) -> bool:
        """True where this message and those before it have taken too much by now."""
        return self._level_s + now_s - self._at_s > EFFORT_BURST_S

    def end(self, now_s: float) -> None:
        """The message was read."""
        self._level_s += now_s - self._at_s
        self._at_s = now_s


class Pace:
    """The bucket of one stream. A message costs 1, and 1 more for each 8 KiB of it."""

    __slots__ = ("_due", "_slowed_since")

    def __init__(self) -> None:
        self._due = 0.0
        self._slowed_since = 0.0

    def spend(self, size_bytes: int, now_s: float) -> float:
        """Seconds for which the stream must rest before it is read on; 0 within its rate."""
        due = self._due
        if due < now_s:
            due = now_s
        self._due = due = due + (1 + size_bytes // BYTES_PER_COST) / RATE_PER_S
        rest = due - now_s - BURST / RATE_PER_S
        if rest <= 0:
            self._slowed_since = 0.0
            return 0.0
        self._slowed_since = self._slowed_since or now_s
        return rest

    def is_flood(self, now_s: float) -> bool:
        """True where resting did not help: the stream has been over its rate for `PATIENCE_S`."""
        return self._slowed_since > 0 and now_s - self._slowed_since > PATIENCE_S
