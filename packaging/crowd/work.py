"""Jobs on a played PC: received at once, begun within the window, each step told as it ends, now and then one fails.

It plays a believable agent, so it checks no signature and changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from fettle_protocol.manifests import ManifestError, decode
from fettle_protocol.v1 import link_pb2 as pb

_State = pb.JobReport
_FAILS = 0.02
_BEGINS_WITHIN_S = 20.0
_STEP_S = (2.0, 15.0)
_BROKEN = "E: Sub-process /usr/bin/dpkg returned an error code (1)"


class Work:
    """One PC's jobs. Times are seconds since the epoch."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._known: set[str] = set()
        self._plan: list[tuple[float, pb.JobReport]] = []

    def take(self, jobs: Iterable[pb.Job], cancelled: Iterable[pb.CancelJob], now: float) -> None:
        """Plan what is new, and take back what has not begun."""
        for job in jobs:
            if job.id not in self._known:
                self._known.add(job.id)
                self._plan += self._course(job, now)
        for one in cancelled:
            begun = not any(report.job == one.id and report.state == _State.STATE_STARTED for _, report in self._plan)
            if one.id in self._known and begun:
                continue
            self._plan = [(at, report) for at, report in self._plan if report.job != one.id]
            self._plan.append((now, pb.JobReport(job=one.id, state=_State.STATE_CANCELLED, why=one.reason)))
        self._plan.sort(key=lambda entry: entry[0])

    @property
    def due(self) -> float:
        """When there is something to tell next."""
        return self._plan[0][0] if self._plan else float("inf")

    def told(self, now: float) -> list[pb.Event]:
        """What has happened by now, as events."""
        events = []
        while self._plan and self._plan[0][0] <= now:
            at, report = self._plan.pop(0)
            events.append(pb.Event(at_ms=int(at * 1000), job=report))
        return events

    def _course(self, job: pb.Job, now: float) -> list[tuple[float, pb.JobReport]]:
        """How it will go."""
        try:
            steps = decode(job.manifest).steps
        except ManifestError as error:
            return [(now, pb.JobReport(job=job.id, state=_State.STATE_REFUSED, why=str(error)))]
        at = max(now, job.start_ms / 1000) + self._dice.uniform(1.0, _BEGINS_WITHIN_S)
        course = [
            (now, pb.JobReport(job=job.id, state=_State.STATE_RECEIVED)),
            (at, pb.JobReport(job=job.id, state=_State.STATE_STARTED, attempt=1)),
        ]
        for number, step in enumerate(steps, 1):
            at += self._dice.uniform(*_STEP_S)
            where = {"job": job.id, "step": number, "kind": step["kind"], "attempt": 1}
            if self._dice.random() < _FAILS:
                course.append((at, pb.JobReport(**where, state=_State.STATE_STEP_FAILED, words=_BROKEN)))
                why = f"Step {number} ({step['kind']}) failed."
                course.append((at, pb.JobReport(job=job.id, state=_State.STATE_FAILED, why=why, attempt=1)))
                return course
            percent = 100 * number // max(1, len(steps))
            course.append((at, pb.JobReport(**where, state=_State.STATE_STEP_DONE, percent=percent)))
        course.append((at, pb.JobReport(job=job.id, state=_State.STATE_DONE, percent=100, attempt=1)))
        return course
