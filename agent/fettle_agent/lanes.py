"""The two lanes: runs the collectors that are due, each lane in a thread of its own, each run within its time limit.

Owns threads, due times and what failed. Does not look at what a collector gives. A collector that hangs is left alone with
its thread, reported, and not started again until it came back; its neighbours go on in a new thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from fettle_agent.collectors import Collected, Collector, Lane

FAILING_AFTER = 3
"""Failures in a row after which a collector is reported as failing."""

_SHOW_SLOW_S = 1.0
_FIRST_SLOW_S = 3.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How one run went; `error` says why it failed; `collected` is None where it gave nothing at all."""

    name: str
    collected: Collected | None
    error: str
    duration_s: float


@dataclass(slots=True)
class Health:
    """What is known of one collector; `error` and `duration_s` are of the last run."""

    error: str = ""
    duration_s: float = 0.0
    failures: int = 0
    reported: bool = False


class _Worker:
    """One lane's thread. Abandoned, it ends as soon as the collector that holds it returns."""

    def __init__(self, lane: Lane, post: Callable[[Ran], None]) -> None:
        self.jobs: SimpleQueue[Collector | None] = SimpleQueue()
        self.running: tuple[Collector, float] | None = None
        self.abandoned = False
        self._post = post
        threading.Thread(target=self._work, name=f"lane-{lane}", daemon=True).start()

    def _work(self) -> None:
        while not self.abandoned:
            collector = self.jobs.get()
            if collector is None:
                return
            begun = time.monotonic()
            self.running = (collector, begun)
            collected, error = run(collector)
            self.running = None
            self._post(Ran(collector.name, collected, error, time.monotonic() - begun))


def run(collector: Collector) -> tuple[Collected | None, str]:
    """What the collector gave, or why it failed; never raises."""
    try:
        collected = collector.collect()
        return collected, collected.error
    except Exception as error:
        return None, f"{error}" or type(error).__name__


class Lanes:
    """When each collector runs next, and how its last run went. All methods belong to the loop's thread."""

    def __init__(self, collectors: Iterable[Collector], post: Callable[[Ran], None], now_s: float) -> None:
        """`post` is called from the lanes' threads."""
        self._collectors = {collector.name: collector for collector in collectors}
        self._post = post
        self._workers = {lane: _Worker(lane, post) for lane in {collector.lane for collector in self._collectors.values()}}
        slow = [collector for collector in self._collectors.values() if collector.lane is Lane.SLOW]
        self._due = dict.fromkeys(self._collectors, now_s)
        # tools start one after another, and not in the first seconds, when a machine that boots has enough to do
        self._due |= {collector.name: now_s + _FIRST_SLOW_S + place for place, collector in enumerate(slow)}
        self._queued: set[str] = set()
        self._hung: set[str] = set()
        self.health = {name: Health() for name in self._collectors}
        self.stretch = 1.0

    def start_due(self, now_s: float, *, cheap_each_second: bool = False) -> None:
        """Hand every collector that is due to its lane."""
        for name, due in self._due.items():
            collector = self._collectors[name]
            watched = cheap_each_second and collector.lane is Lane.CHEAP
            if (due <= now_s or watched) and name not in self._queued:
                self.start(name, now_s)

    def start(self, name: str, now_s: float) -> None:
        """Hand this collector to its lane now, unless it is there already."""
        collector = self._collectors.get(name)
        if collector is None or name in self._queued:
            return
        self._queued.add(name)
        every_s = collector.every_s * (self.stretch if collector.lane is Lane.SLOW else 1.0)
        # on a grid, so that neighbours with the same interval wake the machine together
        self._due[name] = (now_s // every_s + 1) * every_s
        self._workers[collector.lane].jobs.put(collector)

    def settle(self, ran: Ran) -> str:
        """Note how a run went; "failing" or "mended" where that is news."""
        health = self.health[ran.name]
        if ran.name in self._hung:
            self._hung.discard(ran.name)
            self._queued.discard(ran.name)
            return ""
        self._queued.discard(ran.name)
        return self._note(health, ran.error, ran.duration_s)

    def came_back(self, ran: Ran) -> bool:
        """True where this is the late return of a run that was given up: what it brings is too old to use."""
        return ran.name in self._hung

    def give_up(self, now_s: float) -> list[tuple[str, str]]:
        """Leave each collector that is over its time limit alone with its thread; (name, news) of each."""
        given_up = []
        for lane, worker in list(self._workers.items()):
            running = worker.running
            if running is None or now_s - running[1] <= running[0].timeout_s:
                continue
            collector = running[0]
            worker.abandoned = True
            self._hung.add(collector.name)
            self._workers[lane] = _Worker(lane, self._post)
            self._hand_over(worker, self._workers[lane])
            error = f"still running after {collector.timeout_s:g} s; left alone until it returns"
            given_up.append((collector.name, self._note(self.health[collector.name], error, now_s - running[1])))
        return given_up

    def failing(self) -> int:
        """How many collectors failed in their last run."""
        return sum(1 for health in self.health.values() if health.error)

    def to_report(self) -> list[tuple[str, Health]]:
        """The collectors that failed or were slow in their last run."""
        return [(name, health) for name, health in self.health.items() if health.error or health.duration_s >= _SHOW_SLOW_S]

    def stop(self) -> None:
        """Let idle threads end; one that hangs is a daemon and ends with the process."""
        for worker in self._workers.values():
            worker.abandoned = True
            worker.jobs.put(None)

    def _note(self, health: Health, error: str, duration_s: float) -> str:
        health.error, health.duration_s = error, duration_s
        if error:
            health.failures += 1
            if health.failures < FAILING_AFTER or health.reported:
                return ""
            health.reported = True
            return "failing"
        mended, health.failures, health.reported = health.reported, 0, False
        return "mended" if mended else ""

    @staticmethod
    def _hand_over(old: _Worker, new: _Worker) -> None:
        """The old thread may take one of these jobs itself, if it came back just now: then it does that job well."""
        try:
            while True:
                new.jobs.put(old.jobs.get_nowait())
        except Empty:
            old.jobs.put(None)
