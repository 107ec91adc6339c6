"""Processes: how many, how many were never collected, and which is the largest, by its program's name alone.

Linux's /proc is read directly, one small file a process, because psutil's way costs ten times as much. Elsewhere psutil
reads them. Never a command line, never a user.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from fettle_agent.collectors import Collected, Reading, Setup
from fettle_agent.collectors.changes import Rates


@dataclass(frozen=True, slots=True)
class Process:
    """What is read of one process; `started` tells it from an earlier one of the same number."""

    number: int
    name: str
    zombie: bool
    cpu_s: float
    memory_bytes: int
    started: float


def parse_stat(text: str, *, ticks: int, page_bytes: int) -> Process | None:
    """The process that a /proc/PID/stat describes, None where it is not one; a name may hold spaces and brackets."""
    number, opened, rest = text.partition(" (")
    name, closed, rest = rest.rpartition(") ")
    fields = rest.split()
    try:
        if not opened or not closed or len(fields) < 22:
            return None
        cpu_s = (int(fields[11]) + int(fields[12])) / ticks
        memory = int(fields[21]) * page_bytes
        return Process(int(number), name, fields[0] in ("Z", "X"), cpu_s, memory, float(fields[19]))
    except ValueError:
        return None


def summary(processes: Iterable[Process], rates: Rates, *, memory_bytes: int) -> tuple[Reading, ...]:
    """The readings of one look at all processes; `rates` remembers their processor time from the look before."""
    rates.tick()
    count = zombies = 0
    busiest, busiest_name, largest, largest_name = -1.0, "", 0, ""
    for process in processes:
        count += 1
        zombies += process.zombie
        share = rates.per_second((process.number, process.started), process.cpu_s)
        if share is not None and share > busiest:
            busiest, busiest_name = share, process.name
        if process.memory_bytes > largest:
            largest, largest_name = process.memory_bytes, process.name
    rates.forget_unseen()
    readings = [Reading("process.count", count), Reading("process.zombies", zombies)]
    if busiest >= 0:
        readings.append(Reading("process.largest_cpu_percent", min(100.0, 100 * busiest), detail=busiest_name))
    if largest and memory_bytes:
        readings.append(
            Reading("process.largest_memory_percent", min(100.0, 100 * largest / memory_bytes), detail=largest_name)
        )
    return tuple(readings)


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of process.*."""
    rates, memory_bytes = Rates(), psutil.virtual_memory().total
    look = _from_proc if setup.system == "linux" else _from_psutil

    def collect() -> Collected:
        return Collected(summary(look(), rates, memory_bytes=memory_bytes))

    return collect


def _from_proc() -> Iterable[Process]:
    if sys.platform == "win32":
        return
    ticks, page_bytes = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            file = os.open(f"/proc/{entry}/stat", os.O_RDONLY)
        except OSError:
            continue
        try:
            text = os.read(file, 1024)
        except OSError:
            continue
        finally:
            os.close(file)
        process = parse_stat(text.decode("utf-8", "replace"), ticks=ticks, page_bytes=page_bytes)
        if process is not None:
            yield process


def _from_psutil() -> Iterable[Process]:
    for process in psutil.process_iter(["name", "status", "cpu_times", "memory_info", "create_time"], ad_value=None):
        facts = process.info
        if process.pid == 0:
            continue  # Windows counts idle time as a process
        times, memory = facts["cpu_times"], facts["memory_info"]
        yield Process(
            number=process.pid,
            name=facts["name"] or "",
            zombie=facts["status"] == psutil.STATUS_ZOMBIE,
            cpu_s=times.user + times.system if times else 0.0,
            memory_bytes=memory.rss if memory else 0,
            started=facts["create_time"] or 0.0,
        )
