"""The judge: folds readings by the policy, and says which faults begin and end.

Owns the phases, the evidence around a crossing, and what a changed policy or a vanished instance does to an open fault. Pure
in that it reads no clock and writes nothing: it returns what must go to disk, and the caller puts events and phases there
in one transaction.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from fettle_protocol.policy import Policy, Rule
from fettle_protocol.rules import WELL, Cleared, Levels, Raised, State, step
from fettle_protocol.rules import Phase as Step
from fettle_protocol.v1 import link_pb2

from fettle_agent.collectors import Reading
from fettle_agent.evidence import Evidence
from fettle_agent.pending import UnderWay
from fettle_agent.spool import Draft, Moment, Phase

KEEP_SEEN_MS = 60_000
"""A duration under way is brought to disk this often, so that a restart does not begin it anew."""

MAX_DETAIL = 200
_OPEN = (Step.RAISED, Step.CLEARING)
_UNDER_WAY = (Step.RAISING, Step.CLEARING)
_PATIENCE = 3
"""A reading that has no instance is gone only after so many of its rule's longest gaps: one odd answer must end nothing."""


@dataclass(slots=True)
class Verdict:
    """What a fold came to: events to send, and phases that must be on disk with them."""

    drafts: list[Draft] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.drafts or self.phases)


@dataclass(slots=True)
class _Watch:
    """One rule's eye on one instance."""

    rule: Rule | None
    instance: str
    collector: str
    state: State = WELL
    evidence: Evidence = field(default_factory=Evidence)
    kept_ms: int = 0
    missing_ms: int | None = None


