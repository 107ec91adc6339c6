"""A rollout's plan: its rings with their shares, soak times and gates, and what is asked of PCs and people. As JSON and back.

Owns names, bounds and defaults. What a ring's gate says is in gate.py, who stands in which ring in places.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from fettle_protocol.manifests import Needs, People, Reboots
from fettle_protocol.policy import CLASSES, EndpointClass

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
MOST_RINGS = 8
MOST_LIFE_DAYS = 150
"""A manifest is good for at most 200 days, and the back-out's must outlive the forward one's."""
_NAME_LIMIT = 40
_EARLY = (EndpointClass.SERVER.value, EndpointClass.STAFF_LAPTOP.value)


class RolloutError(ValueError):
    """Something about a rollout that cannot be done; the message is for the person who asked."""


class When(StrEnum):
    """WINDOWS: in each place's change windows, never in lessons. ANY_TIME: lessons too. Neither: in an exam or a freeze."""

    WINDOWS = "windows"
    ANY_TIME = "any time"


@dataclass(frozen=True, slots=True)
class Gate:
    """What a ring may bear, and how much must be known of it before it passes.

    `unwell_percent` of its PCs may fail or fall sick (rounded down), at least `unwell_allowed` of them; `silent_percent` may
    say nothing. `seen_percent` of those changed must have been online for `seen_s` since their change.
    """

    unwell_percent: int = 5
    unwell_allowed: int = 0
    silent_percent: int = 25
    seen_percent: int = 50
    seen_s: int = HOUR_S


@dataclass(frozen=True, slots=True)
class RingPlan:
    """One ring: with the rings before it `share_percent` of all PCs, itself `at_least` and `at_most` (0: any) so many.

    It soaks for `soak_s` after its last PC is through; who has said nothing `deadline_s` after the first window is silent.
    Endpoint classes in `spares` wait for a later ring, unless there are none else or a person placed them in this one.
    """

    name: str
    share_percent: int
    at_least: int = 0
    at_most: int = 0
    soak_s: int = DAY_S
    deadline_s: int = 3 * DAY_S
    spares: tuple[str, ...] = ()
    gate: Gate = field(default_factory=Gate)


DEFAULT_RINGS = (
    RingPlan("bench", 1, at_least=1, at_most=10, soak_s=4 * HOUR_S, deadline_s=2 * DAY_S, spares=_EARLY),
    RingPlan("pilot room", 5, at_least=2, soak_s=DAY_S, deadline_s=3 * DAY_S, spares=_EARLY),
    RingPlan("school", 25, soak_s=2 * DAY_S, deadline_s=5 * DAY_S),
    RingPlan("all", 100, soak_s=DAY_S, deadline_s=14 * DAY_S),
)
ALL_AT_ONCE = (RingPlan("all", 100, soak_s=0, deadline_s=7 * DAY_S, gate=Gate(50, 2, 100, 0, 0)),)
"""The rings of a back-out: who is to get well again does not wait for others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a rollout goes. `stagger_s` spreads the beginnings of a school's PCs; `settle_s` after its change a PC may be upset.

    `people`, `needs` and `attempts` go into the manifest, which is good for `life_days`.
    """

    rings: tuple[RingPlan, ...] = DEFAULT_RINGS
    when: When = When.WINDOWS
    stagger_s: int = 15 * MINUTE_S
    settle_s: int = 10 * MINUTE_S
    wake: bool = True
    people: People = field(default_factory=People)
    needs: Needs = field(default_factory=Needs)
    attempts: int = 3
    life_days: int = 60


