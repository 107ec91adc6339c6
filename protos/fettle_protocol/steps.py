"""The closed list of what a job may do to a PC, and the shape of each step. There is no step that takes a shell's words.

Owns names, fields and bounds. Does not run anything (the agent's) and does not choose anything (the server's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

MAX_STEPS = 20
MAX_PACKAGES = 200
MAX_MESSAGE = 500
MAX_SCRIPT_BYTES = 48 * 1024
PROVIDERS = ("apt", "dnf", "windows", "winget", "choco", "softwareupdate", "brew", "flatpak", "snap")
INTERPRETERS = ("sh", "python3", "powershell")
CACHES = ("apt", "delivery optimization")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_:@/{}~ ()-]{0,199}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_:~-]{0,119}")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._ -]{0,119}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{32}")
_CACHE_URL = re.compile(r"https?://[A-Za-z0-9.-]{1,200}(:[0-9]{1,5})?/?")


class StepError(ValueError):
    """A step that may not be; the message names the step and the field."""


class StepKind(StrEnum):
    """What a step does.

    INSTALL and UPGRADE bring packages to a version (UPGRADE only where an older one is there), REMOVE takes them off, HOLD
    and UNHOLD pin them, RESTORE brings back what an earlier manifest found there before it, SCRIPT runs a script of the
    signed library, RESTART_SERVICE, CLEAN_TEMP, REBOOT, COLLECT (diagnostics), MESSAGE (to whoever is signed in), USE_CACHE
    (the ecosystem's own local cache of downloads).
    """

    INSTALL = "install"
    UPGRADE = "upgrade"
    REMOVE = "remove"
    HOLD = "hold"
    UNHOLD = "unhold"
    RESTORE = "restore"
    SCRIPT = "script"
    RESTART_SERVICE = "restart service"
    CLEAN_TEMP = "clean temporary files"
    REBOOT = "reboot"
    COLLECT = "collect diagnostics"
    MESSAGE = "message"
    USE_CACHE = "use cache"


AT_MOST_ONCE = frozenset({StepKind.REBOOT, StepKind.MESSAGE})
"""Steps that are never begun twice for one manifest; a SCRIPT is one of them unless it says that it is idempotent."""
_PACKAGED = frozenset({StepKind.INSTALL, StepKind.UPGRADE, StepKind.REMOVE, StepKind.HOLD, StepKind.UNHOLD})


def is_repeatable(step: Mapping[str, Any]) -> bool:
    """True where a step that was cut off in the middle may be begun again."""
    kind = StepKind(step["kind"])
    return bool(step.get("idempotent")) if kind is StepKind.SCRIPT else kind not in AT_MOST_ONCE


def check_steps(steps: Any) -> list[dict[str, Any]]:
    """The steps, known to be of the closed list and within bounds.

    Each is an object with "kind" and, by kind: packages {provider, packages: [{name, version?, sha256?}], allow_downgrade?};
    restore {manifest}; script {name, version, sha256, body, interpreter, idempotent, timeout_s?}; restart service {service};
    clean temporary files {older_than_days?}; message {text}; use cache {cache, url}; reboot and collect diagnostics have none.

    Raises:
        StepError: anything else.
    """
    if not isinstance(steps, list) or not 1 <= len(steps) <= MAX_STEPS:
        raise StepError(f"A job has 1 to {MAX_STEPS} steps.")
    return [_check(number, step) for number, step in enumerate(steps, 1)]


def _check(number: int, step: Any) -> dict[str, Any]:
    if not isinstance(step, dict) or step.get("kind") not in set(StepKind):
        raise StepError(f"Step {number} is none of the steps that a job may have: {', '.join(StepKind)}.")
    kind = StepKind(step["kind"])
    allowed = {"kind", *_FIELDS[kind]}
    unknown = sorted(set(step) - allowed)
    if unknown:
        raise StepError(f"Step {number} ({kind}) has a field that it may not have: {unknown[0]}.")
    if kind in _PACKAGED:
        _check_packages(number, kind, step)
    for field, good in _MUST.get(kind, {}).items():
        if not good(step.get(field)):
            raise StepError(f"Step {number} ({kind}): {field} is missing or cannot be.")
    return step


def _check_packages(number: int, kind: StepKind, step: Mapping[str, Any]) -> None:
    packages = step.get("packages")
    if step.get("provider") not in PROVIDERS:
        raise StepError(f"Step {number} ({kind}): provider must be one of {', '.join(PROVIDERS)}.")
    if not isinstance(packages, list) or not 1 <= len(packages) <= MAX_PACKAGES:
        raise StepError(f"Step {number} ({kind}): 1 to {MAX_PACKAGES} packages.")
    for package in packages:
        if not isinstance(package, dict) or not _matches(_NAME)(package.get("name")) or set(package) - _PACKAGE_FIELDS:
            raise StepError(f"Step {number} ({kind}): a package has a name, and may have version and sha256.")
        if not _optional(_VERSION)(package.get("version")) or not _optional(_SHA256)(package.get("sha256")):
            raise StepError(f"Step {number} ({kind}): the version or sha256 of {package['name']} cannot be.")


def _matches(pattern: re.Pattern[str]) -> Any:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _optional(pattern: re.Pattern[str]) -> Any:
    return lambda value: value in (None, "") or (isinstance(value, str) and pattern.fullmatch(value) is not None)


def _text(limit: int) -> Any:
    return lambda value: isinstance(value, str) and 1 <= len(value.encode()) <= limit and "\0" not in value


def _number(least: int, most: int) -> Any:
    return lambda value: value is None or (type(value) is int and least <= value <= most)


_PACKAGE_FIELDS = {"name", "version", "sha256"}
_FIELDS: dict[StepKind, tuple[str, ...]] = {
    **dict.fromkeys(_PACKAGED, ("provider", "packages", "allow_downgrade")),
    StepKind.RESTORE: ("manifest",),
    StepKind.SCRIPT: ("name", "version", "sha256", "body", "interpreter", "idempotent", "timeout_s"),
    StepKind.RESTART_SERVICE: ("service",),
    StepKind.CLEAN_TEMP: ("older_than_days",),
    StepKind.REBOOT: (),
    StepKind.COLLECT: (),
    StepKind.MESSAGE: ("text",),
    StepKind.USE_CACHE: ("cache", "url"),
}
_MUST: dict[StepKind, dict[str, Any]] = {
    StepKind.RESTORE: {"manifest": _matches(_ID)},
    StepKind.SCRIPT: {
        "name": _matches(_NAME),
        "version": _matches(_VERSION),
        "sha256": _matches(_SHA256),
        "body": _text(MAX_SCRIPT_BYTES),
        "interpreter": lambda value: value in INTERPRETERS,
        "idempotent": lambda value: isinstance(value, bool),
        "timeout_s": _number(1, 14_400),
    },
    StepKind.RESTART_SERVICE: {"service": _matches(_SERVICE)},
    StepKind.CLEAN_TEMP: {"older_than_days": _number(1, 365)},
    StepKind.MESSAGE: {"text": _text(MAX_MESSAGE)},
    StepKind.USE_CACHE: {"cache": lambda value: value in CACHES, "url": _optional(_CACHE_URL)},
}
