"""The evidence of a fault: at most thirty samples from before the crossing to the decision.

A crossing may last hours, so its samples are thinned as they come: each time the room is full, every other one goes.
"""

from __future__ import annotations

from collections import deque

from fettle_protocol.v1 import link_pb2

MAX_SAMPLES = 30
_BEFORE = 10


class Evidence:
    """The last samples while nothing moves, and the thinned samples of the crossing under way."""

    __slots__ = ("_crossing", "_every", "_recent", "_seen")

    def __init__(self) -> None:
        self._recent: deque[tuple[int, float]] = deque(maxlen=_BEFORE)
        self._crossing: list[tuple[int, float]] | None = None
        self._every = 1
        self._seen = 0

    def rest(self, at_ms: int, value: float) -> None:
        """Take a sample at which nothing is under way."""
        self._crossing = None
        self._recent.append((at_ms, value))

    def cross(self, at_ms: int, value: float) -> None:
        """Take a sample of a crossing, its first one or a later one."""
        if self._crossing is None:
            self._crossing, self._every, self._seen = list(self._recent), 1, 0
        if self._seen % self._every == 0:
            self._crossing.append((at_ms, value))
        self._seen += 1
        self._recent.append((at_ms, value))
        if len(self._crossing) >= MAX_SAMPLES:
            del self._crossing[_BEFORE + 1 :: 2]
            self._every *= 2

    def decide(self) -> list[link_pb2.Sample]:
        """The evidence up to the sample that decided, oldest first; what comes next is another crossing."""
        samples, self._crossing = self._crossing or [], None
        last = list(self._recent)[-1:]
        taken = samples if samples[-1:] == last else samples + last
        return [link_pb2.Sample(at_ms=at_ms, value=value) for at_ms, value in taken]
