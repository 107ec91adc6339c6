"""What the server itself decides about faults: its own rule for clashing identities, titles, and what they make of things.

Pure. The rules that agents fold are data (policy.toml); this module only reads them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

from fettle_protocol import catalogue
from fettle_protocol.policy import Impact, Policy, Rule

CLASH = "identity-clash"
CLASH_QUIET = dt.timedelta(hours=1)
"""How long no second machine must have shown itself until a clash counts as over."""

ABSENT = "absent"
"""Expected and not heard of: proactive.presence judges it."""

FORECASTS = frozenset(
    {
        "disk-will-fill", "battery-wearing", "ssd-wearing", "sectors-growing", "memory-leak", "sign-in-slower", "boot-slower",
        "temperature-creeping", "warranty-ending", "certificate-ending",
    }
)  # fmt: skip
"""What is coming, not what is: of low urgency, and an endpoint that has nothing else is well."""

SERVER_RULES = frozenset({CLASH, ABSENT, "evidence-old", "proof-silent"}) | FORECASTS
"""Rules that no agent may raise or clear: the server judges them."""

TEST = "test"
"""The topic of faults that prove that alerts work."""

TITLE_LIMIT = 300
_INSTANCE = "{instance}"

Evidence = list[tuple[int, float]]
"""Readings around a crossing: milliseconds since the epoch, value."""


class Raise(NamedTuple):
    """An endpoint says that a fault began. Times are milliseconds since the epoch, checked; `adjusted`: not as it said."""

    at_ms: int
    rule: str
    instance: str
    severity: str
    value: float
    since_ms: int
    evidence: Evidence
    policy_version: int
    detail: str
    adjusted: bool
    hold_ms: int = 0
    """Of a fault that the server judges: look around for its cause at least until then before it is told by itself."""


class Clear(NamedTuple):
    """An endpoint says that a fault is over, and why."""

    at_ms: int
    rule: str
    instance: str
    reason: str
    value: float
    since_ms: int
    evidence: Evidence
    adjusted: bool


class Held(NamedTuple):
    """Everything that an endpoint holds open, (rule, instance) each, from one that has nothing left to tell."""

    at_ms: int
    faults: frozenset[tuple[str, str]]


Signal = Raise | Clear | Held

RECOVERED, GONE, WITHDRAWN = "recovered", "gone", "policy"
RECONCILED, SETTLED, REVOKED = "reconciled", "settled", "revoked"
"""Why a fault was cleared. The first three are an agent's words. "settled": no further clash was seen; "revoked": its endpoint
was, so nobody can say any more that it is over."""
AGENT_REASONS = frozenset({RECOVERED, GONE, WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Standing:
    """What a fault means to people: the topic that joins it to an incident, whom it hinders, and its title."""

    topic: str
    impact: str
    title: str


def standing(policy: Policy | None, rule: str, instance: str, endpoint: str) -> Standing:
    """What a fault of that rule means; where the policy no longer has the rule, its key stands for all.

    `instance` and `endpoint` come from machines: they are put in as they are, never used as a format.
    """
    if rule == CLASH:
        return Standing("identity", Impact.USER, f"Two machines use the identity of {endpoint}"[:TITLE_LIMIT])
    known = policy.rule(rule) if policy else None
    if known is None:
        return Standing(rule, Impact.USER, (f"{rule} ({instance})" if instance else rule)[:TITLE_LIMIT])
    return Standing(known.topic, known.impact, title(known, instance))


def title(rule: Rule, instance: str) -> str:
    """The rule's sentence about that instance; about any, where none is named."""
    if instance or _INSTANCE not in rule.title:
        return rule.title.replace(_INSTANCE, instance)[:TITLE_LIMIT].strip()
    if rule.title.startswith(_INSTANCE):
        return rule.title.replace(_INSTANCE, f"A {catalogue.BY_KEY[rule.reading].instance}")
    return rule.title.replace(f" of {_INSTANCE}", "").replace(f" {_INSTANCE}", "")
