"""`fettle-agent defer`: how a person at the PC puts off a restart that they were warned of, and the folder by which they ask.

The folder exists only while a warning runs. Anybody may put a file into it, nobody but the agent may list it or take another's
away (mode 1733); what is in the files is never read, and so many as there are count as one. So the worst that anybody can do
is what they may: put the restart off as often as the signed order allows.

An agent that runs as a service keeps it where ordinary people's programs reach (not in its own folder, which is closed to
them); any other agent keeps it in its state folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path

from fettle_agent.errors import AgentError
from fettle_agent.place import here

_MODE = 0o1733
_WAIT_S = 8.0


def folder(state: Path) -> Path:
    """Where to ask the agent of that state folder."""
    if state != here().default_state():
        return state / "defer"
    if sys.platform == "win32":
        return Path(os.environ.get("PUBLIC", r"C:\Users\Public")) / "Fettle defer"
    return Path("/run/fettle-agent-defer") if sys.platform == "linux" else Path("/var/run/fettle-agent-defer")


def open_for_asking(state: Path) -> None:
    """Let people ask from now on; what was asked before is forgotten."""
    close_for_asking(state)
    place = folder(state)
    place.mkdir(mode=0o700)
    if os.name == "posix":
        place.chmod(_MODE)


def close_for_asking(state: Path) -> None:
    """Nobody may ask any more."""
    place = folder(state)
    if place.is_symlink():
        place.unlink()
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(place)


def is_asked(place: str) -> bool:
    """True where somebody asks; cheap, because it is looked at each second while a warning runs."""
    try:
        with os.scandir(place) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def ask(state: Path) -> str:
    """Ask the running agent to put the restart off; the sentence that says what came of it.

    Raises:
        AgentError: nothing is there to be put off, or the agent does not answer.
    """
    place = folder(state)
    if not place.is_dir():
        raise AgentError("this PC is not about to restart for Fettle: there is nothing to put off")
    file = place / os.urandom(8).hex()
    try:
        file.touch()
    except OSError as error:
        raise AgentError(f"{file} cannot be made ({error.strerror}): ask whoever looks after this PC") from error
    end_s = time.monotonic() + _WAIT_S
    while time.monotonic() < end_s:
        if not file.exists():
            return "the agent has heard it: the restart is put off, if it may be put off once more"
        time.sleep(0.05)
    return "the agent has not answered yet; if it runs, the restart is put off when it sees this"
