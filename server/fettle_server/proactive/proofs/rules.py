"""When a school's alerts are to be proved, and what became of a proof. Pure: no store, no clock."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from enum import StrEnum

ASK_S = 120
"""The test fault lasts so long."""
ASK_WITHIN = dt.timedelta(minutes=5)
"""The PC is asked again, should it come back, for so long."""
NOTICED_WITHIN = dt.timedelta(minutes=15)
OVERDUE = dt.timedelta(days=7)
OVERDUE_SCHOOL_DAYS = 5
"""Late also means that the school was open on so many days since: a proof that fell due in the holidays has time."""
TRY_AGAIN = dt.timedelta(days=1)
_GOLDEN = 0.6180339887498949


class Proved(StrEnum):
    """What became of a proof."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    VOID = "void"
    """It says nothing: the PC went away, or the fault was held back on purpose."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a proof has come; a step that was not reached is None.

    `is_told`: a receiver took a notice, or none was to be told now; `telling` says which. `held` why the fault was held back.
    """

    asked_at: dt.datetime
    raised_at: dt.datetime | None = None
    opened_at: dt.datetime | None = None
    is_told: bool = False
    telling: str = ""
    cleared_at: dt.datetime | None = None
    resolved_at: dt.datetime | None = None
    is_connected: bool = True
    held: str = ""


def in_order(seen: Seen) -> Seen:
    """The same with no step before the one that it follows from: agent, writer and worker each note their own.

    After a restart of the server an agent's clock may have been set anew between two of them.
    """
    opened_at = _not_before(seen.opened_at, seen.raised_at)
    cleared_at = _not_before(seen.cleared_at, seen.raised_at)
    resolved_at = _not_before(_not_before(seen.resolved_at, opened_at), cleared_at)
    return replace(seen, opened_at=opened_at, cleared_at=cleared_at, resolved_at=resolved_at)


def _not_before(at: dt.datetime | None, step: dt.datetime | None) -> dt.datetime | None:
    return at if at is None or step is None else max(at, step)


def judge(seen: Seen, now: dt.datetime) -> tuple[Proved, str]:
    """What has become of it by now, with a sentence."""
    if seen.held:
        return Proved.VOID, f"The test fault was held back: {seen.held}"
    if seen.raised_at and seen.opened_at and seen.is_told and seen.cleared_at and seen.resolved_at:
        return Proved.PASSED, seen.telling
    if now - seen.asked_at < NOTICED_WITHIN:
        return Proved.RUNNING, ""
    return _late(seen)


def _late(seen: Seen) -> tuple[Proved, str]:
    minutes = round(NOTICED_WITHIN.total_seconds() / 60)
    if seen.raised_at is None:
        if not seen.is_connected:
            return Proved.VOID, "The PC went away before it raised the test fault"
        return Proved.FAILED, f"No test fault arrived within {minutes} minutes of asking for it"
    if seen.opened_at is None:
        return Proved.FAILED, f"The test fault arrived, but no incident was opened within {minutes} minutes"
    if not seen.is_told:
        return Proved.FAILED, f"No receiver took the notice within {minutes} minutes: {seen.telling}"
    if not seen.is_connected:
        return Proved.PASSED, "Told; the PC went away before its test fault ended"
    if seen.cleared_at is None:
        return Proved.FAILED, f"The test fault did not end within {minutes} minutes"
    return Proved.FAILED, f"The test incident did not resolve within {minutes} minutes"


def due_at(school_id: int, since: dt.datetime, last: tuple[dt.datetime, Proved] | None, every: dt.timedelta) -> dt.datetime:
    """When the school's next proof is due.

    `since` is when the school was added: first proofs are spread over the interval, so that not all schools have theirs on
    one day. A proof that did not pass is tried again the next day.
    """
    if last is None:
        return since + every * (school_id * _GOLDEN % 1.0)
    asked_at, proved = last
    return asked_at + (every if proved in (Proved.PASSED, Proved.RUNNING) else min(TRY_AGAIN, every))


def is_overdue(due: dt.datetime, school_days: int, now: dt.datetime) -> bool:
    """Whether the silence of the proof is an incident; `school_days` since it was due."""
    return now - due >= OVERDUE and school_days >= OVERDUE_SCHOOL_DAYS


def turn(school_id: int, count: int, among: int) -> int:
    """Which of so many PCs has its turn: each proof asks another one."""
    return (school_id * 7 + count) % among
