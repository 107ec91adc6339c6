"""A played PC: it boots, says who it is and how it feels, has a fault now and then, and goes off at the bell.

Owns one machine's conversation over grpc.aio, as the agent has it: events numbered, kept and sent again until acknowledged.
It keeps no spool on disk: what a stopped simulation had not sent is gone.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from fettle_protocol import policy
from fettle_protocol.v1 import link_pb2 as pb

from crowd import estate, vitals, wire
from crowd.faults import Fault, choose
from crowd.identities import Pass
from crowd.work import Work

_PROGRESS_S = 600
_BACK_OFF_MAX_S = 60
_HOURS_UNDER_WAY = 4


@dataclass(frozen=True, slots=True)
class Server:
    """Where the machines speak, and whom they trust."""

    address: str
    ca_pem: bytes


@dataclass(frozen=True, slots=True)
class Script:
    """What a machine lives through. `fault_every_s`: mean time between one machine's faults; 0: none."""

    fault_every_s: float
    fault_lasts_s: tuple[float, float] = (60, 300)
    history_hours: int = 24


@dataclass(slots=True)
class Tally:
    """What the machines of one process did so far."""

    connected: int = 0
    sent: int = 0
    acknowledged: int = 0
    raised: int = 0
    cleared: int = 0
    refused: int = 0
    lost: int = 0
    last_trouble: str = ""


@dataclass(slots=True)
class _Lane:
    """A numbered lane: what waits to be sent, what waits to be acknowledged."""

    unsent: deque[Any] = field(default_factory=deque)
    under_way: deque[Any] = field(default_factory=deque)
    last: int | None = None

    def resume(self, acknowledged: int) -> None:
        """Take up the numbering where the server is, and send again what it does not have."""
        if self.last is None:
            self.last = acknowledged
        self.settle(acknowledged)
        self.unsent.extendleft(reversed(self.under_way))
        self.under_way.clear()

    def next(self) -> Any:
        """The next to send, numbered."""
        item = self.unsent.popleft()
        if not item.sequence:
            assert self.last is not None
            self.last += 1
            item.sequence = self.last
        self.under_way.append(item)
        return item

    def settle(self, acknowledged: int) -> int:
        """How many are now acknowledged that were not."""
        before = len(self.under_way)
        while self.under_way and self.under_way[0].sequence <= acknowledged:
            self.under_way.popleft()
        return before - len(self.under_way)


