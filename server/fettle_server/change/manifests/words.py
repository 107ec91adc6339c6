"""A manifest in words, for whoever signs it. Pure; every line is plain visible text, whatever the manifest holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fettle_protocol.manifests import Hours, Manifest, ManifestKind, Reboots, Target
from fettle_protocol.steps import StepKind

from fettle_server.db import from_ms

NAMED = 12
_LINE = 300
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_REBOOTS = {
    Reboots.NEVER: "never restarts the PC",
    Reboots.IF_NEEDED: "restarts the PC where the system says that it must",
    Reboots.ALWAYS: "restarts the PC at the end",
}


def describe(said: Manifest, endpoints: int | None = None) -> list[str]:
    """What the manifest would do, to whom, from when until when: one line each. `endpoints`: how many PCs that is."""
    lines = [visible(said.title), f"Manifest {said.id}, serial {said.serial}, floor {said.floor}"]
    if said.kind == ManifestKind.KEYS:
        lines += [f"Trust from now on: key {key[:16]}... (its 32 public bytes in full below)" for key in said.add]
        lines += [f"Trust no more: the key named {key}" for key in said.retire]
    else:
        lines += [f"Step {number}: {step_words(step)}" for number, step in enumerate(said.steps, 1)]
        lines.append(visible(_people(said)))
    lines += [visible(f"For: {target_words(said.target)}")]
    if endpoints is not None:
        lines += [f"That is {endpoints} PCs just now"]
    lines += [f"Good from {_when(said.not_before_ms)} until {_when(said.expires_ms)} UTC"]
    lines += (
        [f"Only within these hours of the PC's clock: {'; '.join(_hours(one) for one in said.hours)}"] if said.hours else []
    )
    return lines


def step_words(step: Mapping[str, Any]) -> str:
    """One step as a sentence without its full stop."""
    kind = StepKind(step["kind"])
    words = _WORDS.get(kind)
    return visible(words(step) if words else kind.value)


def target_words(target: Target) -> str:
    """Which PCs, in words."""
    parts = []
    if target.schools:
        parts.append(f"all PCs of {_listed(target.schools)}")
    if target.endpoints:
        parts.append(f"{len(target.endpoints)} PCs by their ids ({_listed(target.endpoints)})")
    systems = f", only {' and '.join(target.systems)}" if target.systems else ""
    return f"{' and '.join(parts) or 'no PC'}{systems}"


def visible(text: str) -> str:
    """The text on one line, without anything that cannot be seen or that turns the direction of what is read."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= _LINE else f"{shown[: _LINE - 3]}..."


def _packages(verb: str) -> Any:
    def words(step: Mapping[str, Any]) -> str:
        names = [f"{one['name']} {one.get('version') or ''}".strip() for one in step["packages"]]
        older = ", even where it is older" if step.get("allow_downgrade") else ""
        return f"{verb} by {step['provider']}: {_listed(names)}{older}"

    return words


def _script(step: Mapping[str, Any]) -> str:
    return f"run the script {step['name']} {step['version']} (sha256 {step['sha256']}) with {step['interpreter']}"


def _listed(names: Any) -> str:
    shown, left = ", ".join(list(names)[:NAMED]), len(names) - NAMED
    return f"{shown} and {left} more" if left > 0 else shown


def _people(said: Manifest) -> str:
    people = said.people
    asked = f"warns for {people.warn_s // 60} min, may be put off {people.deferrals} times for {people.defer_s // 60} min"
    return f"It {_REBOOTS[Reboots(people.reboots)]}; {asked}; runs at most {said.attempts} times"


def _hours(hours: Hours) -> str:
    days = ", ".join(_DAYS[day] for day in hours.days)
    return f"{days} {_clock(hours.from_minute)} to {_clock(hours.to_minute)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _when(at_ms: int) -> str:
    try:
        return from_ms(at_ms).strftime("%d %B %Y %H:%M")
    except (OverflowError, ValueError):
        return f"{at_ms} ms after 1970"


_WORDS: dict[StepKind, Any] = {
    StepKind.INSTALL: _packages("install"),
    StepKind.UPGRADE: _packages("upgrade"),
    StepKind.REMOVE: _packages("remove"),
    StepKind.HOLD: _packages("hold back"),
    StepKind.UNHOLD: _packages("let go of"),
    StepKind.RESTORE: lambda step: f"bring back what stood there before the manifest {step['manifest']}",
    StepKind.SCRIPT: _script,
    StepKind.RESTART_SERVICE: lambda step: f"restart the service {step['service']}",
    StepKind.CLEAN_TEMP: lambda step: f"delete temporary files that are older than {step.get('older_than_days') or 7} days",
    StepKind.MESSAGE: lambda step: f"show the message: {step['text']}",
    StepKind.USE_CACHE: lambda step: f"download by {step['cache']} from {step.get('url') or 'no cache any more'}",
}
