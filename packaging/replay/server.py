"""The real server of the replay: its store, its writer and its worker's jobs, in this process, on a simulated clock.

Owns when what runs. What a careful technician enters beforehand (calendars, rooms, classes, a way to be told) is setup.py's.
Not replayed: gRPC, TLS, and the pipe between edge and writer. Jobs that only tidy run less often than in life, and nothing runs
while the server is off.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2 as pb
from fettle_server import clock, db
from fettle_server.config import Settings
from fettle_server.ingest.messages import Answer, Arrived, Attached, Detached, Knock, Known, Refused, ToWriter
from fettle_server.ingest.writer import Writer
from fettle_server.notify.tables import Outbox
from fettle_server.proactive.causes import actions as causes
from fettle_server.proactive.presence import actions as presence
from fettle_server.reactive.tables import Incident
from fettle_server.worker.jobs import JOBS, Job, Work

from replay.agents import Act, Word
from replay.setup import Placed

_WATCHED = ("presence", "triage")
"""Jobs that run whenever they say that something is due; life's loop looks every few seconds."""
_PRESENCE_S = 180.0
"""Presence is looked at every three minutes of a busy day; as often as in life, it would be most of the work."""
_HEARD_S = 15.0
"""The writer's sign of life may be so old when jobs run: half of what counts as stale."""
_SILENCE_S = 300.0
"""How long nothing must come before it pays to ask them when they are due."""
_CHANGE_NOTHING = ("notices", "mark unknown", "tidy store", "drop leave", "close resolved", "follow proofs", "begin proofs")
"""Jobs after which nothing else falls due."""
_NOTICES = "notices"
_NOTICES_AFTER_S = (2.0, 30.0, 60.0, 120.0, 300.0)
"""When the notices are looked at after something was put into their outbox: new ones, gathered ones, late ones."""
_SELDOM_S, _TIDY_S = 3600.0, 21_600.0
"""Every other job runs once an hour at the most, those that tidy up four times a day."""
_LOOK_S, _LOOK_AGAIN_S = 2.0, 300.0
_PIECES = 200


class SimulatedClock:
    """Tells the replay's time. `now_s` is true time; the server's wall may be wrong by `error_s`."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self.error_s = 0.0

    def epoch_ns(self) -> int:
        """The wall's time."""
        return int((self.now_s + self.error_s) * 1000) * 1_000_000

    def monotonic(self) -> float:
        """True seconds."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Nobody waits in a replay."""


@dataclass(slots=True)
class Tally:
    """What was done, and where real time went."""

    messages: int = 0
    batches: int = 0
    refused: int = 0
    rejected: int = 0
    policies_sent: int = 0
    job_runs: Counter[str] = field(default_factory=Counter)
    job_s: dict[str, float] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    writer_s: float = 0.0


