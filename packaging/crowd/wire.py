"""The crowd's streams: one mTLS channel a machine, raw bytes up and down, events numbered without building a message each.

Owns channels and bytes. Does not decide what a machine says (machine.py, and the benchmarks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from fettle_protocol import identity
from fettle_protocol.v1 import link_pb2 as pb

from crowd.identities import Pass

ATTACH = "/fettle.v1.Link/Attach"
_OPTIONS = (
    ("grpc.ssl_target_name_override", identity.SERVER_NAME),
    ("grpc.use_local_subchannel_pool", 1),  # identities differ, so nothing could be shared; the shared pool is one big lock
    ("grpc.http2.bdp_probe", 0),
    ("grpc.enable_retries", 0),
)


class TurnedAway(Exception):
    """The server did not welcome a machine; the text is its reason."""


def open_channel(address: str, ca_pem: bytes, owner: Pass) -> Any:
    """A grpc.aio channel with the machine's own identity; connects when first used."""
    credentials = grpc.ssl_channel_credentials(ca_pem, owner.key_pem.encode(), owner.certificate_pem.encode())
    return grpc.aio.secure_channel(address, credentials, _OPTIONS)


async def attach(channel: Any, hello: bytes) -> tuple[Any, pb.Downlink]:
    """The open stream and the server's Welcome.

    Raises:
        TurnedAway: the server ended the stream, or refused.
    """
    stream = channel.stream_stream(ATTACH)()
    await stream.write(hello)
    answer = await stream.read()
    if answer is grpc.aio.EOF:
        raise TurnedAway(f"{await stream.code()}: {await stream.details()}")
    down = pb.Downlink.FromString(answer)
    if not down.HasField("welcome"):
        raise TurnedAway(f"{down.refusal.code}: {down.refusal.text}")
    return stream, down


class Letter:
    """One event whose sequence is filled in late: as an Uplink that holds it alone, or many of them one after another.

    A repeated field's parts may simply follow each other, and a varint may be longer than it needs to be, so numbering an
    event costs a few bytes' copy instead of building and serialising a message.
    """

    __slots__ = ("_head", "_tail")

    def __init__(self, event: pb.Event) -> None:
        bare = pb.Event()
        bare.CopyFrom(event)
        bare.sequence = 0
        self._tail = bare.SerializeToString()
        size = len(self._tail) + 6  # the sequence's tag and its five bytes
        whole = pb.Uplink(events=[bare]).SerializeToString()
        length = size.to_bytes(1, "little") if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])
        self._head = whole[:1] + length + b"\x08"

    def numbered(self, sequence: int) -> bytes:
        """The Uplink with the event under that number, below 2**35."""
        return self._head + _five_bytes(sequence) + self._tail


def numbered(letters: Sequence[Letter], first: int) -> bytes:
    """One Uplink with all the letters, numbered from `first`."""
    return b"".join([letter.numbered(first + place) for place, letter in enumerate(letters)])


def _five_bytes(number: int) -> bytes:
    return bytes(
        (number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14 & 0x7F | 0x80, number >> 21 & 0x7F | 0x80, number >> 28)
    )
