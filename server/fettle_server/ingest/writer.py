"""The writer's process: the one that stores what agents say.

It reads lists of messages from the edge's pipe, commits each in one transaction, and only then answers.
It waits for no company: the edge gathers messages while a commit is under way. It leaves when the edge says no more (the
pipe's end), after everything received is committed and answered.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import multiprocessing
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2

from fettle_server import clock, db, observed
from fettle_server.config import Settings
from fettle_server.estate.endpoints.reports import disconnect_all
from fettle_server.ingest import queries
from fettle_server.ingest.commit import Committer, StoreLost
from fettle_server.ingest.messages import Answer, Knock, Known, Refused, ToEdge, ToWriter, WriterFigures
from fettle_server.ingest.pieces import Piece, Reading
from fettle_server.ingest.sessions import FLOODS, Register, Session, TurnedAway
from fettle_server.proactive.policies import Published, newest, newest_version
from fettle_server.proactive.presence import watching
from fettle_server.proactive.presence.rules import Watch

_IDLE_S = 0.5
_POLICY_EVERY_S = 2.0
_CLASSED_OVERLAP = dt.timedelta(seconds=10)  # what was committed late, or by a host whose clock is behind
_HANDED_OUT_AT_ONCE = 2000  # thousands of copies at once would hold up what agents say
_FIGURES_EVERY_S = 1.0
_BEAT_EVERY_S = 5.0
_REASON_LIMIT = 300
_BLIND = TurnedAway("busy", "the server cannot read its store just now")
_LOST = TurnedAway("busy", "the server has lost track of this stream: attach again")


def main(pipe: Any, settings: Settings) -> None:
    """Store what comes through the pipe until its end."""
    with alone(settings.data):
        _write(pipe, settings)


def alone(data: Path) -> IO[str]:
    """A lock that one writer of this data directory has; waits for one that an edge which was killed has left behind.

    That one still commits what is in its pipe. Who reads meanwhile how far each spool is committed takes the rest twice.
    """
    directory = data / "run"
    directory.mkdir(mode=0o700, exist_ok=True)
    file = (directory / "writer.lock").open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _write(pipe: Any, settings: Settings) -> None:
    writer = Writer(settings)
    try:
        writer.start()
        _serve(writer, pipe, settings.batch_limit)
    except StoreLost as error:
        observed.log().error("the store cannot be written; leaving without it", error=str(error))
    finally:
        writer.close()


def _serve(writer: Writer, pipe: Any, limit: int) -> None:
    is_open = True
    while is_open:
        messages: list[ToWriter] = []
        try:
            while pipe.poll(0 if messages else _IDLE_S):
                messages += pipe.recv()
                if len(messages) >= limit:
                    break
        except (EOFError, OSError):
            is_open = False
        for start in range(0, len(messages), limit):
            waiting = max(0, len(messages) - start - limit)
            _tell(pipe, writer.take(messages[start : start + limit], waiting))
        if not messages:
            _tell(pipe, writer.idle())


def _tell(pipe: Any, answers: list[ToEdge]) -> None:
    if answers:
        try:
            pipe.send(answers)
        except OSError:
            observed.log().warning("the edge is gone; its streams will ask again", answers=len(answers))


class Writer:
    """The store's side of the link, without the pipe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = db.open_engine(settings.database_url)
        self._reader = db.open_engine(settings.database_url, readonly=True)
        self._register = Register()
        self._committer = Committer(self._engine, settings.reopen_within, _edge_lives)
        self._policy: Published | None = None
        self._policy_read_s = 0.0
        self._classed_after = clock.utc_now()
        self._owed: deque[int] = deque()
        self._told_s = 0.0
        self._watch: Watch | None = None
        self._beat_s = 0.0
        self._totals = dict.fromkeys(("messages", "events", "repeats", "rejected", "batches"), 0)
        self._commit_s = 0.0

    def start(self) -> None:
        """Note that nobody is connected yet, and read the policy."""
        with self._engine.begin() as tx:
            before, now = watching.read(tx), clock.utc_now()
            disconnect_all(tx, now, db.from_ms(before.alive_ms) if before else None)
            self._watch = watching.note_start(tx, now, clock.monotonic())
        self._beat_s = clock.monotonic()
        self._refresh_policy()

    def close(self) -> None:
        """Let go of the store."""
        self._engine.dispose()
        self._reader.dispose()

    def take(self, messages: Sequence[ToWriter], waiting: int = 0) -> list[ToEdge]:
        """Commit one batch and return the answers to it; `waiting` is how many messages are in line behind it.

        Raises:
            StoreLost: the store cannot be written, and the edge is gone.
        """
        reading = Reading(self._register)
        reading.read(message for message in messages if type(message) is not Knock)
        began_s = clock.monotonic()
        self._committer.settle(reading.pieces, lambda piece: _refuse(reading, piece))
        self._commit_s += clock.monotonic() - began_s
        answers = self._answers(reading)
        knocks = [message for message in messages if type(message) is Knock and message.stream not in reading.gone]
        answers += self._admit(knocks)
        self._count(reading)
        return answers + self._news(waiting)

    def idle(self) -> list[ToEdge]:
        """What there is to say while nobody speaks."""
        return self._news(0)

    def _answers(self, reading: Reading) -> list[ToEdge]:
        now_ms = clock.now_ms()
        answers: list[ToEdge] = []
        for stream, session in reading.told.items():
            place = session.place
            ack = link_pb2.Ack(events=place.sequence, history=place.history, server_ms=now_ms)
            refused = reading.refused.pop(stream, None)
            down = link_pb2.Downlink(ack=ack, rejected=self._rejected(session, refused) if refused else None)
            answers.append(Answer(stream, down.SerializeToString()))
        for stream, refused in reading.refused.items():
            down = link_pb2.Downlink(rejected=self._rejected(self._register.get(stream), refused))
            answers.append(Answer(stream, down.SerializeToString()))
        answers += [Refused(stream, _refusal(_LOST)) for stream in reading.lost]
        answers += [_flood(stream, session) for stream, session in reading.over.items()]
        return answers

    def _rejected(self, session: Session | None, refused: list[tuple[int, str]]) -> list[link_pb2.Rejected]:
        """The refusals of one stream, with one log line for all of them."""
        self._totals["rejected"] += len(refused)
        endpoint_id = session.place.id if session else ""
        sequence, reason = refused[0]
        facts = {"endpoint_id": endpoint_id, "count": len(refused), "sequence": sequence, "reason": reason}
        observed.log().warning("refused what an agent sent", **facts)
        return [link_pb2.Rejected(sequence=sequence, reason=reason[:_REASON_LIMIT]) for sequence, reason in refused]

    def _admit(self, knocks: list[Knock]) -> list[ToEdge]:
        if not knocks:
            return []
        try:
            with self._reader.begin() as tx:
                decisions = self._register.admit(tx, knocks, clock.utc_now())
        except sa.exc.DBAPIError as error:
            observed.log().error("the store cannot be read", error=type(error.orig).__name__)
            return [Refused(knock.stream, _refusal(_BLIND)) for knock in knocks]
        return [
            self._welcome(decision) if isinstance(decision, Session) else _turn_away(knock, decision)
            for knock, decision in decisions
        ]

    def _welcome(self, session: Session) -> Known:
        place, greeting = session.place, session.greeting
        is_same_spool = place.spool == greeting.spool
        down = link_pb2.Downlink(
            welcome=link_pb2.Welcome(
                endpoint_id=place.id,
                server_ms=clock.now_ms(),
                events_acked=place.sequence if is_same_spool else 0,
                history_acked=place.history if is_same_spool else 0,
                vitals_every_s=self._settings.vitals_every_s,
            ),
            policy=self._policy_for(session),
        )
        return Known(session.stream, place.pk, place.id, greeting.instance, down.SerializeToString())

    def _policy_for(self, session: Session) -> link_pb2.Policy | None:
        """What its class gets of the policy in force, where the agent holds something else."""
        if self._policy is None:
            return None
        variant, greeting = self._policy.variant(session.place.endpoint_class), session.greeting
        session.given = variant.digest
        if greeting.policy_version == variant.version and greeting.policy_digest != variant.digest:
            session.policy_version = 0  # of the same number, but not the one in force: it counts once the agent has taken ours
        elif greeting.policy_version == variant.version:
            return None
        return link_pb2.Policy(version=variant.version, json=variant.body)

    def _news(self, waiting: int) -> list[ToEdge]:
        """Policies to those that are to have another one, and the running totals, each once in a while."""
        now_s = clock.monotonic()
        if now_s - self._beat_s >= _BEAT_EVERY_S:
            self._beat(now_s)
        if now_s - self._policy_read_s >= _POLICY_EVERY_S:
            self._owed += self._register.streams() if self._refresh_policy() else self._reclassed()
        answers = self._handed_out() if self._owed else []
        if now_s - self._told_s >= _FIGURES_EVERY_S:
            self._told_s = now_s
            answers.append(WriterFigures(**self._totals, commit_seconds=self._commit_s, backlog=waiting))
        return answers

    def _handed_out(self) -> list[ToEdge]:
        """The policy for the next of those that are owed one; a stream that is not attached yet stays in line."""
        answers: list[ToEdge] = []
        bodies: dict[str, bytes] = {}
        for _ in range(min(len(self._owed), _HANDED_OUT_AT_ONCE)):
            session = self._register.get(self._owed.popleft())
            if session is None or self._policy is None:
                continue
            if not session.is_attached:
                self._owed.append(session.stream)
                continue
            variant = self._policy.variant(session.place.endpoint_class)
            if session.given == variant.digest:
                continue
            session.given = variant.digest
            body = bodies.get(session.place.endpoint_class)
            if body is None:
                said = link_pb2.Downlink(policy=link_pb2.Policy(version=variant.version, json=variant.body))
                body = bodies[session.place.endpoint_class] = said.SerializeToString()
            answers.append(Answer(session.stream, body))
        return answers

    def _reclassed(self) -> list[int]:
        """The streams of endpoints whose class was changed since the last look."""
        looked_at = clock.utc_now()
        try:
            with self._reader.begin() as tx:
                rows = queries.classed_since(tx, self._classed_after - _CLASSED_OVERLAP)
        except sa.exc.DBAPIError as error:
            observed.log().error("the store cannot be read", error=type(error.orig).__name__)
            return []
        self._classed_after = looked_at
        return self._register.reclass((pk, endpoint_class) for pk, endpoint_class, _ in rows)

    def _beat(self, now_s: float) -> None:
        """Note in the store that agents are heard: without that mark nobody's silence is judged."""
        self._beat_s = now_s
        if self._watch is None:
            return
        try:
            with self._engine.begin() as tx:
                self._watch = watching.note_beat(tx, self._watch, clock.utc_now(), now_s)
        except sa.exc.DBAPIError as error:
            observed.log().error("the store cannot be written", error=type(error.orig).__name__)

    def _refresh_policy(self) -> bool:
        """Read the policy where there is a newer one; True where there was."""
        self._policy_read_s = clock.monotonic()
        known = self._policy.policy.version if self._policy else 0
        try:
            with self._reader.begin() as tx:
                if newest_version(tx) == known:
                    return False
                self._policy = newest(tx)
        except sa.exc.DBAPIError as error:
            observed.log().error("the store cannot be read", error=type(error.orig).__name__)
            return False
        self._committer.policy = self._policy.policy if self._policy else None
        return True

    def _count(self, reading: Reading) -> None:
        totals = self._totals
        totals["messages"] += reading.messages
        totals["events"] += reading.events
        totals["repeats"] += reading.repeats
        totals["batches"] += 1


def _refuse(reading: Reading, piece: Piece) -> None:
    reading.refuse(piece.stream, piece.sequence, "The server cannot store this.")


def _turn_away(knock: Knock, why: TurnedAway) -> Refused:
    observed.log().warning("turned a machine away", code=why.code, reason=why.text, address=knock.address)
    return Refused(knock.stream, _refusal(why))


def _flood(stream: int, session: Session) -> Refused:
    observed.log().warning("an agent's messages cost too much and it is refused", endpoint_id=session.place.id)
    return Refused(stream, _refusal(FLOODS))


def _refusal(why: TurnedAway) -> bytes:
    refusal = link_pb2.Refusal(code=why.code, text=why.text, retry_after_s=why.retry_after_s)
    return link_pb2.Downlink(refusal=refusal).SerializeToString()


def _edge_lives() -> bool:
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()
