"""The streams that are open: what the edge keeps of each, how it speaks to them, and how it ends one.

Owns the sending side and the register by endpoint. Does not decide who may come in (link.py) nor read what they say.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from fettle_protocol.v1 import link_pb2

from fettle_server.ingest.messages import Known, Refused
from fettle_server.ingest.pace import Pace

OUTBOX_LIMIT = 1000
_LAST_WORD_S = 2.0
_PONG_S = 3.0
_WRITE_BYTES = 1024 * 1024
_NONE_YET: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class End:
    """Why the server ends a stream: the status, the sentence, and the Refusal that goes before it (empty: none)."""

    status: grpc.StatusCode
    text: str
    refusal: bytes = b""


def refusal(code: str, text: str, retry_after_s: int = 0) -> bytes:
    """A Downlink with a Refusal, as bytes."""
    return link_pb2.Downlink(refusal=link_pb2.Refusal(code=code, text=text, retry_after_s=retry_after_s)).SerializeToString()


class Stream:
    """One open stream. `task` is the handler's own: ending a stream cancels it out of whatever it waits for."""

    __slots__ = (
        "_pong", "_sender", "address", "batch", "context", "end", "endpoint_id", "endpoint_pk", "expires_at", "fingerprint",
        "greeting", "handed", "in_batch", "instance", "number", "outbox", "pace", "proof", "replaced", "task", "watched_until",
    )  # fmt: skip

    def __init__(self, number: int, context: Any, task: asyncio.Task[Any]) -> None:
        self.number = number
        self.context = context
        self.task = task
        self.address = ""
        self.fingerprint = ""
        self.expires_at: dt.datetime | None = None
        self.endpoint_pk = 0
        self.endpoint_id = ""
        self.instance = ""
        self.greeting: asyncio.Future[Known | Refused] = asyncio.get_running_loop().create_future()
        self.pace = Pace()
        self.batch = -1
        self.in_batch = 0
        self.outbox: list[bytes] = []
        self.end: End | None = None
        self.replaced = False
        self.watched_until: dt.datetime | None = None
        self.proof = 0
        self.handed: dict[str, int] = _NONE_YET
        """The jobs that it was handed, with the number of their release."""
        self._sender: asyncio.Task[None] | None = None
        self._pong: asyncio.Future[bool] | None = None

    def send(self, downlink: bytes) -> None:
        """Send a Downlink soon. One that takes no answers for too long is ended: its memory is not ours to grow."""
        self.outbox.append(downlink)
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._drain())
        elif len(self.outbox) > OUTBOX_LIMIT:
            self.outbox.clear()
            self.stop(End(grpc.StatusCode.RESOURCE_EXHAUSTED, "the agent does not take its answers"))

    def stop(self, end: End) -> None:
        """End the stream; the first reason counts."""
        if self.end is None:
            self.end = end
            self.task.cancel()

    async def last_word(self) -> None:
        """Send what is left and the Refusal, as far as a stalled agent lets us, then the status."""
        assert self.end is not None
        if self.end.refusal:
            self.send(self.end.refusal)
        if self._sender is not None:
            await asyncio.wait([self._sender], timeout=_LAST_WORD_S)
        await self.context.abort(self.end.status, self.end.text)

    async def is_alive(self) -> bool:
        """True where the agent answers a ping within three seconds; several who ask share one ping."""
        if self._pong is None:
            self._pong = asyncio.get_running_loop().create_future()
            self.send(link_pb2.Downlink(ping=link_pb2.Ping(nonce=self.number)).SerializeToString())
        try:
            async with asyncio.timeout(_PONG_S):
                return await asyncio.shield(self._pong)
        except TimeoutError:
            return False
        finally:
            if self._pong is not None and self._pong.done():
                self._pong = None

    @property
    def awaits_pong(self) -> bool:
        """Whether messages have to be looked into for a Pong: almost never."""
        return self._pong is not None

    def take_pong(self, body: bytes) -> bool:
        """Note the Pong in a message; True where the message was nothing else."""
        try:
            uplink = link_pb2.Uplink.FromString(body)
        except Exception:  # protobuf's DecodeError; the writer says to the sender what is wrong with it
            return False
        if not uplink.HasField("pong") or self._pong is None:
            return False
        if not self._pong.done():
            self._pong.set_result(True)
        return len(uplink.ListFields()) == 1

    def hang_up(self) -> None:
        """Nobody reads this stream any more: release those who wait for its Pong."""
        if self._pong is not None and not self._pong.done():
            self._pong.set_result(False)

    async def _drain(self) -> None:
        # Encoded protobuf messages laid end to end are their merge: Acks only grow and Rejected only adds up, so however
        # many answers wait, one write carries them; only as much as an agent takes as one message.
        try:
            while self.outbox:
                waiting, self.outbox = self.outbox, []
                for body in _merged(waiting):
                    await self.context.write(body)
        except (Exception, asyncio.CancelledError):
            self.outbox.clear()  # the connection is gone; the reading side has learnt of it too
        finally:
            self._sender = None


def _merged(waiting: list[bytes]) -> Iterator[bytes]:
    """The messages laid end to end, in pieces of about a megabyte."""
    if len(waiting) == 1:
        yield waiting[0]
        return
    piece: list[bytes] = []
    size = 0
    for body in waiting:
        if piece and size + len(body) > _WRITE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(body)
        size += len(body)
    yield b"".join(piece)


class Streams:
    """The register: all streams by number, and those that are attached by endpoint."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, Stream] = {}
        self._attached: dict[int, Stream] = {}
        self.fresh: list[int] = []
        """Endpoints that attached since they were last asked for."""

    def __len__(self) -> int:
        """How many are open, attached or not."""
        return len(self._open)

    def open(self, context: Any) -> Stream:
        """Register the stream that the present task handles."""
        task = asyncio.current_task()
        assert task is not None
        stream = Stream(next(self._numbers), context, task)
        self._open[stream.number] = stream
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a stream."""
        self._open.pop(stream.number, None)
        if self._attached.get(stream.endpoint_pk) is stream:
            del self._attached[stream.endpoint_pk]
        stream.hang_up()

    def attach(self, stream: Stream) -> None:
        """From now on this is its endpoint's stream."""
        self._attached[stream.endpoint_pk] = stream
        self.fresh.append(stream.endpoint_pk)

    def take_fresh(self) -> list[int]:
        """Endpoints that attached since this was last asked."""
        fresh, self.fresh = self.fresh, []
        return fresh

    def get(self, number: int) -> Stream | None:
        """The open stream of that number."""
        return self._open.get(number)

    def of_endpoint(self, endpoint_pk: int) -> Stream | None:
        """The attached stream of an endpoint."""
        return self._attached.get(endpoint_pk)

    def attached(self) -> Iterator[Stream]:
        """All attached streams, as they are now."""
        return iter(list(self._attached.values()))

    @property
    def attached_count(self) -> int:
        """How many endpoints are connected."""
        return len(self._attached)

    def stop_all(self, end: End) -> None:
        """End every stream."""
        for stream in list(self._open.values()):
            stream.stop(end)
