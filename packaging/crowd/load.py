"""Load by the thousand streams: processes that connect, wait for the word, speak in one set shape and count the answers.

Owns the loops and their figures. Believable machines are elsewhere (machine.py); here every message is bytes made beforehand,
because whatever the generator spends is missing from the server that shares the processors with it.
"""

from __future__ import annotations

import gc
import multiprocessing
import resource
import select
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from fettle_protocol.v1 import link_pb2 as pb

from crowd import lean
from crowd.identities import Pass
from crowd.wire import ATTACH

_NEVER = 1e12

Uplinks = Callable[[int], tuple[bytes, int]]
"""Given the first free sequence: the next Uplink, and how many sequences it uses up; where none, no answer is awaited."""

Shape = Callable[[int], Uplinks] | None
"""Each stream's Uplinks, from its place among the streams; None: streams that only stand open. A module-level function."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one process does.

    `every_s` 0: the next message as soon as the last is acknowledged; else one message a stream each so many seconds,
    the streams spread evenly. `echo`: the far end is a bare echo, and any answer acknowledges. `at_once`: handshakes under way.
    """

    address: tuple[str, int]
    ca_pem: bytes
    passes: tuple[Pass, ...]
    shape: Shape
    every_s: float = 0.0
    at_once: int = 50
    echo: bool = False


@dataclass(slots=True)
class Figures:
    """What one process saw. `waits`: seconds from sending a message to its acknowledgement; `handed`: when each job arrived."""

    connected: int = 0
    turned_away: int = 0
    connect_s: float = 0.0
    messages: int = 0
    events: int = 0
    waits: list[float] = field(default_factory=list)
    handed: list[tuple[str, float]] = field(default_factory=list)
    cpu_s: float = 0.0
    faults: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """The wait in seconds that this share of messages stayed under; 0 without any. `waits` must be sorted."""
        return self.waits[min(len(self.waits) - 1, int(len(self.waits) * share))] if self.waits else 0.0


