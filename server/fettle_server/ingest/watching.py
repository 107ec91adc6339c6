"""What reaches open streams from elsewhere: revocations, a page that looks, signed work. Polled from the store.

A new policy is the writer's to send: it knows what each agent holds.
Polling twice a second is one cheap read, needs no second channel between processes, and works on both stores alike.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math

import grpc
import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2

from fettle_server import clock, observed
from fettle_server.ingest import queries
from fettle_server.ingest.handing_out import HandingOut, Work
from fettle_server.ingest.link import Link, revoked_end
from fettle_server.ingest.streams import End, Streams
from fettle_server.journal.queries import newest_id
from fettle_server.proactive.proofs.rules import ASK_S

EVERY_S = 0.5
_EXPIRED = End(grpc.StatusCode.UNAUTHENTICATED, "this machine's certificate has expired")


class Watching:
    """Looks for news and tells the streams that it concerns."""

    def __init__(self, engine: sa.Engine, streams: Streams, link: Link) -> None:
        self._engine = engine
        self._streams = streams
        self._link = link
        self._after_id = 0
        self._ticks = 0
        self._work = HandingOut(streams)

    async def run(self) -> None:
        """Look twice a second until cancelled; a store that fails is tried again."""
        await asyncio.to_thread(self._begin)
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                news, work = await asyncio.to_thread(self._look, fresh := self._streams.take_fresh())
            except sa.exc.DBAPIError as error:
                observed.log().warning("the store could not be read for news", error=type(error).__name__)
                self._streams.fresh += fresh
                continue
            await self._tell(news)
            await self._work.tell(work)

    def _begin(self) -> None:
        with self._engine.begin() as tx:
            self._after_id = newest_id(tx)
            self._work.begin(tx)

    def _look(self, fresh: list[int]) -> tuple[queries.News, Work]:
        now = clock.utc_now()
        with self._engine.begin() as tx:
            return queries.news(tx, self._after_id, now), self._work.look(tx, fresh, now)

    async def _tell(self, news: queries.News) -> None:
        self._after_id = news.newest_id
        fresh = news.revoked - self._link.revoked
        self._link.revoked |= fresh
        now = clock.utc_now()
        self._ticks += 1
        if fresh or self._ticks % 120 == 0:
            self._end_those_without_leave(now)
        for endpoint_pk, until in news.watches:
            self._watch(endpoint_pk, until, now)
        for proof, endpoint_pk in news.proofs:
            self._prove(proof, endpoint_pk)

    def _end_those_without_leave(self, now: dt.datetime) -> None:
        for stream in self._streams.attached():
            if stream.endpoint_id in self._link.revoked:
                stream.stop(revoked_end())
            elif stream.expires_at is not None and stream.expires_at <= now:
                stream.stop(_EXPIRED)

    def _watch(self, endpoint_pk: int, until: dt.datetime, now: dt.datetime) -> None:
        stream = self._streams.of_endpoint(endpoint_pk)
        if stream is None or stream.watched_until == until:
            return
        stream.watched_until = until
        seconds = math.ceil((until - now).total_seconds())
        stream.send(link_pb2.Downlink(watch=link_pb2.Watch(seconds=max(seconds, 1))).SerializeToString())

    def _prove(self, proof: int, endpoint_pk: int) -> None:
        """Ask once on each stream: one that broke before the fault came back is asked again."""
        stream = self._streams.of_endpoint(endpoint_pk)
        if stream is None or stream.proof == proof:
            return
        stream.proof = proof
        stream.send(link_pb2.Downlink(prove=link_pb2.Prove(seconds=ASK_S)).SerializeToString())
