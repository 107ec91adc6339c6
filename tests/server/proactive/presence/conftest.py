"""A small school of two rooms and a server whose days a test lives through, with its writer and its clock."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from fettle_server.config import Settings
from fettle_server.db import to_ms
from fettle_server.estate.endpoints import reports
from fettle_server.estate.endpoints.reports import Parting
from fettle_server.estate.tables import Endpoint, Room
from fettle_server.proactive.causes import actions as causes
from fettle_server.proactive.presence import actions, watching
from fettle_server.proactive.presence.rules import Watch
from fettle_server.proactive.presence.tables import Attendance, PlaceAttendance
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import Incident

MONDAY = dt.date(2026, 11, 16)
MINUTE = dt.timedelta(minutes=1)


def at(day: int, time: str) -> dt.datetime:
    """A moment of the day so many days after Monday (winter: the wall clock is UTC)."""
    return dt.datetime.combine(MONDAY + dt.timedelta(days=day), dt.time.fromisoformat(time), dt.UTC)


@dataclass
class World:
    """One school of two rooms of four PCs and a server, heard by a writer."""

    store: object
    settings: Settings
    it: list[int] = field(default_factory=list)
    lab: list[int] = field(default_factory=list)
    server: int = 0
    watch: Watch | None = None

    def build(self) -> World:
        for name, pks in (("IT", self.it), ("Lab", self.lab)):
            values = {"school_id": self.store.school(), "name": name, "kind": "room", "created_at": at(-30, "08:00")}
            with self.store.begin() as tx:
                room_id = tx.execute(sa.insert(Room).values(**values)).inserted_primary_key[0]
            pks += [self.endpoint(room_id=room_id) for _ in range(4)]
        self.server = self.endpoint(endpoint_class="server")
        self.start(at(-1, "08:00"))
        self.come([self.server], at(-1, "08:01"))
        return self

    def endpoint(self, **columns: object) -> int:
        return self.store.endpoint(**({"enrolled_at": at(-30, "08:00"), "policy_version": 1} | columns))

    def start(self, now: dt.datetime) -> None:
        """A writer starts, as after a restart of the server; its count of seconds is that of the true time."""
        with self.store.begin() as tx:
            before = watching.read(tx)
            heard_until = None if before is None else dt.datetime.fromtimestamp(before.alive_ms / 1000, dt.UTC)
            reports.disconnect_all(tx, now, heard_until)
            self.watch = watching.note_start(tx, now, now.timestamp())

    def come(self, pks: list[int], now: dt.datetime) -> None:
        values = {"connected": True, "connected_since": now, "last_seen": now, "leave": "", "leaving": "", "left_at": None}
        with self.store.begin() as tx:
            tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pks)).values(**values))

    def go(self, pks: list[int], now: dt.datetime, said: str = "") -> None:
        with self.store.begin() as tx:
            reports.part(tx, [Parting(pk, to_ms(now), said, 0) for pk in pks if said])
            reports.detach(tx, [(pk, to_ms(now)) for pk in pks], now)

    def look(self, now: dt.datetime, true_s: float | None = None) -> None:
        """The writer notes that it lives, and presence looks until it has nothing more to do."""
        with self.store.begin() as tx:
            self.watch = watching.note_beat(tx, self.watch, now, now.timestamp() if true_s is None else true_s)
        for _ in range(5):
            with self.store.begin() as tx:
                if not actions.tick(tx, now=now, settings=self.settings):
                    return

    def lived(self, days: range, absent: list[int] = (), rooms: tuple[str, ...] = ("it", "lab")) -> None:
        """School days on which all but those came at 08:20, shut down at 15:40, and presence looked when it had to."""
        pks = [pk for room in rooms for pk in getattr(self, room) if pk not in absent]
        for day in days:
            self.look(at(day, "00:31"))
            if day % 7 < 5:
                self.come(pks, at(day, "08:20"))
                for time in ("09:31", "10:31"):
                    self.look(at(day, time))
                self.go(pks, at(day, "15:40"), "shutting down")
                self.look(at(day, "15:46"))

    def regular(self) -> None:
        """All came on each of very many days."""
        full = {"in_use": 43.0, "present": 43.0, "missed": 0}
        school_id = self.store.school()
        rooms = self.store.rows(sa.select(Room.id))
        with self.store.begin() as tx:
            tx.execute(sa.insert(Attendance), [{"endpoint_pk": pk, "asked": False, **full} for pk in (*self.it, *self.lab)])
            keys = [f"school:{school_id}", *(f"room:{room.id}" for room in rooms)]
            tx.execute(sa.insert(PlaceAttendance), [{"place": key, "school_id": school_id, **full} for key in keys])

    def triage(self, now: dt.datetime) -> list[str]:
        """What is told in the minutes after: the scopes of the incidents that are open."""
        for minute in range(1, 7):
            self.look(now + minute * MINUTE)
            with self.store.begin() as tx:
                causes.triage(tx, now=now + minute * MINUTE, reopen_within=self.settings.reopen_within)
        open_ones = sa.select(Incident.scope).where(
            Incident.state.not_in(("resolved", "closed")), Incident.merged_into.is_(None)
        )
        return sorted(row.scope for row in self.store.rows(open_ones))

    def absent(self) -> set[int]:
        return {
            row.endpoint_pk
            for row in self.store.rows(sa.select(Fault.endpoint_pk).where(Fault.rule == "absent", Fault.cleared_at.is_(None)))
        }


@pytest.fixture
def world(store) -> World:
    if store.engine.dialect.name == "sqlite":
        connection = store.engine.raw_connection()
        connection.execute("PRAGMA synchronous = OFF")  # weeks of commits, and nothing here is about losing them
        connection.close()
    return World(store, Settings(data=Path(), database=store.url)).build()
