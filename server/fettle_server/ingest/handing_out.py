"""Hands signed work to the streams that it concerns: released jobs, cancels and wakes, each once a stream.

What was released while an endpoint was away it gets as it comes back. A manifest that thousands share is encoded once:
protobuf messages laid end to end are their merge, so each job's own few fields go before what all share.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2

from fettle_server.change.jobs import queries
from fettle_server.change.jobs.views import Cancelled, Handout, Signed
from fettle_server.ingest.streams import Stream, Streams

AT_ONCE_BYTES = 64 * 1024 * 1024
"""What may be put into the streams' outboxes between two looks: large manifests for very many take a few looks."""
PAUSE_AFTER = 200
"""Streams between two pauses: what was put into their outboxes leaves while the next are served."""
_JOBS = link_pb2.Downlink.DESCRIPTOR.fields_by_name["jobs"].number << 3 | 2


@dataclass(frozen=True, slots=True)
class Work:
    """What one look found."""

    handouts: tuple[Handout, ...] = ()
    cancels: tuple[Cancelled, ...] = ()
    wakes: tuple[tuple[int, tuple[str, ...]], ...] = ()
    signed: dict[int, Signed] | None = None


class HandingOut:
    """Looks for work in a thread with the store, and tells it in the event loop."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._released = self._cancelled = self._wake = 0
        self._waiting: deque[tuple[Stream, bytes]] = deque()

    def begin(self, tx: sa.Connection) -> None:
        """What was let go before this server started reaches each endpoint as it attaches."""
        self._released, self._cancelled = queries.marks(tx)

    def look(self, tx: sa.Connection, fresh: list[int], now: dt.datetime) -> Work:
        """What is new since the last look, and what those who have just attached are owed. Where nothing is, one cheap read."""
        handouts, cancels = queries.for_endpoints(tx, fresh) if fresh else ([], [])
        released, cancelled = queries.marks(tx)
        if released > self._released:
            new = queries.released_after(tx, self._released)
            released = new[-1].number if new else released
            handouts += new
        if cancelled > self._cancelled:
            gone = queries.cancelled_after(tx, self._cancelled)
            cancelled = gone[-1].number if gone else cancelled
            cancels += gone
        wakes = queries.wakes_since(tx, self._wake, now)
        signed = queries.signed(tx, {one.manifest_id for one in handouts}) if handouts else {}
        self._released, self._cancelled = released, cancelled  # only now: a store that fails above is asked again
        self._wake = wakes[-1][0] if wakes else self._wake
        return Work(tuple(handouts), tuple(cancels), tuple((pk, macs) for _, pk, macs in wakes), signed)

    async def tell(self, work: Work) -> None:
        """Put everything into the outboxes of the streams that it concerns."""
        self._waiting.extend(self._jobs(work))
        spent = 0
        for count in range(1, len(self._waiting) + 1):
            stream, downlink = self._waiting.popleft()
            stream.send(downlink)
            spent += len(downlink)
            if spent > AT_ONCE_BYTES:
                break
            if not count % PAUSE_AFTER:
                await asyncio.sleep(0)
        for cancel in work.cancels:
            self._cancel(cancel)
        for endpoint_pk, macs in work.wakes:
            self._ask(endpoint_pk, macs)

    def _jobs(self, work: Work) -> Iterable[tuple[Stream, bytes]]:
        shared: dict[int, bytes] = {}
        for one in work.handouts:
            stream, signed = self._streams.of_endpoint(one.endpoint_pk), (work.signed or {}).get(one.manifest_id)
            if stream is None or signed is None or stream.handed.get(one.uid) == one.number:
                continue
            stream.handed = {**stream.handed, one.uid: one.number}
            if one.manifest_id not in shared:
                shared[one.manifest_id] = _shared(signed)
            yield stream, _downlink(one, shared[one.manifest_id])

    def _cancel(self, cancel: Cancelled) -> None:
        stream = self._streams.of_endpoint(cancel.endpoint_pk)
        if stream is not None:
            said = link_pb2.CancelJob(id=cancel.uid, reason=cancel.reason)
            stream.send(link_pb2.Downlink(cancelled=[said]).SerializeToString())

    def _ask(self, endpoint_pk: int, macs: tuple[str, ...]) -> None:
        stream = self._streams.of_endpoint(endpoint_pk)
        if stream is not None:
            wake = link_pb2.Wake(macs=[bytes.fromhex(mac.replace(":", "")) for mac in macs])
            stream.send(link_pb2.Downlink(wake=wake).SerializeToString())


def _shared(signed: Signed) -> bytes:
    """What all jobs of a manifest have in common, encoded."""
    return link_pb2.Job(manifest=signed.body, signature=signed.signature, key=signed.key_id).SerializeToString()


def _downlink(one: Handout, shared: bytes) -> bytes:
    """A Downlink with that job: the field's mark, its length, then its own fields and the shared ones."""
    own = link_pb2.Job(id=one.uid, start_ms=one.start_ms, until_ms=one.until_ms, exam=one.exam).SerializeToString()
    return b"".join((bytes((_JOBS,)), _varint(len(own) + len(shared)), own, shared))


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)
