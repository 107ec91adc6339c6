"""The rule step: folds one reading into one rule's state and says when a fault begins and ends.

Pure: no clock, no I/O; `now_ms` is passed in. Run by every agent on its own readings, and by the server in replays.
A rule raises when the reading stays past the raise level for the raise duration, and clears when it stays past a separate
clear level for a separate clear duration. Between the two levels nothing moves, so a reading that trembles cannot flap.
Missing data is neither a fault nor a recovery.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where a rule stands with one instance of its reading."""

    WELL = "well"
    RAISING = "raising"
    RAISED = "raised"
    CLEARING = "clearing"


class Direction(StrEnum):
    """Which side of the raise level is the fault."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Levels:
    """What the step needs of a rule. Durations in milliseconds; levels in the reading's unit.

    `gap_ms` is the longest time between two readings that still counts as watching: across a longer one (sleep, a collector
    that failed, a clock that stepped) a duration starts anew.
    """

    direction: Direction
    raise_level: float
    raise_for_ms: int
    clear_level: float
    clear_for_ms: int
    gap_ms: int

    def __post_init__(self) -> None:
        """Refuse levels between which a reading could be a fault and a recovery at once.

        Raises:
            ValueError: the clear level lies on the fault's side of the raise level, or a duration is negative.
        """
        past = self.clear_level > self.raise_level if self.direction is Direction.ABOVE else self.clear_level < self.raise_level
        if past:
            raise ValueError(f"the clear level {self.clear_level} lies past the raise level {self.raise_level}")
        if min(self.raise_for_ms, self.clear_for_ms) < 0 or self.gap_ms <= 0:
            raise ValueError("durations must not be negative, and the gap must be longer than 0")


@dataclass(frozen=True, slots=True)
class State:
    """One rule's memory of one instance; small enough to write to disk after each change.

    `since_ms` is when the present phase's crossing was first seen; `seen_ms` the time of the last reading that counted.
    """

    phase: Phase = Phase.WELL
    since_ms: int = 0
    seen_ms: int = 0


@dataclass(frozen=True, slots=True)
class Raised:
    """A fault begins; `since_ms` is when the reading first passed the raise level."""

    since_ms: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """A fault ends; `since_ms` is when the reading first came back past the clear level."""

    since_ms: int


Decision = Raised | Cleared | None

WELL = State()


def step(state: State, levels: Levels, value: float | None, now_ms: int) -> tuple[State, Decision]:
    """Fold one reading into the state; the decision is None unless a fault begins or ends now.

    A value of None or NaN is missing data: the state stays as it is. `now_ms` may step backwards: the duration under way
    then starts anew.
    """
    if value is None or math.isnan(value):
        return state, None
    if state.phase in (Phase.WELL, Phase.RAISING):
        return _toward_raise(state, levels, value, now_ms)
    return _toward_clear(state, levels, value, now_ms)


def _toward_raise(state: State, levels: Levels, value: float, now_ms: int) -> tuple[State, Decision]:
    if not _faulty(levels, value):
        return State(Phase.WELL, 0, now_ms), None
    since_ms = _since(state, Phase.RAISING, levels, now_ms)
    if now_ms - since_ms >= levels.raise_for_ms:
        return State(Phase.RAISED, since_ms, now_ms), Raised(since_ms)
    return State(Phase.RAISING, since_ms, now_ms), None


def _toward_clear(state: State, levels: Levels, value: float, now_ms: int) -> tuple[State, Decision]:
    if not _recovered(levels, value):
        since_ms = state.since_ms if state.phase is Phase.RAISED else now_ms
        return State(Phase.RAISED, since_ms, now_ms), None
    since_ms = _since(state, Phase.CLEARING, levels, now_ms)
    if now_ms - since_ms >= levels.clear_for_ms:
        return State(Phase.WELL, 0, now_ms), Cleared(since_ms)
    return State(Phase.CLEARING, since_ms, now_ms), None


def _since(state: State, phase: Phase, levels: Levels, now_ms: int) -> int:
    """When the duration under way began: now, unless it was under way already and has been watched without a gap."""
    watched = state.phase is phase and 0 <= now_ms - state.seen_ms <= levels.gap_ms
    return state.since_ms if watched else now_ms


def _faulty(levels: Levels, value: float) -> bool:
    return value >= levels.raise_level if levels.direction is Direction.ABOVE else value <= levels.raise_level


def _recovered(levels: Levels, value: float) -> bool:
    """Past the clear level, and not still a fault where both levels are the same number."""
    past = value <= levels.clear_level if levels.direction is Direction.ABOVE else value >= levels.clear_level
    return past and not _faulty(levels, value)
