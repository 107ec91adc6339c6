"""macOS: where the agent keeps its things and what the machine is called."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fettle_agent.place_posix import is_locked, private_folder, read_secret, stop_signals, take_lock, write_secret

__all__ = [
    "before_sleep",
    "boot_id",
    "boot_s",
    "default_state",
    "installation_mark",
    "is_locked",
    "machine_marks",
    "os_version",
    "private_folder",
    "read_secret",
    "restarting",
    "service_ready",
    "shutting_down",
    "slept_s",
    "stop_signals",
    "system",
    "take_lock",
    "write_secret",
]

if sys.platform == "darwin":

    def system() -> str:
        """The name in the policy."""
        return "macos"

    def default_state() -> Path:
        """Where a launch daemon keeps its data."""
        return Path("/Library/Application Support/Fettle Agent")

    def os_version() -> str:
        """What sw_vers says."""
        return f"macOS {_printed('/usr/bin/sw_vers', '-productVersion').strip()}"

    def machine_marks() -> list[str]:
        """The platform's UUID, burnt into the board."""
        lines = _printed("/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice").splitlines()
        return [line.partition("=")[2].strip(' "') for line in lines if '"IOPlatformUUID"' in line]

    def installation_mark() -> str:
        """Not needed: every Mac has its UUID."""
        return ""

    def boot_id() -> str:
        """The kernel's session id of this start."""
        return _printed("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid").strip() or f"since-{round(time.time() - boot_s())}"

    def boot_s() -> float:
        """CLOCK_MONOTONIC counts on through sleep on macOS."""
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def slept_s() -> float:
        """What CLOCK_MONOTONIC has more than CLOCK_UPTIME_RAW, which stops in sleep."""
        return time.clock_gettime(time.CLOCK_MONOTONIC) - time.clock_gettime(time.CLOCK_UPTIME_RAW)

    def shutting_down() -> bool:
        """Launchd does not say."""
        return False

    def restarting() -> bool:
        """Not known, since launchd says nothing at all."""
        return False

    def before_sleep(tell: Callable[[], None]) -> None:
        """IOKit tells only who runs a run loop of Core Foundation; the server learns it by the silence and the wake."""

    def service_ready() -> None:
        """Launchd does not ask."""

    def _printed(*command: str) -> str:
        try:
            return subprocess.run(command, capture_output=True, timeout=5, check=False).stdout.decode("utf-8", "replace")
        except (OSError, subprocess.TimeoutExpired):
            return ""
