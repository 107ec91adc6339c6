"""Manifests: what an approver signs and an agent obeys. Their bytes are the document: a first line of format, then JSON.

Owns the format and its bounds. Does not sign (signing.py), and does not know time, target or what was run before: whoever obeys
a manifest judges those (the agent's jobs.verify).
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from fettle_protocol.policy import SYSTEMS
from fettle_protocol.steps import StepError, check_steps

HEADER = b"fettle manifest 1\n"
MAX_BYTES = 128 * 1024
MAX_ENDPOINTS = 2000
MAX_SCHOOLS = 500
MAX_KEYS = 20
MAX_LIFE_MS = 200 * 86_400_000
_ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"[0-9a-f]{64}")


class ManifestError(ValueError):
    """A manifest that may not be; the message names the field."""


class ManifestKind(StrEnum):
    """WORK: steps to run. KEYS: keys to trust from now on, and keys to trust no more."""

    WORK = "work"
    KEYS = "keys"


class Reboots(StrEnum):
    """Whether the work may restart the PC: never; where the system says that it must; always at the end."""

    NEVER = "never"
    IF_NEEDED = "if needed"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Target:
    """Which PCs: those named, and those of the schools named (by school name), on those systems (none: all)."""

    endpoints: tuple[str, ...] = ()
    schools: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hours:
    """When the PC's own wall clock allows work to begin: days of the week (0: Monday), from and to in minutes of the day.

    A span whose end is not after its start reaches into the next day.
    """

    days: tuple[int, ...]
    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class People:
    """What whoever sits at the PC may ask for: how long a warning lasts, how often and for how long they may put it off."""

    reboots: str = Reboots.IF_NEEDED
    warn_s: int = 900
    deferrals: int = 3
    defer_s: int = 3600


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be there before a step begins: free space on the system's disk, and power."""

    free_bytes: int = 500_000_000
    charge_percent: int = 40


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest. Times are milliseconds since the epoch, UTC.

    `id` is 32 hex digits, run at most `attempts` times to its end by one agent. `serial` is larger than that of every earlier
    manifest of the same key; an agent refuses serials below the largest `floor` it has seen from that key, which is how
    signed work is withdrawn. `change` and `rollout` are numbers for people. Of kind KEYS: `add` are public keys (64 hex
    digits), `retire` the ids of keys; of kind WORK: `steps` (fettle_protocol.steps).
    """

    kind: str
    id: str
    serial: int
    not_before_ms: int
    expires_ms: int
    title: str
    floor: int = 0
    change: int = 0
    rollout: int = 0
    attempts: int = 3
    target: Target = field(default_factory=Target)
    hours: tuple[Hours, ...] = ()
    people: People = field(default_factory=People)
    needs: Needs = field(default_factory=Needs)
    steps: tuple[dict[str, Any], ...] = ()
    add: tuple[str, ...] = ()
    retire: tuple[str, ...] = ()

    def names(self, endpoint_id: str, school: str, system: str) -> bool:
        """True where the PC is one of the target's."""
        if self.target.systems and system not in self.target.systems:
            return False
        return endpoint_id in self.target.endpoints or school in self.target.schools


