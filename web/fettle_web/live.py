"""Live pages: one thread follows the journal and tells every open page what changed, over server-sent events.

Owns the following, the fan-out and the streams. Does not say what a page shows: a page hears topics ("incident", "incident:12",
"endpoint:ab12...") and asks again for those of its parts that they concern.
"""

from __future__ import annotations

import datetime as dt
import json
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fettle_server.change.rollouts import pictures
from fettle_server.clock import monotonic, utc_now
from fettle_server.db import Engine
from fettle_server.estate.endpoints import actions as endpoint_actions
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.actions import EndpointError
from fettle_server.estate.people.rules import SYSTEM, Person, Role, sees
from fettle_server.journal import queries as journal
from fettle_server.journal.queries import JournalRow
from fettle_server.observed import log
from flask import Blueprint, Flask, Response, current_app, request
from flask.typing import ResponseReturnValue

from fettle_web import auth, leaving, store

POLL_S = 0.3
HEARTBEAT_S = 15.0
SIGN_IN_CHECK_S = 15.0
LOOK_S = 30
LOOK_AGAIN_S = 20.0
LIVE_STEP_S = 0.5
COUNT_S = 2.0
STALE = dt.timedelta(seconds=10)
CATCH_UP = 500
QUEUE_LENGTH = 200
MOST_PAGES = 200
GAP_PATIENCE_S = 10.0
_NAME = "fettle_live"

blueprint = Blueprint("live", __name__)


def install(app: Flask) -> None:
    """Serve /live; the following begins with the first page that listens."""
    app.extensions[_NAME] = Hub(app.extensions["fettle"].reader)
    app.register_blueprint(blueprint)


@blueprint.get("/live")
def stream() -> ResponseReturnValue:
    """What changed since `after`, for as long as the page is open; with `pc` or `rollout`, what that one does too."""
    hub: Hub = current_app.extensions[_NAME]
    person, page_secret = auth.person(), auth.secret()
    after = _number(request.headers.get("Last-Event-ID")) or _number(request.args.get("after"))
    watched = request.args.get("pc", "")
    rollout = _number(request.args.get("rollout"))
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    page = hub.join(person)
    if page is None:
        return Response("Too many pages are open.", 503, {"Retry-After": "30"})

    def events() -> Iterator[str]:
        with app.app_context():
            try:
                yield "retry: 2000\n\n"
                yield from _events(page, after, _looks(page.person, watched, rollout), page_secret)
            finally:
                hub.leave(page)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(events(), mimetype="text/event-stream", headers=headers)


@dataclass(slots=True, eq=False)
class Page:
    """One open page. `lost` is set when it was too slow for its queue: it then asks for everything again."""

    person: Person
    waiting: queue.Queue[JournalRow] = field(default_factory=lambda: queue.Queue(QUEUE_LENGTH))
    lost: bool = False

    def offer(self, row: JournalRow) -> None:
        """Hand over an entry that the person may see; never waits."""
        if not _may_see(self.person, row):
            return
        try:
            self.waiting.put_nowait(row)
        except queue.Full:
            self.lost = True


class Hub:
    """The follower of the journal and the pages that it tells. One of each in a process."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader
        self._pages: set[Page] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def join(self, person: Person) -> Page | None:
        """A new page, or None where there are too many."""
        with self._lock:
            if len(self._pages) >= MOST_PAGES:
                return None
            if self._thread is None:
                # from here on nothing is missed: the page reads what came before only after this
                follower = Follower(self._newest())
                self._thread = threading.Thread(target=self._follow, args=(follower,), name="live", daemon=True)
                self._thread.start()
            page = Page(person)
            self._pages.add(page)
            return page

    def leave(self, page: Page) -> None:
        """Forget the page."""
        with self._lock:
            self._pages.discard(page)

    @property
    def count(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    def _follow(self, follower: Follower) -> None:
        while not leaving.STOPPING.wait(POLL_S):
            with self._lock:
                pages = list(self._pages)
                if not pages:
                    self._thread = None
                    return
            try:
                rows = self._read(follower)
            except Exception as error:  # the store may be away for a while: pages stay, and hear all of it afterwards
                log().warning("live updates cannot read the journal", error=type(error).__name__)
                leaving.STOPPING.wait(2)
                continue
            for row in rows:
                for page in pages:
                    page.offer(row)

    def _newest(self) -> int:
        with self._reader.begin() as tx:
            return journal.newest_id(tx)

    def _read(self, follower: Follower) -> list[JournalRow]:
        with self._reader.begin() as tx:
            return follower.fresh(journal.since(tx, SYSTEM, follower.after, CATCH_UP), monotonic())


@dataclass(slots=True)
class Follower:
    """How far the journal was read, and which ids were jumped over.

    PostgreSQL hands out ids before commit, so a lower one may appear after a higher one: an id that is missing is waited for
    before it counts as rolled back.
    """

    last: int
    missing: dict[int, float] = field(default_factory=dict)

    @property
    def after(self) -> int:
        """The id after which to read."""
        return min(self.missing, default=self.last + 1) - 1

    def fresh(self, rows: Iterable[JournalRow], now: float) -> list[JournalRow]:
        """Those rows that were not told yet."""
        told: list[JournalRow] = []
        seen = 0
        for row in rows:
            seen += 1
            if row.id > self.last:
                self.missing.update(dict.fromkeys(range(max(self.last + 1, row.id - CATCH_UP), row.id), now))
                self.last = row.id
                told.append(row)
            elif self.missing.pop(row.id, None) is not None:
                told.append(row)
        patience_s = GAP_PATIENCE_S if seen < CATCH_UP else 0  # a storm must not be held up by one rolled-back entry
        self.missing = {number: since for number, since in self.missing.items() if now - since < patience_s}
        return told


def _events(page: Page, after: int | None, looks: Sequence[Look | RolloutLook], page_secret: str) -> Iterator[str]:
    """The stream's lines, until the page leaves, the sign-in ends or the process does."""
    told: set[int] = set()
    if after is not None:
        with store.reading() as tx:
            missed = journal.since(tx, page.person, after, CATCH_UP)
        told = {row.id for row in missed}
        if len(missed) >= CATCH_UP:
            yield _event("reset", {}, missed[-1].id)
        else:
            yield from (_changed(row) for row in missed)
    beat = checked = monotonic()
    while not leaving.STOPPING.is_set():
        row = _next(page, LIVE_STEP_S if looks else 1.0)
        now = monotonic()
        if now - checked > SIGN_IN_CHECK_S:
            checked = now
            if not auth.still_signed_in(page_secret):
                yield _event("ended", {})
                return
        if page.lost:
            page.lost = False
            yield _event("reset", {})
        if row is not None and row.id not in told:
            yield _changed(row)
        for line in (line for look in looks for line in look.lines(now)):
            beat = now
            yield line
        if now - beat > HEARTBEAT_S or (looks and now - beat > 2):
            beat = now
            yield ": still here\n\n"