class Crowd:
    """Processes with their streams open; `run` lets them speak for a while."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        self._pipes = pipes
        for pipe in pipes:
            pipe.send("connect")
        opened: list[Figures] = [pipe.recv() for pipe in pipes]
        self.connected = sum(figures.connected for figures in opened)
        self.turned_away = sum(figures.turned_away for figures in opened)
        self.connect_s = max((figures.connect_s for figures in opened), default=0.0)
        self.faults = [fault for figures in opened for fault in figures.faults]

    def run(self, seconds: float, warm_up_s: float = 2.0, during: Callable[[], None] | None = None) -> Figures:
        """The sum of all processes over that many seconds after the warm-up; `during` is called when they begin to count."""
        start = time.monotonic() + warm_up_s
        for pipe in self._pipes:
            pipe.send((start, start + seconds))
        if during is not None:
            time.sleep(max(0.0, start - time.monotonic()))
            during()
        total = Figures(connected=self.connected)
        for pipe in self._pipes:
            part: Figures = pipe.recv()
            total.messages += part.messages
            total.events += part.events
            total.cpu_s += part.cpu_s
            total.waits += part.waits
            total.handed += part.handed
            total.faults += part.faults
        total.waits.sort()
        return total


@contextmanager
def crowd(tasks: Sequence[Task]) -> Iterator[Crowd]:
    """All the tasks' processes with their streams open, until the block ends."""
    context = multiprocessing.get_context("spawn")
    processes, pipes = [], []
    try:
        for task in tasks:
            ours, theirs = context.Pipe()
            process = context.Process(target=_process, args=(task, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        yield Crowd(pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(timeout=10)
            if process.is_alive():
                process.kill()
                process.join()


def split(passes: Sequence[Pass], parts: int) -> list[tuple[Pass, ...]]:
    """The passes dealt out to so many processes."""
    return [tuple(passes[place::parts]) for place in range(parts)]


def allow_many_files() -> None:
    """Raise this process's limit of open files to 65,536, or as far as it may go."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(65_536, hard), hard):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return


def _process(task: Task, pipe: Connection) -> None:
    allow_many_files()
    gc.disable()  # nothing here is cyclic, and a pause would look like the server's
    figures = Figures()
    comers = deque((lean.context(task.ca_pem, owner), _hello(owner)) for owner in task.passes)
    pipe.recv()  # all processes begin together
    began = time.monotonic()
    streams = _connect(task, comers, figures)
    figures.connect_s = time.monotonic() - began
    speaker = _Speaker(task, streams)
    pipe.send(figures)
    with suppress(EOFError):
        while True:
            start, end = pipe.recv()
            pipe.send(speaker.speak(start, end))


def _connect(task: Task, left: deque[tuple[ssl.SSLContext, bytes]], figures: Figures) -> list[lean.Stream]:
    """Every stream that the server welcomed; at most `at_once` on their way at a time."""
    poll = select.epoll()
    under_way: dict[int, tuple[lean.Stream, bytes, bool]] = {}
    welcomed = []
    while left or under_way:
        while left and len(under_way) < task.at_once:
            tls, hello = left.popleft()
            try:
                stream = lean.Stream(task.address, tls)
            except OSError as error:
                figures.turned_away += 1
                figures.faults.append(str(error))
                continue
            under_way[stream.fileno()] = (stream, hello, False)
            poll.register(stream, select.EPOLLIN | select.EPOLLOUT)
        for number, _ in poll.poll(1.0):
            stream, _, shaken = under_way[number]
            if not shaken:
                _shake(poll, under_way, number)
                continue
            answers = stream.receive()
            if not answers and not stream.over:
                continue
            del under_way[number]
            poll.unregister(number)
            if answers and (task.echo or pb.Downlink.FromString(answers[0]).HasField("welcome")):
                welcomed.append(stream)
                continue
            figures.turned_away += 1
            figures.faults.append(str(pb.Downlink.FromString(answers[0])) if answers else stream.over)
            stream.close()
    figures.connected = len(welcomed)
    return welcomed


def _shake(poll: select.epoll, under_way: dict[int, tuple[lean.Stream, bytes, bool]], number: int) -> None:
    stream, hello, _ = under_way[number]
    step = stream.shake_hands()
    poll.modify(number, select.EPOLLIN if step is not False else select.EPOLLIN | select.EPOLLOUT)
    if step:
        stream.open(ATTACH, hello)
        under_way[number] = (stream, hello, True)


def _hello(owner: Pass) -> bytes:
    machine = pb.Machine(hostname=owner.name, os="windows", os_version="Windows 11 Education 24H2", agent_version="0.1.0")
    hello = pb.Hello(protocol=1, machine=machine, instance=owner.endpoint_id, spool=owner.spool, boot=owner.spool)
    hello.sent_ms = time.time_ns() // 1_000_000
    return pb.Uplink(hello=hello).SerializeToString()


class _Speaker:
    """The open streams of one process, each with its place in its own sequence, and the loop that drives them."""

    def __init__(self, task: Task, streams: Sequence[lean.Stream]) -> None:
        self._task = task
        self._streams = {stream.fileno(): stream for stream in streams}
        shape = task.shape
        self._uplinks = {} if shape is None else {number: shape(place) for place, number in enumerate(self._streams)}
        self._next = dict.fromkeys(self._streams, 1)
        self._sent: dict[int, tuple[float, int]] = {}
        self._poll = select.epoll()
        for number in self._streams:
            self._poll.register(number, select.EPOLLIN)

    def speak(self, start: float, end: float) -> Figures:
        """Speak from now on; count what is answered from start to end. Messages on their way at the end are awaited."""
        figures = Figures()
        due = self._schedule()
        cpu_before = None
        while (now := time.monotonic()) < end or (self._sent and now < end + 10):
            if cpu_before is None and now >= start:
                cpu_before = time.process_time()
            while due and due[0][0] <= now < end:
                at, number = due.popleft()
                if number in self._sent:
                    figures.faults.append("a stream had no answer yet when its next message was due")
                elif number in self._streams:
                    self._say(number, now)
                if self._task.every_s:
                    due.append((at + self._task.every_s, number))
            wait = min(due[0][0] if due and now < end else _NEVER, max(end, now + 0.05)) - now
            for number, _ in self._poll.poll(max(0.0, min(wait, 0.5))):
                if self._hear(number, (start, end), figures) and not self._task.every_s and number in self._uplinks:
                    self._say(number, time.monotonic())
        figures.cpu_s = time.process_time() - (cpu_before or 0.0)
        return figures

    def _schedule(self) -> deque[tuple[float, int]]:
        """When each stream speaks first; without a pace all do so at once."""
        now, count = time.monotonic(), max(1, len(self._uplinks))
        return deque((now + self._task.every_s * place / count, number) for place, number in enumerate(self._uplinks))

    def _say(self, number: int, now: float) -> None:
        body, used = self._uplinks[number](self._next[number])
        self._streams[number].send(body)
        if used:
            self._next[number] += used
            self._sent[number] = (now, used)

    def _hear(self, number: int, window: tuple[float, float], figures: Figures) -> bool:
        """True where the stream's message is acknowledged and the time for another has not run out."""
        stream = self._streams[number]
        answers = stream.receive()
        if stream.over:
            figures.faults.append(stream.over)
            self._poll.unregister(number)
            del self._streams[number]
            self._sent.pop(number, None)
            stream.close()
            return False
        acknowledged = False
        for answer in answers:
            acknowledged |= self._acknowledges(number, answer, figures)
        if not acknowledged or number not in self._sent:
            return False
        sent, used = self._sent.pop(number)
        now = time.monotonic()
        if window[0] <= now < window[1]:
            figures.messages += 1
            figures.events += used
            figures.waits.append(now - sent)
        return now < window[1]

    def _acknowledges(self, number: int, answer: bytes, figures: Figures) -> bool:
        if self._task.echo:
            return True
        down = pb.Downlink.FromString(answer)
        if down.HasField("ping"):
            self._streams[number].send(pb.Uplink(pong=pb.Pong(nonce=down.ping.nonce)).SerializeToString())
        if down.jobs:
            self._work(number, down, figures)
        if down.rejected:
            figures.faults.append(f"rejected: {down.rejected[0].reason}")
        return bool(max(down.ack.events, down.ack.history) >= self._next[number] - 1)

    def _work(self, number: int, down: pb.Downlink, figures: Figures) -> None:
        """Jobs are done as soon as they come: received, started and done in one message, as the events that they are."""
        now, now_ms = time.monotonic(), time.time_ns() // 1_000_000
        figures.handed += [(job.id, now) for job in down.jobs]
        first = self._next[number]
        said = [pb.JobReport(job=job.id, state=state, percent=percent) for job in down.jobs for state, percent in _JOB_WORDS]
        events = [pb.Event(sequence=first + place, at_ms=now_ms, job=report) for place, report in enumerate(said)]
        self._streams[number].send(pb.Uplink(events=events).SerializeToString())
        self._next[number] += len(events)
        self._sent.setdefault(number, (now, len(events)))


_JOB_WORDS = ((pb.JobReport.STATE_RECEIVED, 0), (pb.JobReport.STATE_STARTED, 0), (pb.JobReport.STATE_DONE, 100))
