"""What a stream lives through: clones, reconnects, garbage, floods, a dead writer."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from fettle_protocol import policy as policies
from fettle_protocol.v1 import link_pb2
from fettle_server import clock
from fettle_server.estate.tables import Endpoint, EndpointEvent, Watch
from fettle_server.ingest import link
from fettle_server.proactive.tables import PolicyVersion


def booted(sequence: int) -> link_pb2.Event:
    return link_pb2.Event(sequence=sequence, at_ms=clock.now_ms(), power=link_pb2.PowerChange(kind="KIND_BOOTED"))


def stored(server: Any, agent: Any) -> int:
    pk = pk_of(server, agent)
    with server.engine.begin() as tx:
        return int(tx.scalar(sa.select(sa.func.count()).where(EndpointEvent.endpoint_pk == pk)) or 0)


def pk_of(server: Any, agent: Any) -> int:
    with server.engine.begin() as tx:
        return int(tx.scalar(sa.select(Endpoint.pk).where(Endpoint.id == agent.endpoint_id)) or 0)


def test_events_are_acknowledged_once_they_are_stored(server: Any) -> None:
    agent = server.enrol()
    talk = agent.attach()
    talk.say(events=[booted(1), booted(2)])
    talk.hear_ack(2)
    assert stored(server, agent) == 2


def test_clone_is_refused_and_both_are_told(server: Any) -> None:
    agent = server.enrol()
    first, clone = agent.attach("first"), agent.knock()
    clone.say_hello("second")
    first.say(pong=link_pb2.Pong(nonce=first.hear_until("ping").nonce))
    assert clone.end()[:2] == ("clone", grpc.StatusCode.UNAUTHENTICATED)
    assert first.hear_until("told").code == "clone"
    first.say(events=[booted(1)])
    first.hear_ack(1)


def test_machine_that_no_longer_answers_is_replaced(server: Any) -> None:
    agent = server.enrol()
    silent = agent.attach("first")
    agent.attach("second")
    assert silent.end()[:2] == ("replaced", grpc.StatusCode.ABORTED)


def test_same_instance_again_replaces_at_once(server: Any) -> None:
    agent = server.enrol()
    old = agent.attach("first")
    began_s = time.monotonic()
    agent.attach("first")
    assert time.monotonic() - began_s < 2
    assert old.end()[0] == "replaced"


def test_replaced_endpoint_stays_connected(server: Any) -> None:
    agent = server.enrol()
    old = agent.attach("first")
    new = agent.attach("first")
    old.end()
    new.say(events=[booted(1)])
    new.hear_ack(1)
    with server.engine.begin() as tx:
        assert tx.scalar(sa.select(Endpoint.connected).where(Endpoint.id == agent.endpoint_id))


def test_garbage_costs_only_a_rejection(server: Any) -> None:
    talk = server.enrol().attach()
    talk.say_bytes(b"\xff\xff\xff garbage")
    assert talk.hear_until("rejected")[0].sequence == 0
    talk.say(events=[booted(1)])
    talk.hear_ack(1)


def test_garbage_as_first_word_is_refused(server: Any) -> None:
    talk = server.enrol().knock()
    talk.say_bytes(b"\xff\xff\xff garbage")
    assert talk.end()[0] == "protocol"


def test_silent_stream_is_ended(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "FIRST_WORD_S", 0.2)
    assert server.enrol().knock().end()[:2] == ("protocol", grpc.StatusCode.DEADLINE_EXCEEDED)


def test_message_over_the_limit_is_refused(server: Any) -> None:
    talk = server.enrol().attach()
    talk.say_bytes(b"\x00" * 1_100_000)
    assert talk.end()[1] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_more_agents_than_allowed_are_asked_to_come_later(serve: Callable[..., Any]) -> None:
    server = serve(max_streams=1)
    server.enrol().attach()
    assert server.enrol().knock().end()[:2] == ("busy", grpc.StatusCode.RESOURCE_EXHAUSTED)


def test_dead_writer_ends_the_streams_and_they_come_back(serve: Callable[..., Any]) -> None:
    server = serve()
    agent = server.enrol()
    talk = agent.attach()
    talk.say(events=[booted(1)])
    talk.hear_ack(1)
    server.kill_writer()
    assert talk.end()[:2] == ("busy", grpc.StatusCode.UNAVAILABLE)
    again = attach_in_time(agent)
    again.say(events=[booted(1), booted(2)])
    again.hear_ack(2)
    assert stored(server, agent) == 2


def attach_in_time(agent: Any) -> Any:
    """As an agent does: knock until the server takes it."""
    for _ in range(40):
        talk = agent.knock()
        talk.say_hello("first")
        try:
            talk.hear_until("welcome")
        except grpc.RpcError:
            time.sleep(0.25)
        else:
            return talk
    raise AssertionError("the edge did not take the agent back")


def test_flood_of_one_agent_does_not_hold_up_its_neighbour(server: Any) -> None:
    flooding, neighbour = server.enrol().attach(), server.enrol().attach()
    body = link_pb2.Uplink(events=[booted(1)]).SerializeToString()
    for _ in range(20_000):
        flooding.say_bytes(body)
    waits = []
    for number in range(1, 6):
        began_s = time.monotonic()
        neighbour.say(events=[booted(number)])
        neighbour.hear_ack(number)
        waits.append(time.monotonic() - began_s)
    assert max(waits) < 2


def test_new_policy_reaches_open_streams(server: Any) -> None:
    talk = server.enrol().attach()
    with server.engine.begin() as tx:
        newest = tx.scalar(sa.select(sa.func.max(PolicyVersion.version)))
        body = tx.scalar(sa.select(PolicyVersion.body).where(PolicyVersion.version == newest))
        row = {"version": newest + 7, "body": body, "created_at": clock.utc_now(), "created_by": "test"}
        tx.execute(sa.insert(PolicyVersion).values(row))
    while (policy := talk.hear_until("policy")).version != newest + 7:
        pass
    assert policies.decode(policy.json).version == newest + 7


def test_page_that_looks_reaches_the_agent_and_is_extended(server: Any) -> None:
    agent = server.enrol()
    talk, pk = agent.attach(), pk_of(server, agent)
    with server.engine.begin() as tx:
        tx.execute(sa.insert(Watch).values(endpoint_pk=pk, until=clock.utc_now() + dt.timedelta(seconds=30)))
    assert 25 <= talk.hear_until("watch").seconds <= 30
    with server.engine.begin() as tx:
        tx.execute(sa.update(Watch).where(Watch.endpoint_pk == pk).values(until=clock.utc_now() + dt.timedelta(seconds=60)))
    assert 55 <= talk.hear_until("watch").seconds <= 60


def test_figures_are_served_and_never_go_back_when_the_writer_dies(serve: Callable[..., Any]) -> None:
    server = serve()
    agent = server.enrol()
    talk = agent.attach()
    talk.say(events=[booted(1)])
    talk.hear_ack(1)
    until_s = time.monotonic() + 5
    while "fettle_ingest_events_total 1.0" not in scrape(server) and time.monotonic() < until_s:
        time.sleep(0.1)
        talk.say(live=link_pb2.Live(at_ms=clock.now_ms()))
    server.kill_writer()
    talk.end()
    attach_in_time(agent)
    assert "fettle_ingest_events_total 1.0" in scrape(server)
    assert 'fettle_ingest_refused_total{reason="busy"}' in scrape(server)


def scrape(server: Any) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as answer:
        return str(answer.read().decode())


def test_edge_leaves_in_time_over_a_writer_that_is_stuck(serve: Callable[..., Any]) -> None:
    server = serve()
    talk = server.enrol().attach()
    os.kill(server.edge.writer_pid, signal.SIGSTOP)
    for number in range(1, 2001):
        talk.say(events=[booted(number)])
    time.sleep(0.5)
    began_s = time.monotonic()
    server.stop()
    assert time.monotonic() - began_s < 4
