"""From facts to an explanation: chains of sentences, and how each rule stands. Pure: no store, no clock.

Sentences say how long, never at what o'clock: the server does not know where its reader's clock stands. A step's own time goes
beside it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fettle_protocol import catalogue
from fettle_protocol.catalogue import Unit
from fettle_protocol.policy import Judge, Rule
from fettle_protocol.rules import Direction

from fettle_server.proactive.explain.views import Chain, Countdown, Kind, RuleLine, Standing, Step
from fettle_server.proactive.rules import title
from fettle_server.proactive.sentences import length, measured

OVERDUE = dt.timedelta(seconds=90)
"""A countdown that ended so long ago was not what happened: nothing more is known of it."""
STALE = dt.timedelta(minutes=11)
"""Older than two beats of vitals, durations under way are no longer believed."""
_SYSTEMS = {"windows": "Windows", "linux": "Linux", "macos": "macOS"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides which rules a PC has. `failing` names its collectors that fail."""

    system: str
    endpoint_class: str
    failing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """The newest value of one reading."""

    instance: str
    value: float


@dataclass(frozen=True, slots=True)
class Way:
    """A fault and all that became of it. `stage` is empty where nothing holds it back; `trail` as the store keeps it."""

    title: str
    rule: Rule | None
    key: str
    instance: str
    severity: str
    value: float
    since_at: dt.datetime
    raised_at: dt.datetime
    cleared_at: dt.datetime | None
    stage: str
    stage_reason: str
    held_until: dt.datetime | None
    trail: Sequence[Mapping[str, Any]]
    incident: Case | None


@dataclass(frozen=True, slots=True)
class Case:
    """The incident that a fault belongs to, and who has it."""

    number: int
    title: str
    state: str
    priority: int
    scope: str
    opened_at: dt.datetime
    acknowledged_at: dt.datetime | None
    resolved_at: dt.datetime | None
    assignee: str
    merged_into: int | None
    quiet_until: dt.datetime | None
    is_test: bool
    open_faults: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What one route did about an incident."""

    at: dt.datetime
    kind: str
    channel: str
    outcome: str
    text: str


def chain(way: Way, names: Mapping[str, str], now: dt.datetime) -> Chain:
    """The way of a fault: reading, rule, fault, stages, incident, person. `names` are the stages' names for people."""
    steps = [*_seen(way), *_stages(way, names, now), *_incident(way.incident, now)]
    state = way.severity if way.cleared_at is None else "well"
    return Chain(way.title, state, way.key, way.instance, way.incident.number if way.incident else None, tuple(steps))


def messages(way: Way, told: Sequence[Told], names: Mapping[str, str], now: dt.datetime, *, is_configured: bool) -> Chain:
    """Who was told of a fault, and where nobody was, what stood in between."""
    steps = list(_stages(way, names, now))
    if way.incident is None:
        if not way.stage:
            steps.append(Step(Kind.INCIDENT, "It has no incident, so there was nothing to tell."))
    else:
        steps += _incident(way.incident, now)[:1]
        steps += [_notice(one) for one in told]
        if not told:
            steps.append(Step(Kind.NOTICE, _nobody(way.incident, is_configured=is_configured)))
    state = way.severity if way.cleared_at is None else "well"
    return Chain(way.title, state, way.key, way.instance, way.incident.number if way.incident else None, tuple(steps))


def lines(
    rules: Iterable[Rule],
    machine: Machine,
    values: Mapping[str, Sequence[Value]],
    countdowns: Mapping[tuple[str, str], Countdown],
    raised: frozenset[tuple[str, str]],
) -> tuple[RuleLine, ...]:
    """How every rule stands with that machine, those that say most first; `values` by reading, `raised` (rule, instance)."""
    found = [line for rule in rules for line in _lines(rule, machine, values, countdowns, raised)]
    order = {standing: place for place, standing in enumerate(Standing)}
    return tuple(sorted(found, key=lambda line: (order[line.standing], line.title, line.instance)))


def countdown(rule: Rule, instance: str, since: dt.datetime, *, clearing: bool) -> Countdown:
    """What happens when the duration under way is over."""
    lasts = dt.timedelta(seconds=rule.clear_for_s if clearing else rule.raise_for_s)
    return Countdown(
        rule.key, title(rule, instance), instance, clearing, since, since + lasts, condition(rule, clearing=clearing)
    )


def condition(rule: Rule, *, clearing: bool) -> str:
    """What must go on: "it stays above 90 %"."""
    unit = catalogue.BY_KEY[rule.reading].unit
    if unit is Unit.YES_NO:
        return "it stays so"
    above = (rule.direction is Direction.ABOVE) is not clearing
    return f"it stays {'above' if above else 'below'} {measured(rule.clear_level if clearing else rule.raise_level, unit)}"


