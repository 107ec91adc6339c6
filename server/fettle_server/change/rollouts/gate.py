"""The health gate: whether a ring has borne its change, by its failures, its silence, and new faults where they are too many.

Pure arithmetic, with the sentence that states it. Why it is this arithmetic: docs/decisions/0016-the-gate.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from fettle_server.change.rollouts.plans import Gate

CHANCE = 0.01
"""What is rarer than this by chance is not put down to chance."""
LIKELY = 0.10
"""What is more likely than this by chance says nothing against the change."""
SURPRISE = 0.05
"""A PC's new fault counts where its own past makes it rarer than this."""
FEWEST = 3
"""So many sick PCs at least, before chance is reckoned with below the limit."""
CONTROL_LEAST = 10
"""So many PCs not yet changed at least, for them to say anything."""


class Verdict(StrEnum):
    """What the gate says."""

    PASS = "pass"  # noqa: S105
    WAIT = "wait"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Tally:
    """A ring's PCs, each counted once. `seen`: those changed that were online long enough since, well or not.

    `waiting` have not begun and `running` are at it; `pending` are those of both that the ring waits for (late joiners are
    not waited for). Who left the reach counts nowhere.
    """

    waiting: int = 0
    running: int = 0
    changed: int = 0
    sick: int = 0
    failed: int = 0
    silent: int = 0
    seen: int = 0
    pending: int = 0

    @property
    def counted(self) -> int:
        """All PCs of the ring."""
        return self.waiting + self.running + self.done + self.failed + self.silent

    @property
    def done(self) -> int:
        """Those that the change was carried out on."""
        return self.changed + self.sick


@dataclass(frozen=True, slots=True)
class Compared:
    """New faults of those changed beside their own past and beside those not yet changed, over the same time.

    `faulty` of `changed` PCs had a new fault since their change, where their own past made `expected` likely;
    `control_faulty` of `control` PCs not yet changed had one meanwhile.
    """

    changed: int = 0
    faulty: int = 0
    expected: float = 0.0
    control: int = 0
    control_faulty: int = 0


@dataclass(frozen=True, slots=True)
class Ruling:
    """The verdict, the sentence that states its arithmetic, and the limits that it was measured by."""

    verdict: Verdict
    why: str
    limit: int
    silent_limit: int
    seen_needed: int
    by_past: float
    by_control: float | None


