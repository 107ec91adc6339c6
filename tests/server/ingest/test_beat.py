"""The writer's sign of life: without it nobody's silence is judged, so it must come while nobody speaks too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fettle_server import clock
from fettle_server.db import to_ms
from fettle_server.proactive.presence import watching
from fettle_server.proactive.presence.rules import is_heard


class Later:
    """The system's time, so many seconds on."""

    ahead_s = 0.0

    def epoch_ns(self) -> int:
        return time.time_ns() + int(self.ahead_s * 1e9)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s

    def sleep(self, seconds: float) -> None:
        self.ahead_s += seconds


@pytest.fixture
def later() -> Iterator[Later]:
    yield (now := Later())
    clock.use(None)
    del now


@pytest.mark.parametrize("way", ["idle", "busy"])
def test_a_writer_says_that_it_lives(line: Any, later: Later, way: str) -> None:
    clock.use(later)
    later.sleep(600)
    line.writer.idle() if way == "idle" else line.writer.take([])
    with line.store.begin() as tx:
        watch = watching.read(tx)
        assert watch is not None
        assert is_heard(watch, to_ms(clock.utc_now()))
