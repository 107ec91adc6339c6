"""What becomes of the estate's rows with time: endpoints fall silent, old events and expired leave are dropped. In pieces."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa

from fettle_server.db import Utc
from fettle_server.estate.tables import Endpoint, EndpointEvent, EnrolmentToken, Health, Watch
from fettle_server.journal.actions import Line, record_all

_KEPT_EXPIRED = dt.timedelta(days=30)


def silent(tx: sa.Connection, before: dt.datetime, limit: int) -> list[int]:
    """The keys of endpoints that are not connected, were last heard before that time, and whose state is still said."""
    return list(tx.scalars(sa.select(Endpoint.pk).where(*_is_silent(before)).limit(limit)))


def mark_unknown(tx: sa.Connection, pks: Sequence[int], before: dt.datetime, now: dt.datetime) -> int:
    """Make the state of those that are still silent unknown, since they were last heard; returns how many."""
    were = {row.pk: row for row in tx.execute(_before_change(pks, before))}
    if not were:
        return 0
    values = {"state": Health.UNKNOWN, "state_since": sa.func.coalesce(Endpoint.last_seen, sa.literal(now, Utc))}
    tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(were)).values(values))
    record_all(tx, [_line(row, now) for row in were.values()])
    return len(were)


def drop_events(tx: sa.Connection, before: dt.datetime, limit: int) -> int:
    """Drop old events in the order in which they came; returns how many."""
    oldest = sa.select(EndpointEvent.id, EndpointEvent.at).order_by(EndpointEvent.id).limit(limit)
    old = [row.id for row in tx.execute(oldest) if row.at < before]
    if old:
        tx.execute(sa.delete(EndpointEvent).where(EndpointEvent.id.in_(old)))
    return len(old)


def drop_expired(tx: sa.Connection, now: dt.datetime) -> None:
    """Drop enrolment tokens a month after their end, and looks that are over."""
    tx.execute(sa.delete(EnrolmentToken).where(EnrolmentToken.expires_at < now - _KEPT_EXPIRED))
    tx.execute(sa.delete(Watch).where(Watch.until < now - dt.timedelta(days=1)))


def _is_silent(before: dt.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    heard = sa.or_(Endpoint.last_seen.is_(None), Endpoint.last_seen < before)
    return Endpoint.state != Health.UNKNOWN, Endpoint.connected.is_(False), heard


def _before_change(pks: Sequence[int], before: dt.datetime) -> sa.Select[int, str, str, int, str]:
    columns = (Endpoint.pk, Endpoint.id, Endpoint.name, Endpoint.school_id, Endpoint.state)
    return sa.select(*columns).where(Endpoint.pk.in_(pks), *_is_silent(before)).with_for_update()


def _line(row: sa.Row[int, str, str, int, str], now: dt.datetime) -> Line:
    return Line(
        at=now,
        kind="endpoint.state",
        actor="system",
        subject=f"endpoint:{row.id}",
        school_id=row.school_id,
        detail={"name": row.name, "from": row.state, "to": Health.UNKNOWN.value},
    )