def judge(gate: Gate, tally: Tally, compared: Compared) -> Ruling:
    """What the gate says of a ring now."""
    limit = max(gate.unwell_allowed, tally.counted * gate.unwell_percent // 100)
    silent_limit = tally.counted * gate.silent_percent // 100
    needed = _needed(gate, tally)
    by_past = poisson_tail(compared.faulty, compared.expected)
    by_control = _by_control(compared)
    verdict, why = _verdict(tally, compared, limit, silent_limit, needed, by_past, by_control)
    return Ruling(verdict, why, limit, silent_limit, needed, by_past, by_control)


def _needed(gate: Gate, tally: Tally) -> int:
    """So many must have been seen well after their change; one at least, unless the gate asks for none."""
    return 0 if gate.seen_percent == 0 else max(1, math.ceil(tally.done * gate.seen_percent / 100))


def _verdict(
    tally: Tally, compared: Compared, limit: int, silent_limit: int, needed: int, by_past: float, by_control: float | None
) -> tuple[Verdict, str]:
    unwell = tally.failed + tally.sick
    said = _said(tally, limit)
    if tally.failed > limit:
        return Verdict.HALT, said
    if unwell > limit and not _is_shared(compared, by_control):
        return Verdict.HALT, f"{said}{_beside(compared)}"
    if tally.silent > silent_limit:
        text = f"{tally.silent} of {tally.counted} said nothing until the deadline, limit {silent_limit}."
        return Verdict.HALT, text
    if _is_no_chance(compared, by_past, by_control):
        return Verdict.HALT, f"{said} That is within the limit, but more than chance:{_beside(compared)}"
    if unwell > limit:
        text = f"{said}{_beside(compared)} Those not yet changed fare alike, so it waits until that is over."
        return Verdict.WAIT, text
    if tally.seen < needed:
        text = f"{tally.seen} of {tally.done} changed PCs were online long enough since; {needed} are needed to judge. {said}"
        return Verdict.WAIT, text
    return Verdict.PASS, said


def _said(tally: Tally, limit: int) -> str:
    sick = f"{'is' if tally.sick == 1 else 'are'} sick after the update"
    if not tally.failed:
        return f"{tally.sick} of {tally.counted} {sick}, limit {limit}."
    if not tally.sick:
        return f"{tally.failed} of {tally.counted} failed, limit {limit}."
    return f"{tally.failed + tally.sick} of {tally.counted}: {tally.failed} failed and {tally.sick} {sick}, limit {limit}."


def _beside(compared: Compared) -> str:
    have = f" {compared.faulty} of {compared.changed} changed PCs have new faults"
    past = f"{have}, where the four weeks before let one expect {_usual(compared.expected)}."
    if not compared.control:
        return f"{past} There are no PCs left to compare them with."
    others = f"{compared.control_faulty} have some" if compared.control_faulty else "none have any"
    return f"{past} Of {compared.control} not yet changed, {others}."


def _usual(expected: float) -> str:
    """An expected number as people say it."""
    if expected < 0.95:
        return "fewer than one" if expected >= 0.05 else "none"
    return f"about {expected:.0f}"


def _is_shared(compared: Compared, by_control: float | None) -> bool:
    """True where PCs that were not changed fall ill just as often, so that the change cannot be what did it."""
    if by_control is None or by_control < LIKELY or compared.control_faulty < 2:
        return False
    return compared.control_faulty * compared.changed * 2 >= compared.faulty * compared.control


def _is_no_chance(compared: Compared, by_past: float, by_control: float | None) -> bool:
    if compared.faulty < FEWEST or by_past >= CHANCE:
        return False
    return by_control is None or by_control < CHANCE


def _by_control(compared: Compared) -> float | None:
    """How likely so many of the changed ones have new faults if the change has no part in it; None: too few to compare."""
    if compared.control < CONTROL_LEAST:
        return None
    return fisher_tail(compared.faulty, compared.changed, compared.control_faulty, compared.control)


def poisson_tail(count: int, expected: float) -> float:
    """How likely `count` or more are where `expected` are usual."""
    if count <= 0:
        return 1.0
    if expected <= 0:
        return 0.0
    below = math.fsum(math.exp(k * math.log(expected) - expected - math.lgamma(k + 1)) for k in range(count))
    return min(1.0, max(0.0, 1.0 - below))


def fisher_tail(first: int, of_first: int, second: int, of_second: int) -> float:
    """Fisher's exact test, one-sided: how likely `first` or more of the `first + second` fall among `of_first` by chance."""
    marked, every = first + second, of_first + of_second
    if first <= 0 or marked == 0:
        return 1.0
    whole = _choose(every, marked)
    most = min(of_first, marked)
    terms = (math.exp(_choose(of_first, k) + _choose(of_second, marked - k) - whole) for k in range(first, most + 1))
    return min(1.0, math.fsum(term for term in terms))


def _choose(many: int, few: int) -> float:
    """The logarithm of how many ways there are to choose; minus infinity for none."""
    if not 0 <= few <= many:
        return -math.inf
    return math.lgamma(many + 1) - math.lgamma(few + 1) - math.lgamma(many - few + 1)


def surprises(now_seen: int, past_seen: int, past_s: float, observed_s: float) -> bool:
    """True where so many onsets of a rule on a PC since its change are more than its own past explains."""
    if past_s <= 0:
        return now_seen > 0
    return poisson_tail(now_seen, past_seen * observed_s / past_s) < SURPRISE
