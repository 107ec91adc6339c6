"""Skipping equal samples comes to the same as folding every one of them."""

from __future__ import annotations

import random

import pytest
from fettle_protocol.policy import Policy, Rule
from fettle_protocol.rules import WELL, Cleared, Raised, step
from fettle_server.proactive.policies import shipped
from replay.judging import Judge, Rules, Verdict
from replay.world.bends import Bend

POLICY = shipped()
BENT = ("disk-full", "disk-low", "memory-exhausted", "dns-lost", "service-stopped", "processor-busy", "hot", "disk-failing")


def _every_sample(
    rule: Rule, ons: list[tuple[int, int]], values: list[tuple[int, float]], every: int
) -> list[tuple[int, bool]]:
    state, told = WELL, []
    for start, end in ons:
        for at in range(start, end, every):
            value = next(value for moment, value in reversed(values) if moment <= at)
            state, decision = step(state, rule.levels, value, at)
            if isinstance(decision, Raised | Cleared):
                told.append((at, isinstance(decision, Raised)))
    return told


@pytest.mark.parametrize("key", BENT)
@pytest.mark.parametrize("seed", range(4))
def test_judging_in_stretches_is_judging_every_sample(key: str, seed: int) -> None:
    dice = random.Random(f"{key}{seed}")
    rule = next(rule for rule in POLICY.rules if rule.key == key)
    rules = Rules(Policy(1, (rule,)), "windows")
    every = rules.every_ms(rule.reading)
    width = abs(rule.clear_level - rule.raise_level) + 1
    choices = [rule.raise_level + width * turn for turn in (-2, 0, 0.5, 2)]
    values, moment = [(0, dice.choice(choices))], 0
    while moment < 40_000_000:
        moment += dice.randrange(every, 40 * every + 2_000_000)
        values.append((moment, dice.choice(choices)))
    ons = [(0, 9_000_000), (9_600_000, 20_000_000), (33_000_000, 40_000_000)]
    bend = Bend(rule.reading, "C:", 0.0, 50_000.0, tuple((at / 1000, value) for at, value in values))
    judge = Judge(rules, small_disk=False)
    verdicts: list[Verdict] = []
    for start, end in ons:
        verdicts += judge.live(start / 1000, end / 1000, [bend])[0]
    assert [(one.at_ms, not one.cleared) for one in verdicts] == _every_sample(rule, ons, values, every)
