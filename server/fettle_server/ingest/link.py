"""One stream's life: the knock, the check for a clone, then reading what the agent says until either side ends it.

Bodies stay bytes here: the writer reads them. Does not commit, and does not know what a message means.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import grpc
from cryptography import x509
from fettle_protocol import identity
from fettle_protocol.v1 import link_pb2

from fettle_server import clock, observed
from fettle_server.ingest.batcher import STREAM_SHARE, Batcher
from fettle_server.ingest.figures import Figures
from fettle_server.ingest.messages import (
    Answer,
    Arrived,
    Attached,
    Clashed,
    Detached,
    Knock,
    Known,
    Refused,
    ToEdge,
    WriterFigures,
)
from fettle_server.ingest.streams import End, Stream, Streams, refusal

METHOD = "/fettle.v1.Link/Attach"
FIRST_WORD_S = 10.0
HELLO_BYTES = 16 * 1024
"""Whoever has the public visitor certificate may say it: it is kept in memory until the writer has looked at it."""

_GREETING_S = 60.0
_BUSY_S = 60
_CLONE_TEXT = "another machine is connected with this identity: enrol this one again with a token of its own"
_TOLD_TEXT = "another machine tried to connect with this machine's identity and was turned away"


class Link:
    """The Attach call, for all streams of this process."""

    def __init__(self, streams: Streams, batcher: Batcher, figures: Figures, *, max_streams: int) -> None:
        self._streams = streams
        self._batcher = batcher
        self._figures = figures
        self._max_streams = max_streams
        self.revoked: set[str] = set()
        """Endpoints whose revocation was seen: one may be between its knock and its welcome when it comes."""

    async def attach(self, _messages: Any, context: Any) -> None:
        """Handle one stream from its first byte to its last."""
        stream = self._streams.open(context)
        try:
            await self._serve(stream)
        except asyncio.CancelledError:
            if stream.end is None:
                raise  # the agent went away, or the whole server is leaving
            stream.task.uncancel()
        finally:
            self._leave(stream)
        if stream.end is not None:
            self._figures.ended(stream.end)
            await stream.last_word()

    def take_answers(self, answers: list[ToEdge]) -> None:
        """Pass on what the writer says; answers for streams that are gone are dropped."""
        get = self._streams.get
        for answer in answers:
            if isinstance(answer, Answer):
                stream = get(answer.stream)
                if stream is not None:
                    stream.send(answer.downlink)
            elif isinstance(answer, WriterFigures):
                self._figures.take(answer)
            else:
                stream = get(answer.stream)
                if stream is not None and not stream.greeting.done():
                    stream.greeting.set_result(answer)
                elif stream is not None and isinstance(answer, Refused):
                    stream.stop(_refused(answer))

    def writer_lost(self) -> None:
        """End every stream: what was not acknowledged comes again on the next one."""
        text = "the server's writer was lost and is starting again"
        self._streams.stop_all(End(grpc.StatusCode.UNAVAILABLE, text, refusal("busy", text)))

    async def _serve(self, stream: Stream) -> None:
        if len(self._streams) > self._max_streams or not self._batcher.is_up:
            text = "the server has as many agents as it takes" if self._batcher.is_up else "the server is starting"
            stream.end = End(grpc.StatusCode.RESOURCE_EXHAUSTED, text, refusal("busy", text, _BUSY_S))
            return
        hello = await self._first_word(stream)
        if hello is None:
            return
        answer = await self._knock(stream, hello)
        if isinstance(answer, Refused):
            stream.end = _refused(answer)
            return
        stream.endpoint_pk, stream.endpoint_id, stream.instance = answer.endpoint_pk, answer.endpoint_id, answer.instance
        if not await self._make_room(stream):
            return
        self._streams.attach(stream)
        self._batcher.add(Attached(stream.number))
        stream.send(answer.welcome)
        await self._listen(stream)

    async def _first_word(self, stream: Stream) -> bytes | None:
        try:
            async with asyncio.timeout(FIRST_WORD_S):
                hello = await stream.context.read()
        except TimeoutError:
            text = f"no Hello within {FIRST_WORD_S:.0f} s"
            stream.end = End(grpc.StatusCode.DEADLINE_EXCEEDED, text, refusal("protocol", text))
            return None
        if hello is grpc.aio.EOF:
            return None
        if len(hello) > HELLO_BYTES:
            text = f"a Hello has at most {HELLO_BYTES} bytes"
            stream.end = End(grpc.StatusCode.RESOURCE_EXHAUSTED, text, refusal("protocol", text))
            return None
        return bytes(hello)

    async def _knock(self, stream: Stream, hello: bytes) -> Known | Refused:
        stream.fingerprint, stream.expires_at = read_peer(stream.context)
        stream.address = address_of(stream.context.peer())
        self._batcher.add(Knock(stream.number, stream.fingerprint, hello, stream.address, clock.now_ms()), len(hello))
        try:
            async with asyncio.timeout(_GREETING_S):
                return await stream.greeting
        except TimeoutError:
            return Refused(stream.number, refusal("busy", "the server is too busy to let agents in", _BUSY_S))

    async def _make_room(self, stream: Stream) -> bool:
        """True once this stream is its endpoint's only one; False where it is a clone, or revoked meanwhile."""
        while (other := self._streams.of_endpoint(stream.endpoint_pk)) is not None:
            if other.instance != stream.instance and await other.is_alive():
                self._turn_away(stream, other)
                return False
            if self._streams.of_endpoint(stream.endpoint_pk) is other:
                self._replace(other)
        if stream.endpoint_id in self.revoked:
            stream.end = revoked_end()
            return False
        return True

    def _turn_away(self, clone: Stream, first: Stream) -> None:
        facts = {"endpoint_id": first.endpoint_id, "address": first.address, "clone_address": clone.address}
        observed.log().warning("a second machine showed a connected endpoint's identity", **facts)
        self._figures.clones.inc()
        self._batcher.add(Clashed(first.endpoint_pk, clone.address, clock.now_ms()))
        first.send(link_pb2.Downlink(told=link_pb2.Told(code="clone", text=_TOLD_TEXT)).SerializeToString())
        clone.end = End(grpc.StatusCode.UNAUTHENTICATED, _CLONE_TEXT, refusal("clone", _CLONE_TEXT))

    def _replace(self, old: Stream) -> None:
        old.replaced = True
        self._leave(old)
        text = "the same machine connected anew"
        old.stop(End(grpc.StatusCode.ABORTED, text, refusal("replaced", text)))

    def _leave(self, stream: Stream) -> None:
        """Tell the writer, once, that a stream is over."""
        if self._streams.get(stream.number) is not stream:
            return
        self._streams.close(stream)
        self._batcher.add(Detached(stream.number, clock.now_ms(), stream.replaced))

    async def _listen(self, stream: Stream) -> None:
        """The hot path: each message costs a read, a subtraction and an append."""
        read, batcher, pace, number = stream.context.read, self._batcher, stream.pace, stream.number
        while True:
            body = await read()
            if body is grpc.aio.EOF:
                return
            if stream.awaits_pong and stream.take_pong(body):
                continue
            batcher.add(Arrived(number, clock.now_ms(), body), len(body))
            rest_s = pace.spend(len(body), clock.monotonic())
            if rest_s > 0:
                await self._slow(stream, rest_s)
            if stream.batch != batcher.number:
                stream.batch, stream.in_batch = batcher.number, 0
            stream.in_batch += 1
            if stream.in_batch >= STREAM_SHARE or batcher.is_full:
                await batcher.next_list()

    async def _slow(self, stream: Stream, rest_s: float) -> None:
        self._figures.slowed.inc()
        if stream.pace.is_flood(clock.monotonic()):
            text = "this agent sends more than a server can take from one machine"
            observed.log().warning("an agent floods the server and is refused", endpoint_id=stream.endpoint_id)
            stream.stop(End(grpc.StatusCode.RESOURCE_EXHAUSTED, text, refusal("busy", text, _BUSY_S)))
        await asyncio.sleep(rest_s)


def revoked_end() -> End:
    """What an endpoint hears whose identity was revoked."""
    text = "this machine's identity was revoked: enrol it again with a new token"
    return End(grpc.StatusCode.UNAUTHENTICATED, text, refusal("revoked", text))


def read_peer(context: Any) -> tuple[str, Any]:
    """sha256 of the client's certificate, and when it expires. TLS has checked its chain; who it is says the store."""
    shown = context.auth_context().get("x509_pem_cert")
    der = ssl.PEM_cert_to_DER_cert(next(iter(shown)).decode())
    return identity.fingerprint(der), x509.load_der_x509_certificate(der).not_valid_after_utc


def address_of(peer: str) -> str:
    """The bare address in gRPC's name of a peer: "ipv4:192.0.2.7:5000" and "ipv6:%5B2001:db8::1%5D:5000"."""
    _, _, rest = peer.partition(":")
    host, _, _ = rest.rpartition(":")
    return host.replace("%5B", "").replace("%5D", "").strip("[]")[:80]


def _refused(answer: Refused) -> End:
    text = link_pb2.Downlink.FromString(answer.downlink).refusal.text if answer.downlink else "refused"
    return End(grpc.StatusCode.UNAUTHENTICATED, text, answer.downlink)
