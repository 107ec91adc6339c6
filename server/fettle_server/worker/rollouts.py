"""The worker's look at rollouts: each in a transaction of its own, none stopped by another's trouble."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from fettle_server import observed
from fettle_server.change.rollouts import ticking

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work


def look(work: Work, now: dt.datetime) -> bool:
    """All rollouts that are under way. Looked for on the side that blocks nobody."""
    with work.reading.connect() as tx:
        numbers = ticking.live(tx, now)
    more = [_one(work, number, now) for number in numbers]
    return any(more)


def _one(work: Work, number: int, now: dt.datetime) -> bool:
    try:
        with work.engine.begin() as tx:
            return ticking.tick(tx, number, now)
    except Exception:
        observed.log().error("a rollout could not be looked at", rollout=number, exc_info=True)
        return False
