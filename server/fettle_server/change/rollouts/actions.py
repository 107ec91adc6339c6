"""What people do with rollouts: draft, prepare, start, pause, resume, halt, cancel, back out. The worker's is ticking.py."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fettle_server.change.rollouts.ticking import tick
from fettle_server.change.rollouts.views import Draft
from fettle_server.estate.people.rules import Person

__all__ = ["back_out", "cancel", "draft", "halt", "pause", "prepare", "resume", "start", "tick"]


def draft(tx: sa.Connection, person: Person, wanted: Draft, now: dt.datetime) -> int:
    """A rollout with its targets in their rings; nothing is done to any PC. Returns its number. Raises RolloutError."""
    raise NotImplementedError


def prepare(tx: sa.Connection, rollout_id: int, now: dt.datetime) -> None:
    """Make its manifest and the back-out's beside it, to be signed; the rollout is ready."""
    raise NotImplementedError


def start(tx: sa.Connection, person: Person, rollout_id: int, now: dt.datetime) -> None:
    """Let it run (Act.RUN_ROLLOUT). Raises RolloutError where the change is not approved or the manifest not signed."""
    raise NotImplementedError


def pause(tx: sa.Connection, person: Person, rollout_id: int, why: str, now: dt.datetime) -> None:
    """Begin nothing new for now; what has begun goes on."""
    raise NotImplementedError


def resume(tx: sa.Connection, person: Person, rollout_id: int, why: str, now: dt.datetime) -> None:
    """Go on after a pause, or (with a reason) after a halt: then the gate counts anew from now."""
    raise NotImplementedError


def halt(tx: sa.Connection, person: Person, rollout_id: int, why: str, now: dt.datetime) -> None:
    """Stop it as its gate would: take back what has not begun, open an incident."""
    raise NotImplementedError


def cancel(tx: sa.Connection, person: Person, rollout_id: int, why: str, now: dt.datetime) -> None:
    """Give it up for good: take back what has not begun, withdraw its manifest."""
    raise NotImplementedError


def back_out(
    tx: sa.Connection, person: Person, rollout_id: int, why: str, now: dt.datetime, *, at_any_time: bool = False
) -> int:
    """A rollout that brings back what was there before, for the PCs that were touched; returns its number.

    It starts at once where its manifest is signed; else it is ready, and waits for the signature and a start.
    """
    raise NotImplementedError