def _looks(person: Person, watched: str, rollout: int | None) -> list[Look | RolloutLook]:
    """What this page looks at besides the journal."""
    looks: list[Look | RolloutLook] = [Look(person, watched)] if watched else []
    return [*looks, RolloutLook(person, rollout)] if rollout is not None else looks


class Look:
    """A page that looks at one PC: keeps the watch going, and gives each new second once."""

    def __init__(self, person: Person, endpoint_id: str) -> None:
        self._person, self._id = person, endpoint_id
        self._asked = float("-inf")
        self._told: Any = None
        self._counted: Any = None
        self._counted_s = float("-inf")

    def lines(self, now: float) -> Iterator[str]:
        """What is new of the PC, as lines of the stream."""
        if self.counts_otherwise(now):
            yield _event("changed", {"topics": [f"countdown:{self._id}"], "kind": "countdown"})
        if reading := self.newest(now):
            yield _event("reading", reading)

    def newest(self, now: float) -> dict[str, Any] | None:
        """The newest live reading as JSON values, where it is one that was not told."""
        if now - self._asked > LOOK_AGAIN_S:
            self._asked = now
            self._ask()
        with store.reading() as tx:
            view = endpoints.live(tx, self._person, self._id)
        if view is None or view.at is None or view.at == self._told or utc_now() - view.at > STALE:
            return None
        self._told = view.at
        readings = [[one.key, one.instance, round(one.value, 3)] for one in view.readings]
        return {"at": round(view.at.timestamp() * 1000), "readings": readings}

    def counts_otherwise(self, now: float) -> bool:
        """True where other durations run on the PC than when this was last asked."""
        if now - self._counted_s < COUNT_S:
            return False
        self._counted_s = now
        with store.reading() as tx:
            vitals = endpoints.vitals(tx, self._person, self._id)
        before, self._counted = self._counted, vitals.pending if vitals else ()
        return before is not None and before != self._counted

    def _ask(self) -> None:
        with suppress(EndpointError), store.writing() as tx:  # a revoked PC has nothing live, and its page says so
            endpoint_actions.look(tx, self._person, self._id, LOOK_S, utc_now())


class RolloutLook:
    """A page that looks at one rollout: PCs make tens of thousands of steps that no journal tells one by one."""

    def __init__(self, person: Person, rollout_id: int) -> None:
        self._person, self._id = person, rollout_id
        self._seen: Any = None
        self._read_s = float("-inf")

    def lines(self, now: float) -> Iterator[str]:
        """A line where anything of the rollout is otherwise than when it was last looked at."""
        if now - self._read_s < COUNT_S:
            return
        self._read_s = now
        with store.reading() as tx:
            pulse = pictures.pulse(tx, self._person, self._id)
        before, self._seen = self._seen, pulse
        if before is not None and before != pulse:
            yield _event("changed", {"topics": [f"rollout:{self._id}"], "kind": "rollout.step"})


def _next(page: Page, patience_s: float) -> JournalRow | None:
    try:
        return page.waiting.get(timeout=patience_s)
    except queue.Empty:
        return None


def _may_see(person: Person, row: JournalRow) -> bool:
    if row.school_id is not None:
        return sees(person, row.school_id)
    return person.role is Role.ADMINISTRATOR and person.schools is None


def _changed(row: JournalRow) -> str:
    return _event("changed", {"topics": topics(row), "kind": row.kind}, row.id)


def topics(row: JournalRow) -> list[str]:
    """Whom it concerns: the subject's type, the subject, the PC and school that it happened to, and "patch" for all updates."""
    found = [row.subject.partition(":")[0], row.subject]
    if row.kind.startswith("patch.") or row.detail.get("section") == "updates":
        found.append("patch")
    endpoint = row.detail.get("endpoint_id") or row.detail.get("endpoint")
    if isinstance(endpoint, str) and endpoint:
        found.append(f"endpoint:{endpoint}")
    if row.school_id is not None:
        found.append(f"school:{row.school_id}")
    return found


def _event(name: str, data: dict[str, Any], number: int | None = None) -> str:
    mark = f"id: {number}\n" if number is not None else ""
    return f"{mark}event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
