"""Who is connected, as the writer remembers it: each stream's endpoint, and how far its spool is committed.

Owns the answer to a knock: whose certificate that is, and whether it may come in. The memory only saves reads: the same
numbers stand in the endpoints' rows, written in the transaction of what they count, and are read anew at each knock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2
from google.protobuf.message import DecodeError

from fettle_server import clock
from fettle_server.estate.tables import Certificate, Endpoint
from fettle_server.ingest import bounds
from fettle_server.ingest.bounds import Greeting
from fettle_server.ingest.cleaning import OutOfBounds
from fettle_server.ingest.messages import Knock
from fettle_server.ingest.pace import Effort


@dataclass(slots=True)
class Place:
    """An endpoint while any stream of it is open: the highest numbers taken of its present spool."""

    pk: int
    id: str
    spool: str
    sequence: int
    history: int
    endpoint_class: str
    streams: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Session:
    """One stream that was let in. Until it is attached it may still be turned away, so it changes nothing.

    `policy_version` is what the agent says that it judges by; `given` the digest of the policy that it holds or was sent.
    """

    stream: int
    place: Place
    greeting: Greeting
    address: str
    policy_version: int
    since_ms: int
    effort: Effort
    given: int = 0
    is_attached: bool = False
    is_over: bool = False
    """Its messages cost too much: it is being ended, and what it still says was never heard."""


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A knock that is not answered with a welcome, and why."""

    code: str
    text: str
    retry_after_s: int = 0


UNKNOWN = TurnedAway("unknown", "this server does not know that certificate: enrol this machine again with a new token")
REVOKED = TurnedAway("revoked", "this machine's identity was revoked: enrol it again with a new token")
EXPIRED = TurnedAway("unknown", "this machine's certificate has expired: enrol it again with a new token")
FLOODS = TurnedAway("busy", "this machine's messages take too much of the server's time", 60)


class Register:
    """The sessions by stream, and their endpoints."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._places: dict[int, Place] = {}
        self._efforts: dict[int, Effort] = {}

    def get(self, stream: int) -> Session | None:
        """The session of that stream."""
        return self._sessions.get(stream)

    def streams(self) -> list[int]:
        """Every stream, attached or about to be."""
        return list(self._sessions)

    def reclass(self, classes: Iterable[tuple[int, str]]) -> list[int]:
        """Note the classes of endpoints (by pk); returns the streams of those that had another one."""
        changed: list[int] = []
        for pk, endpoint_class in classes:
            place = self._places.get(pk)
            if place is not None and place.endpoint_class != endpoint_class:
                place.endpoint_class = endpoint_class
                changed += place.streams
        return changed

    def remove(self, stream: int) -> Session | None:
        """Forget a stream, and its endpoint with its last one."""
        session = self._sessions.pop(stream, None)
        if session is not None:
            session.place.streams.discard(stream)
            if not session.place.streams:
                self._places.pop(session.place.pk, None)
        return session

    def admit(self, tx: sa.Connection, knocks: Sequence[Knock], now: dt.datetime) -> list[tuple[Knock, Session | TurnedAway]]:
        """Decide on each knock. A session's `policy_version` is what the agent holds."""
        rows = _owners(tx, [knock.certificate_sha256 for knock in knocks])
        return [(knock, self._decide(knock, rows.get(knock.certificate_sha256), now)) for knock in knocks]

    def _decide(self, knock: Knock, row: Any, now: dt.datetime) -> Session | TurnedAway:
        if row is None:
            return UNKNOWN
        if row.certificate_revoked_at is not None or row.revoked_at is not None:
            return REVOKED
        if row.not_after < now:
            return EXPIRED
        try:
            greeting = _greeting(knock.hello)
        except OutOfBounds as error:
            return TurnedAway("protocol", str(error))
        effort = self._efforts.setdefault(row.pk, Effort())
        effort.begin(clock.monotonic())
        if effort.is_over(clock.monotonic()):
            return FLOODS
        place, version = self._place(row), greeting.policy_version
        session = Session(knock.stream, place, greeting, knock.address, version, knock.received_ms, effort)
        session.place.streams.add(knock.stream)
        self._sessions[knock.stream] = session
        return session

    def _place(self, row: Any) -> Place:
        """The endpoint's place: as it is while a stream of it is attached, else as the store has it now."""
        place = self._places.get(row.pk)
        if place is None:
            kept = (row.spool, row.last_sequence, row.last_history)
            place = self._places[row.pk] = Place(row.pk, row.id, *kept, row.endpoint_class)
        elif not any(self._sessions[stream].is_attached for stream in place.streams):
            place.spool, place.sequence, place.history = row.spool, row.last_sequence, row.last_history
        return place


def _owners(tx: sa.Connection, fingerprints: Sequence[str]) -> dict[str, Any]:
    columns = (
        Certificate.fingerprint, Certificate.not_after, Certificate.revoked_at.label("certificate_revoked_at"),
        Endpoint.pk, Endpoint.id, Endpoint.spool, Endpoint.last_sequence, Endpoint.last_history, Endpoint.revoked_at,
        Endpoint.endpoint_class,
    )  # fmt: skip
    statement = (
        sa.select(*columns)
        .join(Endpoint, Endpoint.pk == Certificate.endpoint_pk)
        .where(Certificate.fingerprint.in_(sorted(set(fingerprints))))
    )
    return {row.fingerprint: row for row in tx.execute(statement)}


def _greeting(body: bytes) -> Greeting:
    try:
        uplink = link_pb2.Uplink.FromString(body)
    except DecodeError as error:
        raise OutOfBounds("The first message cannot be read.") from error
    if not uplink.HasField("hello"):
        raise OutOfBounds("The first message of a stream must be a Hello.")
    return bounds.greeting(uplink.hello)
