"""What a technician would ask for first, as one bounded JSON object without people's names.

Owns what is collected and its bounds. Each part is asked for by itself: one that fails says so in its place.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from fettle_agent.collectors import CollectError, tools
from fettle_agent.packages import Provider

MAX_BYTES = 48 * 1024
LOG_LINES = 100
_NAME = r"""[^/\\\s"']+"""
_HOME = re.compile(
    rf"(?i)((?:/home|/users|/media|[a-z]:[\\/]+users|\\\\[^/\\\s]+\\users)[\\/]+)(?:{_NAME}(?: {_NAME})*(?=[/\\])|{_NAME})"
)
"""What names somebody in a path: on any system, on a stick, on a server; with spaces in the name where a folder goes on."""

_NOBODYS = ("public", "default", "default user", "all users", "shared", "lost+found")
_SHORTEST = 3  # a folder of one or two letters is masked in paths, not wherever these letters stand alone
_TOOL_S = 30.0


def collect(state: Path, system: str, providers: Mapping[str, Provider]) -> dict[str, Any]:
    """The whole of it, within its bounds; what is longest is cut first."""
    parts: dict[str, Callable[[], Any]] = {
        "doctor": lambda: _doctor(state),
        "last_boot": lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(psutil.boot_time())),
        "disks": _disks,
        "failing_services": lambda: _failing_services(system),
        "pending_updates": lambda: _pending(providers),
        "log": lambda: _log(state, system),
    }
    names = {user.name for user in psutil.users() if user.name} | owners(_homes(system))
    return bounded({name: nameless(_asked(part), names) for name, part in parts.items()})


def _homes(system: str) -> Path:
    return Path({"windows": os.environ.get("SYSTEMDRIVE", "C:") + "\\Users", "macos": "/Users"}.get(system, "/home"))


def owners(homes: Path) -> set[str]:
    """Whose folders lie there: everybody who ever signed in at this PC."""
    try:
        names = {folder.name for folder in homes.iterdir()}
    except OSError:
        return set()
    return {name for name in names if len(name) >= _SHORTEST and name.lower() not in _NOBODYS and not name.startswith(".")}


def nameless(value: Any, names: set[str]) -> Any:
    """The same without these names, and without whose folder a path leads into."""
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=lambda name: (-len(name), name)))
    return _masked(value, re.compile(rf"(?i)(?<!\w)(?:{longest_first or '(?!)'})(?!\w)"))


def _masked(value: Any, names: re.Pattern[str]) -> Any:
    if isinstance(value, dict):
        return {key: _masked(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, names) for inner in value]
    if not isinstance(value, str):
        return value
    return names.sub("(somebody)", _HOME.sub(r"\1(somebody)", value))


def bounded(found: dict[str, Any]) -> dict[str, Any]:
    """The same within MAX_BYTES: the log loses its oldest lines first, then lists their ends."""
    while len(json.dumps(found).encode()) > MAX_BYTES:
        longest = max(
            (key for key, value in found.items() if isinstance(value, list) and value), key=lambda key: len(found[key])
        )
        kept = len(found[longest]) // 2
        found = found | {longest: found[longest][-kept:] if longest == "log" and kept else found[longest][:kept]}
    return found


def _asked(part: Callable[[], Any]) -> Any:
    try:
        return part()
    except Exception as error:  # a part that fails never costs the others
        return f"not found out: {error}"[:500]


def _doctor(state: Path) -> list[str]:
    from fettle_agent import doctor

    return [f"{'ok' if one.well else 'problem'}: {one.about}: {one.text}"[:500] for one in doctor.findings(state)]


def _disks() -> list[dict[str, Any]]:
    found = []
    for disk in psutil.disk_partitions()[:20]:
        try:
            usage = psutil.disk_usage(disk.mountpoint)
        except OSError:
            continue
        found.append({"place": disk.mountpoint[:200], "size_bytes": usage.total, "free_bytes": usage.free})
    return found


def _failing_services(system: str) -> list[str]:
    if system == "linux" and Path("/run/systemd/system").is_dir():
        told = tools.run("systemctl", "--failed", "--plain", "--no-legend", timeout_s=_TOOL_S)
        return [line.split()[0][:200] for line in told.splitlines() if line.split()][:100]
    if system == "windows":
        services = (service.as_dict() for service in psutil.win_service_iter())  # type: ignore[attr-defined, unused-ignore]
        return [one["name"][:200] for one in services if one["start_type"] == "automatic" and one["status"] == "stopped"][:100]
    return []


def _pending(providers: Mapping[str, Provider]) -> list[str]:
    found = []
    for name, provider in providers.items():
        found += [f"{name}: {one.name} {one.installed} -> {one.version} {one.state}"[:200] for one in provider.offers()]
    return found[:300]


def _log(state: Path, system: str) -> list[str]:
    """The last lines of the agent's log: the journal's where it runs as systemd's service, else of a file in its folder."""
    if system == "linux" and Path("/run/systemd/system").is_dir():
        try:
            told = tools.run(
                "journalctl", "-u", "fettle-agent", "-n", str(LOG_LINES), "-o", "cat", "--no-pager", timeout_s=_TOOL_S
            )
            return [line[:500] for line in told.splitlines()]
        except CollectError:
            pass
    for file in sorted(state.glob("*.log")):
        with file.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - 64 * 1024))
            return [line[:500] for line in log.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]]
    return []
