"""Newest readings, live seconds, inventory and charts."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_protocol import catalogue, packing
from fettle_protocol.v1 import link_pb2
from fettle_server.db import from_ms, to_ms
from fettle_server.estate import history
from fettle_server.estate.endpoints import queries, series
from fettle_server.estate.endpoints.queries import EndpointQueryError
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.estate.tables import Endpoint, Inventory, Vitals, Watch

CPU, DISK = catalogue.BY_KEY["cpu.busy_percent"], catalogue.BY_KEY["disk.free_percent"]
STRANGER = Person(5, "anna", Role.VIEWER, frozenset())


@pytest.fixture
def pc(store: Any) -> tuple[int, str]:
    pk = store.endpoint("pc-1")
    return pk, store.value(sa.select(Endpoint.id).where(Endpoint.pk == pk))


def _vitals(*readings: tuple[int, str, float]) -> bytes:
    message = link_pb2.Vitals(agent=link_pb2.AgentHealth(cpu_percent=0.5, memory_mib=40, spool_events=2))
    message.agent.collectors.add(name="smart", duration_s=2, error="no smartctl")
    for number, instance, value in readings:
        message.readings.add(key=number, instance=instance, value=value)
    return message.SerializeToString()


def _put_vitals(store: Any, pk: int, at: dt.datetime, *readings: tuple[int, str, float]) -> None:
    with store.begin() as tx:
        tx.execute(sa.insert(Vitals).values(endpoint_pk=pk, at=at, body=_vitals(*readings)))


def _put_hours(store: Any, pk: int, first: int, count: int) -> None:
    hours = [
        packing.pack({(CPU.number, ""): [n % 100.0] * 60, (DISK.number, "C:"): [50.0, *[None] * 59]}) for n in range(count)
    ]
    with store.begin() as tx:
        history.store(tx, [(pk, first + n, hours[n]) for n in range(count)], set())


def test_vitals_are_told_with_units_and_without_strangers(store: Any, pc: tuple[int, str], now: dt.datetime) -> None:
    _put_vitals(store, pc[0], now, (DISK.number, "C:", 3.3), (CPU.number, "", 97.3), (9999, "", 1))
    with store.begin() as tx:
        view = queries.vitals(tx, SYSTEM, pc[1])
        assert queries.vitals(tx, STRANGER, pc[1]) is None
    assert view is not None
    assert [(one.key, one.instance, one.value, one.unit) for one in view.readings] == [
        ("cpu.busy_percent", "", 97.3, "%"),
        ("disk.free_percent", "C:", 3.3, "%"),
    ]
    assert view.agent is not None
    assert (view.agent.spool_events, view.agent.collectors[0].error) == (2, "no smartctl")


def test_live_is_none_until_somebody_looked(store: Any, pc: tuple[int, str], now: dt.datetime) -> None:
    live = link_pb2.Live(at_ms=to_ms(now), readings=[link_pb2.Reading(key=CPU.number, value=12)])
    with store.begin() as tx:
        assert queries.live(tx, SYSTEM, pc[1]) is None
        tx.execute(sa.insert(Watch).values(endpoint_pk=pc[0], until=now))
        before = queries.live(tx, SYSTEM, pc[1])
        tx.execute(sa.update(Watch).values(live_at=now, live=live.SerializeToString()))
        view = queries.live(tx, SYSTEM, pc[1])
        assert queries.live(tx, STRANGER, pc[1]) is None
    assert before is not None
    assert (before.at, before.readings) == (None, ())
    assert view is not None
    assert (view.at, view.readings[0].value) == (now, 12)


def test_inventory_survives_what_cannot_be_read(store: Any, pc: tuple[int, str], now: dt.datetime) -> None:
    bodies = {"hardware": zlib.compress(json.dumps({"model": "X"}).encode()), "software": b"not zlib"}
    with store.begin() as tx:
        for section, body in bodies.items():
            tx.execute(sa.insert(Inventory).values(endpoint_pk=pc[0], section=section, digest="d", at=now, body=body))
        found = queries.inventory(tx, SYSTEM, pc[1])
        assert queries.inventory(tx, STRANGER, pc[1]) == {}
    assert found["hardware"].body == {"model": "X"}
    assert found["software"].body == {}


def test_a_day_is_told_by_minutes_with_the_newest_reading_last(store: Any, pc: tuple[int, str], now: dt.datetime) -> None:
    hour = history.hour_of(now)
    _put_hours(store, pc[0], hour - 24, 24)
    _put_vitals(store, pc[0], now, (CPU.number, "", 77.0))
    with store.begin() as tx:
        (cpu,) = queries.chart(tx, SYSTEM, pc[1], ["cpu.busy_percent"], now - dt.timedelta(hours=1), now)
        (day,) = queries.chart(tx, SYSTEM, pc[1], ["cpu.busy_percent"], now - dt.timedelta(hours=24), now)
    assert (len(cpu.times_ms), cpu.mean[0], cpu.mean[-1], cpu.times_ms[-1]) == (61, 23.0, 77.0, to_ms(now))
    assert len(day.times_ms) == 361
    assert (day.low[0], day.high[-2]) == (0.0, 23.0)


def test_a_month_is_told_by_hours_of_every_instance(store: Any, pc: tuple[int, str], now: dt.datetime) -> None:
    _put_hours(store, pc[0], history.hour_of(now) - 720, 720)
    keys = ["disk.free_percent", "cpu.busy_percent"]
    with store.begin() as tx:
        lines = queries.chart(tx, SYSTEM, pc[1], keys, now - dt.timedelta(days=30), now)
        assert queries.chart(tx, STRANGER, pc[1], keys, now - dt.timedelta(days=30), now) == ()
    assert [(line.key, line.instance, len(line.times_ms)) for line in lines] == [
        ("cpu.busy_percent", "", 360),
        ("disk.free_percent", "C:", 360),
    ]
    assert list(lines[0].times_ms) == sorted(lines[0].times_ms)


def test_thinning_keeps_every_peak() -> None:
    line = series.Line()
    for n in range(1000):
        line.put(n, 0.0 if n != 501 else -5.0, 1.0, 9.0 if n == 777 else 2.0)
    thin = series.thin(line)
    assert len(thin.times) <= series.POINTS
    assert (min(thin.low), max(thin.high)) == (-5.0, 9.0)


def test_a_damaged_pack_is_left_out(store: Any, pc: tuple[int, str], now: dt.datetime) -> None:
    hour = history.hour_of(now)
    _put_hours(store, pc[0], hour - 2, 1)
    with store.begin() as tx:
        history.store(tx, [(pc[0], hour - 1, b"\x01garbage")], set())
        (cpu,) = queries.chart(tx, SYSTEM, pc[1], ["cpu.busy_percent"], now - dt.timedelta(hours=3), now)
        (long,) = queries.chart(tx, SYSTEM, pc[1], ["cpu.busy_percent"], now - dt.timedelta(days=3), now)
    assert (len(cpu.times_ms), len(long.times_ms)) == (60, 1)


def test_an_impossible_chart_is_an_error(store: Any, pc: tuple[int, str], now: dt.datetime) -> None:
    later = now + dt.timedelta(hours=1)
    with store.begin() as tx:
        for keys, start, end in ((["no.such"], now, later), (["cpu.busy_percent"], later, now), ([], from_ms(0), now)):
            with pytest.raises(EndpointQueryError):
                queries.chart(tx, SYSTEM, pc[1], keys, start, end)


def test_summaries_agree_with_unpack() -> None:
    wanted = {spec.number for spec in catalogue.ALL[::3]}
    pack = packing.pack({(spec.number, name): [spec.high] * 60 for spec in catalogue.ALL for name in ("", "a", "ü" * 50)})
    assert packing.summaries(pack, wanted) == [one for one in packing.unpack(pack) if one.key[0] in wanted]
    with pytest.raises(packing.PackError):
        packing.summaries(pack[: len(pack) // 8], {133})
