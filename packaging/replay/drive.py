"""The replay itself: day for day, what the world lives goes through the agents into the server, and all of it is counted.

Two processes where asked for: one lives the world and judges (`_Live`), the other is the server. One works as well.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fettle_protocol import policy as policies
from fettle_server import clock, observed
from fettle_server.estate.tables import Endpoint
from fettle_server.notify.tables import Delivery
from fettle_server.proactive.policies import newest
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import Incident

from replay.agents import Agent, Alert, Word
from replay.judging import Rules
from replay.server import Server, SimulatedClock, Tally
from replay.setup import CLASSES, Placed, prepare
from replay.world import terms
from replay.world.causes import Cause
from replay.world.life import DAY_BEGINS
from replay.world.terms import DAY
from replay.world.world import Plan, World


@dataclass(frozen=True, slots=True)
class Options:
    """How to replay: how many seconds one transaction gathers, in how many processes, and whether to say how it goes."""

    bucket_s: float = 20.0
    processes: int = 2
    is_quiet: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """An incident as the server holds it at the end. Times are true seconds since the epoch; `pcs` are those it speaks of."""

    number: int
    rule: str
    title: str
    scope: str
    school: int | None
    room: int | None
    pcs: frozenset[int]
    rules: frozenset[str]
    opened: float
    begun: tuple[float, ...]
    reopened: int
    merged_into: int | None
    trail: str


@dataclass(slots=True)
class Outcome:
    """Everything that the score needs."""

    plan: Plan
    world: World
    causes: list[Cause]
    told: list[Told]
    alerts: list[Alert]
    pc_days: int
    notices: int
    tally: Tally
    wall_s: float
    world_s: float = 0.0


@dataclass(slots=True)
class _Day:
    """One day as the world's process hands it over."""

    words: list[Word]
    alerts: list[Alert]


@dataclass(slots=True)
class _Live:
    """The world and its agents, a day at a time."""

    plan: Plan
    policies: dict[str, tuple[policies.Policy, int]]
    world: World = field(init=False)
    agents: dict[int, Agent] = field(init=False)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.world = World(self.plan)
        rules: dict[tuple[str, str], Rules] = {}
        self.agents = {}
        for pc in self.world.estate.pcs:
            policy, digest = self.policies[CLASSES[pc.kind].value]
            key = (CLASSES[pc.kind].value, pc.system)
            known = rules.setdefault(key, Rules(policy, pc.system))
            self.agents[pc.place] = Agent(pc, known, (policy.version, digest), self.world.outages.clock_error)

    def day(self, date: dt.date) -> _Day:
        """What all machines say that day, in time's order."""
        began = time.perf_counter()
        day = _Day([], [])
        down = [span for span in self.world.outages.down if span[1] > terms.at(date, 0) and span[0] < terms.at(date + DAY, 12)]
        for place, life in self.world.day(date).items():
            words, alerts = self.agents[place].day(life, down)
            day.words += words
            day.alerts += alerts
        day.words.sort(key=lambda word: word.at)
        self.seconds += time.perf_counter() - began
        return day


_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it
_ROOM_BYTES = 4 * 2**30


def _in_memory() -> Path | None:
    """A file system in memory with room for the store, where there is one: half of the time goes into waiting for the disk."""
    try:
        return _MEMORY if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES else None
    except OSError:
        return None


def replay(plan: Plan, options: Options) -> Outcome:
    """Play the whole plan in a temporary directory.

    The last word of a day may lie some minutes past its end (streams that were lost without a word): it waits for the next.
    """
    began = time.monotonic()
    observed.set_up("replay", level="error", form="text")
    simulated = SimulatedClock(terms.at(plan.first, DAY_BEGINS) - 3600)
    clock.use(simulated)
    try:
        with tempfile.TemporaryDirectory(prefix="fettle-replay-", dir=_in_memory()) as directory:
            world = World(plan)
            settings, placed = prepare(Path(directory), world.estate)
            live = _Live(plan, _policies(placed))
            server = Server(settings, placed, simulated)
            try:
                alerts: list[Alert] = []
                source = _apart(live) if options.processes > 1 else _here(live)
                world_s, causes = _play(server, source, live.world, alerts, options)
                pc_days = plan.schools * plan.pcs * plan.total_days
                told, notices = _told(server, placed, world), _notices(server)
                took = time.monotonic() - began
                return Outcome(plan, world, causes, told, alerts, pc_days, notices, server.tally, took, world_s)
            finally:
                server.close()
                placed.engine.dispose()
    finally:
        clock.use(None)


def _play(
    server: Server,
    source: Iterator[_Day | tuple[float, list[Cause]]],
    world: World,
    alerts: list[Alert],
    options: Options,
) -> tuple[float, list[Cause]]:
    changes = _changes(world)
    waiting: list[Word] = []
    dates = iter(world.dates())
    for day in source:
        if isinstance(day, tuple):
            return day
        date = next(dates)
        ends = terms.at(date + DAY, DAY_BEGINS)
        alerts += day.alerts
        words = sorted([*waiting, *day.words], key=lambda word: word.at)
        waiting = [word for word in words if word.at >= ends]
        _day(server, [word for word in words if word.at < ends], changes, ends, options.bucket_s)
        _progress(date, server, options)
    raise AssertionError("the world ended without its causes")


