"""What endpoints reported, made readable: newest readings, live seconds, inventory, and charts out of packed history."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from fettle_protocol import catalogue
from fettle_protocol.v1 import link_pb2

from fettle_server.db import from_ms, to_ms
from fettle_server.estate import history
from fettle_server.estate.endpoints import series
from fettle_server.estate.endpoints.scope import endpoint_pk, scoped
from fettle_server.estate.endpoints.views import (
    AgentView,
    CollectorView,
    EndpointQueryError,
    InventoryView,
    LiveView,
    PendingView,
    ReadingView,
    SeriesView,
    VitalsView,
)
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint, Inventory, Vitals, Watch

MAX_INVENTORY_BYTES = 4 * 1024 * 1024
LONGEST = dt.timedelta(days=400)
MINUTES_UP_TO = dt.timedelta(hours=24)


def vitals(tx: sa.Connection, person: Person, id: str) -> VitalsView | None:
    """An endpoint's newest readings and what its agent carries; None where it never sent any."""
    statement = sa.select(Vitals.at, Vitals.body).join(Endpoint, Endpoint.pk == Vitals.endpoint_pk)
    row = tx.execute(statement.where(Endpoint.id == id, *scoped(person))).one_or_none()
    if row is None:
        return None
    message = link_pb2.Vitals.FromString(row.body)
    agent = _agent(message.agent) if message.HasField("agent") else None
    pending = tuple(PendingView(one.rule, one.instance, one.clearing, from_ms(one.since_ms)) for one in message.pending)
    return VitalsView(row.at, _readings(message.readings), agent, pending)


def live(tx: sa.Connection, person: Person, id: str) -> LiveView | None:
    """The newest second of an endpoint that somebody looks at; None where nobody ever did."""
    statement = sa.select(Watch.until, Watch.live_at, Watch.live).join(Endpoint, Endpoint.pk == Watch.endpoint_pk)
    row = tx.execute(statement.where(Endpoint.id == id, *scoped(person))).one_or_none()
    if row is None:
        return None
    readings = _readings(link_pb2.Live.FromString(row.live).readings) if row.live else ()
    return LiveView(row.until, row.live_at, readings)


def inventory(tx: sa.Connection, person: Person, id: str) -> dict[str, InventoryView]:
    """The inventory sections that an endpoint sent, by name."""
    statement = sa.select(Inventory.section, Inventory.at, Inventory.digest, Inventory.body)
    statement = statement.join(Endpoint, Endpoint.pk == Inventory.endpoint_pk).where(Endpoint.id == id, *scoped(person))
    return {row.section: InventoryView(row.section, row.at, row.digest, _plain(row.body)) for row in tx.execute(statement)}


def chart(
    tx: sa.Connection, person: Person, id: str, keys: Iterable[str], start: dt.datetime, end: dt.datetime
) -> tuple[SeriesView, ...]:
    """The series of those readings, all instances, between two times: minutes for up to 24 hours, else hours.

    A series has at most 360 points and one for the newest vitals; a point keeps the lowest and highest of what it stands for.

    Raises:
        EndpointQueryError: a reading that the catalogue does not have, or a time that is turned round or too long.
    """
    numbers = _numbers(keys)
    if not dt.timedelta(0) < end - start <= LONGEST:
        raise EndpointQueryError(f"a chart shows up to {LONGEST.days} days, from an earlier to a later time")
    pk = endpoint_pk(tx, person, id)
    if pk is None:
        return ()
    packs = history.read(tx, pk, history.hour_of(start), history.hour_of(end))
    first_ms, last_ms = to_ms(start), to_ms(end)
    read = series.minutes if end - start <= MINUTES_UP_TO else series.hours
    lines = read(packs, numbers, first_ms, last_ms)
    newest = vitals(tx, person, id)
    if newest is not None and first_ms <= to_ms(newest.at) <= last_ms:
        series.append(lines, newest.readings, numbers, to_ms(newest.at))
    return series.views(lines)


def _numbers(keys: Iterable[str]) -> frozenset[int]:
    specs = {key: catalogue.BY_KEY.get(key) for key in keys}
    unknown = [key for key, spec in specs.items() if spec is None]
    if unknown:
        raise EndpointQueryError(f"there is no reading {unknown[0][:60]!r} in the catalogue")
    return frozenset(spec.number for spec in specs.values() if spec is not None)


def _readings(readings: Iterable[link_pb2.Reading]) -> tuple[ReadingView, ...]:
    """In the catalogue's order; numbers that this server's catalogue lacks are left out. The wire's 32 bits are rounded."""
    views = []
    for reading in readings:
        spec = catalogue.BY_NUMBER.get(reading.key)
        if spec is not None:
            value = round(reading.value, max(spec.decimals, 0))
            views.append((spec.number, ReadingView(spec.key, reading.instance, value, spec.unit, spec.sentence)))
    return tuple(view for _, view in sorted(views, key=lambda pair: (pair[0], pair[1].instance)))


def _agent(health: link_pb2.AgentHealth) -> AgentView:
    return AgentView(
        cpu_percent=round(health.cpu_percent, 2),
        memory_mib=round(health.memory_mib, 1),
        spool_events=health.spool_events,
        spool_bytes=health.spool_bytes,
        shed=health.shed,
        collectors=tuple(CollectorView(one.name, round(one.duration_s, 3), one.error) for one in health.collectors),
    )


def _plain(body: bytes) -> dict[str, Any]:
    """The section's object; an empty one where what came cannot be read."""
    try:
        document = json.loads(zlib.decompressobj().decompress(body, MAX_INVENTORY_BYTES))
    except (zlib.error, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
