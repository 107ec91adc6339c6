"""The running agent: takes what the collectors give, judges it, records it, and lends it to the link.

Owns the way of a reading from its collector to spool, history and vitals, and all that the server may change: policy, watch,
the time. Has no loop of its own (loop.py calls it, on one thread) and opens no socket (link.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from fettle_protocol import policy as policies
from fettle_protocol.packing import PackError
from fettle_protocol.v1 import link_pb2

from fettle_agent import identity, inventories, log
from fettle_agent.budget import Cost
from fettle_agent.clock import Clock
from fettle_agent.collectors import Collected, Setup
from fettle_agent.history import History, Hour
from fettle_agent.jobs.room import Room
from fettle_agent.judge import Judge, Verdict
from fettle_agent.lanes import Lanes, Ran
from fettle_agent.newest import Newest
from fettle_agent.pending import Countdowns
from fettle_agent.place import Place
from fettle_agent.spool import Draft, Limits, Moment, Spool
from fettle_agent.status import rfc3339

TEST_FAULT = "agent.test_fault"
MAX_NOTICE = 500
_YOUNG_BOOT_MS = 600_000
_ACK_TOLERANCE_MS = 2_000
_MAX_WATCH_S = _MAX_PROVE_S = 3_600
_TOLD_KEPT = 5
Power = link_pb2.PowerChange


class Agent:
    """All that the agent knows. Every method belongs to the loop's thread."""

    def __init__(self, state: Path, place: Place, services: Sequence[str] = (), limits: Limits | None = None) -> None:
        self.state = state
        self.instance = os.urandom(16).hex()
        self._place = place
        self._services = tuple(services)
        boot = place.boot_id()
        plain = Clock(boot, place.boot_s)
        self.spool = Spool(state, Moment(boot, plain.zero_ms), limits)
        self.clock = Clock(boot, place.boot_s, anchor_ms=self.spool.anchor(boot), lead_ms=int(self.spool.mark("lead_ms", "0")))
        self.spool.moment = Moment(boot, self.clock.zero_ms)
        self.judge = Judge(place.system())
        self.judge.restore(self.spool.phases(), self.spool.moment)
        self.newest = Newest()
        self.history = History()
        self.cost = Cost()
        self.lanes: Lanes | None = None
        self.machine = link_pb2.Machine()
        self.policy = policies.Policy(version=1)
        self.policy_version = self._policy_digest = 0
        self.told_lines: list[dict[str, str]] = []
        self.countdowns = Countdowns()
        self.watch_until_s = self.prove_until_s = 0.0
        self.faults_changed = False
        self.test_fault: float | None = None
        self._hello_boot_ms = 0
        self.room = Room(state, self)
        self._restore()

    def setup(self) -> Setup:
        """What the collectors may know."""
        return Setup(
            system=self._place.system(),
            state=self.state,
            services=self.services,
            clock_offset_s=self._clock_offset_s,
            collectors_failing=lambda: self.lanes.failing() if self.lanes else 0,
            proving=self.is_proving,
        )

    def services(self) -> tuple[str, ...]:
        """The services that should run here: the policy's for this system, and the settings'."""
        return tuple(dict.fromkeys((*self.policy.services.get(self._place.system(), ()), *self._services)))

    def _clock_offset_s(self) -> float | None:
        lead_ms = self.clock.lead_ms()
        return None if lead_ms is None else lead_ms / 1000

    def _restore(self) -> None:
        """Take up the policy and the hour that an earlier process was in."""
        try:
            self._judge_by((self.state / identity.POLICY).read_bytes())
        except FileNotFoundError:
            log.info("no policy yet")
        except (OSError, policies.PolicyError) as error:
            log.warning("the policy kept on disk cannot be used: the server sends it again", why=error)
        if self.spool.trouble:
            self.notice("spool_shed", text=self.spool.trouble)
        progress = self.spool.progress()
        if progress is None:
            return
        try:
            self.history.restore(*progress)
        except PackError as error:
            log.warning("the hour in progress was damaged", why=error)
        self._finish(self.history.roll(self.clock.server_ms()))

    # ---- what collectors give ----

    def take(self, ran: Ran, collected: Collected) -> bool:
        """Fold one run: judge first, for a fault is told within a second of its sample. Of a failed run only sections count.

        True where a fault began or ended.
        """
        if ran.error:
            self._take_sections(collected)
            return False
        verdict = self.judge.fold(ran.name, collected.readings, self.clock.steady_ms())
        self.record(verdict)
        self._finish(self.history.add(collected.readings, self.clock.server_ms()))
        self.newest.take(ran.name, collected.readings)
        for reading in collected.readings:
            if reading.key == TEST_FAULT:
                self.test_fault = reading.value
        self._take_sections(collected)
        return bool(verdict.drafts)

    def _take_sections(self, collected: Collected) -> None:
        for section, content in collected.inventory.items():
            self._take_inventory(section, content)

    def test_fault_judged(self) -> str:
        """How the policy sees the test fault: "raised", "clear", or "unjudged" where it was not read or no rule looks at it."""
        if self.test_fault is None or not self.judge.judges(TEST_FAULT):
            return "unjudged"
        open_rules = {rule for rule, _ in self.judge.open_faults()}
        return "raised" if any(rule.key in open_rules for rule in self.policy.rules if rule.reading == TEST_FAULT) else "clear"

    def record(self, verdict: Verdict) -> None:
        """Put a verdict on disk; with events it survives a power cut, without it survives the process only."""
        if not verdict:
            return
        self.spool.record(verdict.drafts, verdict.phases, durable=bool(verdict.drafts))
        self.faults_changed = self.faults_changed or bool(verdict.drafts)
        for draft in verdict.drafts:
            fault = draft.event.raised if draft.event.HasField("raised") else draft.event.cleared
            log.info(f"fault {draft.event.WhichOneof('body')}", rule=fault.rule, instance=fault.instance, value=fault.value)

    def notice(self, code: str, subject: str = "", text: str = "") -> None:
        """Tell the server something about the agent itself."""
        event = link_pb2.Event(notice=link_pb2.Notice(code=code, subject=subject, text=text[:MAX_NOTICE]))
        self.spool.record([Draft(event, self.clock.steady_ms())])

    def power(
        self,
        kind: Power.Kind,
        *,
        at_ms: int | None = None,
        back_within_s: float | None = None,
        marks: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Tell the server of a start, a stop, a wake; of a restart with when it should be over at the latest."""
        back_by_ms = 0 if back_within_s is None else self.clock.server_ms() + round(back_within_s * 1000)
        event = link_pb2.Event(power=Power(kind=kind, back_by_ms=back_by_ms))
        self.spool.record([Draft(event, self.clock.steady_ms() if at_ms is None else at_ms)], marks=marks)

    def started(self) -> None:
        """Tell of this process's start, and once of each boot."""
        before, boot = self.spool.mark("boot"), self.clock.boot
        if before != boot:
            young = self.clock.boot_ms() < _YOUNG_BOOT_MS
            if before or young:
                self.power(Power.KIND_BOOTED, at_ms=self.clock.zero_ms, marks=[("boot", boot)])
            else:
                self.spool.record([], marks=[("boot", boot)])
        self.power(Power.KIND_AGENT_STARTED)

    def look_after(self, collectors: Collection[str]) -> None:
        """End what no collector of this agent looks at any more."""
        self.record(self.judge.look_after(collectors, self.clock.steady_ms()))

    def countdown_is_news(self, *, watched: bool) -> bool:
        """True where a duration under way should be told before the next beat; a page that looks may have it at once."""
        now_ms = self.clock.steady_ms()
        return self.countdowns.is_news(self.judge.under_way(), now_ms) and (watched or self.countdowns.may_tell(now_ms))

    def keep(self) -> None:
        """Bring to disk what must outlive this process: the hour under way, and durations under way."""
        self.record(self.judge.keep())
        hour = self.history.packed()
        if hour is not None:
            self.spool.put_progress(hour.hour, hour.pack)

    def tell_shed(self) -> None:
        """Say how much the spool had to shed since this was last said."""
        shed = self.spool.take_shed()
        if shed:
            self.notice(
                "spool_shed", text=f"{shed} hours or events that could not be sent for too long were shed, oldest first"
            )

    def _take_inventory(self, section: str, content: dict[str, Any]) -> None:
        mark = inventories.mark_name(section)
        try:
            event = inventories.event(section, content, self.spool.mark(mark))
        except (inventories.TooLarge, TypeError, ValueError) as error:
            log.warning("inventory not sent", section=section, why=error)
            return
        if event is not None:
            self.spool.record([Draft(event, self.clock.steady_ms())], marks=[(mark, event.inventory.digest)])

    def _finish(self, hour: Hour | None) -> None:
        if hour is not None:
            self.spool.put_hour(hour.hour, hour.pack)

    # ---- what the link asks and hears (session.Source) ----

    def hello(self) -> link_pb2.Hello:
        """Who speaks."""
        self._hello_boot_ms = self.clock.boot_ms()
        return link_pb2.Hello(
            protocol=1,
            machine=self.machine,
            instance=self.instance,
            spool=self.spool.id,
            boot=self.clock.boot,
            policy_version=self.policy_version,
            policy_digest=self._policy_digest,
            sent_ms=self.clock.wall_ms(),
        )

    def vitals(self) -> link_pb2.Vitals:
        """Every reading's newest value, what is open, what is about to be, and what the agent costs."""
        carried = self.spool.carried
        reports = self.lanes.to_report() if self.lanes else []
        return link_pb2.Vitals(
            at_ms=self.clock.server_ms(),
            readings=self.newest.tell(),
            faults=[link_pb2.OpenFault(rule=rule, instance=instance) for rule, instance in self.judge.open_faults()],
            pending=[one.packed(self.clock.shift_ms) for one in self.countdowns.tell(self.judge.under_way())],
            policy_version=self.policy_version,
            agent=link_pb2.AgentHealth(
                cpu_percent=self.cost.cpu_percent,
                memory_mib=self.cost.memory_mib,
                spool_events=carried.events,
                spool_bytes=carried.size_bytes,
                shed=carried.shed,
                collectors=[
                    link_pb2.CollectorHealth(name=name, duration_s=health.duration_s, error=health.error[:200])
                    for name, health in reports
                ],
            ),
        )

    def live(self) -> link_pb2.Live:
        """One second of a live watch."""
        return link_pb2.Live(at_ms=self.clock.server_ms(), readings=self.newest.tell_fresh())

    def hour_in_progress(self) -> link_pb2.History | None:
        """The hour under way, unnumbered."""
        hour = self.history.packed()
        return None if hour is None else link_pb2.History(hour=hour.hour, pack=hour.pack)

    def now_ms(self) -> int:
        """Now, by the best knowledge of the server's clock."""
        return self.clock.server_ms()

    def welcomed(self, welcome: link_pb2.Welcome) -> None:
        """Learn the server's time: it lies halfway between Hello and now."""
        self._learn(welcome.server_ms, (self._hello_boot_ms + self.clock.boot_ms()) // 2)

    def heard_time(self, server_ms: int) -> None:
        """An acknowledgement's time came over an unknown way: only a large difference means something."""
        if server_ms:
            self._learn(server_ms, self.clock.boot_ms(), tolerance_ms=_ACK_TOLERANCE_MS)

    def take_policy(self, policy: link_pb2.Policy) -> None:
        """Judge by this policy from now on, and after a restart; one that cannot be used is said so and changes nothing."""
        try:
            self._judge_by(policy.json)
        except policies.PolicyError as error:
            log.warning("policy refused", version=policy.version, why=error)
            self.notice("policy_refused", str(policy.version), str(error))
            return
        try:
            identity.write_whole(self.state / identity.POLICY, policy.json)
        except OSError as error:
            log.warning("policy not on disk", why=error)
        log.info("policy taken", version=self.policy_version, rules=len(self.policy.rules))

    def watch(self, seconds: int) -> None:
        """A page looks for so long."""
        self.watch_until_s = self._place.boot_s() + min(seconds, _MAX_WATCH_S) if seconds else 0.0

    def is_watched(self) -> bool:
        """True while a page looks."""
        return self.watch_until_s > 0 and self._place.boot_s() < self.watch_until_s

    def prove(self, seconds: int) -> None:
        """Raise the test fault for so long, said again it is from now on; 0 ends it. It ends by itself, connected or not."""
        self.prove_until_s = self._place.boot_s() + min(seconds, _MAX_PROVE_S) if seconds else 0.0
        log.info("the server asks for a test fault", seconds=seconds)

    def is_proving(self) -> bool:
        """True while the test fault is raised for the server."""
        return self.prove_until_s > 0 and self._place.boot_s() < self.prove_until_s

    def take_jobs(self, jobs: Sequence[link_pb2.Job], cancelled: Sequence[link_pb2.CancelJob]) -> None:
        """Put signed work on the disk, and take back what has not begun."""
        self.room.take(jobs, cancelled)

    def wake_neighbours(self, macs: Sequence[bytes]) -> None:
        """Wake PCs on this one's own network segments."""
        self.room.wake(macs, self._place.boot_s())

    def told(self, code: str, text: str) -> None:
        """Log what the server said, and keep the last few for status."""
        log.warning("the server said", code=code, text=text)
        self.told_lines = [*self.told_lines, {"at": rfc3339(self.clock.server_ms()), "code": code, "text": text}][-_TOLD_KEPT:]

    def tell_again(self) -> None:
        """Raise what is open once more, and let each inventory be sent anew: this server may have been set back, or be new."""
        self.record(self.judge.tell_again(self.clock.steady_ms()))
        self.spool.record([], marks=[(inventories.mark_name(section), "") for section in inventories.SECTIONS])
        for section in inventories.SECTIONS:
            if self.lanes is not None:
                self.lanes.start(section, time.monotonic())

    def _learn(self, server_ms: int, at_boot_ms: int, **tolerance: int) -> None:
        if self.clock.learn(server_ms, at_boot_ms, **tolerance):
            self.spool.keep_anchor(server_ms - at_boot_ms, self.clock.lead_ms() or 0)

    def _judge_by(self, packed: bytes) -> None:
        taken = policies.decode(packed)
        self.policy, self.policy_version, self._policy_digest = taken, taken.version, policies.digest(packed)
        self.record(self.judge.apply(taken, self.clock.steady_ms()))
