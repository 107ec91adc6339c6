"""`fettle-agent defer`: how a person at the PC puts off a restart that they were warned of, and the door at which they ask.

The door exists only while a warning runs. On Linux and macOS it is an empty file that everybody may read and only the agent may
write, and whoever holds a lock on it asks: nothing is stored, so there is nothing to fill. On Windows it is a folder into which
anybody may put a file; what is in the files is never read. However many ask counts as one. So the worst that anybody can do is
what they may: put the restart off as often as the signed order allows.

An agent that runs as a service keeps it where ordinary people's programs reach (not in its own folder, which is closed to
them); any other agent keeps it in its state folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fettle_agent.errors import AgentError
from fettle_agent.place import here

_WAIT_S = 30.0
_NOTHING = "this PC is not about to restart for Fettle: there is nothing to put off"


def door(state: Path) -> Path:
    """Where to ask the agent of that state folder."""
    if state != here().default_state():
        return state / "defer"
    if sys.platform == "win32":
        return Path(os.environ.get("PUBLIC", r"C:\Users\Public")) / "Fettle defer"
    return Path("/run/fettle-agent-defer") if sys.platform == "linux" else Path("/var/run/fettle-agent-defer")


def open_for_asking(state: Path) -> None:
    """Let people ask from now on; what was asked before is forgotten."""
    close_for_asking(state)
    _make(door(state))


def close_for_asking(state: Path) -> None:
    """Nobody may ask any more."""
    place = door(state)
    with contextlib.suppress(FileNotFoundError):
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()


def ask(state: Path) -> str:
    """Ask the running agent to put the restart off; the sentence that says what came of it.

    Raises:
        AgentError: nothing is there to be put off, or the agent does not answer.
    """
    place, end_s = door(state), time.monotonic() + _WAIT_S
    try:
        for is_heard in _asking(place):
            if is_heard:
                return "the agent has heard it: the restart is put off, if it may be put off once more"
            if time.monotonic() >= end_s:
                break
            time.sleep(0.05)
    except FileNotFoundError as error:
        raise AgentError(_NOTHING) from error
    except OSError as error:
        raise AgentError(f"{place} cannot be used ({error.strerror}): ask whoever looks after this PC") from error
    raise AgentError(f"the agent did not hear it within {_WAIT_S:.0f} s: ask once more, or whoever looks after this PC")


if sys.platform == "win32":

    def _make(place: Path) -> None:
        place.mkdir()

    def is_asked(place: str) -> bool:
        """True where somebody asks; cheap, because it is looked at each second while a warning runs."""
        try:
            with os.scandir(place) as entries:
                return next(entries, None) is not None
        except OSError:
            return False

    def _asking(place: Path) -> Iterator[bool]:
        """Ask as long as it is iterated; whether it was heard."""
        file = place / os.urandom(8).hex()
        file.touch()
        while True:
            yield not file.exists()

else:
    import fcntl

    _READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

    def _make(place: Path) -> None:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o444)
        try:
            os.fchmod(descriptor, 0o444)  # whatever the umask is
        finally:
            os.close(descriptor)

    def is_asked(place: str) -> bool:
        """True where somebody asks; cheap, because it is looked at each second while a warning runs.

        A shared lock that is let go at once, so that two who look do not see each other.
        """
        try:
            descriptor = os.open(place, _READ)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _asking(place: Path) -> Iterator[bool]:
        """Ask as long as it is iterated; whether it was heard: the door is another then, or gone."""
        descriptor = os.open(place, _READ)
        try:
            own = os.fstat(descriptor).st_ino
            while True:
                with contextlib.suppress(BlockingIOError):  # another asks, or the agent looks at this moment
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                try:
                    yield place.stat().st_ino != own
                except FileNotFoundError:
                    yield True
        finally:
            os.close(descriptor)