class Server:
    """Takes what reaches the edge, in time's order, and lets the worker work in between."""

    def __init__(self, settings: Settings, placed: Placed, simulated: SimulatedClock) -> None:
        self._settings = settings
        self._placed = placed
        self._clock = simulated
        self._work = Work(settings, db.open_engine(settings.database_url), db.open_engine(settings.database_url, readonly=True))
        self._writer: Writer | None = Writer(settings)
        self._writer.start()
        self._jobs = {job.name: job for job in JOBS}
        self._due = {name: simulated.now_s for name in self._jobs if name not in _WATCHED}
        self._again: dict[str, float] = {}
        self._ran: dict[str, float] = {}
        self._moments: dict[str, float] | None = None
        self._looks: dict[str, float] = {}
        self._heard_at = 0.0
        self._notices: list[float] = []
        self._last_told = 0
        self._patience: dict[str, float] = {}
        self._last_incident = 0
        self.opened_at: dict[int, float] = {}
        self.tally = Tally()

    # ---- time ----

    def advance(self, until: float) -> None:
        """Let time pass, running what falls due on the way."""
        while self._writer is not None:
            due = min(*self._due.values(), *self._notices[:1], min(self._watched(until).values(), default=until))
            if due >= until:
                break
            self._clock.now_s = max(self._clock.now_s, due)
            if self._clock.now_s - self._heard_at > _HEARD_S:
                self._heard_at = self._clock.now_s
                self._writer.idle()
            for name in self._are_due(until):
                self._run(name)
        self._clock.now_s = max(self._clock.now_s, until)

    def _are_due(self, until: float) -> list[str]:
        now = self._clock.now_s
        names = [name for name, due in (*self._watched(until).items(), *self._due.items()) if due <= now]
        if self._notices and self._notices[0] <= now:
            self._notices = [moment for moment in self._notices if moment > now]
            names.append(_NOTICES)
        return names

    def stop(self) -> None:
        """The server ends: writer and worker together."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def start(self) -> None:
        """The server begins again, and finds its store as it left it."""
        if self._writer is None:
            self._writer = Writer(self._settings)
            self._writer.start()
            self._heard_at = self._clock.now_s
            self._due = {name: max(due, self._clock.now_s) for name, due in self._due.items()}

    def set_error(self, seconds: float) -> None:
        """The wall clock steps."""
        self._clock.error_s = seconds

    def close(self) -> None:
        """Let go of the store."""
        self.stop()
        self._work.engine.dispose()
        self._work.reading.dispose()

    @property
    def engine(self) -> sa.Engine:
        """The store, for reading the outcome."""
        return self._work.reading

    def _watched(self, until: float) -> dict[str, float]:
        """When the watched jobs are due: soon after each bucket; in longer silences when they say so themselves."""
        if self._looks:
            return {name: max(moment, self._clock.now_s) for name, moment in self._looks.items() if name in self._jobs}
        if until - self._clock.now_s < _SILENCE_S:
            return {}
        if self._moments is None:
            with self._work.reading.connect() as tx:
                said = {"triage": causes.next_due(tx), "presence": presence.next_due(tx, clock.utc_now())}
            self._moments = {
                name: max(self._again.get(name, 0.0), moment.timestamp() - self._clock.error_s)
                for name, moment in said.items()
                if moment is not None and name in self._jobs
            }
        return self._moments

    def _run(self, name: str) -> None:
        began = time.perf_counter()
        job = self._jobs[name]
        try:
            for _ in range(_PIECES):
                if not job.run(self._work, clock.utc_now()):
                    break
        except Exception as error:  # as in life: a job that fails stops no other; here it is counted and told
            self.tally.failed[f"{name}: {type(error).__name__}"] += 1
        if name not in _CHANGE_NOTHING:
            self._moments = None
        if name in _WATCHED:
            self._looks.pop(name, None)
            self._look_again(name)
        elif name in self._due:
            every = _every_s(job)
            self._due[name] = float((self._clock.now_s // every + 1) * every)
        self.tally.job_runs[name] += 1
        self.tally.job_s[name] = self.tally.job_s.get(name, 0.0) + time.perf_counter() - began
        self._note_incidents()

    def _look_again(self, name: str) -> None:
        """When it may be looked at next: what stays due although it was just looked at, less and less often."""
        patience = self._patience.get(name, _LOOK_S)
        waited = self._clock.now_s - self._ran.get(name, 0.0)
        self._patience[name] = min(_LOOK_AGAIN_S, patience * 2) if waited <= patience + 1 else _LOOK_S
        self._ran[name] = self._clock.now_s
        self._again[name] = self._clock.now_s + self._patience[name]

    def _note_incidents(self) -> None:
        """Remember when each incident came to be, in true time."""
        now = self._clock.now_s
        with self._work.reading.connect() as tx:
            newest = tx.scalar(sa.select(sa.func.max(Outbox.id))) or 0
            if newest == self._last_told:
                return
            self._last_told = newest
            numbers = tx.scalars(sa.select(Incident.number).where(Incident.number > self._last_incident)).all()
        self._notices = [now + after for after in _NOTICES_AFTER_S]
        for number in numbers:
            self.opened_at[number] = now
            self._last_incident = max(self._last_incident, number)

    # ---- what arrives ----

    def take(self, words: Sequence[Word]) -> None:
        """One bucket of what reached the edge, at its end."""
        if self._writer is None:
            return
        began = time.perf_counter()
        self._moments = None
        self._heard_at = self._clock.now_s
        soon = self._clock.now_s + _LOOK_S
        self._looks = {"triage": soon, "presence": max(soon, self._ran.get("presence", 0.0) + _PRESENCE_S)}
        for word in words:
            if word.act is Act.ENROL:
                self._placed.image_anew(word.pc, clock.utc_now())
        knocks: list[ToWriter] = [self._knock(word) for word in words if word.act is Act.KNOCK]
        if knocks:
            self._answered(self._writer.take(knocks))
        rest = [self._message(word) for word in words if word.act in (Act.ATTACH, Act.SAY, Act.DETACH)]
        limit = self._settings.batch_limit
        for start in range(0, len(rest), limit):
            self._answered(self._writer.take(rest[start : start + limit]))
            self.tally.batches += 1
        self.tally.messages += len(words)
        self.tally.writer_s += time.perf_counter() - began
        self._note_incidents()

    def _ms(self, at: float) -> int:
        return int((at + self._clock.error_s) * 1000)

    def _knock(self, word: Word) -> Knock:
        return Knock(word.stream, self._placed.certificates[word.pc], word.body, "192.0.2.7", self._ms(word.at))

    def _message(self, word: Word) -> ToWriter:
        if word.act is Act.SAY:
            return Arrived(word.stream, self._ms(word.at), word.body)
        return Attached(word.stream) if word.act is Act.ATTACH else Detached(word.stream, self._ms(word.at), word.body == b"r")

    def _answered(self, answers: Sequence[object]) -> None:
        tally = self.tally
        for answer in answers:
            if type(answer) is Refused:
                tally.refused += 1
            elif type(answer) is Known:
                tally.policies_sent += len(answer.welcome) > 4000
            elif type(answer) is Answer and len(answer.downlink) > 60:
                tally.rejected += len(pb.Downlink.FromString(answer.downlink).rejected)


def _every_s(job: Job) -> float:
    return max(job.every_s, _TIDY_S if job.every_s >= 3600 else _SELDOM_S)
