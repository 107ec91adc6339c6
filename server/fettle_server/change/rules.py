"""What the wing's parts say in the same words: kinds and states of a change, its decisions, its risk. Pure."""

from __future__ import annotations

from enum import StrEnum


class ChangeError(ValueError):
    """Something about a change that cannot be done; the message is for the person who asked."""


class ChangeKind(StrEnum):
    """How a change is decided: beforehand for all of its like, by the usual steps, or at once and reviewed afterwards."""

    STANDARD = "standard"
    NORMAL = "normal"
    EMERGENCY = "emergency"


class ChangeState(StrEnum):
    """How far a change is.

    SCHEDULED: started, and its first window has not opened. HALTED: stopped by its gate or by a person. REVIEW: carried
    out or undone, and what came of it is not written down yet.
    """

    DRAFT = "draft"
    PROPOSED = "proposed"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    HALTED = "halted"
    REVIEW = "review"
    CLOSED = "closed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    """A decision that a change may need, in FITS's order."""

    PROCEED = "proceed"
    PEER_REVIEW = "peer review"
    IMPLEMENT = "implement"
    FINAL = "final"


class RiskLevel(StrEnum):
    """How much could go wrong."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Outcome(StrEnum):
    """What came of a change that was carried out."""

    SUCCESSFUL = "successful"
    PARTLY = "partly"
    FAILED = "failed"
    BACKED_OUT = "backed out"


class Linked(StrEnum):
    """Why an incident stands with a change."""

    HALTED = "halted"
    AFTER_IT = "after it"
    BY_HAND = "by hand"
    MENDS = "mends"


OVER = frozenset({ChangeState.CLOSED, ChangeState.REJECTED, ChangeState.WITHDRAWN})
BEFORE = frozenset({ChangeState.DRAFT, ChangeState.PROPOSED, ChangeState.APPROVED, ChangeState.SCHEDULED})
"""States in which nothing has been done to any PC."""
_MOVES: dict[ChangeState, frozenset[ChangeState]] = {
    ChangeState.DRAFT: frozenset({ChangeState.PROPOSED, ChangeState.WITHDRAWN}),
    ChangeState.PROPOSED: frozenset({ChangeState.APPROVED, ChangeState.REJECTED, ChangeState.WITHDRAWN}),
    ChangeState.APPROVED: frozenset({ChangeState.SCHEDULED, ChangeState.RUNNING, ChangeState.WITHDRAWN}),
    ChangeState.SCHEDULED: frozenset(
        {ChangeState.APPROVED, ChangeState.RUNNING, ChangeState.HALTED, ChangeState.REVIEW, ChangeState.WITHDRAWN}
    ),
    ChangeState.RUNNING: frozenset({ChangeState.HALTED, ChangeState.REVIEW}),
    ChangeState.HALTED: frozenset({ChangeState.RUNNING, ChangeState.REVIEW}),
    ChangeState.REVIEW: frozenset({ChangeState.CLOSED, ChangeState.RUNNING, ChangeState.HALTED}),
    ChangeState.CLOSED: frozenset(),
    ChangeState.REJECTED: frozenset(),
    ChangeState.WITHDRAWN: frozenset(),
}
"""From review a change runs again where it is backed out after all; from halted to running where it goes on or is undone."""


def may_move(present: ChangeState, wanted: ChangeState) -> bool:
    """True where a change in the present state may come into the wanted one."""
    return wanted in _MOVES[present]