class Judge:
    """Every rule's state for every instance it sees."""

    def __init__(self, system: str) -> None:
        self._system = system
        self._rules: dict[str, list[tuple[Rule, Levels]]] = {}
        self._version = 0
        self._watches: dict[tuple[str, str], _Watch] = {}
        self._moving: dict[tuple[str, str], _Watch] = {}

    # ---- memory ----

    def restore(self, phases: Iterable[tuple[Phase, Moment]], now: Moment) -> None:
        """Take up what an earlier process left. Within one boot its times are moved to this process's steady time."""
        for phase, then in phases:
            shift_ms = now.zero_ms - then.zero_ms if then.boot == now.boot else 0
            state = State(Step(phase.phase), phase.since_ms + shift_ms, phase.seen_ms + shift_ms)
            watch = _Watch(None, phase.instance, phase.collector, state, kept_ms=state.seen_ms)
            self._watches[phase.rule, phase.instance] = watch
            self._note(phase.rule, watch)

    def open_faults(self) -> list[tuple[str, str]]:
        """(rule, instance) of each fault that is raised and not cleared."""
        return sorted(key for key, watch in self._watches.items() if watch.state.phase in _OPEN)

    def under_way(self) -> list[UnderWay]:
        """The rules whose raise or clear duration runs; most of the time there is none, and asking costs nothing."""
        running = []
        for (key, instance), watch in self._moving.items():
            if watch.rule is not None:
                clearing = watch.state.phase is Step.CLEARING
                lasts_s = watch.rule.clear_for_s if clearing else watch.rule.raise_for_s
                running.append(UnderWay(key, instance, clearing, watch.state.since_ms, round(lasts_s * 1000)))
        return running

    def judges(self, reading: str) -> bool:
        """True where a rule looks at that reading."""
        return reading in self._rules

    def keep(self) -> Verdict:
        """The phases under way as they stand, for the disk: before the process leaves."""
        return Verdict(
            phases=[self._phase(key[0], watch) for key, watch in self._watches.items() if watch.state.phase is not Step.WELL]
        )

    def tell_again(self, now_ms: int) -> Verdict:
        """Each open fault raised once more, with the newest reading where there is one: for a server that lost it."""
        verdict = Verdict()
        for (_, instance), watch in sorted(self._watches.items()):
            if watch.rule is None or watch.state.phase not in _OPEN:
                continue
            samples = watch.evidence.decide()
            value = samples[-1].value if samples else watch.rule.raise_level
            decision = Raised(since_ms=watch.state.since_ms)
            event = self._raised(watch.rule, Reading(watch.rule.reading, value, instance), decision, samples)
            verdict.drafts.append(Draft(event, now_ms))
        return verdict

    # ---- policy ----

    def apply(self, policy: Policy, now_ms: int) -> Verdict:
        """Judge by this policy from now on. A rule that is gone, or no longer sees an instance, clears its fault."""
        self._version = policy.version
        self._rules = {}
        for rule in policy.rules:
            if self._system in rule.systems:
                self._rules.setdefault(rule.reading, []).append((rule, rule.levels))
        verdict = Verdict()
        for (key, instance), watch in list(self._watches.items()):
            present = policy.rule(key)
            same_reading = present is not None and (watch.rule is None or watch.rule.reading == present.reading)
            if present is not None and same_reading and present.applies_to(self._system, instance):
                watch.rule = present
            else:
                self._end(key, watch, "policy", now_ms, verdict)
        return verdict

    # ---- folding ----

    def fold(self, collector: str, readings: Sequence[Reading], now_ms: int) -> Verdict:
        """Fold one successful run of a collector; instances that it no longer lists are counted as missing."""
        verdict = Verdict()
        seen = set()
        for reading in readings:
            for rule, levels in self._rules.get(reading.key, ()):
                if rule.applies_to(self._system, reading.instance):
                    seen.add((rule.key, reading.instance))
                    self._step(rule, levels, reading, collector, now_ms, verdict)
        for (key, instance), watch in list(self._watches.items()):
            if watch.collector == collector and (key, instance) not in seen:
                self._miss(key, watch, now_ms, verdict)
        return verdict

    def look_after(self, collectors: Collection[str], now_ms: int) -> Verdict:
        """Count as missing what came from a collector that no longer runs here: it is switched off, or was left out."""
        verdict = Verdict()
        for (key, _), watch in list(self._watches.items()):
            if watch.collector not in collectors:
                self._miss(key, watch, now_ms, verdict)
        return verdict

    def _step(self, rule: Rule, levels: Levels, reading: Reading, collector: str, now_ms: int, verdict: Verdict) -> None:
        watch = self._watches.get((rule.key, reading.instance))
        if watch is None:
            watch = self._watches[rule.key, reading.instance] = _Watch(rule, reading.instance, collector)
        watch.rule, watch.collector, watch.missing_ms = rule, collector, None
        before = watch.state
        watch.state, decision = step(before, levels, reading.value, now_ms)
        under_way = watch.state.phase in _UNDER_WAY
        if watch.state.phase is not before.phase:
            self._note(rule.key, watch)
        (watch.evidence.cross if under_way or decision else watch.evidence.rest)(now_ms, reading.value)
        if isinstance(decision, Raised):
            verdict.drafts.append(Draft(self._raised(rule, reading, decision, watch.evidence.decide()), now_ms))
        elif isinstance(decision, Cleared):
            verdict.drafts.append(Draft(_cleared(rule.key, reading, decision, watch.evidence), now_ms))
        if watch.state.phase is not before.phase or (under_way and now_ms - watch.kept_ms >= KEEP_SEEN_MS):
            watch.kept_ms = now_ms
            verdict.phases.append(self._phase(rule.key, watch))

    def _note(self, key: str, watch: _Watch) -> None:
        """Keep the few that are between two phases at hand."""
        if watch.state.phase in _UNDER_WAY:
            self._moving[key, watch.instance] = watch
        else:
            self._moving.pop((key, watch.instance), None)

    def _miss(self, key: str, watch: _Watch, now_ms: int, verdict: Verdict) -> None:
        if watch.missing_ms is None:
            watch.missing_ms = now_ms
        if now_ms - watch.missing_ms > _patience_ms(watch):
            self._end(key, watch, "gone", now_ms, verdict)

    def _end(self, key: str, watch: _Watch, reason: str, now_ms: int, verdict: Verdict) -> None:
        del self._watches[key, watch.instance]
        self._moving.pop((key, watch.instance), None)
        phase = watch.state.phase
        if phase in _OPEN:
            cleared = link_pb2.FaultCleared(rule=key, instance=watch.instance, since_ms=now_ms, reason=reason)
            verdict.drafts.append(Draft(link_pb2.Event(cleared=cleared), now_ms))
        if phase is not Step.WELL:
            verdict.phases.append(Phase(key, watch.instance, Step.WELL, 0, now_ms, watch.collector))

    def _raised(self, rule: Rule, reading: Reading, decision: Raised, samples: list[link_pb2.Sample]) -> link_pb2.Event:
        return link_pb2.Event(
            raised=link_pb2.FaultRaised(
                rule=rule.key,
                instance=reading.instance,
                value=reading.value,
                since_ms=decision.since_ms,
                evidence=samples,
                policy_version=self._version,
                severity=rule.severity,
                detail=reading.detail[:MAX_DETAIL],
            )
        )

    def _phase(self, key: str, watch: _Watch) -> Phase:
        state = watch.state
        return Phase(key, watch.instance, state.phase, state.since_ms, state.seen_ms, watch.collector)


def _patience_ms(watch: _Watch) -> float:
    """How long an instance that is no longer listed may come back."""
    if watch.rule is None:
        return math.inf if not watch.instance else 0
    levels = watch.rule.levels
    return levels.clear_for_ms if watch.instance else max(levels.clear_for_ms, _PATIENCE * levels.gap_ms)


def _cleared(key: str, reading: Reading, decision: Cleared, evidence: Evidence) -> link_pb2.Event:
    return link_pb2.Event(
        cleared=link_pb2.FaultCleared(
            rule=key,
            instance=reading.instance,
            value=reading.value,
            since_ms=decision.since_ms,
            evidence=evidence.decide(),
            reason="recovered",
        )
    )
