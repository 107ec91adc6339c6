"""What may become of an incident, by whose act, and which priority it has. Pure: no store, no clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class IncidentState(StrEnum):
    """Where an incident is on its way; the first four are open."""

    NEW = "new"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in progress"
    WAITING = "waiting"
    RESOLVED = "resolved"
    CLOSED = "closed"


class Scope(StrEnum):
    """The level at which an incident's cause is."""

    ENDPOINT = "endpoint"
    ROOM = "room"
    SCHOOL = "school"
    SERVICE = "service"
    MODEL = "model"
    BUILD = "build"


SPLIT_AFTER = dt.timedelta(minutes=10)
"""A wider cause of which nothing more recovers for so long is looked at again: most may be well, and the rest ill by itself."""
SPLIT_SHARE = 0.7
"""The share of a wider cause's faults that must be over until it counts as over."""
FLAPS_WITHIN = dt.timedelta(hours=6)
FLAPS_REOPENED = 2
QUIET = dt.timedelta(hours=2)
"""A shared incident that came back so often in that time stays open until it was quiet for so long."""

OPEN_STATES = (IncidentState.NEW, IncidentState.ASSIGNED, IncidentState.IN_PROGRESS, IncidentState.WAITING)


class Deed(StrEnum):
    """What a person may do to an incident."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    START = "start"
    WAIT = "wait"
    RESOLVE = "resolve"
    CLOSE = "close"
    REOPEN = "reopen"
    COMMENT = "comment"
    GRADE = "grade"


class Refused(Exception):
    """An act that the incident's state does not allow; `reason` is a sentence that anybody can read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


IMPACTS = ("user", "room", "school")
"""How many are hindered, fewest first."""
URGENCIES = ("low", "medium", "high")
"""How much it hinders them, least first."""

DEFAULT_PRIORITIES: Mapping[tuple[str, str], int] = MappingProxyType(
    {
        ("school", "high"): 1,
        ("school", "medium"): 2,
        ("school", "low"): 3,
        ("room", "high"): 2,
        ("room", "medium"): 3,
        ("room", "low"): 4,
        ("user", "high"): 3,
        ("user", "medium"): 4,
        ("user", "low"): 5,
    }
)
PRIORITIES = (1, 2, 3, 4, 5)
TEXT_MAXIMUM = 4000

_OPEN = frozenset(OPEN_STATES)
_ALL = frozenset(IncidentState)
_FROM: dict[Deed, frozenset[IncidentState]] = {
    Deed.ACKNOWLEDGE: _OPEN,
    Deed.ASSIGN: _OPEN,
    Deed.START: _OPEN - {IncidentState.IN_PROGRESS},
    Deed.WAIT: _OPEN - {IncidentState.WAITING},
    Deed.RESOLVE: _OPEN,
    Deed.CLOSE: frozenset({IncidentState.RESOLVED}),
    Deed.REOPEN: frozenset({IncidentState.RESOLVED, IncidentState.CLOSED}),
    Deed.COMMENT: _ALL,
    Deed.GRADE: _OPEN,
}
_TO: dict[Deed, IncidentState] = {
    Deed.START: IncidentState.IN_PROGRESS,
    Deed.WAIT: IncidentState.WAITING,
    Deed.RESOLVE: IncidentState.RESOLVED,
    Deed.CLOSE: IncidentState.CLOSED,
}
_PAST: dict[Deed, str] = {
    Deed.ACKNOWLEDGE: "acknowledged",
    Deed.ASSIGN: "given to somebody",
    Deed.START: "started",
    Deed.WAIT: "set to waiting",
    Deed.RESOLVE: "resolved",
    Deed.CLOSE: "closed",
    Deed.REOPEN: "reopened",
    Deed.COMMENT: "commented on",
    Deed.GRADE: "graded",
}


