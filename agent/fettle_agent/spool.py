"""The spool: what the server has not acknowledged yet, and what the judge must remember, in one SQLite file.

Owns numbering, bounds, and the promise that an event and the phases that it came with are on disk together or not at all.
Does not own what an event means, nor when it is sent. One process opens the file (the agent's lock sees to that).

Two lanes are numbered apart: events and final hours of history. The oldest history is shed first, events last. When the disk
fails, the spool goes on in memory under a new id, and moves back to disk when the disk works again (see spool_store).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fettle_protocol.v1 import link_pb2

from fettle_agent import log
from fettle_agent.spool_store import FILE_NAME, Store, StoreError

MAX_BATCH = 200
MAX_BATCH_BYTES = 512 * 1024
_ROW_BYTES = 64
"""What a row costs beside its body, roughly: so that many small rows count too."""
_MEMORY_BYTES = 4 * 1024 * 1024
_SHED_HOURS = 1
_SHED_EVENTS = 20

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Draft:
    """An event on its way into the spool: `at_ms` is steady time of the process whose `zero_ms` stands beside it."""

    event: link_pb2.Event
    at_ms: int


@dataclass(frozen=True, slots=True)
class Phase:
    """What the judge must remember of one rule and instance; times are steady time of the process that wrote it."""

    rule: str
    instance: str
    phase: str
    since_ms: int
    seen_ms: int
    collector: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Which boot, and where steady time began in it: without these two a stored time cannot be corrected later."""

    boot: str
    zero_ms: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds: everything together in bytes, and each lane by count."""

    size_bytes: int = 64 * 1024 * 1024
    events: int = 100_000
    hours: int = 24 * 60


@dataclass(slots=True)
class Carried:
    """What the spool holds now."""

    events: int = 0
    event_bytes: int = 0
    hours: int = 0
    hour_bytes: int = 0
    shed: int = 0

    @property
    def size_bytes(self) -> int:
        """Both lanes, with what a row costs beside its body."""
        return self.event_bytes + self.hour_bytes + _ROW_BYTES * (self.events + self.hours)


class Spool:
    """The two lanes, the judge's phases and a few marks; every write is one transaction."""

    def __init__(self, folder: Path, moment: Moment, limits: Limits | None = None) -> None:
        self._path = folder / FILE_NAME
        self.moment = moment
        self._limits = limits or Limits()
        self.trouble = ""
        try:
            self._store, self.trouble = Store.open(self._path)
        except StoreError as error:
            self._store = Store.in_memory()
            self.trouble = str(error)
        if self.trouble:
            log.warning("spool in trouble", why=self.trouble)
        self._fresh_shed = 0
        self._count()

    # ---- what it is ----

    @property
    def id(self) -> str:
        """The spool's own random name: sequences are compared within one spool only."""
        return self._store.mark("id")

    @property
    def on_disk(self) -> bool:
        """False while the disk fails and all is kept in memory."""
        return self._store.on_disk

    def mark(self, name: str, default: str = "") -> str:
        """A small text kept beside the lanes."""
        return self._store.mark(name, default)

    def last_sequence(self) -> int:
        """The highest number ever given to an event."""
        return self._store.number("SELECT seq FROM sqlite_sequence WHERE name = 'events'")

    def first_sequence(self) -> int:
        """The number of the oldest event that is kept; where none is, the number that the next one will have."""
        oldest = self._store.number("SELECT MIN(sequence) FROM events")
        return oldest or self.last_sequence() + 1

    def sent(self, lane: str) -> int:
        """The highest number of a lane ("events", "hours") that this copy of the spool ever said."""
        return int(self.mark(f"sent_{lane}", "0"))

    # ---- writing ----

    def record(
        self,
        drafts: Sequence[Draft],
        phases: Iterable[Phase] = (),
        marks: Iterable[tuple[str, str]] = (),
        *,
        durable: bool = True,
    ) -> None:
        """Put events, phases and marks in place together; with `durable` they survive a power cut from here on."""
        rows = [(self.moment.boot, self.moment.zero_ms, draft.at_ms, draft.event.SerializeToString()) for draft in drafts]
        listed = list(phases)
        kept = [phase for phase in listed if phase.phase != "well"]
        gone = [phase for phase in listed if phase.phase == "well"]

        def write(database: sqlite3.Connection) -> None:
            database.executemany("INSERT INTO events (boot, zero_ms, at_ms, body) VALUES (?, ?, ?, ?)", rows)
            database.executemany("DELETE FROM phases WHERE rule = ? AND instance = ?", [(p.rule, p.instance) for p in gone])
            database.executemany(
                "INSERT OR REPLACE INTO phases VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (p.rule, p.instance, p.phase, p.since_ms, p.seen_ms, p.collector, self.moment.boot, self.moment.zero_ms)
                    for p in kept
                ],
            )
            database.executemany("INSERT OR REPLACE INTO marks VALUES (?, ?)", list(marks))

        self._write(write, durable=durable)
        self.carried.events += len(rows)
        self.carried.event_bytes += sum(len(row[3]) for row in rows)
        self._shed()

    def put_hour(self, hour: int, pack: bytes) -> None:
        """Number a finished hour; the hour in progress is forgotten."""

        def write(database: sqlite3.Connection) -> None:
            database.execute("INSERT INTO hours (hour, pack) VALUES (?, ?)", (hour, pack))
            database.execute("DELETE FROM progress")

        self._write(write, durable=True)
        self.carried.hours += 1
        self.carried.hour_bytes += len(pack)
        self._shed()

    def put_progress(self, hour: int, pack: bytes) -> None:
        """Keep the hour in progress; it may be lost to a power cut, not to kill -9."""
        self._write(
            lambda database: database.execute("INSERT OR REPLACE INTO progress VALUES (1, ?, ?)", (hour, pack)), durable=False
        )

    def sending(self, lane: str, sequence: int) -> None:
        """Have on disk, before it leaves, that a number was said: a server that knows more heard another copy of this spool."""
        if sequence > self.sent(lane):
            self.record([], marks=[(f"sent_{lane}", str(sequence))])

    def keep_anchor(self, anchor_ms: int, lead_ms: int) -> None:
        """Remember the server's time at this boot's start, and how far the wall clock is ahead."""

        def write(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM boots WHERE boot = ?", (self.moment.boot,))
            database.execute("INSERT INTO boots (boot, anchor_ms) VALUES (?, ?)", (self.moment.boot, anchor_ms))
            database.execute("DELETE FROM boots WHERE rowid NOT IN (SELECT rowid FROM boots ORDER BY rowid DESC LIMIT 50)")
            database.execute("INSERT OR REPLACE INTO marks VALUES ('lead_ms', ?)", (str(lead_ms),))

        self._write(write, durable=False)

    def acknowledge(self, events: int, history: int) -> None:
        """Forget what the server has on its disk."""
        if not self.carried.events and not self.carried.hours:
            return

        def write(database: sqlite3.Connection) -> tuple[int, int, int, int]:
            return (*_forget(database, "events", "body", events), *_forget(database, "hours", "pack", history))

        # not fsynced: should a power cut bring rows back, the server drops them as repeats
        dropped = self._write(write, durable=False)
        self.carried.events -= dropped[0]
        self.carried.event_bytes -= dropped[1]
        self.carried.hours -= dropped[2]
        self.carried.hour_bytes -= dropped[3]

    def drop_event(self, sequence: int) -> bytes | None:
        """Take one event out of its lane, because the server will never take it; its body, None where it is not there."""
        return self._drop("SELECT body FROM events WHERE sequence = ?", "DELETE FROM events WHERE sequence = ?", sequence)

    def drop_hour(self, sequence: int) -> bytes | None:
        """The same for an hour of history."""
        return self._drop("SELECT pack FROM hours WHERE sequence = ?", "DELETE FROM hours WHERE sequence = ?", sequence)

    def renew_id(self) -> None:
        """Take a new name for the same rows: the old name's numbers were used by another copy of this spool."""
        self._write(lambda _: self._store.new_id(), durable=True)

    # ---- reading ----

    def phases(self) -> list[tuple[Phase, Moment]]:
        """Everything that the judge must remember, each with the moment that its times belong to."""
        rows = self._store.rows("SELECT rule, instance, phase, since_ms, seen_ms, collector, boot, zero_ms FROM phases")
        return [(Phase(*row[:6]), Moment(*row[6:])) for row in rows]

    def progress(self) -> tuple[int, bytes] | None:
        """The hour in progress as it was last kept."""
        return next(iter(self._store.rows("SELECT hour, pack FROM progress")), None)

    def anchor(self, boot: str) -> int | None:
        """The server's time at that boot's start, None where no server was heard in it."""
        found = self._store.rows("SELECT anchor_ms FROM boots WHERE boot = ?", (boot,))
        return found[0][0] if found else None

    def events_after(self, sequence: int) -> list[link_pb2.Event]:
        """The next batch behind that number, oldest first, with the server's times where they are known by now."""
        query = "SELECT sequence, boot, zero_ms, at_ms, body FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?"
        batch: list[link_pb2.Event] = []
        anchors: dict[str, int | None] = {}
        size = 0
        for number, boot, zero_ms, at_ms, body in self._store.rows(query, (sequence, MAX_BATCH)):
            size += len(body)
            if batch and size > MAX_BATCH_BYTES:
                break
            if boot not in anchors:
                anchors[boot] = self.anchor(boot)
            anchor_ms = anchors[boot]
            batch.append(_stamped(body, number, at_ms, 0 if anchor_ms is None else anchor_ms - zero_ms))
        return batch

    def hour_after(self, sequence: int) -> link_pb2.History | None:
        """The next finished hour behind that number."""
        query = "SELECT sequence, hour, pack FROM hours WHERE sequence > ? ORDER BY sequence LIMIT 1"
        for number, hour, pack in self._store.rows(query, (sequence,)):
            return link_pb2.History(hour=hour, pack=pack, final=True, sequence=number)
        return None

    def take_shed(self) -> int:
        """How much was shed since this was last asked."""
        fresh, self._fresh_shed = self._fresh_shed, 0
        return fresh

    # ---- care ----

    def mend(self) -> bool:
        """While in memory: try the disk again; True where the spool is on disk now."""
        if self._store.on_disk:
            return True
        try:
            self._store = self._store.copy_to(self._path)
        except StoreError as error:
            self.trouble = str(error)
            return False
        self.trouble = ""
        self._count()
        log.info("spool back on disk", events=self.carried.events)
        return True

    def close(self) -> None:
        """Bring everything to disk and let the file go."""
        self._store.close()

    def _write(self, write: Callable[[sqlite3.Connection], Result], *, durable: bool) -> Result:
        """Write to the store; where it fails, move into memory and write there, so that judging goes on."""
        try:
            return self._store.write(write, durable=durable)
        except sqlite3.Error as error:
            if not self._store.on_disk:
                raise
            self._fall_back(error)
        return self._store.write(write, durable=False)

    def _fall_back(self, error: sqlite3.Error) -> None:
        failed = self._store
        self._store = Store.in_memory(failed)
        failed.close()
        self._count()
        self.trouble = f"{self._path} cannot be written ({error}): events are kept in memory until the disk works again"
        log.warning("spool moved into memory", why=error)

    def _drop(self, find: str, delete: str, sequence: int) -> bytes | None:
        found = self._store.rows(find, (sequence,))
        if not found:
            return None
        self._write(lambda database: database.execute(delete, (sequence,)), durable=False)
        self._count()
        return bytes(found[0][0])

    def _count(self) -> None:
        events, event_bytes = self._store.rows("SELECT COUNT(*), COALESCE(SUM(LENGTH(body)), 0) FROM events")[0]
        hours, hour_bytes = self._store.rows("SELECT COUNT(*), COALESCE(SUM(LENGTH(pack)), 0) FROM hours")[0]
        self.carried = Carried(events, event_bytes, hours, hour_bytes, int(self.mark("shed", "0")))

    def _shed(self) -> None:
        """Bring both lanes within their bounds: hours go first, oldest first, then events."""
        limit_bytes = self._limits.size_bytes if self._store.on_disk else min(self._limits.size_bytes, _MEMORY_BYTES)
        dropped = 0
        while self.carried.hours and (self.carried.hours > self._limits.hours or self.carried.size_bytes > limit_bytes):
            dropped += self._shed_oldest("hours", _SHED_HOURS)
        while self.carried.events and (self.carried.events > self._limits.events or self.carried.size_bytes > limit_bytes):
            dropped += self._shed_oldest("events", _SHED_EVENTS)
        self._fresh_shed += dropped

    def _shed_oldest(self, table: str, count: int) -> int:
        delete = f"DELETE FROM {table} WHERE sequence IN (SELECT sequence FROM {table} ORDER BY sequence LIMIT {count})"  # noqa: S608 - our own names

        def write(database: sqlite3.Connection) -> int:
            dropped = database.execute(delete).rowcount
            database.execute("INSERT OR REPLACE INTO marks VALUES ('shed', ?)", (str(self.carried.shed + dropped),))
            return dropped

        dropped = self._write(write, durable=False)
        self._count()
        return dropped


def _forget(database: sqlite3.Connection, table: str, column: str, sequence: int) -> tuple[int, int]:
    """Delete a lane's rows up to that number; how many they were, and their bytes."""
    measure = f"SELECT COUNT(*), COALESCE(SUM(LENGTH({column})), 0) FROM {table} WHERE sequence <= ?"  # noqa: S608 - our own names
    count, size = database.execute(measure, (sequence,)).fetchone()
    if count:
        database.execute(f"DELETE FROM {table} WHERE sequence <= ?", (sequence,))  # noqa: S608 - our own names
    return count, size


def _stamped(body: bytes, sequence: int, at_ms: int, shift_ms: int) -> link_pb2.Event:
    """The stored event with its number, and each time in it moved to the server's clock."""
    event = link_pb2.Event.FromString(body)
    event.sequence = sequence
    event.at_ms = at_ms + shift_ms
    kind = event.WhichOneof("body")
    if shift_ms and kind in ("raised", "cleared"):
        fault = event.raised if kind == "raised" else event.cleared
        fault.since_ms += shift_ms
        for sample in fault.evidence:
            sample.at_ms += shift_ms
    return event
