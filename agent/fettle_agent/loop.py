"""The run process: one asyncio loop that ties collectors, judge, spool and link together, a tick a second.

Owns when things happen: due collectors, beats of vitals and history, the status file, renewal, a graceful leave. Nothing here
knows the operating system; that is place.py's.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from fettle_agent import config, identity, log, machine, status
from fettle_agent.agent import Agent, Power
from fettle_agent.beats import Beat
from fettle_agent.budget import Budget, Spent
from fettle_agent.collectors import Collector
from fettle_agent.collectors.testfault import FILE_NAME
from fettle_agent.errors import AgentError
from fettle_agent.lanes import Health, Lanes, Ran
from fettle_agent.link import Link
from fettle_agent.place import Held, Place, here
from fettle_agent.sleep import Sleep
from fettle_agent.spool import Limits

VITALS_AT_LEAST_S, FAULTS_AT_LEAST_S = 60.0, 20.0  # a busy PC moves all the time: a minute keeps it at a third of the wire
WATCHED_AT_LEAST_S = 5.0
HISTORY_EVERY_S = 600.0
STATUS_EVERY_S, STATUS_AT_LEAST_S = 60.0, 10.0
COST_EVERY_S = 60.0
LEAVE_WITHIN_S = 2.0
BACK_WITHIN_S = 1_200.0  # a restart that puts updates in place takes minutes on a school PC's disk, seldom more than these
TEST_FAULT_COLLECTOR = "test_fault"
_TEST_FAULT_EVERY_S = 60.0  # the loop itself sees the file come and go
_TEST_FAULT_AFTERMATH_S = 10.0
_RENEW_FIRST_S, _RENEW_CHECK_S, _RENEW_RETRY_S = 3.0, 60.0, 600.0
_LOCK_TRIES = 20


def run(state: Path) -> int:
    """Run the agent on that state folder until it is asked to leave.

    Raises:
        AgentError: not enrolled, a setting that cannot be used, or another agent runs there already.
    """
    settings = config.load(state)
    known = identity.load(state)
    log.start(settings.log_level)
    place = here()
    held = _lock(place, state)
    try:
        asyncio.run(Loop(state, place, settings, known).run())
    finally:
        held.close()
    return 0


def _lock(place: Place, state: Path) -> Held:
    for _ in range(_LOCK_TRIES):
        held = place.take_lock(state / identity.LOCK)
        if held is not None:
            return held
        time.sleep(0.1)
    raise AgentError(f"another agent runs on {state} already: stop it first, or use another --state")


def adjusted(collectors: Iterable[Collector], settings: config.Settings) -> list[Collector]:
    """The collectors as the settings have them: without those that are off, with other intervals and time limits."""
    chosen = []
    for collector in collectors:
        timing = settings.collectors.get(collector.name, config.Timing())
        if timing.enabled:
            own_every_s = _TEST_FAULT_EVERY_S if collector.name == TEST_FAULT_COLLECTOR else collector.every_s
            every_s = timing.every_s or own_every_s * settings.interval_factor
            chosen.append(replace(collector, every_s=every_s, timeout_s=timing.timeout_s or collector.timeout_s))
    return chosen


class Loop:
    """One run of the agent."""

    def __init__(self, state: Path, place: Place, settings: config.Settings, known: identity.Identity) -> None:
        self._state, self._place, self._settings, self._known = state, place, settings, known
        limits = Limits(size_bytes=int(settings.spool_max_mib * 2**20))
        self.agent = Agent(state, place, settings.services, limits)
        self.agent.machine = machine.describe()
        self._budget = Budget(settings.cpu_budget_percent, settings.memory_budget_mib)
        self._process = psutil.Process()
        self._stop = asyncio.Event()
        self._link = Link(self._target, self.agent, self._link_changed)
        self._status_dirty = self._status_urgent = True
        self._told_written: list[dict[str, str]] = []
        self._link_changed_ms = self.agent.clock.server_ms()
        self._started_ms = self.agent.clock.server_ms()
        self._sleep = Sleep(state, place)
        self._last_vitals_s = 0.0
        self._test_fault_file = os.fspath(state / FILE_NAME)
        self._test_fault_until_s = 0.0
        self._last_error = ""
        self._renewing: asyncio.Task[None] | None = None
        now_s = time.monotonic()
        self._history_beat = Beat(HISTORY_EVERY_S, now_s + HISTORY_EVERY_S)
        self._cost_beat = Beat(COST_EVERY_S, now_s)
        self._slow_status_beat = Beat(STATUS_EVERY_S, now_s)
        self._status_beat = Beat(STATUS_AT_LEAST_S, now_s)
        self._renew_beat = Beat(_RENEW_CHECK_S, now_s + _RENEW_FIRST_S)

    def _target(self) -> Any:
        return machine.target(self._state, self._known, self._settings)

    # ---- life ----

    async def run(self) -> None:
        """Run until a signal asks to leave."""
        loop = asyncio.get_running_loop()
        for number in self._place.stop_signals():
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._stop.set))
        lanes = self._start_lanes(lambda ran: loop.call_soon_threadsafe(self._took, ran))
        self.agent.started()
        self._place.before_sleep(self._sleep.hold)
        log.info("agent started", version=machine.VERSION, state=self._state, endpoint_id=self._known.endpoint_id)
        self._place.service_ready()
        link = asyncio.create_task(self._link.run())
        gc.collect()
        gc.freeze()
        try:
            await self._ticks(lanes)
            await self._leave()
        finally:
            lanes.stop()
            link.cancel()
            await asyncio.wait([link], timeout=1)
            self.agent.room.close()
            self.agent.spool.close()

    def _start_lanes(self, post: Callable[[Ran], object]) -> Lanes:
        from fettle_agent.collectors.registry import collectors

        def posted(ran: Ran) -> None:
            try:
                post(ran)
            except RuntimeError:
                return  # the loop has ended; so will this thread

        lanes = Lanes(adjusted(collectors(self.agent.setup()), self._settings), posted, time.monotonic())
        self.agent.lanes = lanes
        return lanes

    async def _ticks(self, lanes: Lanes) -> None:
        """One tick a second, without drift; a tick that was slept over is not made up for.

        A timer that sets itself anew costs a third of a task that sleeps, and this is most of what an idle agent does.
        """
        loop = asyncio.get_running_loop()
        next_s = loop.time()

        def tick() -> None:
            nonlocal next_s
            if self._stop.is_set():
                return
            now_s = loop.time()
            next_s = max(next_s + 1, now_s)
            loop.call_at(next_s, tick)
            self._tick(lanes, now_s)

        tick()
        await self._stop.wait()

    async def _leave(self) -> None:
        """Say goodbye, bring all to disk, and give the server a moment to acknowledge."""
        agent = self.agent
        self._say_why_it_leaves()
        agent.keep()
        self._link.wake()
        end_s = time.monotonic() + LEAVE_WITHIN_S
        while self._link.state.connected and agent.spool.carried.events and time.monotonic() < end_s:
            await asyncio.sleep(0.02)
        self._link.state.connected = False
        self._write_status()
        log.info("agent leaves", events_to_send=agent.spool.carried.events)

    def _say_why_it_leaves(self) -> None:
        """Only the agent stops, or the machine goes down, or goes down and means to come back."""
        restarts = self.agent.room.restarts()
        if not restarts and not self._place.shutting_down():
            self.agent.power(Power.KIND_AGENT_STOPPING)
        elif restarts or self._place.restarting():
            self.agent.power(Power.KIND_RESTARTING, back_within_s=BACK_WITHIN_S)
        else:
            self.agent.power(Power.KIND_SHUTTING_DOWN)

    # ---- each second ----

    def _tick(self, lanes: Lanes, now_s: float) -> None:
        agent = self.agent
        watched = agent.is_watched()
        for name, news in lanes.give_up(now_s):
            self._news(name, news, lanes.health[name])
        lanes.start_due(now_s, cheap_each_second=watched)
        self._look_for_test_fault(lanes, now_s)
        self._look_for_sleep(now_s)
        self._beats(lanes, now_s)
        if agent.room.tick(now_s):
            self._link.wake()
        session = self._link.session
        if session is not None:
            self._speak(session, now_s, watched=watched)
        if (
            self._status_urgent
            or agent.told_lines is not self._told_written
            or (self._status_dirty and self._status_beat.is_due(now_s))
            or self._slow_status_beat.is_due(now_s)
        ):
            self._write_status()

    def _speak(self, session: Any, now_s: float, *, watched: bool) -> None:
        """Set what the session should say now."""
        agent = self.agent
        since_s = now_s - self._last_vitals_s
        is_news = (agent.newest.moved and since_s >= VITALS_AT_LEAST_S) or (
            agent.faults_changed and since_s >= FAULTS_AT_LEAST_S
        )
        if session.vitals_due or since_s >= session.beat_s or is_news or self._counts_down(since_s, watched=watched):
            session.vitals_due, agent.faults_changed, self._last_vitals_s = True, False, now_s
            self._link.wake()
        if watched:
            session.live = agent.live()
            self._link.wake()

    def _counts_down(self, since_s: float, *, watched: bool) -> bool:
        at_least_s = WATCHED_AT_LEAST_S if watched else VITALS_AT_LEAST_S
        return since_s >= at_least_s and self.agent.countdown_is_news(watched=watched)

    def _beats(self, lanes: Lanes, now_s: float) -> None:
        agent = self.agent
        if self._history_beat.is_due(now_s):
            agent.keep()
            if self._link.session is not None:
                self._link.session.progress_due = True
                self._link.wake()
        if self._cost_beat.is_due(now_s):
            self._measure(lanes, now_s)
            agent.tell_shed()
            agent.look_after(lanes.health.keys())
            if not agent.spool.on_disk:
                agent.spool.mend()
            step_ms = agent.clock.wall_step_ms()
            if step_ms:
                agent.notice("clock_stepped", text=f"this machine's clock was set by {step_ms / 1000:+.1f} s")
            self._link.wake()
        if self._renew_beat.is_due(now_s) and (self._renewing is None or self._renewing.done()):
            self._renew_if_due()

    def _measure(self, lanes: Lanes, now_s: float) -> None:
        spent = os.times()
        now = Spent(now_s, spent.user + spent.system, spent.children_user + spent.children_system - self.agent.room.children_s)
        if self._budget.measure(now, self._process.memory_info().rss):
            lanes.stretch = self._budget.stretch
            log.warning("slow collectors stretched", factor=self._budget.stretch, cpu_percent=self._budget.cost.cpu_percent)
        self.agent.cost = self._budget.cost
        self._status_dirty = True

    def _look_for_test_fault(self, lanes: Lanes, now_s: float) -> None:
        """Judge a test fault each second while there is one, and seldom otherwise: most seconds cost one look at a file."""
        asked = os.path.exists(self._test_fault_file)  # noqa: PTH110 - each second, where pathlib costs ten times as much
        if asked or self.agent.is_proving():
            self._test_fault_until_s = now_s + _TEST_FAULT_AFTERMATH_S
        if now_s < self._test_fault_until_s:
            lanes.start(TEST_FAULT_COLLECTOR, now_s)

    def _look_for_sleep(self, now_s: float) -> None:
        if self._sleep.falls(now_s):
            log.info("the machine goes to sleep")
            self.agent.power(Power.KIND_SLEEPING)
            self._link.wake()
        else:
            self._sleep.settle(now_s, is_told=not self.agent.spool.carried.events)
        slept_s = self._sleep.woke()
        if slept_s:
            log.info("the machine woke", slept_s=slept_s)
            self.agent.power(Power.KIND_WOKE)
            self._link.nudge()

    # ---- what happened ----

    def _took(self, ran: Ran) -> None:
        """A collector's run came in."""
        lanes = self.agent.lanes
        if lanes is None or self._stop.is_set():
            return
        late = lanes.came_back(ran)
        self._news(ran.name, lanes.settle(ran), lanes.health[ran.name])
        if ran.collected is None or late:
            return
        test_fault = self.agent.test_fault
        if self.agent.take(ran, ran.collected) or test_fault != self.agent.test_fault:
            self._status_urgent = True
        if self.agent.spool.carried.events:
            self._link.wake()

    def _news(self, name: str, news: str, health: Health) -> None:
        """Tell the server that a collector fails for good, or works again."""
        if not news:
            return
        log.warning(f"collector {news}", name=name, error=health.error)
        self.agent.notice(f"collector_{news}", name, health.error)
        self._status_dirty = True

    def _link_changed(self) -> None:
        self._link_changed_ms = self.agent.clock.server_ms()
        self._last_error = self._link.state.text or self._last_error
        if self._link.state.code == "cut" and self.agent.clock.server_ms() > self._known.not_after_ms:
            # a server ends a stream with an expired certificate without a word
            expired = f"this machine's certificate expired at {status.rfc3339(self._known.not_after_ms)}"
            self._link.state.code, self._link.state.text = "expired", f"{expired}: enrol it again with a new token and --force"
        self._last_vitals_s = 0.0
        self._status_urgent = True

    # ---- renewal ----

    def _renew_if_due(self) -> None:
        """A process of its own does it, and ends: what it imports would cost more memory than all of the agent."""
        if self.agent.clock.server_ms() >= self._known.renew_at_ms():
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        command = [sys.executable, "-m", "fettle_agent", "renew", "--state", str(self._state)]
        child = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        _, said = await child.communicate()
        if child.returncode == 0:
            self._known = identity.load(self._state)
            log.info("certificate renewed", expires=status.rfc3339(self._known.not_after_ms))
            self._link.hang_up()
        else:
            self._last_error = said.decode("utf-8", "replace").strip().splitlines()[-1] if said.strip() else "renewal failed"
            log.warning("certificate not renewed", why=self._last_error)
            self._renew_beat.due_s = time.monotonic() + _RENEW_RETRY_S
        self._status_dirty = True

    # ---- status ----

    def _write_status(self) -> None:
        self._status_dirty = self._status_urgent = False
        self._told_written = self.agent.told_lines
        if not status.write(self._state, self._status()):
            log.debug("status not written")

    def _status(self) -> dict[str, Any]:
        agent, link = self.agent, self._link.state
        carried, cost = agent.spool.carried, agent.cost
        since = status.rfc3339(self._link_changed_ms)
        return {
            "updated_at": status.rfc3339(agent.clock.server_ms()),
            "started_at": status.rfc3339(self._started_ms),
            "pid": os.getpid(),
            "version": machine.VERSION,
            "server": machine.server_of(self._known, self._settings),
            "connected": link.connected,
            "connected_since": since if link.connected else None,
            "disconnected_since": None if link.connected else since,
            "link_code": link.code,
            "last_error": link.text or self._last_error,
            "policy_version": agent.policy_version,
            "open_faults": [{"rule": rule, "instance": instance} for rule, instance in agent.judge.open_faults()],
            "test_fault": agent.test_fault_judged(),
            "spool": {
                "id": agent.spool.id,
                "events": carried.events,
                "hours": carried.hours,
                "size_bytes": carried.size_bytes,
                "shed": carried.shed,
                "on_disk": agent.spool.on_disk,
                "trouble": agent.spool.trouble,
            },
            "cpu_percent": round(cost.cpu_percent, 3),
            "memory_mib": round(cost.memory_mib, 1),
            "stretch": self._budget.stretch,
            "clock_lead_s": None if (lead_ms := agent.clock.lead_ms()) is None else lead_ms / 1000,
            "collectors": [
                {"name": name, "duration_s": round(health.duration_s, 3), "error": health.error}
                for name, health in (agent.lanes.to_report() if agent.lanes else [])
            ],
            "told": agent.told_lines,
            "jobs": agent.room.status(),
        }
