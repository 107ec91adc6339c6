"""What the gRPC edge and the writer say to each other over their pipe; both run in processes of their own.

The edge touches neither protobuf bodies nor the store for what agents send: it hands raw bytes over and passes answers on.
Every list goes over the pipe as one pickle; both sides are one program of one version. The two kinds that come by the
thousand are named tuples: a frozen dataclass takes four times as long to pickle and read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# ---- edge to writer ----


@dataclass(frozen=True, slots=True)
class Knock:
    """A stream with a client certificate wants in; `hello` is its first Uplink as it came."""

    stream: int
    certificate_sha256: str
    hello: bytes
    address: str
    received_ms: int


@dataclass(frozen=True, slots=True)
class Attached:
    """The edge let the stream in (it is no clone): the endpoint is connected from now on."""

    stream: int


class Arrived(NamedTuple):
    """One Uplink of an attached stream, as it came."""

    stream: int
    received_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Detached:
    """The stream is over. `replaced`: the same endpoint has another one already."""

    stream: int
    received_ms: int
    replaced: bool


@dataclass(frozen=True, slots=True)
class Clashed:
    """A second machine showed the identity of an endpoint that is connected, and was turned away."""

    endpoint_pk: int
    address: str
    received_ms: int


ToWriter = Knock | Attached | Arrived | Detached | Clashed

# ---- writer to edge ----


@dataclass(frozen=True, slots=True)
class Known:
    """The knocking certificate is good: the edge checks for a clone, then answers Attached, and sends `welcome` on."""

    stream: int
    endpoint_pk: int
    endpoint_id: str
    instance: str
    welcome: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The stream may not go on: the edge sends `downlink` (a Refusal), if any, and ends it with UNAUTHENTICATED."""

    stream: int
    downlink: bytes


class Answer(NamedTuple):
    """One Downlink for a stream (Ack, Rejected), only sent after the commit that it speaks of."""

    stream: int
    downlink: bytes


@dataclass(frozen=True, slots=True)
class WriterFigures:
    """Running totals since the writer started, for /metrics; told with the answers at most once a second."""

    messages: int
    events: int
    repeats: int
    rejected: int
    batches: int
    commit_seconds: float
    backlog: int


ToEdge = Known | Refused | Answer | WriterFigures
