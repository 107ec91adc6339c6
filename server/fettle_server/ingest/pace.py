"""How fast one stream may speak: a bucket that costs one subtraction a message. Pure: the time is passed in."""

from __future__ import annotations

RATE_PER_S = 500.0
BURST = 5000.0
BYTES_PER_COST = 8192
PATIENCE_S = 30.0
"""A stream that was slowed for so long without a break is refused as a flood."""


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
