"""The lanes: a collector that hangs or fails never stops its neighbours, and is told and mended by name."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fettle_agent.collectors import Collected, CollectError, Collector, Lane, Reading
from fettle_agent.lanes import Lanes, Ran

GOOD = Collected((Reading("cpu.busy_percent", 1),))


def make(
    name: str, collect: Callable[[], Collected] = lambda: GOOD, *, timeout_s: float = 5, lane: Lane = Lane.CHEAP
) -> Collector:
    return Collector(name, lane, 10, timeout_s, collect)


class Bench:
    """Lanes whose results are settled here, as the loop does."""

    def __init__(self, *collectors: Collector) -> None:
        self.results: queue.SimpleQueue[Ran] = queue.SimpleQueue()
        self.lanes = Lanes(collectors, self.results.put, 0.0)

    def settle(self) -> tuple[Ran, str]:
        ran = self.results.get(timeout=5)
        return ran, self.lanes.settle(ran)


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def build(*collectors: Collector) -> Bench:
        made.append(Bench(*collectors))
        return made[-1]

    yield build
    for one in made:
        one.lanes.stop()


def test_everything_cheap_runs_at_once_and_slow_tools_a_little_later(bench: Any) -> None:
    lanes = bench(make("cpu"), make("smart", lane=Lane.SLOW)).lanes
    lanes.start_due(0.0)
    assert lanes._queued == {"cpu"}
    lanes.start_due(4.0)
    assert lanes._queued == {"cpu", "smart"}


def test_collector_is_due_on_its_grid_and_not_started_twice(bench: Any) -> None:
    hold = threading.Event()
    calls: list[int] = []

    def collect() -> Collected:
        calls.append(1)
        hold.wait(5)
        return GOOD

    made = bench(make("cpu", collect))
    made.lanes.start_due(3.0)
    made.lanes.start_due(10.0)
    hold.set()
    made.settle()
    made.lanes.start_due(9.0)
    made.lanes.start_due(10.1)
    made.settle()
    assert len(calls) == 2


def test_failure_is_reported_and_the_neighbour_runs(bench: Any) -> None:
    def broken() -> Collected:
        raise CollectError("no such tool")

    made = bench(make("broken", broken), make("cpu"))
    made.lanes.start_due(0.0)
    (first, _), (second, _) = made.settle(), made.settle()
    assert (first.name, first.collected, first.error) == ("broken", None, "no such tool")
    assert second.collected == GOOD
    assert made.lanes.failing() == 1
    assert [name for name, _ in made.lanes.to_report()] == ["broken"]


def test_third_failure_is_news_once_and_so_is_the_mending(bench: Any) -> None:
    outcomes: list[Any] = [ValueError("a"), ValueError("b"), ValueError("c"), ValueError("d"), GOOD, GOOD]

    def collect() -> Collected:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    made = bench(make("smart", collect))
    news = []
    for second in range(6):
        made.lanes.start("smart", float(second))
        news.append(made.settle()[1])
    assert news == ["", "", "failing", "", "mended", ""]


def test_hanging_collector_is_left_alone_and_its_neighbours_go_on(bench: Any) -> None:
    release = threading.Event()

    def hang() -> Collected:
        release.wait(10)
        return GOOD

    made = bench(make("hangs", hang, timeout_s=0.05), make("cpu"))
    made.lanes.start_due(0.0)
    time.sleep(0.15)
    assert made.results.empty()
    assert [name for name, _ in made.lanes.give_up(time.monotonic())] == ["hangs"]
    ran, _ = made.settle()
    assert ran.name == "cpu"
    assert "still running after" in made.lanes.health["hangs"].error
    made.lanes.start("hangs", 100.0)
    assert made.results.empty()
    release.set()
    late = made.results.get(timeout=5)
    assert made.lanes.came_back(late)
    made.lanes.settle(late)
    made.lanes.start("hangs", 200.0)
    again, _ = made.settle()
    assert (again.name, again.collected) == ("hangs", GOOD)


def test_stretch_slows_the_slow_lane_only(bench: Any) -> None:
    lanes = bench(make("cpu"), make("smart", lane=Lane.SLOW)).lanes
    lanes.stretch = 4.0
    lanes.start("cpu", 100.0)
    lanes.start("smart", 100.0)
    assert (lanes._due["cpu"], lanes._due["smart"]) == (110.0, 120.0)


def test_live_watch_runs_the_cheap_lane_each_second(bench: Any) -> None:
    made = bench(make("cpu"), make("smart", lane=Lane.SLOW))
    made.lanes.start("smart", 0.0)
    assert made.settle()[0].name == "smart"
    for second in (1.0, 2.0, 3.0):
        made.lanes.start_due(second, cheap_each_second=True)
        assert made.settle()[0].name == "cpu"
