"""Runs one of the system's own tools and gives back what it printed: the only place where a collector starts a process.

Owns where tools are looked for, the time limit, the bound on output and the words for a failure. Does not read the output:
parsers do. No shell, no input, a fixed language, and never a tool that a user's PATH put first.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from fettle_agent.collectors import CollectError

MAX_OUTPUT_BYTES = 8 * 1024 * 1024
_POSIX_FOLDERS = (
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/bin",
)
_WINDOWS_FOLDERS = (
    r"{SYSTEMROOT}\System32",
    r"{SYSTEMROOT}\System32\WindowsPowerShell\v1.0",
    r"{PROGRAMFILES}\smartmontools\bin",
)


def folders() -> tuple[str, ...]:
    """Where tools are looked for: the system's own folders, whoever runs the agent."""
    if sys.platform != "win32":
        return _POSIX_FOLDERS
    places = {
        "SYSTEMROOT": os.environ.get("SYSTEMROOT", r"C:\Windows"),
        "PROGRAMFILES": os.environ.get("PROGRAMFILES", r"C:\Program Files"),
    }
    return tuple(folder.format(**places) for folder in _WINDOWS_FOLDERS)


def find(tool: str) -> str | None:
    """The full path of an installed tool, or None."""
    return shutil.which(tool, path=os.pathsep.join(folders()))


def run(tool: str, *arguments: str, timeout_s: float = 10, accept: Sequence[int] | None = (0,)) -> str:
    """What the tool printed on its standard output.

    `tool` is a name to look for, or a full path. `accept` are the exit statuses that are answers, None for all of them.

    Raises:
        CollectError: the tool is not installed, took too long, printed too much, or ended with another status.
    """
    status, output = ended(tool, *arguments, timeout_s=timeout_s)
    if accept is not None and status not in accept:
        raise CollectError(f"{os.path.basename(tool)} failed with status {status}")
    return output


def ended(tool: str, *arguments: str, timeout_s: float = 10) -> tuple[int, str]:
    """The tool's exit status and what it printed, for tools whose status is part of the answer.

    Raises:
        CollectError: the tool is not installed, took too long or printed too much.
    """
    path = tool if os.path.isabs(tool) else find(tool)
    name = os.path.basename(tool)
    if path is None:
        raise CollectError(f"{name} is not installed")
    try:
        process = _start(path, arguments)
    except OSError as error:
        raise CollectError(f"{name} could not be started: {error.strerror}") from error
    output, timed_out = _read(process, timeout_s)
    if timed_out:
        raise CollectError(f"{name} took longer than {timeout_s:g} s")
    if len(output) > MAX_OUTPUT_BYTES:
        raise CollectError(f"{name} printed more than {MAX_OUTPUT_BYTES} bytes")
    return process.returncode, output.decode("utf-8", "replace")


def run_powershell(script: str, *, timeout_s: float) -> str:
    """What a script printed in Windows's own PowerShell, as UTF-8.

    Raises:
        CollectError: as `run`.
    """
    prologue = "$ProgressPreference='SilentlyContinue';[Console]::OutputEncoding=[Text.Encoding]::UTF8;"
    flags = ("-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass")
    return run("powershell.exe", *flags, "-Command", prologue + script, timeout_s=timeout_s)


def _start(path: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    if sys.platform == "win32":
        creation, session = subprocess.CREATE_NO_WINDOW, False
    else:
        creation, session = 0, True
    return subprocess.Popen(
        [path, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C", "LANGUAGE": "C"},
        cwd=None if sys.platform == "win32" else "/",
        start_new_session=session,
        creationflags=creation,
    )


def _read(process: subprocess.Popen[bytes], timeout_s: float) -> tuple[bytes, bool]:
    """The output, cut just past its bound, and whether the time ran out; the tool has ended either way."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _kill(process)

    timer = threading.Timer(timeout_s, expire)
    timer.daemon = True
    timer.start()
    try:
        with process:
            assert process.stdout is not None
            output = process.stdout.read(MAX_OUTPUT_BYTES + 1)
            if len(output) > MAX_OUTPUT_BYTES:
                _kill(process)
    finally:
        timer.cancel()
    return output, expired.is_set()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the tool and, where the system has sessions, all that it started and that would hold its output open."""
    if process.returncode is not None:
        return
    if sys.platform == "win32":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
