"""The worker's look at who is missing."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from fettle_server.proactive.presence import actions

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work


def look(work: Work, now: dt.datetime) -> bool:
    """Endpoints that ought to be there and are not; True where there is more to look at."""
    with work.engine.begin() as tx:
        return actions.tick(tx, now=now, settings=work.settings)
