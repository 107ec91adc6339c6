"""A played fault: one rule of the server's own policy, its reading bent past the rule's level, and the events that tell it.

Owns which rule and what evidence. The judging itself is the agent's and not played: a bent reading stays past its level for as
long as the rule asks, and the event says so.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fettle_protocol import catalogue
from fettle_protocol.catalogue import Unit
from fettle_protocol.policy import Policy, Rule
from fettle_protocol.rules import Direction
from fettle_protocol.v1 import link_pb2 as pb

from crowd import vitals
from crowd.estate import Pc

_EVIDENCE = 12


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule on one instance of one machine, from its raise on. Times in seconds since the epoch."""

    rule: Rule
    instance: str
    since_s: float
    raised_s: float
    bend: vitals.Bend

    def raised(self, pc: Pc, bends: Sequence[vitals.Bend], policy_version: int) -> pb.Event:
        """The event that begins it, with the readings around the crossing."""
        evidence = _evidence(pc, self.bend.key, bends, (self.since_s, self.raised_s))
        body = pb.FaultRaised(
            rule=self.rule.key, instance=self.instance, value=self.bend.value, since_ms=_ms(self.since_s), evidence=evidence,
            policy_version=policy_version, severity=self.rule.severity,
        )  # fmt: skip
        return pb.Event(at_ms=_ms(self.raised_s), raised=body)

    def cleared(self, pc: Pc, bends: Sequence[vitals.Bend], now: float) -> pb.Event:
        """The event that ends it."""
        value = _past(self.rule.clear_level, self.rule, toward_well=True)
        evidence = _evidence(pc, self.bend.key, bends, (now - 60, now))
        since = max(self.raised_s, now - self.rule.clear_for_s)
        body = pb.FaultCleared(
            rule=self.rule.key, instance=self.instance, value=value, since_ms=_ms(since), evidence=evidence, reason="recovered"
        )
        return pb.Event(at_ms=_ms(now), cleared=body)

    def ended(self, now: float) -> vitals.Bend:
        """The bend as history keeps it."""
        return replace(self.bend, until_minute=int(now // 60))


def choose(pc: Pc, policy: Policy, dice: random.Random, now: float) -> Fault | None:
    """Some rule that could strike this machine now, None where there is none."""
    fitting = []
    for rule in policy.rules:
        instance = None if rule.reading.startswith("agent.") else vitals.instance_of(pc, rule.reading)
        if instance is not None and rule.applies_to(pc.model.system, instance):
            fitting.append(rule)
    if not fitting:
        return None
    return strike(pc, dice.choice(fitting), now)


def strike(pc: Pc, rule: Rule, now: float) -> Fault:
    """That rule's fault on a machine that has its reading, raised now."""
    instance = vitals.instance_of(pc, rule.reading) or ""
    since = now - rule.raise_for_s
    key = catalogue.BY_KEY[rule.reading].number, instance
    return Fault(rule, instance, since, now, vitals.Bend(key, _past(rule.raise_level, rule), int(since // 60)))


def _past(level: float, rule: Rule, *, toward_well: bool = False) -> float:
    """A value clearly beyond a level, on the fault's side or on the other one."""
    spec = catalogue.BY_KEY[rule.reading]
    up = (rule.direction is Direction.ABOVE) != toward_well
    if spec.unit is Unit.YES_NO:
        return 1.0 if up else 0.0
    step = max(abs(level) * 0.2, 0.5)
    return min(max(level + step if up else level - step, spec.low), spec.high)


def _evidence(pc: Pc, key: vitals.SeriesKey, bends: Sequence[vitals.Bend], span: tuple[float, float]) -> list[pb.Sample]:
    start, end = span[0] - 120, span[1]
    times = [start + (end - start) * turn / (_EVIDENCE - 1) for turn in range(_EVIDENCE)]
    return [pb.Sample(at_ms=_ms(time), value=vitals.at(pc, int(time // 60), bends, int(time % 60))[key]) for time in times]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
