"""Whether a machine that goes down means to come back by itself, read out of what each system says. Pure: text in, yes or no.

Asking the system is its place's business.
"""

from __future__ import annotations

import re

_TARGETS = ("reboot.target", "kexec.target", "soft-reboot.target")
_SHUTDOWN_TYPE = re.compile(r"<Data Name=['\"]param5['\"]>([^<]{1,40})</Data>")


def in_jobs(jobs: str) -> bool:
    """True where one of systemd's queued jobs (number, unit, kind, state a line) starts a target that restarts the machine."""
    rows = (line.split() for line in jobs.splitlines())
    return any(len(row) >= 3 and row[1] in _TARGETS and row[2] == "start" for row in rows)


def in_event(xml: str) -> bool:
    """True where Windows's event 1074 ("User32") is about a restart.

    Its fifth parameter is the kind of shutdown, in the system's language: a Windows that does not speak English is taken to be
    going off, which costs nothing but a shorter patience.
    """
    found = _SHUTDOWN_TYPE.search(xml)
    return found is not None and found[1].strip().lower() == "restart"
