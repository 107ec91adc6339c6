"""A desk on the test's store: channels and routes by one call each, messages, and what was delivered."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from fettle_server.notify import dispatch, editing, queries, sending
from fettle_server.notify.actions import Message, enqueue
from fettle_server.notify.channels import MailServer
from fettle_server.notify.rules import Wanted
from fettle_server.notify.sending import Pages
from fettle_server.notify.tables import Delivery

PAGES = Pages("https://fettle.example", lambda school: f"School {school}")


class Always:
    """Hours in which the service always works."""

    zone = ZoneInfo("Europe/London")

    def is_working(self, at: dt.datetime) -> bool:
        return True


@dataclass
class Desk:
    """What a test does with notices; time stands still unless it is moved."""

    store: Any
    now: dt.datetime
    unanswered: set[int] = field(default_factory=set)
    server: MailServer = field(default_factory=MailServer)
    seen: list[Any] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def channel(self, kind: str = "log", target: str = "", name: str = "") -> int:
        with self.store.begin() as tx:
            return editing.add_channel(tx, "user:ada", name or f"{kind} {target}", kind, target, key="k", now=self.now)[0]

    def route(self, channel_id: int | None = None, escalate_to: int | None = None, **wanted: Any) -> int:
        channel_id = channel_id or self.channel(name=f"channel {next(self.numbers)}")
        with self.store.begin() as tx:
            return editing.set_route(tx, "user:ada", None, channel_id, Wanted(**wanted), escalate_to, now=self.now)

    def say(self, kind: str = "opened", number: int | None = 1, school: int | None = 1, **more: Any) -> None:
        fields = {"priority": 2, "title": f"Disk of pc-{number} is full", "is_test": False} | more
        with self.store.begin() as tx:
            full = kind if kind == "problem" else f"incident.{kind}"
            enqueue(tx, [Message(full, number, school, at=self.now, **fields)])

    def look(self) -> None:
        around = dispatch.Around(lambda _: Always(), lambda _: frozenset({1, 2}), lambda number: number in self.unanswered)
        with self.store.begin() as tx:
            while dispatch.dispatch(tx, around, self.now):
                pass
            dispatch.escalate(tx, around, self.now)

    def send(self) -> list[Any]:
        """Send all that is due; returns the notices that were tried now."""
        tried = []
        with self.store.begin() as tx:
            due = sending.due_channels(tx, self.now)
        for channel_id, _ in due:
            while parcel := self.claim(channel_id):
                result = sending.send(parcel, self.server)
                self.note(parcel, result)
                tried.append(parcel.notice)
                if not sending.is_to_go_on(result):
                    break
        self.seen += tried
        return tried

    def claim(self, channel_id: int) -> Any:
        with self.store.begin() as tx:
            return sending.claim(tx, channel_id, PAGES, self.now)

    def note(self, parcel: Any, result: Any) -> None:
        with self.store.begin() as tx:
            sending.note(tx, parcel, result, self.now)

    def later(self, **by: float) -> list[Any]:
        """Some time passes, the worker looks and sends."""
        self.now += dt.timedelta(**by)
        self.look()
        return self.send()

    def states(self) -> list[str]:
        return [row[0] for row in self.store.rows(sa.select(Delivery.state).order_by(Delivery.id))]

    def story(self, number: int = 1) -> list[tuple[str, str]]:
        with self.store.begin() as tx:
            return [(step.outcome, step.text) for step in queries.story(tx, number)]


@pytest.fixture
def desk(store, now) -> Desk:
    return Desk(store, now)


@pytest.fixture
def quick_desk(sqlite_store, now):
    """A desk where SQL is not at stake."""
    for store in sqlite_store():
        yield Desk(store, now)
