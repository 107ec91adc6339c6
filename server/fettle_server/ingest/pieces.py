"""From messages to pieces: each Uplink is read, its bounds are checked, repeats are dropped, and what is left is facts.

Owns the order: pieces stand as the messages came, so what is folded later sees each endpoint's own order. Touches no store.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from fettle_protocol.v1 import link_pb2
from google.protobuf.message import DecodeError

from fettle_server import clock, observed
from fettle_server.estate.endpoints.facts import Happened, Hour, Reported, Stocktake, Watched
from fettle_server.estate.endpoints.reports import Arrival
from fettle_server.ingest import bounds
from fettle_server.ingest.bounds import SEQUENCE_LIMIT
from fettle_server.ingest.cleaning import OutOfBounds, text
from fettle_server.ingest.job_reports import JobSaid
from fettle_server.ingest.messages import Arrived, Attached, Clashed, Detached
from fettle_server.ingest.sessions import Register, Session
from fettle_server.proactive.rules import Clear, Held, Raise


class Came(NamedTuple):
    """An endpoint attached. `is_new_spool`: its numbers begin anew."""

    arrival: Arrival
    is_new_spool: bool


class Went(NamedTuple):
    """An endpoint's only stream is over."""

    at_ms: int


class Clash(NamedTuple):
    """A second machine showed the endpoint's identity."""

    at_ms: int
    address: str


class Nothing(NamedTuple):
    """What is left of something refused: its number still counts as taken."""


class Judging(NamedTuple):
    """The endpoint says that it judges by the policy of that version from now on."""

    version: int


Fact = (
    Judging | Raise | Clear | Held | Happened | Stocktake | JobSaid | Reported | Watched | Hour | Came | Went | Clash | Nothing
)


class Piece(NamedTuple):
    """One fact of one endpoint. `sequence` and `history` are its number in the spool's two lanes (0: not numbered)."""

    pk: int
    stream: int
    at_ms: int
    sequence: int
    history: int
    fact: Fact


NOTHING = Nothing()
_LOOK_EVERY = 16
"""Events or hours of one message between two looks at the clock."""

_read = link_pb2.Uplink.FromString


