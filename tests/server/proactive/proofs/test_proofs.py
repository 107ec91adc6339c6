"""The whole way of a proof: asked, raised, told, over; what is missed is told, and what says nothing is not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa
from fettle_server import clock
from fettle_server.config import Settings
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.ingest import queries as ingest_queries
from fettle_server.notify import editing
from fettle_server.notify.rules import Wanted
from fettle_server.notify.tables import Delivery, Outbox
from fettle_server.proactive.proofs import actions, queries, rules
from fettle_server.proactive.proofs.actions import ProofError
from fettle_server.proactive.proofs.rules import Proved, Seen
from fettle_server.proactive.proofs.tables import Proof
from fettle_server.reactive.queries import trend
from fettle_server.reactive.tables import Incident
from fettle_server.worker import notices
from fettle_server.worker.jobs import Work

HARBOUR = 1
DAY = dt.timedelta(days=1)


def at(day: int, hour: int = 10) -> dt.datetime:
    """A moment of November 2026; the 23rd is a Monday."""
    return dt.datetime(2026, 11, 1, hour, tzinfo=dt.UTC) + dt.timedelta(days=day - 1)


@pytest.fixture
def school(store):
    """A PC that is connected, and a route that needs no network."""
    pk = store.endpoint(connected=True, enrolled_at=at(1))
    with store.begin() as tx:
        channel, _ = editing.add_channel(tx, "system", "the log", "log", "", now=at(1))
        editing.set_route(tx, "system", None, channel, Wanted(priorities=(1,)), now=at(1))
    return pk


def begin(store, now: dt.datetime, person: Person = SYSTEM) -> int:
    with store.begin() as tx:
        return actions.prove(tx, person, HARBOUR, now)


def follow(store, now: dt.datetime):
    with store.begin() as tx:
        actions.follow(tx, now)
        return queries.schools(tx, SYSTEM, 30)[0].last


def test_the_whole_way_passes_and_counts_as_no_incident(line, tell, store):
    pk = store.endpoint()
    stream = line.attach(pk)
    with store.begin() as tx:
        channel, _ = editing.add_channel(tx, "system", "the log", "log", "", now=clock.utc_now())
        editing.set_route(tx, "system", None, channel, Wanted(priorities=(1,)), now=clock.utc_now())
    begin(store, clock.utc_now())
    line.events(stream, tell.raised("test-fault", "", severity="watch"))
    notices.tell(Work(Settings(data=Path()), store.engine, store.engine), clock.utc_now())
    assert follow(store, clock.utc_now()).state == Proved.RUNNING
    line.events(stream, tell.cleared("test-fault", ""))
    found = follow(store, clock.utc_now())
    assert (found.state, found.note) == (Proved.PASSED, "A notice was taken by its receiver")
    assert all(when is not None for _, when, _ in found.steps)
    assert store.value(sa.select(Incident.is_test)) is True
    assert store.value(sa.select(Delivery.is_test)) is True
    with store.begin() as tx:
        assert trend(tx, SYSTEM, 1, clock.utc_now())[0].opened == 0
        assert queries.last_proved(tx, SYSTEM).proved == 1


def test_the_edge_asks_until_the_fault_has_come(store, school):
    number = begin(store, at(23))
    with store.begin() as tx:
        assert ingest_queries.news(tx, 0, at(23)).proofs == ((number, school),)
        assert queries.asked(tx, at(23) + rules.ASK_WITHIN) == []


def test_nothing_came_and_that_is_an_incident_until_the_next_passes(store, school):
    begin(store, at(23))
    found = follow(store, at(23) + rules.NOTICED_WITHIN)
    assert (found.state, found.incident_number) == (Proved.FAILED, None)
    assert store.rows(sa.select(Incident.cause, Incident.rule, Incident.state)) == [("school:1/proof", "proof-silent", "new")]
    with store.begin() as tx:
        actions._end(tx, tx.execute(sa.select(Proof)).one(), Proved.PASSED, "", at(24))
    assert store.value(sa.select(Incident.state)) == "resolved"
    kinds = store.rows(sa.select(Outbox.kind).order_by(Outbox.id))
    assert [kind for (kind,) in kinds] == ["incident.opened", "incident.resolved"]


def test_one_at_a_time_and_only_where_a_pc_is_connected(store, school):
    begin(store, at(23))
    with pytest.raises(ProofError, match="under way"):
        begin(store, at(23))
    with store.begin() as tx:
        tx.execute(sa.update(Proof).values(ended_at=at(23)))
        tx.execute(sa.text("UPDATE endpoints SET connected = FALSE"))
    with pytest.raises(ProofError, match="No PC"):
        begin(store, at(23))


def test_who_may_not_act_there_proves_nothing(store, school):
    from fettle_server.estate.people.rules import Forbidden

    with pytest.raises(Forbidden):
        begin(store, at(23), Person(5, "otto", Role.TECHNICIAN, frozenset({2})))


def begin_due(tx, every, now):
    return actions.begin_due(tx, actions.due(tx, every, now), now)


def test_due_proofs_begin_only_while_the_school_is_open(store, school):
    every = dt.timedelta(days=1)
    with store.begin() as tx:
        assert begin_due(tx, every, at(22)) == 0  # a Sunday
        assert begin_due(tx, every, at(23, hour=6)) == 0
        assert begin_due(tx, every, at(23)) == 1
        assert begin_due(tx, every, at(24)) == 0  # one is under way


def test_a_school_that_cannot_be_proved_for_a_week_is_told_of_once(store, school):
    with store.begin() as tx:
        tx.execute(sa.text("UPDATE endpoints SET connected = FALSE"))
    for day in range(2, 28):
        with store.begin() as tx:
            begin_due(tx, dt.timedelta(days=1), at(day))
    assert store.rows(sa.select(Incident.rule)) == [("proof-silent",)]


def test_of_many_that_are_due_a_few_begin_at_a_time(store, school, monkeypatch):
    store.endpoint("pc-there", "There", connected=True)
    monkeypatch.setattr(actions, "AT_ONCE", 1)
    with store.begin() as tx:
        assert [begin_due(tx, DAY, at(25)) for _ in range(3)] == [1, 1, 0]


def test_nothing_is_proved_of_schools_without_pcs(store):
    store.school()
    with store.begin() as tx:
        assert begin_due(tx, DAY, at(23)) == 0
    assert store.value(sa.select(sa.func.count()).select_from(Incident)) == 0


SEEN = {"raised_at": at(23), "opened_at": at(23), "is_told": True, "cleared_at": at(23), "resolved_at": at(23)}


@pytest.mark.parametrize(
    ("missing", "state"),
    [
        ({}, Proved.PASSED),
        ({"raised_at": None}, Proved.FAILED),
        ({"raised_at": None, "is_connected": False}, Proved.VOID),
        ({"opened_at": None}, Proved.FAILED),
        ({"is_told": False}, Proved.FAILED),
        ({"cleared_at": None}, Proved.FAILED),
        ({"cleared_at": None, "is_connected": False}, Proved.PASSED),
        ({"resolved_at": None}, Proved.FAILED),
        ({"held": "maintenance window"}, Proved.VOID),
    ],
)
def test_each_missing_step_is_told(missing, state):
    seen = Seen(at(23), **(SEEN | missing))
    found, note = rules.judge(seen, at(23) + rules.NOTICED_WITHIN)
    assert found is state
    assert note or state is Proved.PASSED
    if state is Proved.FAILED:
        assert rules.judge(seen, at(23))[0] is Proved.RUNNING


def test_no_step_of_a_proof_lies_before_the_one_that_it_follows_from():
    seen = rules.in_order(Seen(at(1), raised_at=at(5), opened_at=at(4), cleared_at=at(3), resolved_at=at(2)))
    assert (seen.opened_at, seen.cleared_at, seen.resolved_at) == (at(5), at(5), at(5))
    assert rules.in_order(Seen(at(1), raised_at=at(5))) == Seen(at(1), raised_at=at(5))


def test_first_proofs_are_spread_over_the_interval():
    days = {rules.due_at(school, at(1), None, dt.timedelta(days=30)).day for school in range(1, 101)}
    assert len(days) >= 28


def test_after_a_failure_it_is_tried_the_next_day():
    assert rules.due_at(1, at(1), (at(23), Proved.FAILED), dt.timedelta(days=30)) == at(24)
    assert rules.due_at(1, at(1), (at(23), Proved.PASSED), dt.timedelta(days=30)) == at(23) + dt.timedelta(days=30)


def test_holidays_make_no_proof_late():
    assert not rules.is_overdue(at(1), 0, at(1) + dt.timedelta(days=42))
    assert rules.is_overdue(at(1), 5, at(8))
