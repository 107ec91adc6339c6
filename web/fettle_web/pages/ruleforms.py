"""The form of a rule: what its fields show, and what was entered in them. Owns no rule of its own: rulebook.rules judges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fettle_protocol import catalogue
from fettle_protocol.catalogue import Unit
from fettle_protocol.policy import Rule
from fettle_server.proactive.rulebook import rules, words
from werkzeug.datastructures import MultiDict

UNITS = {"s": (1, "seconds"), "min": (60, "minutes"), "h": (3600, "hours"), "d": (86_400, "days")}
DURATIONS = ("raise_for_s", "clear_for_s", "gap_s", "gather_s")
LEVELS = ("raise_level", "clear_level")
_PLAIN = ("severity", "impact", "spread", "title", "meaning", "first_step", "source")
_SCALES = {Unit.BYTES: (1e6, "MB"), Unit.BYTES_PER_SECOND: (1e6, "MB/s"), Unit.PER_HOUR: (1, "an hour"), Unit.COUNT: (1, "")}

Fields = dict[str, Any]


def shown(rule: Rule) -> Fields:
    """What the form's fields hold for a rule."""
    scale, _ = scale_of(rule.reading)
    fields: Fields = {
        name: getattr(rule, name) for name in (*_PLAIN, "enabled", "classes", "systems", "reading", "topic", "key")
    }
    fields |= {name: f"{getattr(rule, name) / scale:g}" for name in LEVELS}
    for name in DURATIONS:
        fields[name], fields[f"{name}_unit"] = _split(getattr(rule, name))
    return fields | {"instances": "\n".join(rule.instances), "direction": rule.direction, "why": ""}


def entered(form: MultiDict[str, str]) -> Fields:
    """What was entered, as it is, to be shown again."""
    fields: Fields = {name: form.get(name, "") for name in (*_PLAIN, *LEVELS, "instances", "why", "reading", "topic", "key")}
    for name in DURATIONS:
        fields[name], fields[f"{name}_unit"] = form.get(name, ""), form.get(f"{name}_unit", "s")
    many: Fields = {name: tuple(form.getlist(name)) for name in ("classes", "systems")}
    return fields | many | {"enabled": "enabled" in form, "direction": form.get("direction", "")}


def changes(fields: Mapping[str, Any], rule: Rule) -> dict[str, Any]:
    """The fields that differ from the rule, as values for rulebook.rules.

    Raises:
        RuleBookError: a number cannot be read.
    """
    scale, _ = scale_of(rule.reading)
    problems: dict[str, str] = {}
    wanted: dict[str, Any] = {name: str(fields[name]).strip() for name in _PLAIN} | {"enabled": bool(fields["enabled"])}
    for name in LEVELS:
        wanted[name] = _number(str(fields[name]), name, problems) * scale
    for name in DURATIONS:
        size, _ = UNITS.get(str(fields[f"{name}_unit"]), (1, ""))
        wanted[name] = _number(str(fields[name]), name, problems) * size
    if problems:
        raise rules.RuleBookError(problems)
    wanted |= {"classes": tuple(fields["classes"]), "systems": tuple(fields["systems"])}
    wanted["instances"] = tuple(line.strip() for line in str(fields["instances"]).splitlines() if line.strip())
    return {name: value for name, value in wanted.items() if value != getattr(rule, name)}


def scale_of(reading: str) -> tuple[float, str]:
    """By what a reading's level is divided in the form, and what stands behind it."""
    spec = catalogue.BY_KEY.get(reading)
    unit = spec.unit if spec else Unit.COUNT
    return _SCALES.get(unit, (1, unit.value))


def _split(seconds: float) -> tuple[str, str]:
    """A duration in the largest unit that it fills."""
    for short, (size, _) in reversed(UNITS.items()):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}", short
    return f"{seconds:g}", "s"


def _number(text: str, name: str, problems: dict[str, str]) -> float:
    try:
        value = float(text.replace(",", ".").strip())
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        problems[name] = f"The {words.NAMES[name]} must be a number."
        return 0.0
    return value
