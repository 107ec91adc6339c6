"""The worker's work for changes: notices, decisions asked for again, incidents put beside what may have caused them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from fettle_server.change.requests import linking, telling

if TYPE_CHECKING:
    from fettle_server.worker.jobs import Work


def tell(work: Work, now: dt.datetime) -> bool:
    """What schools and deciders are to be told. Looked for on the side that blocks nobody."""
    with work.reading.connect() as tx:
        if not telling.is_anything_due(tx, now):
            return False
    with work.engine.begin() as tx:
        told = telling.tell_schools(tx, now)
        return max(told, telling.ask_again(tx, now)) >= telling.PIECE


def link_incidents(work: Work, now: dt.datetime) -> bool:
    """Incidents that came after a change stand with it. Looked for on the side that blocks nobody."""
    with work.reading.connect() as tx:
        if not linking.found(tx, now):
            return False
    with work.engine.begin() as tx:
        return linking.link_incidents(tx, now) >= linking.PIECE
