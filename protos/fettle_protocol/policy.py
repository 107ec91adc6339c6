"""The policy: the numbered set of rules that the server gives to its agents, as JSON both sides read the same way.

Owns the format and its validation. Does not own the rules that ship (the server's data) nor their folding (rules.step).
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from fettle_protocol import catalogue
from fettle_protocol.rules import Direction, Levels

MAX_PLAIN_BYTES = 256 * 1024
MAX_RULES = 500
SYSTEMS = ("windows", "linux", "macos")


class PolicyError(ValueError):
    """A policy that cannot be used; the message names the rule and the field."""


class Severity(StrEnum):
    """What a fault makes of its endpoint."""

    WATCH = "watch"
    ILL = "ill"


class Impact(StrEnum):
    """How many are hindered while the fault lasts: one user, a room's lesson, the school."""

    USER = "user"
    ROOM = "room"
    SCHOOL = "school"


class EndpointClass(StrEnum):
    """What kind of machine an endpoint is, which decides when it is expected to be on."""

    FIXED = "fixed suite"
    TROLLEY = "trolley"
    STAFF_LAPTOP = "staff laptop"
    SERVER = "server"
    LOAN = "loan"


CLASSES: tuple[EndpointClass, ...] = tuple(EndpointClass)


class Spread(StrEnum):
    """How a rule's fault is shared where machines have one cause, so that the server looks around before it speaks.

    PLACE: by room and school, as a lost network or power is. KIND: by what machines have in common, as a service that an
    update broke is: school, model, build, the whole estate.
    """

    NONE = ""
    PLACE = "place"
    KIND = "kind"


class Judge(StrEnum):
    """Who folds the rule: each agent its own readings, or the server what only it can see."""

    AGENT = "agent"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when a reading is a fault, and what that means to people.

    `topic` joins faults of one endpoint that have one cause into one incident. `title` is a sentence with {instance} in it
    where the reading has instances. `instances` are glob patterns; empty: all. `gap_s` as in rules.Levels.
    The fields of SERVER_FIELDS are the server's business and never travel: which classes of endpoint the rule is for (empty:
    all), who judges it, whether it is switched on, how its fault spreads and how long to look around before it is told.
    """

    key: str
    reading: str
    direction: Direction
    raise_level: float
    raise_for_s: float
    clear_level: float
    clear_for_s: float
    severity: Severity
    impact: Impact
    topic: str
    title: str
    meaning: str
    first_step: str
    source: str = ""
    gap_s: float = 900
    systems: tuple[str, ...] = SYSTEMS
    instances: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    judge: Judge = Judge.AGENT
    enabled: bool = True
    spread: Spread = Spread.NONE
    gather_s: float = 0

    @property
    def levels(self) -> Levels:
        """The part that the step function folds."""
        return Levels(
            direction=self.direction,
            raise_level=self.raise_level,
            raise_for_ms=round(self.raise_for_s * 1000),
            clear_level=self.clear_level,
            clear_for_ms=round(self.clear_for_s * 1000),
            gap_ms=round(self.gap_s * 1000),
        )

    def applies_to(self, system: str, instance: str) -> bool:
        """True where the rule judges this instance on this operating system."""
        return system in self.systems and (not self.instances or any(fnmatchcase(instance, glob) for glob in self.instances))


SERVER_FIELDS = frozenset({"classes", "judge", "enabled", "spread", "gather_s"})


@dataclass(frozen=True, slots=True)
class Policy:
    """A numbered set of rules, and which services each operating system should have running.

    `services` maps "windows", "linux", "macos" to names; an agent watches those that are installed and start by themselves.
    """

    version: int
    rules: tuple[Rule, ...] = ()
    services: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def rule(self, key: str) -> Rule | None:
        """The rule of that key, or None."""
        return next((rule for rule in self.rules if rule.key == key), None)


def for_agents(policy: Policy, endpoint_class: str = "") -> Policy:
    """The part that agents of that class judge by: rules that are on and theirs, without the server's own fields."""
    rules = (
        dataclasses.replace(rule, classes=(), spread=Spread.NONE, gather_s=0)
        for rule in policy.rules
        if rule.enabled and rule.judge is Judge.AGENT and (not rule.classes or endpoint_class in ("", *rule.classes))
    )
    return dataclasses.replace(policy, rules=tuple(rules))


def encode(policy: Policy) -> bytes:
    """The policy as zlib-compressed JSON, as it travels and as both sides keep it."""
    return zlib.compress(json.dumps(to_mapping(policy), sort_keys=True, separators=(",", ":")).encode())