class Machine:
    """One PC with its identity, from boot to boot."""

    def __init__(self, pc: estate.Pc, owner: Pass, server: Server, script: Script, tally: Tally) -> None:
        self._pc, self._owner, self._server, self._script, self._tally = pc, owner, server, script, tally
        self._dice = random.Random()
        self._work = Work(self._dice)
        self._instance = self._boot = ""
        self._events, self._hours = _Lane(), _Lane()
        self._policy: policy.Policy | None = None
        self._fault: Fault | None = None
        self._fault_due = time.time() + self._until_next_fault() / 2
        self._bends: list[vitals.Bend] = []
        self._told_history = False
        self._newest_hour = int(time.time() // 3600)
        self._beat_s = 300
        self._vitals_due = self._progress_due = 0.0
        self._watched_until = 0.0
        self._pongs: deque[int] = deque()
        self._wake = asyncio.Event()
        self.is_on = False

    async def boot(self) -> None:
        """Be on until `shut_down`; reconnect with growing, jittered patience while the server is away."""
        self._instance, self._boot, self.is_on = uuid.uuid4().hex, uuid.uuid4().hex, True
        self._events.unsent.append(_stamped(pb.Event(power=pb.PowerChange(kind=pb.PowerChange.KIND_BOOTED))))
        patience = 1.0
        while self.is_on:
            try:
                await self._session()
                patience = 1.0
            except (grpc.aio.AioRpcError, wire.TurnedAway) as error:
                self._tally.last_trouble = error.details() or "" if isinstance(error, grpc.aio.AioRpcError) else str(error)
                if isinstance(error, wire.TurnedAway):
                    self._tally.refused += 1
                else:
                    self._tally.lost += 1
            if self.is_on:
                await asyncio.sleep(patience * (0.5 + self._dice.random()))
                patience = min(patience * 2, _BACK_OFF_MAX_S)

    def shut_down(self) -> None:
        """Say so, and leave."""
        self._events.unsent.append(_stamped(pb.Event(power=pb.PowerChange(kind=pb.PowerChange.KIND_SHUTTING_DOWN))))
        self.is_on = False
        self._wake.set()

    async def _session(self) -> None:
        channel = wire.open_channel(self._server.address, self._server.ca_pem, self._owner)
        try:
            hello = pb.Uplink(hello=self._hello())
            stream, answer = await asyncio.wait_for(wire.attach(channel, hello.SerializeToString()), timeout=30)
            self._tally.connected += 1
            self._hear(answer)
            listener = asyncio.create_task(self._listen(stream))
            try:
                await self._speak(stream, listener)
            finally:
                self._tally.connected -= 1
                listener.cancel()
                with suppress(asyncio.CancelledError, grpc.aio.AioRpcError, wire.TurnedAway):
                    await listener
        except TimeoutError as error:
            raise wire.TurnedAway("no welcome within 30 s") from error
        finally:
            await channel.close()

    def _hello(self) -> pb.Hello:
        version = self._policy.version if self._policy else 0
        return pb.Hello(
            protocol=1, machine=self._pc.machine(), instance=self._instance, spool=self._owner.spool, boot=self._boot,
            policy_version=version, sent_ms=_now_ms(),
        )  # fmt: skip

    async def _listen(self, stream: Any) -> None:
        while (answer := await stream.read()) is not grpc.aio.EOF:
            self._hear(pb.Downlink.FromString(answer))
            self._wake.set()
        raise wire.TurnedAway(await stream.details() or "the server ended the stream")

    def _hear(self, said: pb.Downlink) -> None:
        if said.HasField("welcome"):
            self._events.resume(said.welcome.events_acked)
            self._hours.resume(said.welcome.history_acked)
            self._beat_s = said.welcome.vitals_every_s or self._beat_s
            self._vitals_due, self._progress_due = 0.0, time.time() + self._dice.random() * _PROGRESS_S
        if said.HasField("ack"):
            self._tally.acknowledged += self._events.settle(said.ack.events) + self._hours.settle(said.ack.history)
        for rejected in said.rejected:
            self._tally.last_trouble = f"rejected: {rejected.reason}"
        if said.HasField("policy"):
            self._policy = policy.decode(said.policy.json)
        if said.jobs or said.cancelled:
            self._work.take(said.jobs, said.cancelled, time.time())
        if said.HasField("watch"):
            self._watched_until = time.time() + said.watch.seconds
        if said.HasField("ping"):
            self._pongs.append(said.ping.nonce)
        if said.HasField("refusal"):
            self._tally.last_trouble = said.refusal.text

    async def _speak(self, stream: Any, listener: asyncio.Task[None]) -> None:
        """Until switched off and all is said and acknowledged, or the stream ends."""
        if not self._told_history:
            self._told_history = True
            self._remember()
        leave_by = None
        while not listener.done():
            for uplink in self._uplinks():
                await stream.write(uplink.SerializeToString())
                self._tally.sent += 1
            if not self.is_on:
                leave_by = leave_by or time.monotonic() + 3
                if not self._events.under_way or time.monotonic() > leave_by:
                    await stream.done_writing()
                    return
            self._wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._rest_s())
        await listener

    def _rest_s(self) -> float:
        now = time.time()
        if now < self._watched_until or not self.is_on:
            return 1.0
        return max(
            0.05,
            min(self._work.due, self._vitals_due, self._progress_due, self._fault_due, (self._newest_hour + 1) * 3600.0 + 5)
            - now,
        )

    def _uplinks(self) -> list[pb.Uplink]:
        """All there is to say now, events first."""
        now = time.time()
        self._live_through(now)
        said = [pb.Uplink(pong=pb.Pong(nonce=self._pongs.popleft())) for _ in range(len(self._pongs))]
        self._events.unsent.extend(self._work.told(now))
        if self._events.unsent:
            said.append(pb.Uplink(events=[self._events.next() for _ in range(min(100, len(self._events.unsent)))]))
        if now >= self._vitals_due:
            self._vitals_due = now + self._beat_s * (0.9 + 0.2 * self._dice.random())
            said.append(pb.Uplink(vitals=self._vitals(now)))
        if now < self._watched_until:
            readings = vitals.readings(vitals.at(self._pc, int(now // 60), self._bends, int(now % 60)))
            said.append(pb.Uplink(live=pb.Live(at_ms=_now_ms(), readings=readings)))
        while self._hours.unsent and len(self._hours.under_way) < _HOURS_UNDER_WAY:
            entry = self._hours.next()
            entry.pack = entry.pack or vitals.hour(self._pc, entry.hour, self._bends)
            said.append(pb.Uplink(history=[entry]))
        if now >= self._progress_due:
            self._progress_due = now + _PROGRESS_S
            pack = vitals.hour(self._pc, int(now // 3600), self._bends, until_minute=int(now // 60) + 1)
            said.append(pb.Uplink(history=[pb.History(hour=int(now // 3600), pack=pack)]))
        return said

    def _vitals(self, now: float) -> pb.Vitals:
        held = [pb.OpenFault(rule=self._fault.rule.key, instance=self._fault.instance)] if self._fault else []
        readings = vitals.readings(vitals.at(self._pc, int(now // 60), self._bends))
        return pb.Vitals(at_ms=_now_ms(), readings=readings, faults=held, agent=pb.AgentHealth(cpu_percent=0.1, memory_mib=38))

    def _remember(self) -> None:
        """What an agent that ran all the while would have to tell: its inventory, and the hours the server lacks."""
        self._events.unsent.extend(_stamped(event) for event in estate.inventory_events(self._pc))
        hours = range(self._newest_hour - self._script.history_hours, self._newest_hour)
        if not self._hours.last:  # else an earlier run has told them
            self._hours.unsent.extend(pb.History(hour=hour, final=True) for hour in hours)

    def _live_through(self, now: float) -> None:
        """Let time do its work: an hour ends, a fault begins or ends."""
        while self._newest_hour < int(now // 3600):
            self._hours.unsent.append(pb.History(hour=self._newest_hour, final=True))
            self._newest_hour += 1
            self._bends = [bend for bend in self._bends if bend.until_minute >= (self._newest_hour - 1) * 60]
        if now < self._fault_due or self._policy is None:
            self._fault_due = max(self._fault_due, now + 1) if self._policy is None else self._fault_due
            return
        if self._fault is not None:
            self._clear(now)
        else:
            self._raise(now)

    def _raise(self, now: float) -> None:
        assert self._policy is not None
        self._fault = choose(self._pc, self._policy, self._dice, now)
        if self._fault is None or not self._script.fault_every_s:
            self._fault, self._fault_due = None, now + 3600
            return
        self._bends.append(self._fault.bend)
        self._events.unsent.append(self._fault.raised(self._pc, self._bends, self._policy.version))
        self._tally.raised += 1
        self._fault_due, self._vitals_due = now + self._dice.uniform(*self._script.fault_lasts_s), now + 1

    def _clear(self, now: float) -> None:
        assert self._fault is not None
        self._bends.remove(self._fault.bend)
        self._bends.append(self._fault.ended(now))
        self._events.unsent.append(self._fault.cleared(self._pc, self._bends, now))
        self._tally.cleared += 1
        self._fault, self._vitals_due = None, now + 1
        self._fault_due = now + self._until_next_fault()

    def _until_next_fault(self) -> float:
        every = self._script.fault_every_s
        return self._dice.expovariate(1 / every) if every else 1e9


def _stamped(event: pb.Event) -> pb.Event:
    event.at_ms = _now_ms()
    return event


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
