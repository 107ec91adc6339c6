"""What queries about updates return: plain frozen values, safe to hold after the transaction."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from fettle_server.change.patches.rules import PatchState, Standing


@dataclass(frozen=True, slots=True)
class LackingFilter:
    """Which updates a list shows: those that PCs lack, of a school, of a provider, for security only, past their day only."""

    school_id: int | None = None
    provider: str = ""
    security: bool = False
    overdue: bool = False
    search: str = ""


@dataclass(frozen=True, slots=True)
class UpdateView:
    """An update. `due_on` is the last day in time by the 14-day clock (None: no clock), `clock` what it runs from, in words."""

    id: int
    provider: str
    name: str
    version: str
    title: str
    security: bool
    severity: str
    cvss: float | None
    cves: tuple[str, ...]
    reference: str
    released_on: dt.date | None
    first_seen_at: dt.datetime
    due_on: dt.date | None
    clock: str


@dataclass(frozen=True, slots=True)
class LackingRow(UpdateView):
    """An update and how many PCs lack it: in all, past their day, waiting for a restart, failed, approved; in how many schools.

    `earliest_due_on` is the earliest day of any PC: earlier than `due_on` where it lacks a predecessor that this one replaced.
    """

    lacking: int
    overdue: int
    restart: int
    failed: int
    approved: int
    schools: int
    earliest_due_on: dt.date | None


@dataclass(frozen=True, slots=True)
class SchoolCount:
    """How many PCs of a school are how far with an update."""

    school_id: int
    school: str
    lacking: int
    overdue: int


@dataclass(frozen=True, slots=True)
class ExceptionView:
    """An update that need not be in time: at a school (None: everywhere), why, by whom, until when."""

    id: int
    update_id: int
    school_id: int | None
    school: str
    why: str
    by: str
    at: dt.datetime
    until: dt.date


@dataclass(frozen=True, slots=True)
class UpdateDetail:
    """An update with how many PCs are in each state, and in which schools it is lacking."""

    update: LackingRow
    states: dict[PatchState, int]
    schools: tuple[SchoolCount, ...]
    exceptions: tuple[ExceptionView, ...]


@dataclass(frozen=True, slots=True)
class PatchRow:
    """One endpoint with one update: its state, when each step was seen, and the operating system's own words at the last."""

    update: UpdateView
    endpoint_id: str
    endpoint: str
    school_id: int
    school: str
    state: PatchState
    installed: str
    words: str
    change_id: int | None
    due_on: dt.date | None
    steps: tuple[tuple[str, dt.datetime], ...]


@dataclass(frozen=True, slots=True)
class EndpointPatches:
    """All that is known of an endpoint's updates. `providers` are {provider, error}; `looked_at` None: it never told."""

    standing: Standing
    looked_at: dt.datetime | None
    seen_at: dt.datetime | None
    reboot_pending: bool | None
    providers: tuple[dict[str, str], ...]
    refused: str
    due_on: dt.date | None
    rows: tuple[PatchRow, ...]


@dataclass(frozen=True, slots=True)
class Compliance:
    """A school's PCs by how they stand with the 14-day clock, and what waits for a restart. `due_on`: the earliest day to come.

    `percent` is of those that are known and counted on time, due soon or excepted; None where nothing is known.
    """

    school_id: int
    school: str
    on_time: int
    soon: int
    overdue: int
    unknown: int
    excepted: int
    restart: int
    due_on: dt.date | None
    percent: int | None
    warnings: tuple[str, ...] = ()

    @property
    def endpoints(self) -> int:
        """All of the school's PCs."""
        return self.on_time + self.soon + self.overdue + self.unknown + self.excepted


@dataclass(frozen=True, slots=True)
class PatchSummary:
    """The estate on one line: PCs by their standing, updates that PCs lack, and those of them past their day."""

    on_time: int
    soon: int
    overdue: int
    unknown: int
    excepted: int
    updates: int
    updates_overdue: int


@dataclass(frozen=True, slots=True)
class Lacker:
    """A PC that lacks at least one of the updates that were asked for."""

    pk: int
    id: str
    school_id: int


Step = dict[str, Any]
"""A step of a job as fettle_protocol.steps has it."""
