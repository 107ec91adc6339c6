"""Where the agent runs: the one door to all that differs between operating systems.

Owns which of place_linux, place_macos and place_windows stands behind the interface. The rest of the agent asks `here()`.
"""

from __future__ import annotations

import hashlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

_JUNK = ("", "none", "default string", "to be filled by o.e.m.", "system serial number", "not specified")

_JUNK_UUIDS = ("03000200040005000006000700080009", "00020003000400050006000700080009")
"""What makers leave in the firmware of many boards alike, as Linux writes it and as it lies in the table."""


class Held(Protocol):
    """A lock that is held until it is closed or the process ends."""

    def close(self) -> None:
        """Let the lock go."""


class Place(Protocol):
    """What each operating system's module gives."""

    def system(self) -> str:
        """The system's name in the policy: "linux", "windows" or "macos"."""

    def default_state(self) -> Path:
        """The state folder of an agent that was installed as a service."""

    def os_version(self) -> str:
        """The system's name and version, for people."""

    def machine_marks(self) -> list[str]:
        """What tells this hardware from other: firmware UUID, fixed network addresses; only ever used hashed."""

    def installation_mark(self) -> str:
        """What the system called itself when it was installed; only ever used hashed."""

    def boot_id(self) -> str:
        """A text that changes with each start of the machine."""

    def boot_s(self) -> float:
        """Seconds since the machine started, sleep included; never steps."""

    def slept_s(self) -> float:
        """Seconds of those that the machine slept."""

    def stop_signals(self) -> tuple[signal.Signals, ...]:
        """The signals that ask the agent to leave."""

    def shutting_down(self) -> bool:
        """True where the whole machine is stopping, not the agent alone."""

    def restarting(self) -> bool:
        """True where it is known that the machine, which is stopping, comes back by itself."""

    def before_sleep(self, tell: Callable[[], None]) -> None:
        """Have the system call that, on a thread of its own, before each sleep; where it does such a thing."""

    def write_secret(self, path: Path, content: bytes) -> None:
        """Put the content in place in one step, readable by this account only."""

    def read_secret(self, path: Path) -> bytes:
        """What write_secret wrote."""

    def private_folder(self, path: Path) -> None:
        """Make the folder, and close it to other accounts."""

    def take_lock(self, path: Path) -> Held | None:
        """The lock on that file, or None while another process holds it."""

    def is_locked(self, path: Path) -> bool:
        """True while another process holds the lock on that file."""

    def service_ready(self) -> None:
        """Tell the service manager, where there is one, that the agent works."""


def here() -> Place:
    """The place of this operating system."""
    if sys.platform == "win32":
        from fettle_agent import place_windows

        return place_windows
    if sys.platform == "darwin":
        from fettle_agent import place_macos

        return place_macos
    from fettle_agent import place_linux

    return place_linux


def fingerprint(marks: list[str], installation: str = "") -> str:
    """sha256 over the marks that are not a maker's placeholder; the raw values never leave the machine.

    A machine whose hardware has none is known by its installation's mark, and is another one once it is installed anew; one
    that has not even that has no fingerprint.
    """
    true_marks = sorted({mark.strip().lower() for mark in marks if not _is_junk(mark)}) or [installation.strip().lower()]
    return hashlib.sha256("\n".join(true_marks).encode()).hexdigest() if true_marks != [""] else ""


def _is_junk(mark: str) -> bool:
    plain = mark.strip().lower()
    return plain in _JUNK or plain.replace("-", "") in _JUNK_UUIDS or not set(plain) - set("0-:") or not set(plain) - set("f-:")
