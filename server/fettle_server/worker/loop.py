"""The worker's loop: each job at its own interval, one failing job never stopping its neighbours, until SIGTERM.

Owns when jobs run and which of several workers runs them. What they do is in jobs.py.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from fettle_server import clock, db, leases, observed
from fettle_server.config import Settings
from fettle_server.worker.jobs import JOBS, Job, Work

LEASE = "worker"
LEASE_LIFE = dt.timedelta(seconds=30)
_RENEW_S = 10.0
_BREATH_S = 0.12
"""Between the pieces of one long job. Whoever waits for SQLite asks for it each 100 ms: a shorter pause might pass unseen."""


def main(settings: Settings, stop: threading.Event | None = None) -> None:
    """Work until SIGTERM (or until `stop` is set, where that is given)."""
    over = stop or threading.Event()
    if stop is None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: over.set())
    work = Work(
        settings=settings,
        engine=db.open_engine(settings.database_url),
        reading=db.open_engine(settings.database_url, readonly=True),
    )
    loop = Loop(work, holder=f"{socket.gethostname()[:80]}:{os.getpid()}:{secrets.token_hex(4)}")
    observed.log().info("the worker works", jobs=len(JOBS))
    try:
        while not over.is_set():
            over.wait(loop.turn())
    finally:
        loop.end()


@dataclass(slots=True)
class _Due:
    job: Job
    at: float


class Loop:
    """Which job is due when; `turn` runs what is due and says how long to wait."""

    def __init__(self, work: Work, holder: str, jobs: Sequence[Job] = JOBS) -> None:
        """A loop whose jobs are all due at once, in their order."""
        self._work = work
        self._holder = holder
        self._due = [_Due(job, clock.monotonic()) for job in jobs]
        self._leased_until = 0.0

    def turn(self) -> float:
        """Run one piece of each job that is due; returns the seconds until the next one is."""
        if not self._has_lease():
            return _RENEW_S
        busy = False
        for due in self._due:
            if due.at <= clock.monotonic():
                unfinished = _run(due.job, self._work)
                busy = busy or unfinished
                due.at = clock.monotonic() + (0 if unfinished else due.job.every_s)
        if busy:
            return _BREATH_S
        return max(_BREATH_S, min(min(due.at for due in self._due) - clock.monotonic(), _RENEW_S))

    def end(self) -> None:
        """Let another worker have the work at once, and close the store."""
        try:
            with self._work.engine.begin() as tx:
                leases.give_back(tx, LEASE, self._holder)
        except Exception:
            observed.log().warning("the worker's lease could not be given back; it runs out by itself", exc_info=True)
        self._work.engine.dispose()
        self._work.reading.dispose()

    def _has_lease(self) -> bool:
        """Take or renew it when a third of its life is over. A store that cannot be used is nobody's work."""
        if clock.monotonic() < self._leased_until:
            return True
        try:
            with self._work.engine.begin() as tx:
                taken = leases.take(tx, LEASE, self._holder, LEASE_LIFE, clock.utc_now())
        except Exception:
            observed.log().error("the store cannot be used by the worker", exc_info=True)
            return False
        self._leased_until = clock.monotonic() + _RENEW_S if taken else 0.0
        return taken


def _run(job: Job, work: Work) -> bool:
    """One piece of the job; True where there is more to do. What goes wrong is logged, and tried again at the next interval."""
    try:
        return job.run(work, clock.utc_now())
    except Exception:
        observed.log().error("a job of the worker failed", job=job.name, exc_info=True)
        return False
