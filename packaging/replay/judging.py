"""How each machine judges itself in the replay: the product's own step function on the product's own policy.

Between two samples of one value nothing can change but the time of the last one, so of a stretch of equal samples only the
first, and those at which a duration may be over, are folded; a test compares this with folding every one.
Beside it stands the usual practice, for the baseline: an alert as soon as one sample passes the raise level.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fettle_protocol.policy import Policy, Rule
from fettle_protocol.rules import WELL, Cleared, Direction, Levels, Phase, Raised, State, step

from replay.world.bends import ORDINARY, SMALL_DISK_FREE, Bend
from replay.world.life import Start

_EVERY_S = {
    "cpu.busy_percent": 10, "memory.used_percent": 10, "disk.free_percent": 10, "disk.read_only": 10,
    "process.largest_cpu_percent": 120, "clock.offset_seconds": 60, "temperature.celsius": 30, "temperature.headroom": 30,
    "gateway.reachable": 60, "dns.working": 20, "dns.latency_ms": 20, "service.running": 60, "disk.smart_failing": 3600,
    "battery.health_percent": 43_200, "updates.reboot_pending": 21_600, "updates.security_pending": 21_600,
    "boot.duration_seconds": 600, "logon.duration_seconds": 600,
}  # fmt: skip
_LINUX_EVERY_S = {
    "process.largest_cpu_percent": 30, "gateway.reachable": 20, "service.running": 10, "battery.health_percent": 3600,
    "updates.reboot_pending": 600, "updates.security_pending": 600,
}  # fmt: skip
"""How often the agent's collectors take each reading (fettle_agent.collectors.registry)."""

_TOLD_FOR_S = 7200.0
_TOLD_AFTER = {"boot.duration_seconds": (Start.BOOT,), "logon.duration_seconds": (Start.BOOT, Start.WAKE)}
"""What is told for so long after it happened (fettle_agent.collectors.boot_linux): a start; a sign-in, here whenever somebody
begins to use the machine."""


class Verdict(NamedTuple):
    """A fault begins or ends on a machine. `cleared` is the reason, empty where it begins."""

    at_ms: int
    rule: str
    instance: str
    severity: str
    value: float
    since_ms: int
    cleared: str


class Crossing(NamedTuple):
    """A sample passed a raise level: an alert of the usual practice."""

    at_s: float
    rule: str


class Rules:
    """The policy of one class of endpoint on one system, by reading."""

    def __init__(self, policy: Policy, system: str) -> None:
        self.version = policy.version
        self._system = system
        self._rules: dict[str, list[tuple[Rule, Levels]]] = {}
        for rule in policy.rules:
            if system in rule.systems:
                self._rules.setdefault(rule.reading, []).append((rule, rule.levels))

    def of(self, reading: str, instance: str) -> Iterator[tuple[Rule, Levels]]:
        """Those that judge that instance of the reading."""
        return ((rule, levels) for rule, levels in self._rules.get(reading, ()) if rule.applies_to(self._system, instance))

    def every_ms(self, reading: str) -> int:
        """How often the reading is taken."""
        every_s = _LINUX_EVERY_S.get(reading) if self._system == "linux" else None
        return (every_s or _EVERY_S[reading]) * 1000


