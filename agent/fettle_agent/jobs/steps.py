"""The closed list of what a job does, one function for each kind of step but the restart, which is restarting.py's.

Owns what each kind means on this PC and its words. When a step may begin, and that it is noted, is work.py's. Every function
takes the step as it was signed and checked (fettle_protocol.steps) and never raises for what the system refuses to do.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fettle_protocol.steps import StepKind

from fettle_agent.collectors import tools
from fettle_agent.jobs import cleaning, diagnostics, packaged, people, running
from fettle_agent.jobs.context import Context, Outcome

_SERVICE_S, _SCRIPT_S = 180.0, 3_600.0
_SERVICE_NAME = "FETTLE_SERVICE"
_INTERPRETERS: dict[str, tuple[tuple[str, ...], str]] = {
    "sh": (("sh",), ".sh"),
    "python3": (("python3", "-I"), ".py"),
    "powershell": (
        ("powershell.exe", "-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"),
        ".ps1",
    ),
}
Step = Mapping[str, Any]


def script(context: Context, step: Step) -> Outcome:
    """Run a script of the signed library: its own bytes, checked, by the interpreter that it names."""
    body = step["body"].encode()
    if hashlib.sha256(body).hexdigest() != step["sha256"]:
        return Outcome(False, "The script is not the one that its checksum names; it was not run.")
    command, suffix = _INTERPRETERS[step["interpreter"]]
    path = _interpreter(command[0])
    if path is None:
        return Outcome(False, f"{step['interpreter']} is not installed here; the script was not run.")
    folder = context.private_folder(f"script-{secrets.token_hex(8)}")
    try:
        file = folder / f"script{suffix}"
        file.write_bytes(body)
        file.chmod(0o600)
        ended = running.run(
            [path, *command[1:], str(file)],
            timeout_s=float(step.get("timeout_s") or _SCRIPT_S),
            folder=folder,
            began=context.note_process,
        )
    except OSError as error:
        return Outcome(False, f"The script could not be started: {error.strerror}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _of(ended, {"rescan": True})


def _interpreter(name: str) -> str | None:
    """Windows's own Python has no fixed name; the one that runs this agent is always there."""
    return tools.find(name) or (sys.executable if name == "python3" else None)


def _of(ended: running.Ended, result: dict[str, Any] | None = None) -> Outcome:
    if ended.status is None:
        return Outcome(False, running.cut(f"{ended.words}\n{ended.why}"), result or {})
    words = ended.words or f"It ended with status {ended.status} and said nothing."
    return Outcome(ended.status == 0, words, {"status": ended.status} | (result or {}))


def restart_service(context: Context, step: Step) -> Outcome:
    """Restart a service by the system's own service manager."""
    commands = _service_commands(context.system, step["service"])
    if not commands:
        return Outcome(False, "This system has no service manager that this agent knows.")
    words, environment = [], running.minimal_environment() | {_SERVICE_NAME: step["service"]}
    with running.at_normal_pace():
        for number, command in enumerate(commands, 1):
            try:
                ended = running.run(command, timeout_s=_SERVICE_S, environment=environment)
            except OSError as error:
                return Outcome(False, f"{command[0]} could not be started: {error.strerror}")
            words.append(ended.words)
            if ended.status != 0 and number == len(commands):
                return _of(running.Ended(ended.status, running.cut("\n".join(words)), ended.why))
    return Outcome(True, running.cut("\n".join(words)) or f"{step['service']} was restarted.")


def _service_commands(system: str, service: str) -> list[list[str]]:
    """Argument lists; where there are several, only the last one's status counts (stopping what does not run fails)."""
    if system == "windows":
        # Windows's own cmdlet waits for the stop, and starts what depends on it again, which sc.exe does not;
        # the name comes by the environment, so that no part of it is ever read as PowerShell
        words = [f"Restart-Service -Name $env:{_SERVICE_NAME} -Force -ErrorAction Stop"]
        shell = tools.find("powershell.exe")
        return [[shell, "-NoLogo", "-NoProfile", "-NonInteractive", "-Command", *words]] if shell else []
    if system == "macos":
        return [["/bin/launchctl", "kickstart", "-k", f"system/{service}"]]
    if Path("/run/systemd/system").is_dir():
        return [[tools.find("systemctl") or "systemctl", "restart", "--", service]]
    manager = tools.find("service")
    return [[manager, service, "restart"]] if manager else []


def clean_temp(context: Context, step: Step) -> Outcome:
    """Remove old temporary files."""
    days = step.get("older_than_days") or cleaning.DEFAULT_DAYS
    done = cleaning.clean(cleaning.folders(context.system), days, time.time())
    return Outcome(True, done.words(), {"files": done.files, "size_bytes": done.size_bytes, "refused": done.refused})


def collect(context: Context, _: Step) -> Outcome:
    """Collect diagnostics."""
    found = diagnostics.collect(context.state, context.system, context.providers)
    return Outcome(True, "Diagnostics were collected.", {"diagnostics": found})


def message(context: Context, step: Step) -> Outcome:
    """Show a message, but never where an exam is on."""
    if context.quiet:
        return Outcome(True, "An exam is on around this PC, so no message was shown.")
    return Outcome(*people.tell(context.system, step["text"]))


STEPS: dict[StepKind, Callable[[Context, Step], Outcome]] = {
    StepKind.INSTALL: packaged.install,
    StepKind.UPGRADE: packaged.install,
    StepKind.REMOVE: packaged.remove,
    StepKind.HOLD: packaged.hold,
    StepKind.UNHOLD: packaged.hold,
    StepKind.RESTORE: packaged.restore,
    StepKind.USE_CACHE: packaged.use_cache,
    StepKind.SCRIPT: script,
    StepKind.RESTART_SERVICE: restart_service,
    StepKind.CLEAN_TEMP: clean_temp,
    StepKind.COLLECT: collect,
    StepKind.MESSAGE: message,
}
