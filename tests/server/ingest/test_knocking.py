"""The writer at the door: who is let in and told what, who is turned away, and what comes and goes with a stream."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from fettle_protocol import policy
from fettle_protocol.policy import EndpointClass
from fettle_server import clock
from fettle_server.estate.tables import Certificate, Endpoint, EndpointEvent
from fettle_server.ingest.messages import Arrived, Attached, Refused
from fettle_server.proactive.policies import shipped

from tests.server.ingest.conftest import downlink, row


def test_a_known_certificate_is_welcomed_with_the_policy(store, line):
    pk = store.endpoint()
    _, answer = line.knock(pk)
    down = downlink(answer)
    assert (answer.endpoint_pk, answer.instance) == (pk, "i1")
    assert down.welcome.events_acked == 0
    assert policy.decode(down.policy.json) == policy.for_agents(shipped(1), EndpointClass.FIXED)


def test_an_agent_that_holds_the_policy_is_not_sent_it_again(store, line):
    pk = store.endpoint()
    body = policy.encode(policy.for_agents(shipped(1), EndpointClass.FIXED))
    _, answer = line.knock(pk, policy_version=1, policy_digest=policy.digest(body))
    assert not downlink(answer).HasField("policy")


def test_an_agent_with_another_policy_of_the_same_number_gets_ours(store, line):
    _, answer = line.knock(store.endpoint(), policy_version=1, policy_digest=7)
    assert downlink(answer).policy.version == 1


def test_a_foreign_certificate_is_refused(line):
    _, answer = line.knock(1, certificate="f" * 64)
    assert isinstance(answer, Refused)
    assert downlink(answer).refusal.code == "unknown"


def test_a_revoked_endpoint_is_refused(store, line, now):
    _, answer = line.knock(store.endpoint(revoked_at=now))
    assert downlink(answer).refusal.code == "revoked"


def test_an_expired_certificate_is_refused(store, line, now):
    pk = store.endpoint()
    with store.begin() as tx:
        tx.execute(sa.update(Certificate).values(not_after=now.replace(year=2020)))
    _, answer = line.knock(pk)
    assert "expired" in downlink(answer).refusal.text


@pytest.mark.parametrize("hello", [{"protocol": 2}, {"spool": ""}, {"instance": "a b"}, {"machine": {"os": "linux"}}])
def test_a_greeting_that_cannot_be_is_refused_in_words(store, line, hello):
    _, answer = line.knock(store.endpoint(), **hello)
    assert downlink(answer).refusal.code == "protocol"
    assert downlink(answer).refusal.text.endswith(".")


def test_attaching_connects_and_tells_who_it_is(store, line):
    pk = store.endpoint()
    line.attach(pk)
    columns = (Endpoint.connected, Endpoint.name, Endpoint.system, Endpoint.state, Endpoint.search, Endpoint.policy_version)
    connected, name, system, state, search, version = row(store, pk, *columns)
    assert (connected, name, system, state, version) == (True, f"pc-{pk}", "linux", "well", 0)
    assert f"pc-{pk}" in search


def test_a_knock_alone_changes_nothing(store, line):
    pk = store.endpoint(name="before")
    line.knock(pk)
    assert row(store, pk, Endpoint.connected, Endpoint.name) == (False, "before")


def test_detaching_disconnects_unless_another_stream_replaced_it(store, line):
    pk = store.endpoint()
    first, second = line.attach(pk), line.attach(pk)
    line.detach(first, replaced=True)
    assert row(store, pk, Endpoint.connected)[0]
    line.detach(second)
    assert not row(store, pk, Endpoint.connected)[0]


def test_a_starting_writer_knows_that_nobody_is_connected(store, line):
    pk = store.endpoint()
    line.attach(pk)
    line.restart()
    assert not row(store, pk, Endpoint.connected)[0]


def test_messages_of_a_stream_that_the_writer_lost_end_it(store, line):
    stream = line.attach(store.endpoint())
    line.restart()
    (answer,) = [a for a in line.writer.take([Arrived(stream, clock.now_ms(), b"")]) if isinstance(a, Refused)]
    assert downlink(answer).refusal.code == "busy"


def test_a_stream_that_left_while_it_knocked_leaves_nothing_behind(store, line):
    pk = store.endpoint()
    stream, _ = line.knock(pk)
    line.detach(stream)
    assert line.writer.take([Attached(stream)])[0] == line.writer.take([Attached(stream)])[0]
    assert not row(store, pk, Endpoint.connected)[0]


def test_other_hardware_behind_an_identity_is_noted(store, line):
    pk = store.endpoint(fingerprint="a" * 64)
    machine = {"hostname": "pc", "os": "linux", "fingerprint": "b" * 64}
    line.attach(pk, machine=machine)
    assert store.rows(sa.select(EndpointEvent.kind)) == [("hardware changed",)]
