"""The stages that may hold a fault back, in the order in which they are asked, each with the reason in a sentence. Pure.

A fault that no stage holds becomes an incident at once. What the stages look at is gathered by proactive.detection; what
people ordered is in stages.tables.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from fettle_protocol.policy import Severity, Spread

from fettle_server.estate.calendars.rules import Exam

FLAPS_WITHIN = dt.timedelta(hours=6)
FLAPS_FROM = 3
"""So many openings of one fault within that time: it comes and goes."""
QUIET_LEAST, QUIET_MOST = dt.timedelta(hours=2), dt.timedelta(hours=24)
_QUIET_INTERVALS = 4
LONG_AGO = dt.timedelta(minutes=2)
"""What began and ended longer ago than this is history when it is told."""
HEARD_FOR = dt.timedelta(minutes=5)
"""A machine that was away must be heard for so long before what it was ill with counts: its word that it is over may be due."""
COVERED_BEFORE = dt.timedelta(minutes=30)
"""A wider cause is told only once several machines have been missed: it began up to so long before its incident."""
COVERS_AFTER = dt.timedelta(minutes=30)
"""How long after a wider cause is over machines may still come to tell of the time in which it lasted."""


class Stage(StrEnum):
    """A reason to hold a fault back; each name is what the store keeps."""

    WINDOW = "window"
    FREEZE = "freeze"
    SILENCE = "silence"
    PARENT = "parent"
    FLAPPING = "flapping"
    DUPLICATE = "duplicate"
    GATHERING = "gathering"
    LATE = "late"


NAMES: Mapping[Stage, str] = MappingProxyType(
    {
        Stage.WINDOW: "maintenance window",
        Stage.FREEZE: "exam freeze",
        Stage.SILENCE: "silence",
        Stage.PARENT: "parent cause",
        Stage.FLAPPING: "flapping",
        Stage.DUPLICATE: "duplicate",
        Stage.GATHERING: "looking around",
        Stage.LATE: "told late",
    }
)
JOINS = frozenset({Stage.FLAPPING, Stage.DUPLICATE})
"""Stages of a fault that belongs to an incident which is there already: it is not held, it joins."""


class Hold(NamedTuple):
    """A stage holds a fault back: why, and until when at the latest. `order` and `parent` name what does."""

    stage: Stage
    reason: str
    until: dt.datetime | None = None
    order: int = 0
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A window or a silence with the spans in which it counts. What is None reaches everything of that kind."""

    id: int
    stage: Stage
    title: str
    reason: str
    spans: tuple[tuple[dt.datetime, dt.datetime], ...]
    school_id: int | None = None
    room_id: int | None = None
    endpoint_pk: int | None = None
    rule: str | None = None

    def reaches(self, facts: Facts) -> bool:
        """True where the fault's place and rule are the order's business."""
        return (
            self.school_id in (None, facts.school_id)
            and self.room_id in (None, facts.room_id)
            and self.endpoint_pk in (None, facts.endpoint_pk)
            and self.rule in (None, facts.rule)
        )

    def until(self, at: dt.datetime) -> dt.datetime | None:
        """When the span that covers the moment ends; None where none does."""
        return max((end for start, end in self.spans if start <= at < end), default=None)


@dataclass(frozen=True, slots=True)
class Facts:
    """A fault that began: where, of which rule, when, and whether it is known to be over already."""

    endpoint_pk: int
    school_id: int
    room_id: int | None
    rule: str
    severity: str
    at: dt.datetime
    spread: str = ""
    gather: dt.timedelta = dt.timedelta(0)
    hold_until: dt.datetime | None = None
    over_at: dt.datetime | None = None
    is_late: bool = False
    """It began before its endpoint was connected: nobody could be told of it then, and its end may be about to be told."""


