"""How far an endpoint is with an update, and the 14-day clock from the vendor's release. Pure: no store, no clock.

An update is proven only by a look after its installation that no longer offers it, while no restart is pending. A look that
failed proves nothing, and what was not looked at for too long is unknown, never well.
Source: Cyber Essentials: Requirements for IT Infrastructure v3.3, "Security update management"; fits.md, evidence.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

CLOCK_DAYS = 14
SOON_DAYS = 5
STALE_DAYS = 7
"""An endpoint that has not been there for so long may have changed: what it last told of its updates no longer counts."""
CVSS_HIGH = 7.0
EXCEPTION_DAYS = 90
"""The longest that an exception stands before somebody has to think about it again."""
_WORST = ("critical", "important")
_RESTARTS_WHOLE_SYSTEM = frozenset({"windows", "softwareupdate"})


class PatchError(Exception):
    """Something about updates that cannot be done; the message is for the person who asked."""


class PatchState(StrEnum):
    """How far one endpoint is with one update.

    OFFERED by its source, APPROVED by a change, DOWNLOADED, INSTALLED (told by a job, not looked at since), REBOOT_PENDING
    (installed, but not in effect before a restart), PROVEN by a later look, FAILED, GONE (no longer offered, though never
    seen installed: superseded, or withdrawn).
    """

    OFFERED = "offered"
    APPROVED = "approved"
    DOWNLOADED = "downloaded"
    INSTALLED = "installed"
    REBOOT_PENDING = "reboot pending"
    PROVEN = "proven"
    FAILED = "failed"
    GONE = "gone"


OPEN = (
    PatchState.FAILED,
    PatchState.OFFERED,
    PatchState.APPROVED,
    PatchState.DOWNLOADED,
    PatchState.INSTALLED,
    PatchState.REBOOT_PENDING,
)
"""The states of an update that the endpoint lacks: none of them is fixed."""
TO_INSTALL = (PatchState.FAILED, PatchState.OFFERED, PatchState.APPROVED, PatchState.DOWNLOADED)
"""Those that an installation would mend; the others wait for a restart or a look."""


class Standing(StrEnum):
    """How an endpoint stands with the 14-day clock, worst first."""

    OVERDUE = "overdue"
    UNKNOWN = "unknown"
    SOON = "due soon"
    EXCEPTED = "excepted"
    ON_TIME = "on time"


@dataclass(frozen=True, slots=True)
class Grade:
    """How bad the vendor says that an update's fault is. `severity` "" where it does not say, `cvss` None likewise."""

    security: bool
    severity: str = ""
    cvss: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look of an endpoint at its updates, of one provider: when, whether it worked, and whether a restart is pending."""

    at: dt.datetime
    worked: bool
    reboot_pending: bool | None


@dataclass(frozen=True, slots=True)
class Quiet:
    """Days on which nothing is installed at a school (None: at any), such as a freeze or an exam."""

    school_id: int | None
    title: str
    starts_on: dt.date
    ends_on: dt.date


def counts(grade: Grade) -> bool:
    """True where the 14-day clock runs: a security update that is critical or high, or of which nobody says how bad it is."""
    if not grade.security:
        return False
    if grade.cvss is not None and grade.cvss >= CVSS_HIGH:
        return True
    return grade.severity in _WORST or (grade.severity == "" and grade.cvss is None)


def due_on(grade: Grade, released_on: dt.date | None, first_seen: dt.date) -> dt.date | None:
    """The last day on which the update is in time; None where no clock runs."""
    return (released_on or first_seen) + dt.timedelta(days=CLOCK_DAYS) if counts(grade) else None


def clock_from(released_on: dt.date | None) -> str:
    """What the clock runs from, in words."""
    return "the vendor's release" if released_on is not None else "when it was first seen here"


def standing(*, due: dt.date | None, excepted: bool, looked: bool, seen_at: dt.datetime | None, now: dt.datetime) -> Standing:
    """How an endpoint stands: `due` its earliest due day, `looked` whether its newest look worked, `seen_at` when it was there.

    Nothing that is stale or was never looked at passes.
    """
    if seen_at is None or now - seen_at > dt.timedelta(days=STALE_DAYS):
        return Standing.UNKNOWN
    if due is not None and due < now.date():
        return Standing.OVERDUE
    if not looked:
        return Standing.UNKNOWN
    if due is not None and due <= now.date() + dt.timedelta(days=SOON_DAYS):
        return Standing.SOON
    return Standing.EXCEPTED if excepted else Standing.ON_TIME


def may_wait_for_restart(provider: str, reboot_pending: bool | None) -> bool:
    """True where a restart is pending, or may be: of a whole system's own updates "not known" is no "no"."""
    return reboot_pending is True or (reboot_pending is None and provider in _RESTARTS_WHOLE_SYSTEM)


def freeze_warning(quiet: Quiet, endpoints: int, today: dt.date) -> str:
    """What falls due while nothing may be installed, as a sentence that says what to do."""
    span = (
        f"until {_said(quiet.ends_on)}"
        if quiet.starts_on <= today
        else f"from {_said(quiet.starts_on)} to {_said(quiet.ends_on)}"
    )
    whose = "1 PC has fixes that fall" if endpoints == 1 else f"{endpoints:,} PCs have fixes that fall"
    when = "before it ends" if quiet.starts_on <= today else "in it"
    todo = "ask for an emergency change" if quiet.starts_on <= today else "install them before"
    return f"{quiet.title} is on {span}, and {whose} due {when}. The clock does not stop: {todo}."


def _said(day: dt.date) -> str:
    return f"{day.day} {day:%B}"


def earliest(days: Iterable[dt.date | None]) -> dt.date | None:
    """The earliest of the days that there are."""
    return min((day for day in days if day is not None), default=None)
