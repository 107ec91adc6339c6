"""What may be changed of a rule, what two versions of the book differ in, and how a shipped one is merged with people's. Pure.

Every refusal is a sentence for the person who edits.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fettle_protocol import catalogue, policy
from fettle_protocol.policy import MAX_RULES, Judge, Policy, PolicyError, Rule
from fettle_protocol.rules import Direction

from fettle_server.proactive.rulebook import words

EDITABLE = (
    "enabled", "raise_level", "raise_for_s", "clear_level", "clear_for_s", "gap_s", "severity", "impact", "classes", "systems",
    "instances", "spread", "gather_s", "title", "meaning", "first_step", "source",
)  # fmt: skip
"""What people may change of a rule that ships; of a rule of their own also what it looks at (ONLY_OWN)."""
ONLY_OWN = ("reading", "direction", "topic")

LONGEST_S = 60 * 86_400.0
LONGEST_LOOK_S = 86_400.0
WHY_LIMIT = 500
TEXT_LIMITS = {"title": 200, "meaning": 500, "first_step": 500, "source": 300}
OWN_PREFIX = "own-"
_KEY = re.compile(r"own-[a-z0-9][a-z0-9-]{1,60}")
_TOPIC = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
SERVICES = "(services)"


class RuleBookError(Exception):
    """An edit that cannot be; `problems` are sentences, each about one field ("" where about none)."""

    def __init__(self, problems: Mapping[str, str] | str) -> None:
        self.problems = {"": problems} if isinstance(problems, str) else dict(problems)
        super().__init__(" ".join(self.problems.values()))


class NoSuchRule(RuleBookError):
    """There is no rule of that key, or no version of that number."""


class Overtaken(RuleBookError):
    """Somebody else changed the same rule meanwhile; the message says what."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What somebody wants changed of a rule, why, and the version that they saw (None: whatever is in force)."""

    why: str
    seen_version: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One rule between two versions: "added", "removed" or "changed", and what in words."""

    key: str
    title: str
    kind: str
    words: tuple[str, ...]


def edited(rule: Rule, changes: Mapping[str, Any]) -> Rule:
    """The rule with those fields changed.

    Raises:
        RuleBookError: a field may not be changed, or the rule would not hold together.
    """
    allowed = (*EDITABLE, *ONLY_OWN) if is_own(rule.key) else EDITABLE
    foreign = sorted(set(changes) - set(allowed))
    if foreign:
        raise RuleBookError({foreign[0]: f"The {words.NAMES.get(foreign[0], foreign[0])} of this rule cannot be changed."})
    row = policy.to_mapping(Policy(1, (rule,)))["rules"][0] | {name: _plain(value) for name, value in changes.items()}
    return made(row)


def made(row: Mapping[str, Any]) -> Rule:
    """The rule of those plain values.

    Raises:
        RuleBookError: it does not hold together; a sentence for each field that is wrong.
    """
    try:
        rule = policy.from_mapping({"version": 1, "rules": [dict(row)]}).rules[0]
    except (PolicyError, TypeError) as error:
        problems = _early(row)
        raise RuleBookError(problems or f"The rule does not hold together: {error}.") from error
    problems = _levels(rule) | _durations(rule) | _texts(rule) | _scope(rule)
    if problems:
        raise RuleBookError(problems)
    return rule


def added(whole: Policy, row: Mapping[str, Any]) -> Rule:
    """A new rule of people's own for that policy.

    Raises:
        RuleBookError: its key is taken or not of the form own-..., or it does not hold together.
    """
    key = str(row.get("key", ""))
    if not _KEY.fullmatch(key):
        raise RuleBookError({"key": "A rule of your own is called own-… in lower-case letters, digits and hyphens."})
    if whole.rule(key):
        raise RuleBookError({"key": f"There is a rule {key} already."})
    if len(whole.rules) >= MAX_RULES:
        raise RuleBookError(f"A rule book has at most {MAX_RULES} rules.")
    rule = made(row)
    if rule.judge is Judge.SERVER or catalogue.BY_KEY[rule.reading].number >= catalogue.FIRST_OF_SERVER:
        raise RuleBookError({"reading": "Only an agent's reading can have a rule of your own."})
    return rule


def is_own(key: str) -> bool:
    """True for a rule that people added."""
    return key.startswith(OWN_PREFIX)


def reason(why: str) -> str:
    """The reason without surrounding blanks.

    Raises:
        RuleBookError: none was given, or it is too long.
    """
    why = " ".join(why.split())
    if not 3 <= len(why) <= WHY_LIMIT:
        raise RuleBookError({"why": f"Say why in 3 to {WHY_LIMIT} characters: the next person will ask."})
    return why


def replaced(whole: Policy, rule: Rule) -> Policy:
    """The policy with that rule in place of its namesake, or at the end."""
    if whole.rule(rule.key) is None:
        return dataclasses.replace(whole, rules=(*whole.rules, rule))
    return dataclasses.replace(whole, rules=tuple(rule if one.key == rule.key else one for one in whole.rules))


def without(whole: Policy, key: str) -> Policy:
    """The policy without that rule."""
    return dataclasses.replace(whole, rules=tuple(rule for rule in whole.rules if rule.key != key))


def diff(before: Policy, after: Policy) -> tuple[Change, ...]:
    """What changed from one version to the other, in the order of the newer one; rules that went come last."""
    old = {rule.key: rule for rule in before.rules}
    found = []
    for rule in after.rules:
        was = old.pop(rule.key, None)
        if was is None:
            found.append(Change(rule.key, rule.title, "added", (f"It raises {words.raises(rule)}.",)))
        elif was != rule:
            found.append(Change(rule.key, rule.title, "changed", words.changes(was, rule)))
    found += [Change(rule.key, rule.title, "removed", ()) for rule in old.values()]
    if before.services != after.services:
        found.append(Change(SERVICES, "Services that should be running", "changed", _services(before, after)))
    return tuple(found)


def owned(whole: Policy, shipped: Policy) -> tuple[str, ...]:
    """The keys of what people made differ from what ships: changed, added and removed rules."""
    return tuple(change.key for change in diff(shipped, whole))


def merged(present: Policy, own: frozenset[str], shipped: Policy) -> Policy:
    """The shipped policy, but with what people changed as they left it; of the present one's version."""
    theirs = {rule.key: rule for rule in present.rules if rule.key in own}
    rules = [theirs.pop(rule.key, rule) for rule in shipped.rules if rule.key not in own or rule.key in theirs]
    services = present.services if SERVICES in own else shipped.services
    return Policy(present.version, (*rules, *theirs.values()), services)