class Reading:
    """One batch being read: the pieces, which streams are to hear how far they are, and what was refused."""

    __slots__ = ("_register", "events", "gone", "lost", "messages", "over", "pieces", "refused", "repeats", "told")

    def __init__(self, register: Register) -> None:
        self._register = register
        self.pieces: list[Piece] = []
        self.told: dict[int, Session] = {}
        self.refused: dict[int, list[tuple[int, str]]] = {}
        self.gone: set[int] = set()
        self.lost: set[int] = set()
        self.over: dict[int, Session] = {}
        self.messages = self.events = self.repeats = 0

    def read(self, messages: Iterable[Any]) -> None:
        """Read messages of all kinds but Knock, in their order."""
        for message in messages:
            kind = type(message)
            if kind is Arrived:
                self._arrived(message)
            elif kind is Attached:
                self._attached(message)
            elif kind is Detached:
                self._detached(message)
            elif kind is Clashed:
                fact = Clash(message.received_ms, text(message.address, 80))
                self.pieces.append(Piece(message.endpoint_pk, 0, message.received_ms, 0, 0, fact))

    def refuse(self, stream: int, sequence: int, reason: str) -> None:
        """Note that something of a stream will never be taken."""
        self.refused.setdefault(stream, []).append((sequence, reason))

    def _attached(self, message: Attached) -> None:
        session = self._register.get(message.stream)
        if session is None:
            self.lost.add(message.stream)
            return
        session.is_attached = True
        place, greeting = session.place, session.greeting
        is_new_spool = place.spool != greeting.spool
        if is_new_spool:
            place.spool, place.sequence, place.history = greeting.spool, 0, 0
        arrival = Arrival(
            place.pk, session.since_ms, greeting.machine, session.address, greeting.spool, greeting.boot, session.policy_version
        )
        self.pieces.append(Piece(place.pk, message.stream, session.since_ms, 0, 0, Came(arrival, is_new_spool)))

    def _detached(self, message: Detached) -> None:
        self.gone.add(message.stream)
        session = self._register.remove(message.stream)
        if session is not None and session.is_attached and not message.replaced:
            pk = session.place.pk
            self.pieces.append(Piece(pk, message.stream, message.received_ms, 0, 0, Went(message.received_ms)))

    def _arrived(self, message: Arrived) -> None:
        session = self._register.get(message.stream)
        if session is None or not session.is_attached:
            if message.stream not in self.gone:
                self.lost.add(message.stream)
            return
        if session.greeting.spool != session.place.spool:
            return  # an older stream of a machine that has begun a new spool since
        if session.is_over:
            return
        self.messages += 1
        session.effort.begin(clock.monotonic())
        self._uplink(session, message)
        now_s = clock.monotonic()
        if session.is_over or session.effort.is_over(now_s):
            session.is_over = True
            self.over[message.stream] = session
        session.effort.end(now_s)

    def _uplink(self, session: Session, message: Arrived) -> None:
        try:
            uplink = _read(message.body)
        except DecodeError:
            self.refuse(message.stream, 0, "A message could not be read.")
            return
        if uplink.events:
            self._events(session, uplink.events, message.received_ms)
        if uplink.history and not session.is_over:
            self._history(session, uplink.history, message.received_ms)
        if session.is_over:
            return
        try:
            if uplink.HasField("vitals"):
                self._vitals(session, uplink.vitals, message.received_ms)
            if uplink.HasField("live"):
                self._live(session, uplink.live, message.received_ms)
        except Exception as error:
            self.refuse(message.stream, 0, _why(error))

    def _events(self, session: Session, events: Any, received_ms: int) -> None:
        place, stream, add, event = session.place, session.stream, self.pieces.append, bounds.event
        self.told[stream] = session
        pk, last = place.pk, place.sequence
        for index, said in enumerate(events, 1):
            if not index % _LOOK_EVERY and session.effort.is_over(clock.monotonic()):
                session.is_over = True  # the rest is not heard: neither is what this stream says later, so no number is lost
                break
            sequence = said.sequence
            if sequence <= last:
                if sequence:
                    self.repeats += 1
                else:
                    self.refuse(stream, 0, "An event must have a number from 1.")
                continue
            if sequence >= SEQUENCE_LIMIT:
                self.refuse(stream, sequence, "An event's number is larger than any can be.")
                continue
            last = sequence
            fact: Fact
            try:
                fact = event(said, received_ms)
            except Exception as error:
                self.refuse(stream, sequence, _why(error))
                fact = NOTHING
            add(Piece(pk, stream, received_ms, sequence, 0, fact))
        self.events += len(events)
        place.sequence = last

    def _history(self, session: Session, hours: Any, received_ms: int) -> None:
        place, stream = session.place, session.stream
        self.told[stream] = session
        for index, said in enumerate(hours, 1):
            if not index % _LOOK_EVERY and session.effort.is_over(clock.monotonic()):
                session.is_over = True
                break
            number = said.sequence
            if number and number <= place.history:
                self.repeats += 1
                continue
            if number >= SEQUENCE_LIMIT:
                self.refuse(stream, 0, "An hour's number is larger than any can be.")
                continue
            fact: Fact
            try:
                fact = bounds.hour(said, received_ms)
            except Exception as error:
                self.refuse(stream, 0, _why(error))
                fact = NOTHING
            place.history = number or place.history
            self.pieces.append(Piece(place.pk, stream, received_ms, 0, number, fact))

    def _vitals(self, session: Session, said: link_pb2.Vitals, received_ms: int) -> None:
        reported, held, dropped = bounds.vitals(said, received_ms)
        pk, stream = session.place.pk, session.stream
        self.pieces.append(Piece(pk, stream, received_ms, 0, 0, reported))
        if held is not None:
            self.pieces.append(Piece(pk, stream, received_ms, 0, 0, held))
        if said.policy_version != session.policy_version and 0 < said.policy_version < SEQUENCE_LIMIT:
            session.policy_version = said.policy_version
            self.pieces.append(Piece(pk, stream, received_ms, 0, 0, Judging(said.policy_version)))
        if dropped:
            self.refuse(stream, 0, dropped)

    def _live(self, session: Session, said: link_pb2.Live, received_ms: int) -> None:
        watched, dropped = bounds.live(said, received_ms)
        self.pieces.append(Piece(session.place.pk, session.stream, received_ms, 0, 0, watched))
        if dropped:
            self.refuse(session.stream, 0, dropped)


def _why(error: Exception) -> str:
    """What to tell the sender. Any other error than OutOfBounds is a mistake of ours, and still costs only this message."""
    if isinstance(error, OutOfBounds):
        return str(error)
    observed.log().error("a message could not be read", error=type(error).__name__, exc_info=error)
    return "The server could not read this."
