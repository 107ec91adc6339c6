"""The played agents: what each says to the server in a day, byte for byte as the real one would say it.

Owns streams, spools and numbers. Thinned, and said so: vitals go up at each attach and once a day from machines that stay
connected (with a handful of readings and what is held open), evidence is the two samples around a crossing, and history only
of machines whose readings are bent for days.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from fettle_protocol import catalogue
from fettle_protocol.v1 import link_pb2 as pb

from replay.judging import Judge, Rules, Verdict
from replay.world.estate import Pc
from replay.world.life import End, On, Start
from replay.world.world import PcDay, Span

AGENT_VERSION = "0.1.0"
_NOTICED_S = (25.0, 260.0)
"""The server's keepalive finds a stream dead after so long (fettle_server.ingest.edge), the last message counted in."""
_BACK_S = 60.0
"""Full jitter of the agent's longest wait between two tries."""
_ATTACH_AFTER_S = {Start.BOOT: (18.0, 50.0), Start.WAKE: (1.0, 6.0)}
_KINDS = {
    End.SHUTDOWN: pb.PowerChange.KIND_SHUTTING_DOWN, End.SLEEP: pb.PowerChange.KIND_SLEEPING,
    End.RESTART: pb.PowerChange.KIND_RESTARTING,
}  # fmt: skip
_RESTART_TAKES_MS = 600_000
_DAILY_BEAT_S = 43_200.0


class Act(IntEnum):
    """What reaches the server's edge."""

    KNOCK = 0
    ATTACH = 1
    SAY = 2
    DETACH = 3
    ENROL = 4


class Word(NamedTuple):
    """One thing that reaches the edge at a time (seconds since the epoch, true time). `held`: attaching, what policy it has."""

    at: float
    act: Act
    pc: int
    stream: int
    body: bytes


class Alert(NamedTuple):
    """An alert of the usual practice: a sample past a level, or nothing heard for five minutes ("offline")."""

    at: float
    pc: int
    rule: str


class _Stream(NamedTuple):
    """A stream from its attach to its end. What is said from `heard` on arrives nowhere; `is_lost`: it ends without a word."""

    start: float
    end: float
    heard: float
    is_lost: bool