def own_of_old(present: Policy, shipped: Policy) -> frozenset[str]:
    """What counts as people's in a policy of theirs that does not say so itself: every rule that differs from the shipped."""
    return frozenset(change.key for change in diff(shipped, present) if change.kind != "removed")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _early(row: Mapping[str, Any]) -> dict[str, str]:
    """What a person can mend of a rule that cannot even be made."""
    problems = {}
    for name in ("raise_level", "clear_level", "raise_for_s", "clear_for_s", "gap_s", "gather_s"):
        given = row.get(name, 0)
        if not isinstance(given, int | float) or isinstance(given, bool):
            problems[name] = f"The {words.NAMES[name]} must be a number."
    for name in ("title", "meaning", "first_step"):
        if not str(row.get(name) or "").strip():
            problems[name] = f"The {words.NAMES[name]} must not be empty."
    if row.get("reading") not in catalogue.BY_KEY:
        problems["reading"] = "There is no such reading."
    if problems:
        return problems
    return _sides(row)


def _sides(row: Mapping[str, Any]) -> dict[str, str]:
    high, low = float(row["raise_level"]), float(row["clear_level"])
    if row.get("direction") == Direction.ABOVE and low > high:
        return {"clear_level": "The clear level must lie below the raise level: else it would be a fault and well at once."}
    if row.get("direction") == Direction.BELOW and low < high:
        return {"clear_level": "The clear level must lie above the raise level: else it would be a fault and well at once."}
    return {}


