"""How an endpoint went: by what it said before, abruptly, or with the server; and the mark that the writer lives."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2
from fettle_server import clock
from fettle_server.db import to_ms
from fettle_server.estate.tables import Endpoint, Stay
from fettle_server.proactive.presence import watching

Power = link_pb2.PowerChange


def power(kind: int, at_ms: int = 0, back_by_ms: int = 0) -> link_pb2.Event:
    return link_pb2.Event(at_ms=at_ms, power=Power(kind=kind, back_by_ms=back_by_ms))


def parting(line, pk: int) -> tuple[str, str]:
    return tuple(line.store.rows(sa.select(Endpoint.leaving, Endpoint.leave).where(Endpoint.pk == pk))[0])


@pytest.mark.parametrize(
    ("said", "leave"),
    [
        ([], "abrupt"),
        ([Power.KIND_SHUTTING_DOWN], "clean"),
        ([Power.KIND_SLEEPING], "sleeping"),
        ([Power.KIND_AGENT_STOPPING], "stopped"),
        ([Power.KIND_RESTARTING], "restarting"),
        ([Power.KIND_RESTARTING, Power.KIND_AGENT_STOPPING], "restarting"),
        ([Power.KIND_SLEEPING, Power.KIND_WOKE], "abrupt"),
    ],
)
def test_endpoint_went_as_it_said(line, said: list[int], leave: str):
    pk = line.store.endpoint()
    stream = line.attach(pk)
    for kind in said:
        line.events(stream, power(kind))
    line.detach(stream)
    assert parting(line, pk) == ("", leave)
    assert line.store.value(sa.select(Endpoint.left_at)) is not None


def test_words_of_one_batch_count_in_their_order(line):
    pk = line.store.endpoint()
    stream = line.attach(pk)
    line.events(stream, power(Power.KIND_SHUTTING_DOWN), power(Power.KIND_AGENT_STOPPING))
    assert parting(line, pk) == ("shutting down", "")


def test_restarting_says_when_it_is_back(line):
    pk = line.store.endpoint()
    stream = line.attach(pk)
    back = clock.utc_now() + dt.timedelta(minutes=7)
    line.events(stream, power(Power.KIND_RESTARTING, back_by_ms=to_ms(back)))
    assert line.store.value(sa.select(Endpoint.back_by)) == back


def test_late_word_of_yesterday_is_none_about_now(line):
    pk = line.store.endpoint()
    stream = line.attach(pk)
    line.events(stream, power(Power.KIND_SHUTTING_DOWN, at_ms=clock.now_ms() - 3_600_000))
    assert parting(line, pk) == ("", "")


def test_coming_back_clears_how_it_went_and_keeps_the_stay(line):
    pk = line.store.endpoint()
    line.detach(line.attach(pk))
    with line.store.begin() as tx:
        tx.execute(sa.update(Endpoint).values(connected=True, connected_since=clock.utc_now() - dt.timedelta(hours=2)))
    line.attach(pk)
    row = line.store.rows(sa.select(Endpoint.leave, Endpoint.left_at, Endpoint.back_by))[0]
    assert tuple(row) == ("", None, None)
    stays = line.store.rows(sa.select(Stay.came_at, Stay.went_at).order_by(Stay.came_at))
    assert stays[0].went_at - stays[0].came_at >= dt.timedelta(hours=2)


def test_restart_of_the_server_takes_everybody_with_it(line):
    there, lost_with_it, gone_before = (line.store.endpoint() for _ in range(3))
    line.attach(there)
    line.detach(line.attach(lost_with_it))
    line.detach(line.attach(gone_before))
    with line.store.begin() as tx:
        earlier = clock.utc_now() - dt.timedelta(minutes=5)
        tx.execute(sa.update(Endpoint).where(Endpoint.pk == gone_before).values(left_at=earlier))
    line.restart()
    left = [parting(line, pk)[1] for pk in (there, lost_with_it, gone_before)]
    assert left == ["server away", "server away", "abrupt"]


def test_writer_notes_that_it_lives_and_when_it_did_not(line):
    with line.store.begin() as tx:
        first = watching.read(tx)
    line.restart()
    with line.store.begin() as tx:
        second = watching.read(tx)
        away_s = watching.away_seconds(tx, clock.utc_now() - dt.timedelta(hours=1), clock.utc_now())
    assert first is not None
    assert second is not None
    assert second.since_ms > first.since_ms
    assert 0 < away_s < 60
