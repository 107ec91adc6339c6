"""What people do to incidents, on the real store: checked, done, told in the timeline and the journal."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role
from fettle_server.estate.tables import Endpoint, User
from fettle_server.journal.tables import Entry
from fettle_server.notify.tables import Outbox
from fettle_server.reactive import actions
from fettle_server.reactive.rules import Refused
from fettle_server.reactive.tables import Incident, IncidentEntry

LATER = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def pk(store):
    return store.endpoint()


@pytest.fixture
def stream(line, pk):
    return line.attach(pk)


@pytest.fixture
def number(store, line, stream, tell):
    line.events(stream, tell.raised())
    return store.value(sa.select(Incident.number))


@pytest.fixture
def ada(store):
    return person(store, "ada", Role.TECHNICIAN)


def person(store, name, role, schools=None):
    values = {"name": name, "role": role, "password_hash": "x", "all_schools": schools is None, "created_at": LATER}
    with store.begin() as tx:
        key = tx.execute(sa.insert(User).values(**values)).inserted_primary_key[0]
    return Person(key, name, role, schools)


def incident(store, *columns):
    return tuple(store.rows(sa.select(*columns))[0])


def do(store, act, *args):
    with store.begin() as tx:
        act(tx, *args)


def test_a_technician_walks_an_incident_to_its_end(store, number, ada, now):
    do(store, actions.acknowledge, ada, number, now)
    do(store, actions.assign, ada, number, "ada", now)
    do(store, actions.start, ada, number, now)
    do(store, actions.wait, ada, number, "a new disk is on its way", now)
    do(store, actions.resolve, ada, number, "put in a larger disk", now)
    do(store, actions.close, ada, number, now)
    assert incident(store, Incident.state, Incident.assignee_id, Incident.closed_at) == ("closed", ada.id, now)
    kinds = [kind for (kind,) in store.rows(sa.select(IncidentEntry.kind).order_by(IncidentEntry.id))]
    assert kinds == ["opened", "acknowledged", "assigned", "state", "state", "resolved", "state"]


def test_every_act_stands_in_the_journal_under_its_actor(store, number, ada, now):
    do(store, actions.comment, ada, number, "seen it", now)
    row = store.rows(sa.select(Entry.kind, Entry.actor, Entry.subject).order_by(Entry.id.desc()).limit(1))[0]
    assert tuple(row) == ("incident.commented", "user:ada", f"incident:{number}")


def test_who_acts_has_seen_it_but_a_comment_alone_does_not_acknowledge(store, number, ada, now):
    do(store, actions.comment, ada, number, "seen it", now)
    assert incident(store, Incident.acknowledged_at) == (None,)
    do(store, actions.start, ada, number, now)
    assert incident(store, Incident.acknowledged_at, Incident.assignee_id) == (now, ada.id)


def test_an_incident_that_comes_back_by_itself_is_acknowledged_by_nobody(store, line, stream, number, ada, now, tell):
    do(store, actions.acknowledge, ada, number, now)
    line.events(stream, tell.cleared(), tell.raised())
    assert incident(store, Incident.state, Incident.reopened, Incident.acknowledged_at) == ("new", 1, None)


def test_resolving_by_hand_counts_down_and_reopening_counts_up(store, number, ada, pk, now):
    do(store, actions.resolve, ada, number, "done", now)
    assert incident(store, Endpoint.open_incidents) == (0,)
    do(store, actions.reopen, ada, number, "it is not", now)
    assert incident(store, Endpoint.open_incidents) == (1,)
    assert incident(store, Incident.state, Incident.reopened, Incident.resolved_at) == ("new", 1, None)


def test_a_fault_that_ends_after_a_resolution_by_hand_leaves_it_resolved(store, line, stream, number, ada, now, tell):
    do(store, actions.resolve, ada, number, "done", now)
    line.events(stream, tell.cleared())
    assert incident(store, Incident.state, Incident.open_faults, Incident.resolved_at) == ("resolved", 0, now)
    assert incident(store, Endpoint.open_incidents, Endpoint.state) == (0, "well")


def test_reopening_beside_another_open_incident_is_refused(store, line, stream, number, ada, tell):
    do(store, actions.resolve, ada, number, "done", LATER)
    do(store, actions.close, ada, number, LATER)
    line.events(stream, tell.cleared(), tell.raised())
    with pytest.raises(Refused, match="open for the same cause"):
        do(store, actions.reopen, ada, number, "again", LATER)


def test_a_deed_out_of_turn_is_refused_and_changes_nothing(store, number, ada, now):
    with pytest.raises(Refused, match="resolve it before"):
        do(store, actions.close, ada, number, now)
    assert incident(store, Incident.state) == ("new",)


def test_a_viewer_and_a_stranger_may_not(store, number, now):
    viewer = person(store, "vic", Role.VIEWER)
    stranger = person(store, "sam", Role.TECHNICIAN, frozenset({999}))
    with pytest.raises(Forbidden):
        do(store, actions.acknowledge, viewer, number, now)
    with pytest.raises(Refused, match="There is no incident"):
        do(store, actions.acknowledge, stranger, number, now)


@pytest.mark.parametrize(("name", "why"), [("nobody", "nobody called"), ("vic", "only look"), ("sam", "does not work in")])
def test_it_is_given_only_to_who_may_work_on_it(store, number, ada, now, name, why):
    person(store, "vic", Role.VIEWER)
    person(store, "sam", Role.TECHNICIAN, frozenset())
    with pytest.raises(Refused, match=why):
        do(store, actions.assign, ada, number, name, now)


def test_grading_sets_the_priority_by_the_table(store, number, ada, now):
    do(store, actions.set_impact, ada, number, "school", "high", now)
    assert incident(store, Incident.priority) == (1,)


def test_editing_the_table_moves_open_incidents(store, number, ada, now):
    with pytest.raises(Forbidden):
        do(store, actions.set_priority_cell, ada, "user", "high", 1, now)
    do(store, actions.set_priority_cell, SYSTEM, "user", "high", 1, now)
    assert incident(store, Incident.priority) == (1,)


def test_resolved_incidents_close_after_their_time(store, number, ada, now):
    do(store, actions.resolve, ada, number, "done", now)
    with store.begin() as tx:
        assert actions.close_old(tx, now, LATER) == 0
        assert actions.close_old(tx, LATER, LATER) == 1
    assert incident(store, Incident.state) == ("closed",)


def test_who_was_told_of_the_beginning_is_told_of_the_end_that_a_person_makes(store, number, ada, now):
    do(store, actions.resolve, ada, number, "changed the disk", now)
    do(store, actions.reopen, ada, number, "it is not the disk", now)
    told = store.rows(sa.select(Outbox.kind, Outbox.incident_number, Outbox.text).order_by(Outbox.id))
    assert [row.kind for row in told] == ["incident.opened", "incident.resolved", "incident.reopened"]
    assert {row.incident_number for row in told} == {number}
    assert told[1].text == "Resolved by ada: changed the disk"
