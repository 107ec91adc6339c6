"""Rules in words: levels and durations as a technician says them, and what two versions of a rule differ in. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from fettle_protocol import catalogue
from fettle_protocol.catalogue import Unit
from fettle_protocol.policy import Impact, Judge, Rule, Severity, Spread
from fettle_protocol.rules import Direction

from fettle_server.proactive.sentences import measured

SEVERITIES: dict[str, str] = {Severity.WATCH: "watch", Severity.ILL: "ill"}
IMPACTS: dict[str, str] = {Impact.USER: "one person", Impact.ROOM: "a room's lesson", Impact.SCHOOL: "the whole school"}
SPREADS: dict[str, str] = {
    Spread.NONE: "by itself",
    Spread.PLACE: "with others in its room or school",
    Spread.KIND: "with others of its kind: school, model, build",
}
SYSTEMS = {"windows": "Windows", "linux": "Linux", "macos": "macOS"}
NAMES = {
    "raise_level": "raise level",
    "raise_for_s": "time until it raises",
    "clear_level": "clear level",
    "clear_for_s": "time until it clears",
    "gap_s": "longest gap between readings",
    "gather_s": "time to look around",
    "severity": "severity",
    "impact": "who is hindered",
    "classes": "classes",
    "systems": "systems",
    "instances": "instances",
    "spread": "how it is told",
    "title": "title",
    "meaning": "meaning",
    "first_step": "first step",
    "source": "source",
    "topic": "topic",
    "reading": "reading",
    "direction": "direction",
    "judge": "who judges",
}
_STEPS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def duration(seconds: float) -> str:
    """A duration exactly, in at most two units: "90 seconds" is "1 minute 30 seconds"; "at once" for 0."""
    if seconds <= 0:
        return "at once"
    left, said = round(seconds), []
    for size, name in _STEPS:
        count, left = divmod(left, size)
        if count:
            said.append(f"{count} {name}" if count == 1 else f"{count} {name}s")
    return " ".join(said[:2]) if said else f"{seconds:g} seconds"


def level(rule: Rule, value: float) -> str:
    """A level of the rule's reading for people: "4 %", "yes"."""
    unit = catalogue.BY_KEY[rule.reading].unit
    if unit is Unit.YES_NO:
        return "yes" if value >= 0.5 else "no"
    return measured(value, unit)


def raises(rule: Rule) -> str:
    """When it raises: "at or below 4 % for 30 seconds"."""
    return _crossing(rule, rule.raise_level, rule.raise_for_s, is_raise=True)


def clears(rule: Rule) -> str:
    """When it clears: "at or above 6 % for 30 seconds"."""
    return _crossing(rule, rule.clear_level, rule.clear_for_s, is_raise=False)


def whom(rule: Rule) -> str:
    """Which endpoints it is for: "every class, on Windows and Linux"."""
    classes = " and ".join(rule.classes) if rule.classes else "every class"
    systems = "" if len(rule.systems) == len(SYSTEMS) else f", on {' and '.join(SYSTEMS[name] for name in rule.systems)}"
    return classes + systems


def changes(before: Rule, after: Rule) -> tuple[str, ...]:
    """What differs, a sentence each; nothing where the rules are the same."""
    said = []
    if before.enabled != after.enabled:
        said.append("It is switched on." if after.enabled else "It is switched off.")
    for name, words in NAMES.items():
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            said.append(f"The {words} is {value(after, name)} (it was {value(before, name)}).")
    return tuple(said)


def value(rule: Rule, name: str) -> str:
    """A field of the rule for people."""
    kept = getattr(rule, name)
    if name.endswith("_level"):
        return level(rule, kept)
    if name.endswith("_s"):
        return duration(kept)
    if name == "classes":
        return ", ".join(kept) or "every class"
    if name == "systems":
        return ", ".join(SYSTEMS[system] for system in kept)
    if name == "instances":
        return ", ".join(kept) or "all of them"
    return _choice(name, kept)


def _choice(name: str, kept: str) -> str:
    tables: dict[str, dict[str, str]] = {"impact": IMPACTS, "spread": SPREADS, "severity": SEVERITIES}
    if name in tables:
        return tables[name][kept]
    if name == "judge":
        return "the server" if kept == Judge.SERVER else "each agent"
    return f"“{kept}”"


def _crossing(rule: Rule, edge: float, for_s: float, *, is_raise: bool) -> str:
    if catalogue.BY_KEY[rule.reading].unit is Unit.YES_NO:
        where = f"when the answer is {level(rule, edge)}"
    else:
        is_above = (rule.direction is Direction.ABOVE) == is_raise
        where = f"at or {'above' if is_above else 'below'} {level(rule, edge)}"
    return f"{where}, at once" if for_s <= 0 else f"{where} for {duration(for_s)}"


def listed(words: Iterable[str]) -> str:
    """Words as a list in a sentence: "a, b and c"."""
    *first, last = list(words) or [""]
    return f"{', '.join(first)} and {last}" if first else last
