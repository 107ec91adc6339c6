"""Linux: where the agent keeps its things, what the machine is called, and how the service manager talks to it."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fettle_agent import restarts
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

if sys.platform == "linux":

    def system() -> str:
        """The name in the policy."""
        return "linux"

    def default_state() -> Path:
        """Systemd's StateDirectory where it runs the agent."""
        return Path(os.environ.get("STATE_DIRECTORY", "/var/lib/fettle-agent"))

    def os_version() -> str:
        """What os-release calls itself, else the kernel's release."""
        for line in (_text("/etc/os-release") or _text("/usr/lib/os-release")).splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip().strip("\"'")
        return f"Linux {os.uname().release}"

    def machine_marks() -> list[str]:
        """Firmware UUID (root only), burnt-in addresses of network cards."""
        return [_text("/sys/class/dmi/id/product_uuid"), *_addresses()]

    def installation_mark() -> str:
        """Systemd's machine id."""
        return _text("/etc/machine-id")

    def boot_id() -> str:
        """The kernel's own."""
        return _text("/proc/sys/kernel/random/boot_id").strip() or f"since-{round(time.time() - boot_s())}"

    def boot_s() -> float:
        """CLOCK_BOOTTIME counts on through sleep."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def slept_s() -> float:
        """What CLOCK_BOOTTIME has more than CLOCK_MONOTONIC, which stops in sleep."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)

    def shutting_down() -> bool:
        """Systemd says "stopping" while the machine goes down."""
        return _systemctl("is-system-running").strip() == "stopping"

    def restarting() -> bool:
        """The job that takes systemd down is one that starts the machine again."""
        return restarts.in_jobs(_systemctl("list-jobs", "--plain", "--no-legend"))

    def before_sleep(tell: Callable[[], None]) -> None:
        """A hook in systemd's system-sleep runs `fettle-agent sleeping` instead: see docs/platforms.md."""

    def _systemctl(*words: str) -> str:
        if not Path("/run/systemd/system").is_dir():
            return ""
        import subprocess

        try:
            asked = subprocess.run(["/bin/systemctl", *words], capture_output=True, timeout=1, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return asked.stdout.decode("utf-8", "replace")

    def service_ready() -> None:
        """Systemd's readiness protocol: one datagram to NOTIFY_SOCKET."""
        address = os.environ.get("NOTIFY_SOCKET", "")
        if not address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            try:
                notify.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)
            except OSError:
                return

    def _addresses() -> list[str]:
        """Only of cards that are hardware and keep the address they were made with (addr_assign_type 0)."""
        cards = Path("/sys/class/net")
        if not cards.is_dir():
            return []
        fixed = [
            card for card in cards.iterdir() if (card / "device").exists() and _text(card / "addr_assign_type").strip() == "0"
        ]
        return [_text(card / "address").strip() for card in fixed]

    def _text(path: str | Path) -> str:
        try:
            return Path(path).read_text("utf-8", "replace")
        except OSError:
            return ""