def counts_down(one: Countdown, read_at: dt.datetime, now: dt.datetime) -> bool:
    """True while a countdown may be shown: it was told not long ago, and its end is not long past."""
    return now - read_at <= STALE and now - one.ends_at <= OVERDUE


def reads(value: float, unit: Unit) -> str:
    """A reading in words; "yes" or "no" where it is one of the two."""
    return measured(value, unit) or ("yes" if value else "no")


def _seen(way: Way) -> list[Step]:
    rule = way.rule
    if rule is None:
        text = f"The rule {way.key} is no longer in the rule book, so its fault is told as it came."
        return [Step(Kind.RULE, text), _began(way)]
    spec = catalogue.BY_KEY[rule.reading]
    what = spec.sentence.rstrip(".")
    subject = f"{what} ({way.instance})" if way.instance else what
    reading = f"{subject}: {reads(way.value, spec.unit)} when the fault was raised."
    return [Step(Kind.READING, reading, way.since_at), Step(Kind.RULE, f"{_says(rule, way.title)}", None), _began(way)]


def _says(rule: Rule, name: str) -> str:
    unit = catalogue.BY_KEY[rule.reading].unit
    whose = "the server" if rule.judge is Judge.SERVER else "the PC itself"
    raised = f"{_from(rule.raise_level, unit)}{_lasting(rule.raise_for_s)}"
    cleared = f"{_from(rule.clear_level, unit)}{_lasting(rule.clear_for_s)}"
    makes = "ill" if rule.severity == "ill" else "one to watch"
    return (
        f"The rule “{name}”, judged by {whose}, makes that a fault {raised}, and well again {cleared}. "
        f"Its fault makes a PC {makes}."
    )


def _from(level: float, unit: Unit) -> str:
    return f"when it is “{reads(level, unit)}”" if unit is Unit.YES_NO else f"from {reads(level, unit)}"


def _lasting(seconds: float) -> str:
    return f" for {length(dt.timedelta(seconds=seconds))}" if seconds >= 1 else ""


def _began(way: Way) -> Step:
    if way.cleared_at is None:
        return Step(Kind.FAULT, "The fault was raised, and is open.", way.raised_at, way.severity)
    lasted = length(way.cleared_at - way.since_at)
    return Step(Kind.FAULT, f"The fault was raised, and was over after {lasted}.", way.raised_at, "well")


def _stages(way: Way, names: Mapping[str, str], now: dt.datetime) -> list[Step]:
    steps = [_passed(entry, names) for entry in way.trail if entry.get("to_ms") is not None]
    if not way.stage:
        return steps or [Step(Kind.STAGE, "No stage held it back.")]
    by = _by(names.get(way.stage, way.stage), way.stage_reason)
    if way.cleared_at is not None:
        text = f"It was held back until it was over{by}."
        return [*steps, Step(Kind.STAGE, text, way.cleared_at)]
    until = ""
    if way.held_until is not None:
        left = way.held_until - now
        until = (
            f", for {length(left)} more at most" if left > dt.timedelta(seconds=1) else ", and is about to be looked at again"
        )
    return [*steps, Step(Kind.STAGE, f"It is held back{until}{by}.", None, "held")]


def _passed(entry: Mapping[str, Any], names: Mapping[str, str]) -> Step:
    stage, reason = str(entry.get("stage", "")), str(entry.get("reason", "")).rstrip(".")
    begun = dt.datetime.fromtimestamp(int(entry.get("from_ms", 0)) / 1000, dt.UTC)
    ended = dt.datetime.fromtimestamp(int(entry["to_ms"]) / 1000, dt.UTC)
    by = _by(names.get(stage, stage), reason)
    if ended <= begun:
        return Step(Kind.STAGE, f"It joined what people know already{by}.", begun)
    return Step(Kind.STAGE, f"It was held back for {length(ended - begun)}{by}.", begun)


def _by(name: str, reason: str) -> str:
    """The stage and its reason, told once where the reason begins with the stage's name."""
    told = reason if reason.lower().startswith(name.lower()) else f"{name}: {reason}"
    return f". {told[:1].upper()}{told[1:]}"


def _incident(case: Case | None, now: dt.datetime) -> list[Step]:
    if case is None:
        return []
    wide = "" if case.scope == "endpoint" else f", whose cause is the {case.scope}"
    proof = " It is a test." if case.is_test else ""
    text = f"Incident {case.number} “{case.title}”{wide}, has priority {case.priority} and is {case.state}.{proof}"
    steps = [Step(Kind.INCIDENT, text, case.opened_at, incident=case.number)]
    if case.merged_into is not None:
        text = f"It became part of incident {case.merged_into}, which has the same cause."
        steps.append(Step(Kind.INCIDENT, text, incident=case.merged_into))
    if case.quiet_until is not None and case.resolved_at is None:
        left = length(max(case.quiet_until - now, dt.timedelta(0)))
        text = f"Its fault comes and goes: it resolves by itself when nothing has come for {left} more."
        if case.open_faults and case.scope != "endpoint":
            text = f"Some of its PCs are well again: in {left} it is seen whether the others are ill by themselves."
        steps.append(Step(Kind.INCIDENT, text))
    return [*steps, _person(case)]