def _levels(rule: Rule) -> dict[str, str]:
    spec, problems = catalogue.BY_KEY[rule.reading], {}
    for name in ("raise_level", "clear_level"):
        if not spec.admits(getattr(rule, name)):
            low, high = words.level(rule, spec.low), words.level(rule, spec.high)
            problems[name] = f"The {words.NAMES[name]} must lie from {low} to {high}: no other reading can come."
    if rule.raise_level == rule.clear_level:
        problems["clear_level"] = "The clear level must differ from the raise level, so that a trembling reading does not flap."
    return problems


def _durations(rule: Rule) -> dict[str, str]:
    problems = {}
    for name, longest in (
        ("raise_for_s", LONGEST_S),
        ("clear_for_s", LONGEST_S),
        ("gap_s", LONGEST_S),
        ("gather_s", LONGEST_LOOK_S),
    ):
        if not 0 <= getattr(rule, name) <= longest:
            problems[name] = f"The {words.NAMES[name]} must lie from 0 to {words.duration(longest)}."
    if rule.gap_s < 60:
        problems["gap_s"] = "The longest gap between readings must be at least a minute: some readings come no more often."
    return problems


def _texts(rule: Rule) -> dict[str, str]:
    problems = {
        name: f"The {words.NAMES[name]} must have at most {limit} characters."
        for name, limit in TEXT_LIMITS.items()
        if len(getattr(rule, name)) > limit
    }
    if "{instance}" in rule.title and not catalogue.BY_KEY[rule.reading].instance:
        problems["title"] = "There is only one of this reading, so {instance} in the title would stay empty."
    if not rule.source.strip():
        problems["source"] = "Say where the numbers come from: the next person will ask."
    if not _TOPIC.fullmatch(rule.topic):
        problems["topic"] = "A topic is lower-case letters, digits and hyphens."
    return problems


def _scope(rule: Rule) -> dict[str, str]:
    problems = {}
    if not rule.systems:
        problems["systems"] = "Name at least one system, or switch the rule off."
    if any(not glob.strip() or len(glob) > 120 for glob in rule.instances) or len(rule.instances) > 50:
        problems["instances"] = "At most 50 patterns of instances, each of 1 to 120 characters."
    return problems


def _services(before: Policy, after: Policy) -> tuple[str, ...]:
    said = []
    for system, name in words.SYSTEMS.items():
        old, new = set(before.services.get(system, ())), set(after.services.get(system, ()))
        if new - old:
            said.append(f"{name}: watches {words.listed(sorted(new - old))}.")
        if old - new:
            said.append(f"{name}: no longer watches {words.listed(sorted(old - new))}.")
    return tuple(said)


def taken_over(document: Any, whole: Policy) -> Policy:
    """The policy of an exported document; rules that the server judges stay where the document leaves them out.

    Raises:
        RuleBookError: it cannot be read, or a rule of it does not hold together.
    """
    if not isinstance(document, Mapping) or not document.get("rules"):
        raise RuleBookError("The file is no rule book: it has no rules.")
    try:
        given = policy.from_mapping({**document, "version": max(whole.version, 1)})
    except (PolicyError, TypeError) as error:
        raise RuleBookError(f"The file is no rule book: {error}.") from error
    problems = {}
    for rule in given.rules:
        found = _levels(rule) | _durations(rule) | _texts(rule) | _scope(rule)
        if found:
            problems[rule.key] = f"{rule.key}: {' '.join(found.values())}"
        present = whole.rule(rule.key)
        if present is not None and (present.reading, present.judge) != (rule.reading, rule.judge):
            problems[rule.key] = f"{rule.key}: what it looks at and who judges it cannot be changed."
        elif present is None and rule.judge is Judge.SERVER:
            problems[rule.key] = f"{rule.key}: the server does not know how to judge it."
    if problems:
        raise RuleBookError(problems)
    names = {rule.key for rule in given.rules}
    kept = tuple(rule for rule in whole.rules if rule.judge is Judge.SERVER and rule.key not in names)
    return dataclasses.replace(given, rules=(*given.rules, *kept))
