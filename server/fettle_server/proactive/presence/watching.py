"""The server's watch over itself: the mark that its writer makes while it hears agents, and the times in which it did not."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fettle_server.db import from_ms, insert_into, to_ms
from fettle_server.proactive.presence import rules
from fettle_server.proactive.presence.rules import Watch
from fettle_server.proactive.presence.tables import ServerAway, ServerWatch

WRITER = "writer"
_WORTH_KEEPING = dt.timedelta(days=400)


def read(tx: sa.Connection) -> Watch | None:
    """The writer's mark; None where no writer ever lived."""
    columns = (ServerWatch.since_at, ServerWatch.alive_at, ServerWatch.offset_ms)
    row = tx.execute(sa.select(*columns).where(ServerWatch.name == WRITER)).one_or_none()
    return None if row is None else Watch(to_ms(row.since_at), to_ms(row.alive_at), row.offset_ms)


def note_start(tx: sa.Connection, now: dt.datetime, monotonic_s: float) -> Watch:
    """Note that a writer begins to hear agents; what was before is a time in which nobody did."""
    before = read(tx)
    if before is not None:
        _note_away(tx, from_ms(before.alive_ms), now, "restart")
    watch = rules.begin(to_ms(now), monotonic_s)
    _write(tx, watch)
    return watch


def note_beat(tx: sa.Connection, before: Watch, now: dt.datetime, monotonic_s: float) -> Watch:
    """Note that the writer lives; where the wall clock jumped, what it told before counts no longer."""
    watch = rules.beat(before, to_ms(now), monotonic_s)
    if watch.since_ms != before.since_ms:
        _note_away(tx, from_ms(before.alive_ms), now, "clock")
    _write(tx, watch)
    return watch


def note_cut(tx: sa.Connection, start: dt.datetime, end: dt.datetime) -> None:
    """Note that the server itself was cut off its agents."""
    _note_away(tx, start, end, "cut")


def away_seconds(tx: sa.Connection, start: dt.datetime, end: dt.datetime) -> float:
    """For how long of that time the server did not hear agents, as far as is known by now."""
    statement = sa.select(ServerAway.from_at, ServerAway.to_at).where(ServerAway.to_at > start, ServerAway.from_at < end)
    return float(sum((min(row.to_at, end) - max(row.from_at, start)).total_seconds() for row in tx.execute(statement)))


def _note_away(tx: sa.Connection, start: dt.datetime, end: dt.datetime, why: str) -> None:
    tx.execute(sa.insert(ServerAway).values(from_at=min(start, end), to_at=max(start, end), why=why))
    tx.execute(sa.delete(ServerAway).where(ServerAway.to_at < end - _WORTH_KEEPING))


def _write(tx: sa.Connection, watch: Watch) -> None:
    values = {"since_at": from_ms(watch.since_ms), "alive_at": from_ms(watch.alive_ms), "offset_ms": watch.offset_ms}
    statement = insert_into(tx, ServerWatch).values(name=WRITER, **values)
    tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