def _person(case: Case) -> Step:
    if case.assignee:
        return Step(Kind.PERSON, f"{case.assignee} has it.")
    seen = "Nobody has it, but somebody acknowledged it." if case.acknowledged_at else "Nobody has it yet."
    return Step(Kind.PERSON, seen, case.acknowledged_at)


def _notice(told: Told) -> Step:
    where = f" to {told.channel}" if told.channel else ""
    return Step(Kind.NOTICE, f"Notice “{told.kind.replace('.', ' ')}”{where}: {told.text.rstrip('.')}.", told.at, told.outcome)


def _nobody(case: Case, *, is_configured: bool) -> str:
    if not is_configured:
        return "No route is set up, so nobody is told of any incident: the notices' page has the routes."
    if case.merged_into is not None:
        return f"Nobody was told of it by itself: incident {case.merged_into} speaks for it."
    return "Nobody was told of it: no notice was written when it was opened."


def _lines(
    rule: Rule,
    machine: Machine,
    values: Mapping[str, Sequence[Value]],
    countdowns: Mapping[tuple[str, str], Countdown],
    raised: frozenset[tuple[str, str]],
) -> list[RuleLine]:
    reason = _left_out(rule, machine)
    instances = {instance for key, instance in raised if key == rule.key}
    if reason is not None and not instances:
        return [_line(rule, "", reason[0], reason[1])]
    running = {instance for key, instance in countdowns if key == rule.key}
    found = {one.instance: one.value for one in values.get(rule.reading, ()) if rule.applies_to(machine.system, one.instance)}
    lines = [
        _judged(rule, instance, found.get(instance), countdowns.get((rule.key, instance)), is_raised=instance in instances)
        for instance in sorted(found.keys() | instances | running)
    ]
    return lines or [_line(rule, "", *_unread(rule, machine))]


def _left_out(rule: Rule, machine: Machine) -> tuple[Standing, str] | None:
    """Why the rule is not this machine's; None where it is."""
    if not rule.enabled:
        return Standing.OFF, "It is switched off in the rule book."
    if machine.system not in rule.systems:
        theirs, own = " and ".join(_SYSTEMS[name] for name in rule.systems), _SYSTEMS.get(machine.system, machine.system)
        return Standing.OTHER_SYSTEM, f"It is for {theirs}; this PC runs {own}."
    if rule.classes and machine.endpoint_class and machine.endpoint_class not in rule.classes:
        return Standing.OTHER_CLASS, f"It is for the class {' or '.join(rule.classes)}; this PC's is {machine.endpoint_class}."
    return None


def _unread(rule: Rule, machine: Machine) -> tuple[Standing, str]:
    if rule.judge is Judge.SERVER:
        return Standing.QUIET, "The server judges it from what it knows over time, and finds nothing."
    failing = f" Of its collectors these fail: {', '.join(machine.failing)}." if machine.failing else ""
    return Standing.NO_READING, f"This PC does not give that reading, so it can be no fault.{failing}"


def _judged(rule: Rule, instance: str, value: float | None, running: Countdown | None, *, is_raised: bool) -> RuleLine:
    unit = catalogue.BY_KEY[rule.reading].unit
    newest = "" if value is None else f"It reads {reads(value, unit)} now. "
    if running is not None:
        what = "The fault is over" if running.clearing else "The fault is raised"
        text = f"{newest}{what} once that has lasted {length(running.ends_at - running.since)}, if {running.condition}."
        return _line(rule, instance, Standing.PENDING, text, value, running)
    if is_raised:
        back = f"{_from(rule.clear_level, unit)}{_lasting(rule.clear_for_s)}"
        return _line(rule, instance, Standing.RAISED, f"{newest}The fault is open; it is well again {back}.", value)
    level = _from(rule.raise_level, unit)
    return _line(rule, instance, Standing.QUIET, f"{newest}It is a fault {level}{_lasting(rule.raise_for_s)}.", value)


def _line(
    rule: Rule, instance: str, standing: Standing, text: str, value: float | None = None, running: Countdown | None = None
) -> RuleLine:
    spec = catalogue.BY_KEY[rule.reading]
    away = None
    if value is not None and spec.unit is not Unit.YES_NO:
        away = rule.raise_level - value if rule.direction is Direction.ABOVE else value - rule.raise_level
    return RuleLine(
        rule=rule.key,
        title=title(rule, instance),
        instance=instance,
        standing=standing,
        text=text,
        reading=rule.reading,
        unit=spec.unit.value,
        value=value,
        raise_level=rule.raise_level,
        clear_level=rule.clear_level,
        distance=None if away is None else round(away, 3),
        countdown=running,
    )