def refusal(deed: Deed, state: IncidentState, *, acknowledged: bool) -> str | None:
    """None where the deed is allowed in that state; else a sentence that says why not."""
    if deed is Deed.ACKNOWLEDGE and acknowledged and state in _OPEN:
        return "This incident has been acknowledged already."
    if state in _FROM[deed]:
        return None
    if deed is Deed.REOPEN:
        return f"This incident is still open ({state}), so there is nothing to reopen."
    if state is IncidentState.CLOSED:
        return f"This incident is closed: reopen it before it can be {_PAST[deed]}."
    if state is IncidentState.RESOLVED:
        return f"This incident is resolved: reopen it before it can be {_PAST[deed]}."
    if deed is Deed.CLOSE:
        return f"This incident is {state}: resolve it before it can be closed."
    return f"This incident is {state} already."


def allowed(state: IncidentState, *, acknowledged: bool) -> frozenset[Deed]:
    """Every deed that the state allows."""
    return frozenset(deed for deed in Deed if refusal(deed, state, acknowledged=acknowledged) is None)


def next_state(deed: Deed, state: IncidentState, *, has_assignee: bool) -> IncidentState:
    """The state after an allowed deed; `has_assignee` as it is after the deed."""
    if deed is Deed.REOPEN:
        return IncidentState.ASSIGNED if has_assignee else IncidentState.NEW
    if deed is Deed.ASSIGN:
        if not has_assignee:
            return IncidentState.NEW
        return IncidentState.ASSIGNED if state is IncidentState.NEW else state
    return _TO.get(deed, state)


AGAIN_WITHIN = dt.timedelta(hours=24)
"""How soon a fault that has been back before reopens its incident once more: what comes twice a day comes tomorrow too."""
BACK_ON_ONE = dt.timedelta(days=4)
"""The same where the incident is one PC's: its tomorrow may lie behind a weekend."""
SHARED_AGAIN = dt.timedelta(hours=1)
"""An incident of many PCs reopens so soon at most: tomorrow's power cut is not today's dead switch."""


def again_within(within: dt.timedelta, *, has_been_back: bool, is_shared: bool) -> dt.timedelta:
    """How soon a fault reopens its incident; `within` is what the settings say of one that was never back."""
    if not has_been_back:
        return min(within, SHARED_AGAIN) if is_shared else within
    return max(within, AGAIN_WITHIN if is_shared else BACK_ON_ONE)


def returns(state: IncidentState, resolved_at: dt.datetime | None, again_at: dt.datetime, within: dt.timedelta) -> bool:
    """True where a fault that is back at `again_at` reopens a resolved incident instead of opening another one.

    A closed incident stays closed. A fault that an agent tells late may lie before the resolution: it belongs to it.
    """
    return state is IncidentState.RESOLVED and resolved_at is not None and again_at - resolved_at <= within


def urgency_of(severity: str) -> str:
    """The urgency that a fault's severity stands for: "ill" is high, "watch" medium; low is for people to say."""
    return "high" if severity == "ill" else "medium"


def worse(scale: tuple[str, ...], first: str, second: str) -> str:
    """The one that lies further up the scale (IMPACTS or URGENCIES)."""
    return max(first, second, key=scale.index)


def priority_of(table: Mapping[tuple[str, str], int], impact: str, urgency: str) -> int:
    """The priority of that cell, 1 first to 5 last; the default table's where the cell is missing."""
    return table.get((impact, urgency), DEFAULT_PRIORITIES[impact, urgency])


def check_text(text: str, what: str) -> str:
    """The text without surrounding blanks.

    Raises:
        Refused: nothing in it, or longer than 4,000 characters.
    """
    text = text.strip()
    if not text:
        raise Refused(f"Please write {what}.")
    if len(text) > TEXT_MAXIMUM:
        raise Refused(f"That text is too long: at most {TEXT_MAXIMUM} characters.")
    return text


def check_grade(impact: str, urgency: str) -> None:
    """Nothing, where both words are on their scales.

    Raises:
        Refused: an impact or urgency that does not exist.
    """
    if impact not in IMPACTS:
        raise Refused(f"Impact is one of {', '.join(IMPACTS)}.")
    if urgency not in URGENCIES:
        raise Refused(f"Urgency is one of {', '.join(URGENCIES)}.")
