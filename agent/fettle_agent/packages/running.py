"""Runs a package manager that changes the machine: bounded in time, asking nobody anything, its own words' end kept.

Owns the environment, the time limit and what is kept of the output. The output goes to a file and not through a pipe, because a
service that a package starts inherits it and would hold a pipe open for ever. Arguments are lists; there is no shell.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from fettle_agent import stopping
from fettle_agent.collectors import tools
from fettle_agent.packages import Ran

MAX_WORDS = 4000
INSTALL_S = 2 * 3600.0
"""How long one run of a package manager may take: a large upgrade on a school PC's disk and a thin link."""

LISTS_S = 900.0
QUERY_S = 120.0
LOCK_S = 300.0
"""How long a lock that somebody else holds is waited for."""

NO_TOOL, TOO_LONG = 127, 124
STATUS_FD = "APT::Status-Fd="
_MAX_OUTPUT_BYTES = 64 * 1024 * 1024
_LOOK_S = 0.1
_LOCK_PAUSE_S = 10.0
_QUIET = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",
    "UCF_FORCE_CONFFOLD": "1",
}
"""Nothing asks; needrestart only lists, for it would restart services in the middle of a lesson, and this agent among them."""

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def run(
    tool: str,
    *arguments: str,
    timeout_s: float = INSTALL_S,
    accept: Sequence[int] = (0,),
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: int | None = None,
    on_status: Callable[[str], None] | None = None,
    whole: bool = False,
) -> Ran:
    """What the tool did, by its status and the end of what it said; a tool that is missing or hangs is such an answer too.

    With `on_status` the tool gets a pipe, whose number is added to the argument STATUS_FD, and each line that it writes there
    is handed over. `user` is the account to run as, where that is not this one. `whole` gives all of the standard output and
    nothing of the errors, for a document that is to be read.
    """
    import tempfile  # brings a good part of the library along, which the running agent does without

    path = tool if Path(tool).is_absolute() else tools.find(tool)
    if path is None:
        return Ran(False, f"{tool} is not installed.", NO_TOOL)
    with tempfile.TemporaryFile() as output, _status_pipe(on_status) as pipe:
        before = stopping.own()
        words = [path, *(STATUS_FD + str(pipe) if argument == STATUS_FD else argument for argument in arguments)]
        try:
            process = _start(words, output, pipe=pipe, environment=environment, cwd=cwd, user=user, whole=whole)
        except OSError as error:
            return Ran(False, f"{tool} could not be started: {error.strerror}", NO_TOOL)
        why = _wait(process, output, timeout_s, before)
        said = _all(output) if whole else tail(output)
    if why:
        return Ran(False, f"{said}\n{Path(tool).name} {why}".strip()[-MAX_WORDS:], TOO_LONG)
    return Ran(process.returncode in accept, said, process.returncode)


def waiting_for_lock(act: Callable[[], Ran], is_locked: re.Pattern[str]) -> Ran:
    """The act, tried again as long as somebody else holds its lock; after that its words say who has held it for how long."""
    begun, wait_s = time.monotonic(), LOCK_S
    while True:
        ran = act()
        if ran.worked or not is_locked.search(ran.words):
            return ran
        if time.monotonic() - begun >= wait_s:
            return Ran(False, f"Another program has held the lock for {wait_s:.0f} s.\n{ran.words}"[:MAX_WORDS], ran.status)
        time.sleep(min(_LOCK_PAUSE_S, wait_s))


def tail(output: IO[bytes]) -> str:
    """The end of what was written, as text that a page can show."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 4 * MAX_WORDS))
    return plain(output.read().decode("utf-8", "replace"))


def _all(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read(tools.MAX_OUTPUT_BYTES).decode("utf-8", "replace")


def plain(text: str) -> str:
    """The end of the text without the marks that move a terminal's cursor; of a line drawn over only the last state."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROLS.sub("", "\n".join(lines)).strip()[-MAX_WORDS:]


def each(act: Callable[..., Ran], orders: Sequence[tuple[str, ...]], progress: Callable[[int], None]) -> Ran:
    """The act with each order's words, one after the other, until one fails; all of them as one run."""
    said = [Ran(True, "" if orders else "Nothing to do.", 0)]
    for place, words in enumerate(orders, 1):
        said.append(act(*words))
        progress(100 * place // len(orders))
        if not said[-1].worked:
            break
    return joined(*said)


def unwatched(percent: int) -> None:
    """Progress that nobody is told."""


def joined(*parts: Ran) -> Ran:
    """Several runs as one: it worked if the last did; all words, of which the end is kept."""
    words = "\n".join(part.words for part in parts if part.words)
    return Ran(parts[-1].worked, words[-MAX_WORDS:], parts[-1].status)


def _start(
    words: Sequence[str],
    output: IO[bytes],
    *,
    pipe: int,
    environment: Mapping[str, str] | None,
    cwd: Path | None,
    user: int | None,
    whole: bool,
) -> subprocess.Popen[bytes]:
    errors = subprocess.DEVNULL if whole else subprocess.STDOUT
    quiet = {**os.environ, **_QUIET, **(environment or {})}
    if sys.platform == "win32":
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=quiet,
            cwd=cwd,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env={**quiet, "PATH": os.pathsep.join((*tools.folders(), "/usr/sbin", "/usr/bin", "/sbin", "/bin"))},
        cwd=cwd or "/",
        start_new_session=True,
        pass_fds=(pipe,) if pipe >= 0 else (),
        user=user,
    )


def _stop(process: subprocess.Popen[bytes], before: frozenset[psutil.Process]) -> None:
    stopping.stop(process.pid, before)
    process.wait()


def _wait(process: subprocess.Popen[bytes], output: IO[bytes], timeout_s: float, before: frozenset[psutil.Process]) -> str:
    """Wait for the end; why it had to be made to end, or empty."""
    end = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_S)
            return ""
        if time.monotonic() >= end:
            _stop(process, before)
            return f"took longer than {timeout_s:g} s and was ended"
        if os.fstat(output.fileno()).st_size > _MAX_OUTPUT_BYTES:
            _stop(process, before)
            return "printed without end and was ended"


@contextlib.contextmanager
def _status_pipe(on_status: Callable[[str], None] | None) -> Iterator[int]:
    """The writing end for the tool, -1 for none; what is read from the other end is handed over line by line."""
    if on_status is None or sys.platform == "win32":
        yield -1
        return
    reading, writing = os.pipe()
    reader = threading.Thread(target=_hand_over, args=(reading, on_status), daemon=True)
    reader.start()
    try:
        yield writing
    finally:
        os.close(writing)
        reader.join(1)


def _hand_over(reading: int, on_status: Callable[[str], None]) -> None:
    with open(reading, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            on_status(line.rstrip("\n"))