def decode(packed: bytes) -> Policy:
    """The policy in those bytes.

    Raises:
        PolicyError: not zlib, not JSON, too large, or a rule that fails validation.
    """
    try:
        plain = zlib.decompressobj().decompress(packed, MAX_PLAIN_BYTES + 1)
        if len(plain) > MAX_PLAIN_BYTES:
            raise PolicyError(f"the policy is over {MAX_PLAIN_BYTES} bytes")
        document = json.loads(plain)
    except (zlib.error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PolicyError(f"the policy cannot be read: {error}") from error
    return from_mapping(document)


def digest(packed: bytes) -> int:
    """A 32-bit check of the encoded policy, to see that agent and server hold the same one."""
    return zlib.crc32(packed)


def to_mapping(policy: Policy) -> dict[str, Any]:
    """The policy as plain JSON values."""
    return {
        "version": policy.version,
        "rules": [_row(rule) for rule in policy.rules],
        "services": {system: list(names) for system, names in policy.services.items()},
    }


def _row(rule: Rule) -> dict[str, Any]:
    """Plain values; a field of the server's that stands at its default is left out, so agents of any age read the rest."""
    row = {name: getattr(rule, name) for name in Rule.__dataclass_fields__}
    row |= {"systems": list(rule.systems), "instances": list(rule.instances), "classes": list(rule.classes)}
    usual = {"classes": [], "judge": Judge.AGENT, "enabled": True, "spread": Spread.NONE, "gather_s": 0}
    return {name: value for name, value in row.items() if name not in usual or value != usual[name]}


def from_mapping(document: Any) -> Policy:
    """The policy that those plain values (JSON or TOML) say.

    Raises:
        PolicyError: a missing or unknown field, an unknown reading, impossible levels, two rules of one key.
    """
    if not isinstance(document, dict) or not isinstance(document.get("version"), int) or document["version"] < 1:
        raise PolicyError("a policy is an object with a version of 1 or more")
    rows = document.get("rules", [])
    if not isinstance(rows, list) or len(rows) > MAX_RULES:
        raise PolicyError(f"rules must be a list of at most {MAX_RULES}")
    rules = tuple(_rule(row) for row in rows)
    keys = [rule.key for rule in rules]
    doubled = sorted({key for key in keys if keys.count(key) > 1})
    if doubled:
        raise PolicyError(f"two rules share a key: {', '.join(doubled)}")
    return Policy(version=document["version"], rules=rules, services=_services(document.get("services", {})))


def _services(value: Any) -> dict[str, tuple[str, ...]]:
    well_formed = isinstance(value, dict) and all(
        system in SYSTEMS and isinstance(names, list) and all(isinstance(name, str) for name in names)
        for system, names in value.items()
    )
    if not well_formed:
        raise PolicyError(f"services must map {', '.join(SYSTEMS)} to lists of names")
    return {system: tuple(names) for system, names in value.items()}


_TEXTS = ("key", "reading", "topic", "title", "meaning", "first_step")
_NUMBERS = ("raise_level", "raise_for_s", "clear_level", "clear_for_s")


def _rule(row: Any) -> Rule:
    if not isinstance(row, dict):
        raise PolicyError("a rule must be an object")
    name = row.get("key", "a rule without a key")
    unknown = sorted(set(row) - set(Rule.__dataclass_fields__))
    if unknown:
        raise PolicyError(f"{name}: unknown field {unknown[0]}")
    for text in _TEXTS:
        if not isinstance(row.get(text), str) or not row[text].strip():
            raise PolicyError(f"{name}: {text} must be text")
    for number in (*_NUMBERS, *(name for name in ("gap_s", "gather_s") if name in row)):
        if not isinstance(row.get(number), int | float) or isinstance(row[number], bool):
            raise PolicyError(f"{name}: {number} must be a number")
    if row["reading"] not in catalogue.BY_KEY:
        raise PolicyError(f"{name}: there is no reading {row['reading']} in the catalogue")
    try:
        rule = Rule(
            **{
                key: value
                for key, value in row.items()
                if key not in ("direction", "severity", "impact", "systems", "instances", "classes", "judge", "spread")
            },
            direction=Direction(row.get("direction", "")),
            severity=Severity(row.get("severity", "")),
            impact=Impact(row.get("impact", "")),
            systems=tuple(row.get("systems", SYSTEMS)),
            instances=tuple(row.get("instances", ())),
            classes=tuple(EndpointClass(name).value for name in row.get("classes", ())),
            judge=Judge(row.get("judge", Judge.AGENT)),
            spread=Spread(row.get("spread", Spread.NONE)),
        )
        _ = rule.levels
    except (TypeError, ValueError) as error:
        raise PolicyError(f"{name}: {error}") from error
    if not set(rule.systems) <= set(SYSTEMS) or not all(isinstance(glob, str) for glob in rule.instances):
        raise PolicyError(f"{name}: systems must be among {', '.join(SYSTEMS)}, and instances must be text")
    if not isinstance(rule.enabled, bool) or rule.gather_s < 0:
        raise PolicyError(f"{name}: enabled must be yes or no, and gather_s must not be negative")
    return rule
