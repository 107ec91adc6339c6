"""The play: who is let in, and one process's machines from the first bell to the last.

Owns identities on disk between runs, bells, and the figures told to the parent. What a machine does is machine.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from fettle_agent import handshake
from fettle_protocol import identity

from crowd.estate import Pc
from crowd.identities import Pass, enrol_many, load, save
from crowd.load import allow_many_files
from crowd.machine import Machine, Script, Server, Tally
from crowd.server import MAX_USES, ServerError

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else a server that leaves prints a line for each machine

_FIRST_BELL_S = 20.0
_BELL_SPREAD_S = 30.0
_TELL_S = 1.0

Cast = Sequence[tuple[Pc, Pass]]


@dataclass(frozen=True, slots=True)
class Bells:
    """When rooms start anew: one room at each bell. `every_s` 0: never."""

    every_s: float = 300.0


def trusted(address: str, token: str) -> bytes:
    """The authority that the token's pin names, as PEM, out of the chain that the server shows.

    Raises:
        ServerError: the token has no pin, or the server does not show that authority.
        PeerError: the server cannot be reached.
    """
    pin = token.rpartition("-")[2]
    for der in handshake.fetch_chain(address):
        if len(pin) == 32 and identity.fingerprint(der).startswith(pin):
            return ssl.DER_cert_to_PEM_cert(der).encode()
    raise ServerError(f"the token does not belong to the server at {address}: it names another authority")


def let_in(data: Path, server: Server, pcs: Sequence[Pc], token_for: Callable[[str, int], str]) -> list[Pass]:
    """A pass for every PC, in order: an earlier run's where there is one, else by real enrolment, school by school."""
    known = held(data, server.ca_pem)
    missing: dict[str, list[Pc]] = defaultdict(list)
    for pc in pcs:
        if pc.spool not in known:
            missing[pc.school].append(pc)
    for school, newcomers in missing.items():
        for start in range(0, len(newcomers), MAX_USES):
            some = newcomers[start : start + MAX_USES]
            machines, spools = [pc.machine() for pc in some], [pc.spool for pc in some]
            token = token_for(school, len(some))
            made = asyncio.run(enrol_many(server.address, server.ca_pem, token=token, machines=machines, spools=spools))
            known.update((one.spool, one) for one in made)
            save(_file(data, server.ca_pem), list(known.values()))
    return [known[pc.spool] for pc in pcs]


def held(data: Path, ca_pem: bytes) -> dict[str, Pass]:
    """The passes of earlier runs with that authority, by spool."""
    return {one.spool: one for one in load(_file(data, ca_pem))}


def _file(data: Path, ca_pem: bytes) -> Path:
    return data / f"crowd-{hashlib.sha256(ca_pem).hexdigest()[:12]}.jsonl"


def process(cast: Cast, server: Server, script: Script, bells: Bells, pipe: Connection) -> None:
    """Play these machines until the parent closes its end of the pipe; tell it the tally every second."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; the machines then shut down in good order
    allow_many_files()
    asyncio.run(_play(cast, server, script, bells, pipe))


async def _play(cast: Cast, server: Server, script: Script, bells: Bells, pipe: Connection) -> None:
    tally = Tally()
    rooms: dict[tuple[str, str], list[Machine]] = defaultdict(list)
    for pc, owner in cast:
        rooms[pc.school, pc.room].append(Machine(pc, owner, server, script, tally))
    lives: set[asyncio.Task[None]] = set()
    for machines in rooms.values():
        first = random.uniform(0, _FIRST_BELL_S)
        _ring(machines, lives, first)
    if bells.every_s:
        _keep(asyncio.create_task(_ring_for_ever(list(rooms.values()), lives, bells)), lives)
    while _tell(pipe, tally):
        await asyncio.sleep(_TELL_S)
    for machine in (one for machines in rooms.values() for one in machines):
        machine.shut_down()
    await asyncio.wait(lives, timeout=4)


def _tell(pipe: Connection, tally: Tally) -> bool:
    """False once nobody listens."""
    try:
        pipe.send(tally)
        return not pipe.poll()
    except (OSError, EOFError):
        return False


def _ring(machines: Sequence[Machine], lives: set[asyncio.Task[None]], after_s: float) -> None:
    """Let a room boot, all within half a minute of each other."""
    for machine in machines:
        _keep(asyncio.create_task(_boot(machine, after_s + random.uniform(0, _BELL_SPREAD_S / 2))), lives)


async def _boot(machine: Machine, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await machine.boot()


async def _ring_for_ever(rooms: Sequence[Sequence[Machine]], lives: set[asyncio.Task[None]], bells: Bells) -> None:
    while True:
        await asyncio.sleep(bells.every_s * random.uniform(0.8, 1.2))
        room = [machine for machine in random.choice(rooms) if machine.is_on]
        for machine in room:
            machine.shut_down()
        _ring(room, lives, after_s=random.uniform(20, 60))


def _keep(task: asyncio.Task[None], lives: set[asyncio.Task[None]]) -> None:
    lives.add(task)
    task.add_done_callback(lives.discard)


def total(tallies: Sequence[Tally]) -> Tally:
    """The sum over processes; the last trouble of any."""
    result = Tally()
    for tally in tallies:
        for name in ("connected", "sent", "acknowledged", "raised", "cleared", "refused", "lost"):
            setattr(result, name, getattr(result, name) + getattr(tally, name))
        result.last_trouble = tally.last_trouble or result.last_trouble
    return result


def line(tally: Tally, machines: int, began: float) -> str:
    """The figures as one line."""
    text = (
        f"{time.monotonic() - began:5.0f} s  {tally.connected}/{machines} connected  {tally.sent} sent  "
        f"{tally.acknowledged} acknowledged  faults {tally.raised} raised, {tally.cleared} cleared"
    )
    if tally.refused or tally.lost:
        text += f"  {tally.refused} refused, {tally.lost} lost ({tally.last_trouble[:80]})"
    return text
