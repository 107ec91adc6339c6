"""Stops a tool with all that it started, what left its group and its parent too.

Owns who belongs to a tool. The child that works (`fettle-agent work`) adopts orphans where the system lets it (Linux), so that
a process that made itself independent is still known as one of its own: see prctl(2), PR_SET_CHILD_SUBREAPER.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_ROUNDS = 5
_adopts = False


def adopt_orphans() -> None:
    """From now on whatever a tool leaves behind is this process's own child; for a process that is there for tools only."""
    global _adopts
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            _adopts = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def own() -> frozenset[psutil.Process]:
    """What this process has started, or adopted, and still runs; to be asked before a tool is started."""
    return frozenset(psutil.Process().children(recursive=True)) if _adopts else frozenset()


def stop(pid: int, before: frozenset[psutil.Process]) -> None:
    """End a process that was started here, its group, all that it started, and what was adopted since `before` was asked."""
    family = _family(pid)
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    kill(family)
    for _ in range(_ROUNDS):  # what is killed may have started another at the same moment
        left = [one for one in own() - before if _runs(one)]
        if not left:
            return
        kill(left)


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def kill(family: Iterable[psutil.Process]) -> None:
    """End these processes."""
    for one in family:
        with contextlib.suppress(psutil.Error):
            one.kill()
