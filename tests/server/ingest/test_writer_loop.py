"""The writer's loop over a real pipe: lists go in, answers come out, and nothing received is left behind when it leaves."""

from __future__ import annotations

import multiprocessing
import threading

import pytest
import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2
from fettle_server import clock
from fettle_server.config import Settings
from fettle_server.estate.tables import Endpoint, EndpointEvent
from fettle_server.ingest import writer
from fettle_server.ingest.messages import Answer, Arrived, Attached, Knock, Known, WriterFigures


@pytest.fixture
def edge(store, tmp_path):
    """Our end of a pipe to a running writer; what is in it is answered until we close it."""
    ours, theirs = multiprocessing.Pipe(duplex=True)
    settings = Settings(data=tmp_path, database=store.url, batch_limit=50)
    thread = threading.Thread(target=writer.main, args=(theirs, settings))
    thread.start()
    yield ours, thread
    ours.close()
    thread.join(20)
    theirs.close()
    assert not thread.is_alive()


def hear(pipe, kind, count=1):
    """The next answers of that kind."""
    found = []
    while len(found) < count and pipe.poll(20):
        found += [answer for answer in pipe.recv() if isinstance(answer, kind)]
    return found


def attached(pipe, certificate):
    hello = link_pb2.Hello(protocol=1, instance="i", spool="s", boot="b", machine=link_pb2.Machine(hostname="pc", os="linux"))
    pipe.send([Knock(1, certificate, link_pb2.Uplink(hello=hello).SerializeToString(), "192.0.2.7", clock.now_ms())])
    (known,) = hear(pipe, Known)
    pipe.send([Attached(1)])
    return known


def booted(sequence):
    power = link_pb2.PowerChange(kind=link_pb2.PowerChange.KIND_BOOTED)
    event = link_pb2.Event(sequence=sequence, at_ms=clock.now_ms(), power=power)
    return Arrived(1, clock.now_ms(), link_pb2.Uplink(events=[event]).SerializeToString())


def test_a_list_longer_than_a_batch_is_taken_whole(store, edge, fingerprint):
    pipe, _ = edge
    attached(pipe, fingerprint(store.endpoint()))
    pipe.send([booted(sequence) for sequence in range(1, 121)])
    acked = 0
    while acked < 120:
        (answer,) = hear(pipe, Answer)[-1:]
        acked = link_pb2.Downlink.FromString(answer.downlink).ack.events
    assert store.value(sa.select(sa.func.count()).select_from(EndpointEvent)) == 120


def test_what_was_sent_before_the_end_is_committed_before_the_writer_leaves(store, edge, fingerprint):
    pipe, thread = edge
    pk = store.endpoint()
    attached(pipe, fingerprint(pk))
    pipe.send([booted(sequence) for sequence in range(1, 11)])
    pipe.close()
    thread.join(20)
    assert store.value(sa.select(Endpoint.last_sequence).where(Endpoint.pk == pk)) == 10


def test_figures_are_told_while_nobody_speaks(store, edge):
    pipe, _ = edge
    (figures, *_) = hear(pipe, WriterFigures)
    assert figures.backlog == 0


def test_a_writer_waits_until_the_one_before_has_committed_its_last(tmp_path):
    before, entered = writer.alone(tmp_path), threading.Event()

    def follow():
        with writer.alone(tmp_path):
            entered.set()

    after = threading.Thread(target=follow)
    after.start()
    assert not entered.wait(0.2)
    before.close()
    assert entered.wait(5)
    after.join()
