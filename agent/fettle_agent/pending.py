"""Rules between two phases: which are worth telling the server of before the next beat, so that a page can count down.

Owns how often that may happen. A reading that trembles about its level begins durations all day long, and none of them must
cost wire: a duration is told once it has lasted a little, and beyond the first few only seldom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fettle_protocol.v1 import link_pb2

LIMIT = 64
LONG_MS = 60_000
"""A shorter duration is over before anybody could read its countdown."""
SETTLED_MS = 10_000
ALLOWED, ANEW_MS = 6, 1_800_000
"""So many tellings at once, and one more each half hour: at most 54 a day, a fifth of what the beats cost."""


class UnderWay(NamedTuple):
    """A duration that runs; times in steady milliseconds."""

    rule: str
    instance: str
    clearing: bool
    since_ms: int
    lasts_ms: int

    def packed(self, shift_ms: int) -> link_pb2.Pending:
        """As it travels, in the server's time."""
        return link_pb2.Pending(
            rule=self.rule, instance=self.instance, clearing=self.clearing, since_ms=self.since_ms + shift_ms
        )


_Key = tuple[str, str, bool]


class Countdowns:
    """What was told of durations under way, and whether there is news."""

    def __init__(self) -> None:
        self._told: set[_Key] = set()
        self._left = float(ALLOWED)
        self._counted_ms = 0

    def is_news(self, under_way: Sequence[UnderWay], now_ms: int) -> bool:
        """True where a long duration has settled that was not told, or one that was told has ended."""
        if not under_way and not self._told:
            return False
        settled = {
            _key(one) for one in under_way if one.lasts_ms >= LONG_MS and SETTLED_MS <= now_ms - one.since_ms < one.lasts_ms
        }
        return bool(settled - self._told or self._told - {_key(one) for one in under_way})

    def may_tell(self, now_ms: int) -> bool:
        """True where one more telling out of turn is allowed; it counts as done."""
        if self._counted_ms:
            self._left = min(ALLOWED, self._left + max(0, now_ms - self._counted_ms) / ANEW_MS)
        self._counted_ms = now_ms
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def tell(self, under_way: Sequence[UnderWay]) -> list[UnderWay]:
        """Those that vitals carry, and remember them as told: those that end first, at most 64."""
        chosen = sorted(under_way, key=lambda one: one.since_ms + one.lasts_ms)[:LIMIT]
        self._told = {_key(one) for one in chosen if one.lasts_ms >= LONG_MS}
        return chosen


def _key(one: UnderWay) -> _Key:
    return one.rule, one.instance, one.clearing
