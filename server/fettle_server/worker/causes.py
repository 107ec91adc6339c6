"""The worker's jobs about causes: what becomes of faults that are held back, and the problems that alike incidents propose."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from fettle_server.proactive import causes

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work


def triage(work: Work, now: dt.datetime) -> bool:
    """Tell what has waited enough, at the level where its cause is. Looked for on the side that blocks nobody."""
    with work.reading.connect() as tx:
        if not causes.is_due(tx, now):
            return False
    with work.engine.begin() as tx:
        return causes.triage(tx, now=now, reopen_within=work.settings.reopen_within)
