"""Detection: faults become rows, incidents and the endpoint's state, once each and in their order."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2
from fettle_server import clock
from fettle_server.estate.tables import Endpoint, EndpointEvent
from fettle_server.journal.tables import Entry
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import Incident, IncidentEntry

MINUTE = 60_000


@pytest.fixture
def pk(store):
    return store.endpoint()


@pytest.fixture
def stream(line, pk):
    return line.attach(pk)


def incidents(store):
    columns = (Incident.title, Incident.state, Incident.priority, Incident.open_faults, Incident.reopened)
    return [tuple(row) for row in store.rows(sa.select(*columns).order_by(Incident.number))]


def endpoint(store, pk):
    columns = (Endpoint.state, Endpoint.watch_faults, Endpoint.ill_faults, Endpoint.open_incidents)
    return tuple(store.rows(sa.select(*columns).where(Endpoint.pk == pk))[0])


def timeline(store):
    return [kind for (kind,) in store.rows(sa.select(IncidentEntry.kind).order_by(IncidentEntry.id))]


def test_a_fault_opens_an_incident_and_makes_the_endpoint_ill(store, line, stream, pk, tell):
    line.events(stream, tell.raised())
    assert incidents(store) == [("Disk C: is full", "new", 3, 1, 0)]
    assert endpoint(store, pk) == ("ill", 0, 1, 1)
    assert timeline(store) == ["opened"]
    assert store.value(sa.select(Fault.incident_number)) == store.value(sa.select(Incident.number))


def test_the_last_clear_resolves_it_and_the_endpoint_is_well(store, line, stream, pk, tell):
    line.events(stream, tell.raised())
    line.events(stream, tell.cleared())
    assert incidents(store) == [("Disk C: is full", "resolved", 3, 0, 0)]
    assert endpoint(store, pk) == ("well", 0, 0, 0)
    assert timeline(store) == ["opened", "fault cleared", "resolved"]


def test_what_came_and_went_in_one_message_is_the_same_as_in_two(store, line, stream, pk, tell):
    line.events(stream, tell.raised(), tell.cleared())
    assert incidents(store) == [("Disk C: is full", "resolved", 3, 0, 0)]
    assert endpoint(store, pk) == ("well", 0, 0, 0)
    ((evidence, reason),) = store.rows(sa.select(Fault.evidence, Fault.clear_reason))
    assert (set(evidence), reason) == ({"raised", "cleared"}, "recovered")


def test_faults_of_one_topic_join_and_the_worse_one_decides(store, line, stream, pk, tell):
    line.events(stream, tell.raised("disk-low", severity="watch"))
    assert incidents(store) == [("Disk C: is nearly full", "new", 4, 1, 0)]
    line.events(stream, tell.raised("disk-full"))
    assert incidents(store) == [("Disk C: is full", "new", 3, 2, 0)]
    assert endpoint(store, pk) == ("ill", 1, 1, 1)
    line.events(stream, tell.cleared("disk-full"))
    assert incidents(store)[0][1:4] == ("new", 3, 1)
    assert endpoint(store, pk) == ("watch", 1, 0, 1)


def test_faults_of_two_topics_are_two_incidents(store, line, stream, pk, tell):
    line.events(stream, tell.raised(), tell.raised("memory-exhausted", ""))
    assert len(incidents(store)) == 2
    assert endpoint(store, pk) == ("ill", 0, 2, 2)


def test_the_same_rule_on_two_endpoints_is_two_incidents(store, line, tell):
    streams = [line.attach(store.endpoint()) for _ in range(2)]
    line.say_all([(s, link_pb2.Uplink(events=line.number(s, tell.raised()))) for s in streams])
    assert [row[3] for row in incidents(store)] == [1, 1]
    assert len(set(store.rows(sa.select(Fault.incident_number)))) == 2


def test_raising_what_is_open_changes_nothing(store, line, stream, tell):
    line.events(stream, tell.raised())
    line.events(stream, tell.raised())
    assert incidents(store)[0][3] == 1
    assert timeline(store) == ["opened"]


def test_clearing_what_is_not_open_is_only_noted(store, line, stream, pk, tell):
    line.events(stream, tell.cleared())
    assert store.rows(sa.select(EndpointEvent.kind)) == [("cleared without a fault",)]
    assert endpoint(store, pk)[0] == "well"


def test_a_fault_that_returns_soon_reopens_its_incident(store, line, stream, pk, tell):
    line.events(stream, tell.raised(), tell.cleared())
    line.events(stream, tell.raised())
    assert incidents(store) == [("Disk C: is full", "new", 3, 1, 1)]
    assert endpoint(store, pk)[3] == 1
    assert timeline(store)[-1] == "reopened"


def test_a_fault_that_returns_later_is_another_incident(store, line, stream, tell):
    now = clock.now_ms()
    line.events(stream, tell.raised(at_ms=now - 1520 * MINUTE), tell.cleared(at_ms=now - 1490 * MINUTE))
    line.events(stream, tell.raised())
    assert [row[1] for row in incidents(store)] == ["resolved", "new"]


def test_two_separate_spells_in_one_message_keep_their_own_incidents(store, line, stream, tell):
    now = clock.now_ms()
    spells = [
        tell.raised(at_ms=now - 1700 * MINUTE),
        tell.cleared(at_ms=now - 1690 * MINUTE),
        tell.raised(at_ms=now - 100 * MINUTE),
    ]
    line.events(stream, *spells)
    rows = store.rows(sa.select(Fault.incident_number, Fault.cleared_at).order_by(Fault.raised_at))
    numbers = [number for (number,) in store.rows(sa.select(Incident.number).order_by(Incident.opened_at))]
    assert [number for number, _ in rows] == numbers
    assert [cleared is None for _, cleared in rows] == [False, True]


def test_an_agent_that_was_cut_off_tells_both_with_the_right_times(store, line, stream, tell):
    now = clock.now_ms()
    began, ended = now - 50 * MINUTE, now - 20 * MINUTE
    line.events(stream, tell.raised(at_ms=began), tell.cleared(at_ms=ended))
    columns = (Fault.raised_at, Fault.cleared_at, Incident.opened_at, Incident.resolved_at)
    ((raised_at, cleared_at, opened_at, resolved_at),) = store.rows(sa.select(*columns).join_from(Fault, Incident))
    assert raised_at == opened_at == dt.datetime.fromtimestamp(began / 1000, dt.UTC)
    assert cleared_at == resolved_at == dt.datetime.fromtimestamp(ended / 1000, dt.UTC)


def test_an_agent_in_sync_disowns_what_it_does_not_hold(store, line, stream, pk, tell):
    line.events(stream, tell.raised(), tell.raised("memory-exhausted", ""))
    held = [link_pb2.OpenFault(rule="memory-exhausted")]
    line.say(stream, vitals(held, spool_events=0))
    rows = store.rows(sa.select(Fault.rule, Fault.clear_reason).order_by(Fault.rule))
    assert [tuple(row) for row in rows] == [("disk-full", "reconciled"), ("memory-exhausted", "")]
    assert endpoint(store, pk) == ("ill", 0, 1, 1)


def test_an_agent_with_events_left_to_tell_disowns_nothing(store, line, stream, tell):
    line.events(stream, tell.raised())
    line.say(stream, vitals([], spool_events=3))
    assert incidents(store)[0][1] == "new"


def test_vitals_disown_only_what_was_raised_before_them(store, line, stream, tell):
    (event,) = line.number(stream, tell.raised())
    line.say_all([(stream, vitals([], spool_events=0)), (stream, link_pb2.Uplink(events=[event]))])
    assert incidents(store)[0][1] == "new"


def vitals(held, *, spool_events):
    agent = link_pb2.AgentHealth(spool_events=spool_events)
    return link_pb2.Uplink(vitals=link_pb2.Vitals(at_ms=clock.now_ms(), faults=held, agent=agent))


def test_a_rule_that_the_policy_lacks_stands_under_its_key(store, line, stream, tell):
    line.events(stream, tell.raised("strange-thing", "x{0.__class__}{instance}", "watch"))
    assert incidents(store)[0][0] == "strange-thing (x{0.__class__}{instance})"


def test_an_instance_is_never_taken_for_a_format(store, line, stream, tell):
    line.events(stream, tell.raised(instance="{instance.__class__}"))
    assert incidents(store)[0][0] == "Disk {instance.__class__} is full"


def test_live_pages_are_told_in_the_same_transaction(store, line, stream, tell):
    before = store.value(sa.select(sa.func.max(Entry.id)))
    line.events(stream, tell.raised())
    line.events(stream, tell.cleared())
    kinds = [kind for (kind,) in store.rows(sa.select(Entry.kind).where(Entry.id > before).order_by(Entry.id))]
    assert kinds == ["incident.opened", "endpoint.state", "incident.resolved", "endpoint.state"]


def test_an_endpoint_that_comes_back_has_the_state_of_its_faults(store, line, stream, pk, tell):
    line.events(stream, tell.raised())
    line.detach(stream)
    with store.begin() as tx:
        tx.execute(sa.update(Endpoint).values(state="unknown"))
    line.attach(pk)
    assert endpoint(store, pk)[0] == "ill"
