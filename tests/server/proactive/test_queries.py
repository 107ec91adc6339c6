"""Faults with what their rules say, and a sentence out of the store."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.proactive import queries
from fettle_server.proactive.tables import Fault

STRANGER = Person(5, "anna", Role.VIEWER, frozenset())


def _fault(store: Any, pk: int, rule: str, at: dt.datetime, **columns: Any) -> None:
    values = {
        "endpoint_pk": pk,
        "rule": rule,
        "instance": "C:",
        "severity": "ill",
        "value": 3.0,
        "clear_reason": "",
        "detail": "",
    }
    more = {"since_at": at, "raised_at": at, "evidence": {}, "time_adjusted": False, "policy_version": 1}
    with store.begin() as tx:
        tx.execute(sa.insert(Fault).values(**(values | more | columns)))


def test_faults_come_open_first_in_their_rules_words(store: Any, now: dt.datetime) -> None:
    pk = store.endpoint("pc-1", state="ill", ill_faults=1, connected=True, last_seen=now, system="windows")
    hour = dt.timedelta(hours=1)
    _fault(store, pk, "disk-full", now - 3 * hour)
    _fault(store, pk, "disk-low", now - 2 * hour, cleared_at=now - hour, severity="watch")
    _fault(store, pk, "long-gone-rule", now - 4 * hour, cleared_at=now - hour)
    with store.begin() as tx:
        rows = queries.faults_of(tx, SYSTEM, f"{1:032x}")
        assert queries.faults_of(tx, SYSTEM, f"{1:032x}", open_only=True) == rows[:1]
        assert queries.faults_of(tx, SYSTEM, f"{1:032x}", limit=2) == rows[:2]
        assert queries.faults_of(tx, STRANGER, f"{1:032x}") == ()
        assert queries.sentence(tx, SYSTEM, f"{1:032x}", now) == "Ill: Disk C: is full (3 %), for 3 hours now."
        assert queries.sentence(tx, STRANGER, f"{1:032x}", now) == ""
    assert [(row.title, row.unit, row.raise_level) for row in rows] == [
        ("Disk C: is full", "%", 4),
        ("Disk C: is nearly full", "%", 10),
        ("long-gone-rule (C:)", "", None),
    ]


def test_the_policy_in_force_is_the_newest(store: Any) -> None:
    with store.begin() as tx:
        assert queries.current_policy(tx).version >= 1
        assert queries.current_policy(tx) is queries.current_policy(tx)
