"""One look at a rollout: what the worker does every two seconds, in one transaction."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa


def live(tx: sa.Connection) -> list[int]:
    """The numbers of rollouts that must be looked at: running, paused or halted."""
    raise NotImplementedError


def tick(tx: sa.Connection, rollout_id: int, now: dt.datetime) -> bool:
    """Look at the rollout and do what is due; True where there is more to do at once. Bounded, and safe to repeat."""
    raise NotImplementedError