def _day(server: Server, words: list[Word], changes: list[tuple[float, str, float]], ends: float, bucket_s: float) -> None:
    place = 0
    while place < len(words) or (changes and changes[0][0] < ends):
        at = words[place].at if place < len(words) else ends
        if changes and changes[0][0] <= at:
            moment, what, value = changes.pop(0)
            server.advance(moment)
            _change(server, what, value)
            continue
        until = (at // bucket_s + 1) * bucket_s
        if changes:
            until = min(until, changes[0][0])
        last = place
        while last < len(words) and words[last].at < until:
            last += 1
        server.advance(until)
        server.take(words[place:last])
        place = last
    server.advance(ends)


def _change(server: Server, what: str, value: float) -> None:
    if what == "down":
        server.stop()
    elif what == "up":
        server.start()
    else:
        server.set_error(value)


def _changes(world: World) -> list[tuple[float, str, float]]:
    """What happens to Fettle's own server, in time's order."""
    changes = [(start, "down", 0.0) for start, _ in world.outages.down] + [(end, "up", 0.0) for _, end in world.outages.down]
    return sorted(changes + [(at, "clock", error) for at, error in world.outages.steps])


def _here(live: _Live) -> Iterator[_Day | tuple[float, list[Cause]]]:
    for date in live.world.dates():
        yield live.day(date)
    yield live.seconds, live.world.causes


def _apart(live: _Live) -> Iterator[_Day | tuple[float, list[Cause]]]:
    """The same from a process of its own, a day ahead."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_live_apart, args=(live.plan, live.policies, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while True:
            try:
                day = ours.recv()
            except EOFError:
                return
            yield day
    finally:
        ours.close()
        process.join(timeout=5)


def _live_apart(plan: Plan, known: dict[str, tuple[policies.Policy, int]], pipe: Connection) -> None:
    for day in _here(_Live(plan, known)):
        pipe.send(day)
    pipe.close()


def _policies(placed: Placed) -> dict[str, tuple[policies.Policy, int]]:
    """The policy in force as each class of endpoint gets it, with its digest."""
    with placed.engine.begin() as tx:
        published = newest(tx)
    assert published is not None
    variants = {}
    for klass in CLASSES.values():
        variants[klass.value] = (policies.for_agents(published.policy, klass.value), published.variant(klass.value).digest)
    return variants


_FAULT = (
    Fault.incident_number, Fault.endpoint_pk, Fault.rule, Fault.instance, Fault.since_at, Fault.raised_at, Fault.cleared_at,
    Fault.trail,
)  # fmt: skip


def _told(server: Server, placed: Placed, world: World) -> list[Told]:
    """Every incident that is no test, as it stands at the end."""
    faults: dict[int, list[Any]] = {}
    with server.engine.connect() as tx:
        for row in tx.execute(sa.select(*_FAULT).where(Fault.incident_number.is_not(None))):
            faults.setdefault(row.incident_number, []).append(row)
        incidents = tx.execute(sa.select(Incident).where(Incident.is_test.is_(False)).order_by(Incident.number)).all()
    return [_one(incident, faults.get(incident.number, []), server, (placed, world)) for incident in incidents]


def _one(incident: Any, faults: list[Any], server: Server, where: tuple[Placed, World]) -> Told:
    placed, world = where
    pks = {row.endpoint_pk for row in faults} | ({incident.endpoint_pk} - {None})
    return Told(
        number=incident.number,
        rule=incident.rule,
        title=incident.title,
        scope=incident.scope,
        school=placed.school_of.get(incident.school_id),
        room=placed.room_of.get(incident.room_id),
        pcs=frozenset(placed.owners[pk] for pk in pks if pk in placed.owners),
        rules=frozenset({incident.rule, *(row.rule for row in faults)}),
        opened=server.opened_at.get(incident.number, incident.opened_at.timestamp()),
        begun=tuple(sorted({_true(row.since_at, world) for row in faults})[:50]),
        reopened=incident.reopened,
        merged_into=incident.merged_into,
        trail="; ".join(_fault_story(row) for row in faults[:4]),
    )


def _true(told: dt.datetime, world: World) -> float:
    """When that was, in true time: the server's clock, which agents follow, may have been wrong."""
    seconds = told.timestamp()
    return seconds - world.outages.clock_error(seconds - world.outages.clock_error(seconds))


def _fault_story(row: Any) -> str:
    stages = " > ".join(f"{step.get('stage')}: {step.get('reason')}" for step in row.trail or ())
    cleared = f" to {row.cleared_at:%d %b %H:%M}" if row.cleared_at else " (open)"
    began = f"{row.rule} {row.instance} on {row.endpoint_pk} since {row.since_at:%a %d %b %H:%M}"
    return f"{began}, raised {row.raised_at:%d %b %H:%M}" + cleared + (f" [{stages}]" if stages else "")


def _notices(server: Server) -> int:
    """Messages that went out, tests aside."""
    with server.engine.connect() as tx:
        sent = (
            sa.select(sa.func.count()).select_from(Delivery).where(Delivery.sent_at.is_not(None), Delivery.is_test.is_(False))
        )
        return int(tx.scalar(sent) or 0)


def _progress(date: dt.date, server: Server, options: Options) -> None:
    if options.is_quiet or date.day not in (1, 15):
        return
    with server.engine.connect() as tx:
        endpoints = tx.scalar(sa.select(sa.func.count()).select_from(Endpoint))
    words = f"{date:%d %b %Y}: {server.tally.messages} messages, {len(server.opened_at)} incidents, {endpoints} endpoints"
    print(words, file=sys.stderr, flush=True)