class Judge:
    """One machine's rules: what they remember from one time of being on to the next."""

    __slots__ = ("_alerting", "_rules", "_small_disk", "_states")

    def __init__(self, rules: Rules, *, small_disk: bool) -> None:
        self._rules = rules
        self._small_disk = small_disk
        self._states: dict[tuple[str, str, str], State] = {}
        self._alerting: set[tuple[str, str]] = set()

    def live(
        self, start: float, end: float, bends: Iterable[Bend], how: Start = Start.BOOT
    ) -> tuple[list[Verdict], list[Crossing]]:
        """Judge one time of being on, which began like that, with the bends that touch it."""
        by_reading: dict[tuple[str, str], list[Bend]] = {}
        for bend in bends:
            if bend.start < end and bend.end > start:
                by_reading.setdefault((bend.reading, bend.instance), []).append(bend)
        for (_, reading, instance), state in self._states.items():
            if state.phase is not Phase.WELL:
                by_reading.setdefault((reading, instance), [])
        verdicts: list[Verdict] = []
        crossings: list[Crossing] = []
        for (reading, instance), bent in by_reading.items():
            until = end
            if reading in _TOLD_AFTER:
                if how not in _TOLD_AFTER[reading]:
                    continue
                until = min(end, start + _TOLD_FOR_S)
            segments = list(_segments(start, until, bent, self._ordinary(reading)))
            for rule, levels in self._rules.of(reading, instance):
                self._fold(rule, levels, instance, segments, verdicts)
                self._cross(rule, levels, instance, segments, crossings)
        verdicts.sort(key=lambda verdict: verdict.at_ms)
        return verdicts, crossings

    def _ordinary(self, reading: str) -> float:
        return SMALL_DISK_FREE if reading == "disk.free_percent" and self._small_disk else ORDINARY[reading]

    def _fold(
        self, rule: Rule, levels: Levels, instance: str, segments: list[tuple[int, int, float]], verdicts: list[Verdict]
    ) -> None:
        key = (rule.key, rule.reading, instance)
        state = self._states.get(key, WELL)
        every = self._rules.every_ms(rule.reading)
        first = segments[0][0]
        for start, end, value in segments:
            at = first + -(-(start - first) // every) * every
            while at < end:
                state, decision = step(state, levels, value, at)
                if isinstance(decision, Raised):
                    verdicts.append(Verdict(at, rule.key, instance, rule.severity.value, value, decision.since_ms, ""))
                elif isinstance(decision, Cleared):
                    verdicts.append(Verdict(at, rule.key, instance, rule.severity.value, value, decision.since_ms, "recovered"))
                    continue
                at = self._next(state, levels, at, (end, every))
                last = at - every if at < end else first + (end - 1 - first) // every * every
                state = State(state.phase, state.since_ms, max(state.seen_ms, last))
        if state is WELL or state.phase is Phase.WELL:
            self._states.pop(key, None)
        else:
            self._states[key] = state

    @staticmethod
    def _next(state: State, levels: Levels, at: int, until: tuple[int, int]) -> int:
        """The next sample that may change something; the end of the stretch where none does."""
        end, every = until
        if every > levels.gap_ms or state.phase in (Phase.WELL, Phase.RAISED):
            return at + every if every > levels.gap_ms and state.phase in (Phase.RAISING, Phase.CLEARING) else end
        due = state.since_ms + (levels.raise_for_ms if state.phase is Phase.RAISING else levels.clear_for_ms)
        return at + max(1, math.ceil((due - at) / every)) * every

    def _cross(
        self, rule: Rule, levels: Levels, instance: str, segments: list[tuple[int, int, float]], crossings: list[Crossing]
    ) -> None:
        every, first, key = self._rules.every_ms(rule.reading), segments[0][0], (rule.key, instance)
        for start, end, value in segments:
            at = first + -(-(start - first) // every) * every
            if at >= end:
                continue
            if not _is_past(levels, value):
                self._alerting.discard(key)
            elif key not in self._alerting:
                self._alerting.add(key)
                crossings.append(Crossing(at / 1000, rule.key))


def _is_past(levels: Levels, value: float) -> bool:
    return value >= levels.raise_level if levels.direction is Direction.ABOVE else value <= levels.raise_level


def _segments(start: float, end: float, bends: list[Bend], ordinary: float) -> Iterator[tuple[int, int, float]]:
    """The reading's value through the time: (from, to, value) in milliseconds. Where bends overlap, the later one counts."""
    edges = {start, end}
    for bend in bends:
        edges.update(moment for moment in (bend.start, bend.end) if start < moment < end)
        edges.update(moment for moment, _ in bend.values if start < moment < min(end, bend.end))
    ordered = sorted(edges)
    places = [0] * len(bends)
    for left, right in itertools.pairwise(ordered):
        value = ordinary
        for number, bend in enumerate(bends):
            if bend.start <= left < bend.end:
                place = places[number]
                while place + 1 < len(bend.values) and bend.values[place + 1][0] <= left:
                    place += 1
                places[number] = place
                value = bend.values[place][1]
        yield int(left * 1000), int(right * 1000), value
