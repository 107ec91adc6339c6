"""Runs one tool of a step: bounded in time and output, in a process group of its own, never by a shell.

Owns the environment that a tool of a job sees, and how its words are cut. Which tool with which words is the step's business.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from fettle_agent import stopping

MAX_WORDS = 4_000
_READ_BACK = 64 * 1024
MAX_OUTPUT = 64 * 1024 * 1024
_POLL_S = 0.05
_BESIDE_S = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a tool ended: its status (None: it was stopped, and `why`), and the end of what it said."""

    status: int | None
    words: str
    why: str = ""


def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    began: Callable[[int], object] = bool,
) -> Ended:
    """Run it to its end; all that it started is stopped with it when its time is over, or when it prints without end.

    Raises:
        OSError: it could not be started.
    """
    before = stopping.own()
    with tempfile.TemporaryFile() as output:  # not a pipe: a service that it starts may hold its output open for ever
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder or ("/" if sys.platform != "win32" else None),
            env=dict(minimal_environment() if environment is None else environment),
            start_new_session=sys.platform != "win32",
            creationflags=_creation(),
        )
        began(process.pid)
        why = _wait(process, output, timeout_s)
        if why:
            stopping.stop(process.pid, before)
            process.wait()
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _READ_BACK))
        return Ended(None if why else process.returncode, cut(output.read().decode("utf-8", "replace")), why)


def _wait(process: subprocess.Popen[bytes], output: IO[bytes], timeout_s: float) -> str:
    """Wait for the end; why it has to be stopped, or empty."""
    end_s = time.monotonic() + timeout_s
    while process.poll() is None:
        if time.monotonic() >= end_s:
            return "It took longer than it may, and was stopped."
        if os.fstat(output.fileno()).st_size > MAX_OUTPUT:
            return f"It printed more than {MAX_OUTPUT // 2**20} MiB, and was stopped."
        time.sleep(_POLL_S)
    return ""


def minimal_environment() -> dict[str, str]:
    """What a tool of a job may know: where the system's tools are, and no more of the agent's own surroundings."""
    if sys.platform == "win32":
        kept = (
            "SYSTEMROOT",
            "SYSTEMDRIVE",
            "WINDIR",
            "COMSPEC",
            "PATHEXT",
            "PROGRAMFILES",
            "PROGRAMDATA",
            "TEMP",
            "TMP",
            "PATH",
        )
        return {name: os.environ[name] for name in kept if name in os.environ}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "HOME": "/root" if os.geteuid() == 0 else "/", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}


def cut(words: str) -> str:
    """The end of what was said: how something failed stands there."""
    plain = "".join(letter for letter in words.strip() if letter.isprintable() or letter in "\n\t")
    return plain if len(plain) <= MAX_WORDS else "..." + plain[-(MAX_WORDS - 3) :]


def stop_left_over(pid: int, begun_ago_s: float) -> None:
    """End what is left of a tool that an earlier child began in this boot so long ago.

    Its number may be another's by now: whatever is older than the step is a stranger, and stays.
    """
    left = [one for one in psutil.process_iter() if _session(one.pid) == pid] if sys.platform != "win32" else [_process(pid)]
    family: list[psutil.Process] = []
    for one in left:
        with contextlib.suppress(psutil.Error):
            if one is not None and time.time() - one.create_time() <= begun_ago_s + _BESIDE_S:
                family += [one, *one.children(recursive=True)]
    stopping.kill(family)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


@contextlib.contextmanager
def at_normal_pace() -> Iterator[None]:
    """While it lasts, what is started runs as fast as anything else: a service must not inherit this child's patience."""
    if sys.platform == "win32":
        yield
        return
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, own)


def be_patient() -> None:
    """Let this process, and all that it starts, give way to whoever works at the PC."""
    with contextlib.suppress(psutil.Error, OSError, AttributeError):
        own = psutil.Process()
        if sys.platform == "win32":
            own.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
            own.ionice(psutil.IOPRIO_LOW)
            return
        own.nice(max(own.nice(), 10))
        if sys.platform == "linux":
            own.ionice(psutil.IOPRIO_CLASS_BE, 7)


def _creation() -> int:
    if sys.platform != "win32":
        return 0
    return subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
