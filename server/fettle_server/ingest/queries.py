"""What the edge looks up while streams are open: news that concerns them. Bounded, and cheap enough for twice a second."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from fettle_server.estate.tables import Endpoint, Watch
from fettle_server.journal.queries import newest_id
from fettle_server.journal.tables import Entry
from fettle_server.proactive.proofs.queries import asked

_OVERLAP = 200
"""Journal numbers read again each time: on PostgreSQL a lower one may become visible after a higher one."""


@dataclass(frozen=True, slots=True)
class News:
    """What happened since the last look. `revoked` may repeat."""

    newest_id: int
    revoked: frozenset[str]
    watches: tuple[tuple[int, dt.datetime], ...]
    proofs: tuple[tuple[int, int], ...] = ()
    """(proof, endpoint) of the test faults that are asked for."""


def classed_since(tx: sa.Connection, since: dt.datetime) -> list[tuple[int, str, dt.datetime]]:
    """(pk, class, when) of the endpoints whose class was changed since then."""
    statement = sa.select(Endpoint.pk, Endpoint.endpoint_class, Endpoint.classed_at).where(Endpoint.classed_at >= since)
    return [(row.pk, row.endpoint_class, row.classed_at) for row in tx.execute(statement)]


def news(tx: sa.Connection, after_id: int, now: dt.datetime) -> News:
    """Revocations after a journal number, who is being looked at, and who is asked for a test fault."""
    revoked = tx.execute(
        sa.select(Entry.subject).where(Entry.id > after_id - _OVERLAP, Entry.kind == "endpoint.revoked").order_by(Entry.id)
    ).scalars()
    watches = tx.execute(sa.select(Watch.endpoint_pk, Watch.until).where(Watch.until > now).limit(5000))
    return News(
        newest_id=newest_id(tx),
        revoked=frozenset(subject.removeprefix("endpoint:") for subject in revoked),
        watches=tuple((row.endpoint_pk, row.until) for row in watches),
        proofs=tuple(asked(tx, now)),
    )
