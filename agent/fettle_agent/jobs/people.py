"""Whether somebody sits at this PC, and how to tell them something. Parsers take text; nobody's name leaves this module.

Linux: logind's sessions where it runs, and how long ago a terminal was touched. Windows: quser. macOS: the idle time of
keyboard and mouse. Sources: the manual pages of loginctl(1) and utmp(5);
https://learn.microsoft.com/en-us/windows-server/administration/windows-commands/quser and .../msg;
Apple's Technical Q&A on HIDIdleTime in the I/O registry (`ioreg -c IOHIDSystem`), nanoseconds.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import psutil

from fettle_agent.collectors import CollectError, tools
from fettle_agent.jobs.courtesy import Sitting

_TOOL_S = 10.0
_WHO = "School IT"
_QUSER = re.compile(r"\s(?P<idle>none|\.|\d+|\d+:\d\d|\d+\+\d\d:\d\d)\s+\S+[\d/.-]", re.IGNORECASE)
_IDLE_NS = re.compile(r'"HIDIdleTime"\s*=\s*(\d+)')
_NOBODY = ("greeter", "lock-screen", "background", "background-light", "manager", "manager-early", "none")
"""The classes of sessions behind which there is no person; whoever locked the screen has a session of their own."""

_LOGINDS = ("systemd-logind", "elogind", "elogind-daemon")


def sitting(system: str) -> tuple[Sitting, ...]:
    """Everybody who is signed in, at the PC or from afar.

    Where one way to ask fails or finds nobody the other is asked, and who cannot be told apart from a person counts as one.
    """
    try:
        return {"linux": _linux, "windows": _windows, "macos": _macos}[system]() or _signed_in()
    except (CollectError, OSError):
        return _signed_in() or ((Sitting(),) if system == "linux" else ())


def _signed_in() -> tuple[Sitting, ...]:
    """By the list that the system's own sign-ins are written to: utmp, or Windows's sessions."""
    return tuple(Sitting(_terminal_idle_s(user.terminal or "")) for user in psutil.users())


def parse_loginctl(told: str, now_us: int) -> tuple[Sitting, ...]:
    """Sessions out of `loginctl show-session` of several, an empty line between them; of people who are still there only.

    `now_us` is the monotonic clock's, which IdleSinceHintMonotonic is of. A session of a kind that is not known is a person's.
    """
    found = []
    for block in told.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if not values or values.get("Class") in _NOBODY or values.get("State") == "closing":
            continue
        since = values.get("IdleSinceHintMonotonic", "")
        is_idle = values.get("IdleHint") == "yes" and since.isdigit()
        found.append(Sitting((now_us - int(since)) / 1e6 if is_idle else 0.0))
    return tuple(found)


def parse_quser(told: str) -> tuple[Sitting, ...]:
    """Sessions out of quser's table: the idle time stands before the time of the sign-in, in every language."""
    found = []
    for line in told.splitlines()[1:]:
        row = _QUSER.search(line)
        if line.strip():
            found.append(Sitting(None if row is None else _quser_idle_s(row["idle"].lower())))
    return tuple(found)


def _quser_idle_s(idle: str) -> float:
    if idle in ("none", "."):
        return 0.0
    days, _, clock = idle.rpartition("+")
    hours, _, minutes = clock.rpartition(":")
    return (int(days or 0) * 24 * 60 + int(hours or 0) * 60 + int(minutes)) * 60.0


def parse_ioreg(told: str) -> float | None:
    """Seconds since keyboard or mouse were touched."""
    found = [int(value) for value in _IDLE_NS.findall(told)]
    return min(found) / 1e9 if found else None


def _linux() -> tuple[Sitting, ...]:
    if not (Path("/run/systemd/system").is_dir() or any(one.info["name"] in _LOGINDS for one in psutil.process_iter(["name"]))):
        return ()
    listed = tools.run("loginctl", "list-sessions", "--no-legend", timeout_s=_TOOL_S)
    names = [line.split()[0] for line in listed.splitlines() if line.split()]
    wanted = [part for name in ("Class", "State", "Type", "IdleHint", "IdleSinceHintMonotonic") for part in ("-p", name)]
    told = tools.run("loginctl", "show-session", *wanted, *names, timeout_s=_TOOL_S) if names else ""
    return parse_loginctl(told, time.monotonic_ns() // 1000)


def _terminal_idle_s(terminal: str) -> float | None:
    if not re.fullmatch(r"(tty|pts/)[A-Za-z0-9]+", terminal):
        return None
    try:
        return max(0.0, time.time() - Path("/dev", terminal).stat().st_atime)
    except OSError:
        return None


def _windows() -> tuple[Sitting, ...]:
    _, told = tools.ended("quser.exe", timeout_s=_TOOL_S)  # its status is 1 where nobody is signed in, and where somebody is
    return parse_quser(told)


def _macos() -> tuple[Sitting, ...]:
    if not psutil.users():
        return ()
    return (Sitting(parse_ioreg(tools.run("ioreg", "-c", "IOHIDSystem", "-d", "4", timeout_s=_TOOL_S))),)


def tell(system: str, text: str) -> tuple[bool, str]:
    """Show the text to whoever is signed in; whether that was possible, and by which means or why not."""
    if not sitting(system):
        return True, "Nobody is signed in, so nobody was told."
    said = [(name, tools_worked) for name, arguments in _means(system, text) if (tools_worked := _worked(name, arguments))]
    if said:
        return True, f"Told by {', '.join(dict.fromkeys(name for name, _ in said))}."
    return False, "Somebody is signed in, but this system has no means to show them a message."


def _worked(tool: str, arguments: list[str]) -> bool:
    try:
        tools.run(tool, *arguments, timeout_s=_TOOL_S)
    except CollectError:
        return False
    return True


def _means(system: str, text: str) -> list[tuple[str, list[str]]]:
    """The tools that may show it. The text is always an argument of its own, never part of a script.

    It stands behind who speaks, so that it is never taken for an option, nor by wall for the name of a file to show.
    """
    plain = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
    if system == "windows":
        return [("msg.exe", ["*", "/TIME:600", f"{_WHO}: {plain}"])]
    if system == "macos":
        show = "display notification (item 2 of argv) with title (item 1 of argv)"
        script = ["-e", "on run argv", "-e", show, "-e", "end run"]
        users = {Path("/dev/console").stat().st_uid} - {0}
        return [("launchctl", ["asuser", str(user), "/usr/bin/osascript", *script, _WHO, plain]) for user in users]
    return [("wall", [f"{_WHO}: {plain}"]), *_desktops(plain)]


def _desktops(text: str) -> list[tuple[str, list[str]]]:
    """notify-send on the session bus of each person who has one, as that person."""
    found = []
    for bus in sorted(Path("/run/user").glob("*/bus")):
        user = bus.parent.name
        if user.isdigit() and user != "0":
            address = f"DBUS_SESSION_BUS_ADDRESS=unix:path={bus}"
            command = [
                "--reuid",
                user,
                "--clear-groups",
                "env",
                address,
                "notify-send",
                "--urgency=critical",
                "--",
                _WHO,
                text,
            ]
            found.append(("setpriv", command))
    return found
