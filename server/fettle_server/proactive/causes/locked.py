"""Faults as they stand once their endpoints are locked, and which incidents people have touched. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import IncidentEntry
from fettle_server.reactive.tickets import ACTOR

CHUNK = 5000
"""Keys that one statement names at most."""


class StandingFault:
    """A fault as it stands now that its endpoint is locked."""

    __slots__ = ("endpoint_pk", "id", "number", "stage", "trail")

    def __init__(self, row: Any) -> None:
        self.id, self.endpoint_pk, self.number, self.stage, self.trail = row


def rows(tx: sa.Connection, column: Any, keys: Iterable[int]) -> list[Any]:
    """The open faults of those keys: id, endpoint, incident, stage, trail."""
    ordered = sorted(keys)
    columns = (Fault.id, Fault.endpoint_pk, Fault.incident_number, Fault.stage, Fault.trail)
    found: list[Any] = []
    for start in range(0, len(ordered), CHUNK):
        piece = ordered[start : start + CHUNK]
        found += tx.execute(sa.select(*columns).where(column.in_(piece), Fault.cleared_at.is_(None))).all()
    return found


def touched_by_people(tx: sa.Connection, numbers: Iterable[int]) -> frozenset[int]:
    """Those of the incidents in whose story a person stands."""
    wanted = sorted(numbers)
    if not wanted:
        return frozenset()
    statement = sa.select(IncidentEntry.incident_number).where(
        IncidentEntry.incident_number.in_(wanted), IncidentEntry.actor != ACTOR
    )
    return frozenset(tx.scalars(statement.distinct()))
