"""Jobs and rollouts whose time is over end, and signed changes of keys go to every endpoint that still lacks them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from fettle_server import observed
from fettle_server.change.jobs import actions, keys
from fettle_server.change.rollouts import ending

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work

PIECE = 5000


def expire(work: Work, now: dt.datetime) -> bool:
    """End jobs whose time is over."""
    with work.engine.begin() as tx:
        ended = actions.expire(tx, now, PIECE)
    if ended:
        observed.log().info("jobs ran out of time", jobs=len(ended))
    return len(ended) >= PIECE


def lapse(work: Work, now: dt.datetime) -> bool:
    """End rollouts that nobody started while their manifest stood."""
    with work.engine.begin() as tx:
        lapsed = ending.lapse(tx, now)
    if lapsed:
        observed.log().info("rollouts were not started in time", rollouts=lapsed)
    return False


def hand_out_keys(work: Work, now: dt.datetime) -> bool:
    """Make the jobs of signed changes of keys."""
    with work.engine.begin() as tx:
        made = keys.hand_out_keys(tx, now, PIECE)
    if made:
        observed.log().info("a change of keys is handed out", endpoints=made)
    return made >= PIECE