def encode(manifest: Manifest) -> bytes:
    """The bytes to sign.

    Raises:
        ManifestError: it is out of bounds.
    """
    body = HEADER + json.dumps(asdict(manifest), ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"
    decode(body)
    return body


def decode(body: bytes) -> Manifest:
    """The manifest in those bytes; check the signature first.

    Raises:
        ManifestError: it is not one, or out of bounds.
    """
    if len(body) > MAX_BYTES:
        raise ManifestError(f"A manifest has at most {MAX_BYTES // 1024} KiB.")
    if not body.startswith(HEADER):
        raise ManifestError("This is no manifest of a format known here.")
    try:
        said = json.loads(body[len(HEADER) :])
        manifest = Manifest(
            **{
                **said,
                "target": Target(**{name: tuple(value) for name, value in said["target"].items()}),
                "hours": tuple(Hours(tuple(one["days"]), one["from_minute"], one["to_minute"]) for one in said["hours"]),
                "people": People(**said["people"]),
                "needs": Needs(**said["needs"]),
                "steps": tuple(said["steps"]),
                "add": tuple(said["add"]),
                "retire": tuple(said["retire"]),
            }
        )
        json.dumps(said, ensure_ascii=False).encode()  # a half of a letter can be read, but never be written down
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ManifestError("The manifest cannot be read.") from error
    try:
        _check(manifest)
    except TypeError as error:  # a list where a word belongs
        raise ManifestError("The manifest has a field of another kind than it must be.") from error
    return manifest


def _check(manifest: Manifest) -> None:
    for name, good in _BOUNDS.items():
        if not good(getattr(manifest, name)):
            raise ManifestError(f"The manifest's {name} cannot be.")
    if manifest.expires_ms - manifest.not_before_ms not in range(1, MAX_LIFE_MS + 1):
        raise ManifestError(f"A manifest is good for at most {MAX_LIFE_MS // 86_400_000} days, and must end after it begins.")
    if manifest.floor > manifest.serial:
        raise ManifestError("The manifest withdraws itself: its floor is above its serial.")
    if manifest.kind == ManifestKind.KEYS:
        if manifest.steps or not (manifest.add or manifest.retire):
            raise ManifestError("A manifest of keys adds or retires keys, and has no steps.")
        return
    if manifest.add or manifest.retire:
        raise ManifestError("A manifest of work changes no keys.")
    try:
        check_steps(list(manifest.steps))
    except StepError as error:
        raise ManifestError(str(error)) from error


def _is_count(most: int) -> Any:
    return lambda value: type(value) is int and 0 <= value <= most


def _all(many: int, good: Any) -> Any:
    return lambda values: len(values) <= many and all(map(good, values))


def _is_named(pattern: re.Pattern[str]) -> Any:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_target(target: Target) -> bool:
    return bool(
        _all(MAX_ENDPOINTS, _is_named(_ID))(target.endpoints)
        and _all(MAX_SCHOOLS, lambda name: isinstance(name, str) and 0 < len(name) <= 200)(target.schools)
        and _all(len(SYSTEMS), SYSTEMS.__contains__)(target.systems)
    )


def _is_hours(hours: Hours) -> bool:
    minutes = _is_count(24 * 60)
    days = _all(7, lambda day: day in range(7))
    return bool(days(hours.days) and minutes(hours.from_minute) and minutes(hours.to_minute))


def _is_people(people: People) -> bool:
    return bool(
        people.reboots in set(Reboots)
        and _is_count(86_400)(people.warn_s)
        and _is_count(20)(people.deferrals)
        and _is_count(7 * 86_400)(people.defer_s)
    )


_MOST = 2**62
_BOUNDS: dict[str, Any] = {
    "kind": set(ManifestKind).__contains__,
    "id": _is_named(_ID),
    "serial": lambda value: _is_count(_MOST)(value) and value > 0,
    "floor": _is_count(_MOST),
    "not_before_ms": _is_count(_MOST),
    "expires_ms": _is_count(_MOST),
    "title": lambda value: isinstance(value, str) and 0 < len(value) <= 300,
    "change": _is_count(_MOST),
    "rollout": _is_count(_MOST),
    "attempts": lambda value: _is_count(20)(value) and value > 0,
    "target": _is_target,
    "hours": _all(50, _is_hours),
    "people": _is_people,
    "needs": lambda needs: _is_count(_MOST)(needs.free_bytes) and _is_count(100)(needs.charge_percent),
    "add": _all(MAX_KEYS, _is_named(_KEY)),
    "retire": _all(MAX_KEYS, _is_named(re.compile(r"[0-9a-f]{16}"))),
}