class Agent:
    """One machine's agent through the year."""

    __slots__ = (
        "_backlog", "_boot", "_clock", "_dice", "_held", "_image", "_judge", "_rules", "_sequence", "_stream", "_streams", "pc",
        "policy",
    )  # fmt: skip

    def __init__(self, pc: Pc, rules: Rules, policy: tuple[int, int], clock: Callable[[float], float]) -> None:
        """`policy`: version and digest of what it holds; `clock`: how wrong the server's clock is, which it follows."""
        self.pc = pc
        self.policy = policy
        self._rules = rules
        self._judge = Judge(rules, small_disk=pc.small_disk)
        self._clock = clock
        self._dice = random.Random(pc.place)
        self._boot = self._image = self._sequence = self._streams = 0
        self._stream = 0
        self._held: set[tuple[str, str]] = set()
        self._backlog: list[tuple[float, pb.Event]] = []

    def day(self, life: PcDay, down: list[Span]) -> tuple[list[Word], list[Alert]]:
        """Everything that it says in a day; `down` are the spans in which Fettle's server is off."""
        words: list[Word] = []
        alerts: list[Alert] = []
        if life.is_imaged:
            self._new_image(life.on[0].start, words)
        for on in life.on:
            self._be_on(on, life, down, (words, alerts))
        return words, alerts

    # ---- one time of being on ----

    def _be_on(self, on: On, life: PcDay, down: list[Span], out: tuple[list[Word], list[Alert]]) -> None:
        words, alerts = out
        verdicts, crossings = self._judge.live(on.start, on.end, life.bends, on.how)
        alerts += [Alert(crossing.at_s, self.pc.place, crossing.rule) for crossing in crossings]
        events = self._events(on, verdicts)
        reached = self._reached(on, life.cut_off, down)
        for event in events:
            self._backlog.append(event)
        for stream in reached:
            self._converse(on, stream, words)
        self._silences(on, reached, alerts)

    def _events(self, on: On, verdicts: list[Verdict]) -> list[tuple[float, pb.Event]]:
        """What it puts into its spool, with the time at which it does."""
        events: list[tuple[float, pb.Event]] = []
        if on.how is Start.BOOT:
            self._boot += 1
            events.append((on.start + 12, _power(pb.PowerChange.KIND_BOOTED)))
        elif on.how is Start.WAKE:
            events.append((on.start + 0.5, _power(pb.PowerChange.KIND_WOKE)))
        events += [(verdict.at_ms / 1000, _told(verdict, self._rules.version)) for verdict in verdicts]
        if on.over in _KINDS:
            body = _power(_KINDS[on.over])
            if on.over is End.RESTART:
                body.power.back_by_ms = int((on.end + self._clock(on.end)) * 1000) + _RESTART_TAKES_MS
            events.append((on.end - 1, body))
        return events

    def _reached(self, on: On, cut_off: list[Span], down: list[Span]) -> list[_Stream]:
        """The times in which it has a stream.

        A cut shorter than it takes to notice leaves the stream as it is; the server's own end is noticed at once.
        """
        dice = self._dice
        begin = on.start + (0.0 if on.how is Start.ALREADY else dice.uniform(*_ATTACH_AFTER_S[on.how]))
        pieces: list[_Stream] = []
        bars = [(start, end, True) for start, end in cut_off] + [(start, end, False) for start, end in down]
        for start, end, is_silent in sorted(bars):
            if end <= begin or start >= on.end:
                continue
            if begin < start:
                lost = start + (dice.uniform(*_NOTICED_S) if is_silent else 0.0)
                if is_silent and lost >= end:
                    continue
                pieces.append(_Stream(begin, lost, start, is_silent))
            begin = max(begin, end + dice.uniform(0, _BACK_S))
        if begin < on.end - 2:
            pieces.append(_Stream(begin, on.end, on.end, False))
        return pieces

    def _converse(self, on: On, stream: _Stream, words: list[Word]) -> None:
        """One stream, or the part of it that lies in this day."""
        start, end, heard, is_lost = stream
        if not (on.how is Start.ALREADY and start == on.start and self._stream):
            self._attach(start, words)
        elif end - start > _DAILY_BEAT_S:
            words.append(self._word(start + _DAILY_BEAT_S, Act.SAY, pb.Uplink(vitals=self._vitals(start + _DAILY_BEAT_S))))
        self._tell(start + 0.3, min(heard, on.end), words)
        if is_lost or end < on.end:
            words.append(self._word(end, Act.DETACH, None))
            self._stream = 0
        elif on.over is End.CUT:
            words.append(self._word(end + self._dice.uniform(*_NOTICED_S), Act.DETACH, None))
            self._stream = 0
        elif on.over is not End.STAYS:
            words.append(self._word(end, Act.DETACH, None))
            self._stream = 0

    def _attach(self, start: float, words: list[Word]) -> None:
        if self._stream:  # the server did not yet know that it was lost
            words.append(self._word(start, Act.DETACH, None)._replace(body=b"r"))
        self._streams += 1
        self._stream = self.pc.place * 100_000 + self._streams
        pc, place = self.pc, self.pc.place
        version, digest = self.policy
        machine = pb.Machine(
            hostname=pc.name, os=pc.system, os_version=pc.build, fingerprint=pc.fingerprint, agent_version=AGENT_VERSION
        )
        hello = pb.Hello(
            protocol=1, machine=machine, instance=f"i{place}-{self._image}-{self._boot}", spool=f"s{place}-{self._image}",
            boot=f"b{place}-{self._image}-{self._boot}", policy_version=version, policy_digest=digest,
            sent_ms=int(start * 1000),
        )  # fmt: skip
        words.append(self._word(start, Act.KNOCK, pb.Uplink(hello=hello)))
        words.append(self._word(start + 0.1, Act.ATTACH, None))

    def _tell(self, start: float, end: float, words: list[Word]) -> None:
        """What waits in the spool at once, with vitals after it; what comes later when it comes."""
        waiting = [event for event in self._backlog if event[0] <= start]
        later = [event for event in self._backlog if start < event[0] < end]
        self._backlog = [event for event in self._backlog if event[0] >= end]
        first = pb.Uplink(events=[self._numbered(*event) for event in waiting])
        if self._stream and words and words[-1].act is Act.ATTACH and words[-1].pc == self.pc.place:
            words.append(self._word(start, Act.SAY, first))
            words.append(self._word(start + 0.2, Act.SAY, pb.Uplink(vitals=self._vitals(start))))
        elif waiting:
            words.append(self._word(start, Act.SAY, first))
        words += [self._word(at, Act.SAY, pb.Uplink(events=[self._numbered(at, event)])) for at, event in later]

    def _numbered(self, at: float, event: pb.Event) -> pb.Event:
        self._sequence += 1
        event.sequence = self._sequence
        error_ms = int(self._clock(at) * 1000)
        event.at_ms = int(at * 1000) + error_ms
        if event.HasField("raised"):
            event.raised.since_ms += error_ms
            self._held.add((event.raised.rule, event.raised.instance))
        elif event.HasField("cleared"):
            event.cleared.since_ms += error_ms
            self._held.discard((event.cleared.rule, event.cleared.instance))
        return event

    def _vitals(self, at: float) -> pb.Vitals:
        """Few readings, and what it holds open as far as it has told: nothing waits when vitals go up."""
        faults = [pb.OpenFault(rule=rule, instance=instance) for rule, instance in sorted(self._held)]
        return pb.Vitals(at_ms=int((at + self._clock(at)) * 1000), readings=_READINGS, faults=faults)

    def _word(self, at: float, act: Act, uplink: pb.Uplink | None) -> Word:
        return Word(at, act, self.pc.place, self._stream, b"" if uplink is None else uplink.SerializeToString())

    # ---- a new image, and silence ----

    def _new_image(self, at: float, words: list[Word]) -> None:
        """Everything on its disk is new: spool, identity, what its rules remembered. The hardware is what it was."""
        self._image += 1
        self._sequence = 0
        self._backlog.clear()
        self._held.clear()
        self._judge = Judge(self._rules, small_disk=self.pc.small_disk)
        words.append(self._word(at + 1, Act.ENROL, None))

    def _silences(self, on: On, reached: list[_Stream], alerts: list[Alert]) -> None:
        """Each time that nothing is heard for five minutes, the usual practice calls the machine offline."""
        if not reached:
            return
        ends = [stream.end for stream in reached]
        begins = [stream.start for stream in reached[1:]]
        silences = [end for end, begin in zip(ends, begins, strict=False) if begin - end > 300]
        if on.over is not End.STAYS:
            silences.append(ends[-1])
        alerts += [Alert(end + 300, self.pc.place, "offline") for end in silences]


_READINGS = [
    pb.Reading(key=catalogue.BY_KEY[key].number, value=value)
    for key, value in (("cpu.busy_percent", 12.0), ("memory.used_percent", 52.0), ("boot.uptime_days", 0.5))
]


def _power(kind: pb.PowerChange.Kind) -> pb.Event:
    return pb.Event(power=pb.PowerChange(kind=kind))


def _told(verdict: Verdict, version: int) -> pb.Event:
    evidence = [pb.Sample(at_ms=verdict.since_ms, value=verdict.value), pb.Sample(at_ms=verdict.at_ms, value=verdict.value)]
    event = pb.Event()
    said = event.cleared if verdict.cleared else event.raised
    said.rule, said.instance, said.value, said.since_ms = verdict.rule, verdict.instance, verdict.value, verdict.since_ms
    said.evidence.extend(evidence)
    if verdict.cleared:
        event.cleared.reason = verdict.cleared
    else:
        event.raised.severity, event.raised.policy_version = verdict.severity, version
    return event