@dataclass(frozen=True, slots=True)
class Wider:
    """An incident of a wider cause that reaches the fault's endpoint."""

    number: int
    title: str
    opened_at: dt.datetime
    resolved_at: dt.datetime | None

    @property
    def is_open(self) -> bool:
        """Whether the cause lasts."""
        return self.resolved_at is None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is around a fault. `earlier` are the openings of the same fault in the last six hours, oldest first.

    `incident` is the open incident that the fault would join, `returns` whether there is one that it would reopen.
    """

    orders: Sequence[Order] = ()
    exam: Exam | None = None
    wider: Sequence[Wider] = ()
    earlier: Sequence[dt.datetime] = ()
    incident: int | None = None
    returns: bool = False


def window(facts: Facts, around: Surroundings, now: dt.datetime) -> Hold | None:
    """A maintenance window is on."""
    return _ordered(Stage.WINDOW, facts, around, now)


def freeze(facts: Facts, around: Surroundings, now: dt.datetime) -> Hold | None:
    """An exam is on, and the fault can wait until it is over."""
    exam = around.exam
    if exam is None or facts.severity != Severity.WATCH or not exam.starts <= now < exam.ends:
        return None
    return Hold(Stage.FREEZE, f"Exam freeze: {exam.title}", exam.ends)


def silence(facts: Facts, around: Surroundings, now: dt.datetime) -> Hold | None:
    """Somebody asked for silence."""
    return _ordered(Stage.SILENCE, facts, around, now)


def parent(facts: Facts, around: Surroundings, _now: dt.datetime) -> Hold | None:
    """It is part of a wider incident that is open. One that is known to be over joins nothing any more: it is late."""
    for wider in around.wider:
        if wider.is_open and facts.over_at is None:
            return Hold(Stage.PARENT, part_of(wider.number, wider.title), parent=wider.number)
    return None


def flapping(facts: Facts, around: Surroundings, _now: dt.datetime) -> Hold | None:
    """It has come and gone before: one incident stays open until it is quiet.

    A fault that may have a wider cause looks around first, unless people know of it already.
    """
    openings = len(around.earlier) + 1
    known = around.incident is not None or around.returns
    if openings < FLAPS_FROM or not (known or facts.spread == Spread.NONE):
        return None
    return Hold(Stage.FLAPPING, flaps(openings))


def duplicate(_facts: Facts, around: Surroundings, _now: dt.datetime) -> Hold | None:
    """The endpoint has an open incident of that topic: the fault joins it."""
    if around.incident is None:
        return None
    return Hold(
        Stage.DUPLICATE, "It joins the incident that is open for the same thing on this PC", parent=around.incident or None
    )


def gathering(facts: Facts, around: Surroundings, now: dt.datetime) -> Hold | None:
    """Its rule may have a wider cause: look around for others before it is told by itself."""
    until = max((moment for moment in (now + facts.gather, facts.hold_until) if moment is not None), default=now)
    if until <= now or _is_history(facts, now) or _covering(facts, around, now) is not None or _waits_for_its_end(facts):
        return None
    return Hold(Stage.GATHERING, "Looking around for a wider cause before it is told", until)


def late(facts: Facts, around: Surroundings, now: dt.datetime) -> Hold | None:
    """A lost connection that is told after it came back, or after the wider cause that it was part of is over."""
    covering = _covering(facts, around, now)
    if covering is not None:
        reason = f"Told late: it fell into incident {covering.number}: {covering.title}"
        until = None if facts.over_at is not None else now + HEARD_FOR
        return Hold(Stage.LATE, _short(reason), until, parent=covering.number)
    if facts.spread == Spread.PLACE and _is_history(facts, now):
        return Hold(Stage.LATE, "Told late: it was over before it could be told")
    if _waits_for_its_end(facts):
        return Hold(Stage.LATE, "Told late: it began while the PC could not be heard, and may be over", now + HEARD_FOR)
    return None


StageFunction = Callable[[Facts, Surroundings, dt.datetime], Hold | None]
STAGES: tuple[StageFunction, ...] = (window, freeze, silence, parent, flapping, duplicate, gathering, late)
AGAIN: tuple[StageFunction, ...] = (window, freeze, silence, parent, flapping, duplicate)
"""The stages that are asked again when one that held a fault is over and the fault is not: it has waited enough."""


def ask(facts: Facts, around: Surroundings, now: dt.datetime, stages: Sequence[StageFunction] = STAGES) -> Hold | None:
    """The first stage that holds the fault back; None where it is to be told."""
    for stage in stages:
        hold = stage(facts, around, now)
        if hold is not None:
            return hold
    return None


def part_of(number: int, title: str) -> str:
    """Why a fault that has a wider cause is not told by itself."""
    return _short(f"Part of incident {number}: {title}")


def flaps(openings: int) -> str:
    """That a fault comes and goes, and how often."""
    hours = int(FLAPS_WITHIN.total_seconds()) // 3600
    return f"It comes and goes: {openings} times in the last {hours} hours"


def quiet_for(openings: Sequence[dt.datetime]) -> dt.timedelta:
    """How long a fault that comes and goes must stay away until it is over: four times the usual interval, 2 to 24 hours."""
    if len(openings) < FLAPS_FROM:
        return QUIET_LEAST
    mean = (max(openings) - min(openings)) / (len(openings) - 1)
    return min(max(QUIET_LEAST, _QUIET_INTERVALS * mean), QUIET_MOST)


def _ordered(stage: Stage, facts: Facts, around: Surroundings, now: dt.datetime) -> Hold | None:
    moment = facts.at if facts.over_at is not None else now
    for order in around.orders:
        if order.stage is not stage or not order.reaches(facts):
            continue
        until = order.until(moment)
        if until is not None:
            what = f"{NAMES[stage]} “{order.title}”" if order.title else NAMES[stage]
            reason = f"{what[0].upper()}{what[1:]}: {order.reason}" if order.reason else f"{what[0].upper()}{what[1:]}"
            return Hold(stage, _short(reason), until, order=order.id)
    return None


def _waits_for_its_end(facts: Facts) -> bool:
    return facts.is_late and facts.spread == Spread.PLACE and facts.over_at is None


def _is_history(facts: Facts, now: dt.datetime) -> bool:
    return facts.over_at is not None and now - facts.over_at > LONG_AGO and now - facts.at > LONG_AGO


def _covering(facts: Facts, around: Surroundings, now: dt.datetime) -> Wider | None:
    """The wider incident in whose time the fault began, and which it can no longer join."""
    for wider in around.wider:
        ended = wider.resolved_at or now
        if now - ended < COVERS_AFTER and wider.opened_at - COVERED_BEFORE <= facts.at <= ended:
            return wider
    return None


def _short(reason: str) -> str:
    return reason if len(reason) <= 300 else reason[:299] + "…"