def back_out_plan(forward: Plan, *, at_any_time: bool = False) -> Plan:
    """The plan of undoing a rollout: all at once, in the same windows unless it may not wait for them."""
    when = When.ANY_TIME if at_any_time else forward.when
    return Plan(ALL_AT_ONCE, when, forward.stagger_s, forward.settle_s, forward.wake, forward.people, forward.needs, 3, 60)


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as the store and the API keep it."""
    return asdict(plan)


def plan_from(said: Mapping[str, Any]) -> Plan:
    """The plan in a JSON object; what is not said is as usual.

    Raises:
        RolloutError: it cannot be; the message names the field.
    """
    values = _known(said, Plan, "the plan")
    if "rings" in values:
        values["rings"] = tuple(_ring(one) for one in _listed(values["rings"], "rings"))
    for name, kind in (("people", People), ("needs", Needs)):
        if name in values:
            values[name] = kind(**_known(values[name], kind, name))
    if values.get("when", When.WINDOWS) not in set(When):
        raise RolloutError(f"A plan's “when” is one of: {', '.join(When)}.")
    plan = Plan(**(values | {"when": When(values.get("when", When.WINDOWS))}))
    check(plan)
    return plan


def check(plan: Plan) -> None:
    """Nothing, where the plan can be.

    Raises:
        RolloutError: it cannot; the message names the field.
    """
    if not 1 <= len(plan.rings) <= MOST_RINGS:
        raise RolloutError(f"A rollout has 1 to {MOST_RINGS} rings.")
    names = [ring.name.casefold() for ring in plan.rings]
    if len(set(names)) != len(names):
        raise RolloutError("Two rings have the same name.")
    shares = [ring.share_percent for ring in plan.rings]
    for ring in plan.rings:
        _check_ring(ring)
    if shares != sorted(shares) or shares[-1] != 100:
        raise RolloutError("Each ring's share_percent takes in the rings before it: they never fall, and the last is 100.")
    _bounded("stagger_s", plan.stagger_s, 0, DAY_S)
    _bounded("settle_s", plan.settle_s, 0, DAY_S)
    _bounded("attempts", plan.attempts, 1, 20)
    _bounded("life_days", plan.life_days, 1, MOST_LIFE_DAYS)
    _check_people(plan)
    if type(plan.wake) is not bool:
        raise RolloutError("wake is true or false.")


def _check_ring(ring: RingPlan) -> None:
    if not isinstance(ring.name, str) or not 1 <= len(ring.name.strip()) <= _NAME_LIMIT or not ring.name.isprintable():
        raise RolloutError(f"A ring's name has 1 to {_NAME_LIMIT} visible characters.")
    _bounded("share_percent", ring.share_percent, 0, 100)
    _bounded("at_least", ring.at_least, 0, 100_000)
    _bounded("at_most", ring.at_most, 0, 1_000_000)
    _bounded("soak_s", ring.soak_s, 0, 60 * DAY_S)
    _bounded("deadline_s", ring.deadline_s, 1, 60 * DAY_S)
    if ring.at_most and ring.at_most < ring.at_least:
        raise RolloutError(f"The ring {ring.name}: at_most is less than at_least.")
    if any(one not in CLASSES for one in ring.spares):
        raise RolloutError(f"The ring {ring.name}: spares are classes of endpoint: {', '.join(CLASSES)}.")
    for name in ("unwell_percent", "silent_percent", "seen_percent"):
        _bounded(name, getattr(ring.gate, name), 0, 100)
    _bounded("unwell_allowed", ring.gate.unwell_allowed, 0, 100_000)
    _bounded("seen_s", ring.gate.seen_s, 0, 30 * DAY_S)


def _check_people(plan: Plan) -> None:
    if plan.people.reboots not in set(Reboots):
        raise RolloutError(f"people.reboots is one of: {', '.join(Reboots)}.")
    _bounded("people.warn_s", plan.people.warn_s, 0, DAY_S)
    _bounded("people.deferrals", plan.people.deferrals, 0, 20)
    _bounded("people.defer_s", plan.people.defer_s, 0, 7 * DAY_S)
    _bounded("needs.free_bytes", plan.needs.free_bytes, 0, 2**50)
    _bounded("needs.charge_percent", plan.needs.charge_percent, 0, 100)


def _ring(said: Any) -> RingPlan:
    values = _known(said, RingPlan, "a ring")
    if not {"name", "share_percent"} <= set(values):
        raise RolloutError("A ring has a name and a share_percent.")
    if "gate" in values:
        values["gate"] = Gate(**_known(values["gate"], Gate, "a gate"))
    if "spares" in values:
        values["spares"] = tuple(_listed(values["spares"], "spares"))
    return RingPlan(**values)


def _known(said: Any, kind: type, what: str) -> dict[str, Any]:
    if not isinstance(said, Mapping):
        raise RolloutError(f"{what.capitalize()} is a JSON object.")
    unknown = sorted(set(said) - set(kind.__dataclass_fields__), key=str)  # type: ignore[attr-defined]
    if unknown:
        raise RolloutError(f"{what.capitalize()} has no field “{str(unknown[0])[:60]}”.")
    return dict(said)


def _listed(said: Any, what: str) -> list[Any]:
    if not isinstance(said, list | tuple) or len(said) > 100:
        raise RolloutError(f"{what.capitalize()} is a list.")
    return list(said)


def _bounded(name: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise RolloutError(f"{name} is a whole number from {least} to {most}.")
