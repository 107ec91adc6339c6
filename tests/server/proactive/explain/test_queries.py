"""An explanation out of the store: whole for who may see the endpoint, nothing for anybody else."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from fettle_protocol import catalogue
from fettle_protocol.v1 import link_pb2
from fettle_server.db import to_ms
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.estate.tables import Vitals
from fettle_server.proactive.explain import queries
from fettle_server.proactive.explain.views import Standing
from fettle_server.proactive.tables import Fault

STRANGER = Person(5, "anna", Role.VIEWER, frozenset())
CPU = catalogue.BY_KEY["cpu.busy_percent"]


def _vitals(store: Any, pk: int, at: dt.datetime, since: dt.datetime, rule: str) -> None:
    body = link_pb2.Vitals(
        readings=[link_pb2.Reading(key=CPU.number, value=97)], pending=[link_pb2.Pending(rule=rule, since_ms=to_ms(since))]
    )
    with store.begin() as tx:
        tx.execute(sa.insert(Vitals).values(endpoint_pk=pk, at=at, body=body.SerializeToString()))


def _fault(store: Any, pk: int, at: dt.datetime, **columns: Any) -> None:
    values = {"endpoint_pk": pk, "rule": "disk-full", "instance": "/", "severity": "ill", "value": 3.0, "evidence": {}}
    with store.begin() as tx:
        tx.execute(sa.insert(Fault).values(**values | {"since_at": at, "raised_at": at} | columns))


def test_endpoint_is_explained_whole(store: Any, now: dt.datetime) -> None:
    pk = store.endpoint("pc-1", state="ill", ill_faults=1, connected=True, connected_since=now, last_seen=now, system="linux")
    _fault(store, pk, now, stage="window", stage_reason="Summer work")
    _vitals(store, pk, now, now, "processor-busy")
    with store.begin() as tx:
        found = queries.explain(tx, SYSTEM, f"{1:032x}", now)
        assert queries.explain(tx, STRANGER, f"{1:032x}", now) is None
    assert found is not None
    assert [chain.rule for chain in found.why] == ["disk-full"]
    assert "Maintenance window" in found.why[0].steps[-1].text
    standings = {line.rule: line.standing for line in found.rules}
    assert (standings["disk-full"], standings["processor-busy"]) == (Standing.RAISED, Standing.PENDING)
    assert found.presence[0].state == "well"
    assert found.presence[-1].text == "Its class is expected in school hours, as usual."


def test_countdown_of_a_pc_that_is_not_heard_is_not_shown(store: Any, now: dt.datetime) -> None:
    pk = store.endpoint("pc-1", connected=True, last_seen=now, system="linux")
    gone = store.endpoint("pc-2", connected=False, last_seen=now, system="linux")
    for one in (pk, gone):
        _vitals(store, one, now, now, "processor-busy")
    with store.begin() as tx:
        assert [one.rule for one in queries.countdowns(tx, SYSTEM, f"{1:032x}", now)] == ["processor-busy"]
        assert queries.countdowns(tx, SYSTEM, f"{2:032x}", now) == ()
        assert queries.countdowns(tx, SYSTEM, f"{1:032x}", now + dt.timedelta(hours=1)) == ()


def test_fault_of_last_week_is_in_the_messages_only(store: Any, now: dt.datetime) -> None:
    pk = store.endpoint("pc-1", connected=True, last_seen=now, system="linux")
    _fault(store, pk, now - dt.timedelta(days=2), cleared_at=now - dt.timedelta(days=1), clear_reason="recovered")
    _fault(store, pk, now - dt.timedelta(days=30), cleared_at=now - dt.timedelta(days=29), clear_reason="recovered")
    with store.begin() as tx:
        found = queries.explain(tx, SYSTEM, f"{1:032x}", now)
    assert found is not None
    assert (len(found.why), len(found.messages)) == (0, 1)
