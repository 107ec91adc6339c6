"""The status file: what the running agent says of itself, for `status`, `test-fault`, `doctor` and whoever looks.

Owns the file and its words. The running agent writes it; everybody else only reads it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from fettle_agent import identity, log
from fettle_agent.errors import NotEnrolled
from fettle_agent.place import here


def rfc3339(at_ms: int) -> str:
    """A time in UTC as RFC 3339 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000))


def write(state: Path, status: dict[str, Any]) -> bool:
    """Replace the status file; False where the disk does not take it, which must never stop the agent."""
    try:
        identity.write_whole(state / identity.STATUS, json.dumps(status, separators=(",", ":")).encode())
    except OSError:
        return False
    return True


def read(state: Path) -> dict[str, Any]:
    """What the agent last wrote, empty where there is nothing to read."""
    try:
        found = json.loads((state / identity.STATUS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_running(state: Path) -> bool:
    """True where an agent runs on that state folder now."""
    return here().is_locked(state / identity.LOCK)


def report(state: Path) -> dict[str, Any]:
    """The whole status: the file, corrected by whether an agent runs at all."""
    running = is_running(state)
    found = read(state)
    try:
        known = identity.load(state)
        about = {
            "endpoint_id": known.endpoint_id,
            "school": known.school,
            "server": found.get("server") or known.server,
            "certificate_expires": rfc3339(known.not_after_ms),
        }
    except NotEnrolled:
        about = {}
    connected = running and bool(found.get("connected"))
    return {"state": str(state), "running": running, "enrolled": bool(about)} | found | about | {"connected": connected}


def sentences(told: dict[str, Any]) -> list[str]:
    """The status as lines for a person."""
    if not told["enrolled"]:
        return [f"{told['state']}: this machine is not enrolled"]
    lines = [f"endpoint {told['endpoint_id']} of {told['school'] or 'no school'}, server {told['server']}"]
    if not told["running"]:
        return [*lines, "no agent runs on this state folder"]
    if told["connected"]:
        lines.append(f"connected since {told.get('connected_since')}")
    else:
        lines.append(f"not connected since {told.get('disconnected_since')}: {told.get('last_error')}")
    spool = told.get("spool", {})
    lines.append(f"policy {told.get('policy_version')}; {spool.get('events')} events and {spool.get('hours')} hours to send")
    lines.append(f"takes {told.get('cpu_percent', 0):.2f} % of a core and {told.get('memory_mib', 0):.1f} MiB")
    if told.get("stretch", 1) > 1:
        lines.append(f"over its budget: slow collectors run {told['stretch']:g} times less often")
    lines += [f"trouble: {spool['trouble']}"] if spool.get("trouble") else []
    lines += _jobs_lines(told.get("jobs", {}))
    lines += [f"open fault: {fault['rule']} {fault['instance']}".rstrip() for fault in told.get("open_faults", [])]
    lines += [f"failing: {one['name']}: {one['error']}" for one in told.get("collectors", []) if one["error"]]
    lines += [f"the server said ({one['at']}): {one['text']}" for one in told.get("told", [])]
    return [log.plain(line) for line in (*lines, f"certificate expires {told.get('certificate_expires')}")]


def _jobs_lines(jobs: dict[str, Any]) -> list[str]:
    if not jobs:
        return []
    trusted = jobs.get("signers", 0)
    lines = [f"{trusted} trusted signers" if trusted else "trusts no signer, so it refuses all work: see fettle-agent trust"]
    lines += [f"{jobs['open']} jobs to do: see fettle-agent jobs"] if jobs.get("open") else []
    return lines + ([f"jobs in trouble: {jobs['trouble']}"] if jobs.get("trouble") else [])
