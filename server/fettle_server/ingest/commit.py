"""One batch into the store: a transaction for all of it, in bulk; and what to do when that fails.

A store that cannot be written now is tried again until it can: nothing is acknowledged before. A piece that can never be
written is found by halving the batch, refused alone, and its neighbours are committed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa
from fettle_protocol.policy import Policy

from fettle_server import clock, observed
from fettle_server.change.jobs.actions import report
from fettle_server.change.jobs.rules import Report
from fettle_server.change.patches import actions as patches
from fettle_server.db import from_ms
from fettle_server.estate import history
from fettle_server.estate.endpoints import reports
from fettle_server.estate.endpoints.facts import Happened, Hour, Reported, Stocktake, Watched
from fettle_server.estate.endpoints.reports import Arrival, Event, Parting, Seen
from fettle_server.ingest.job_reports import JobSaid
from fettle_server.ingest.pieces import NOTHING, Came, Clash, Judging, Nothing, Piece, Went
from fettle_server.proactive.actions import record_clashes
from fettle_server.proactive.detection import detect
from fettle_server.proactive.rules import Clear, Held, Raise, Signal
from fettle_server.proactive.stages.orders import Orders, in_force

_BACK_OFF_FIRST_S = 0.05
_BACK_OFF_MAX_S = 2.0
_SAY_AGAIN_S = 60.0
LEAVING = {
    "shutting down": "shutting down", "sleeping": "sleeping", "restarting": "restarting", "agent stopping": "agent stopping",
    "booted": "", "woke": "", "agent started": "",
}  # fmt: skip
"""What an endpoint that tells of such a change is about to do; empty: to stay."""
_ORDERS_EVERY = dt.timedelta(seconds=2)
LOOKS_LIMIT = 20
"""Looks at updates in one transaction: each may hold hundreds of offers, and the store is locked for as long."""
_NEVER = (sa.exc.DataError, sa.exc.IntegrityError)


class StoreLost(Exception):
    """The store could not be written and there is no more time to wait for it."""


class Committer:
    """Writes batches. `may_wait` says whether a store that cannot be written is worth waiting for."""

    def __init__(self, engine: sa.Engine, reopen_within: dt.timedelta, may_wait: Callable[[], bool]) -> None:
        self._engine = engine
        self._reopen_within = reopen_within
        self._may_wait = may_wait
        self._weeks: set[int] = set()
        self._orders: Orders | None = None
        self._orders_read_at = clock.utc_now()
        self.policy: Policy | None = None

    def settle(self, pieces: Sequence[Piece], refuse: Callable[[Piece], None]) -> None:
        """Commit the pieces; those that can never be are told to `refuse` and count as taken.

        Raises:
            StoreLost: the store cannot be written and waiting has no end.
        """
        for part in _parts(pieces):
            self._settle(part, refuse)

    def _settle(self, pieces: Sequence[Piece], refuse: Callable[[Piece], None]) -> None:
        try:
            self._commit_patiently(pieces)
        except StoreLost:
            raise
        except Exception as error:
            if len(pieces) > 1:
                middle = len(pieces) // 2
                self._settle(pieces[:middle], refuse)
                self._settle(pieces[middle:], refuse)
                return
            self._drop(pieces[0], error, refuse)

    def _drop(self, piece: Piece, error: Exception, refuse: Callable[[Piece], None]) -> None:
        facts = {"endpoint_pk": piece.pk, "sequence": piece.sequence, "fact": type(piece.fact).__name__}
        observed.log().error("a message cannot be stored and is refused", error=_name(error), **facts)
        refuse(piece)
        if piece.sequence or piece.history:
            self._commit_patiently([piece._replace(fact=NOTHING)])

    def _commit_patiently(self, pieces: Sequence[Piece]) -> None:
        back_off_s, said_at_s = _BACK_OFF_FIRST_S, 0.0
        while True:
            try:
                self._commit(pieces)
                if said_at_s:
                    observed.log().warning("the store can be written again")
                return
            except sa.exc.DBAPIError as error:
                self._weeks.clear()
                if isinstance(error, _NEVER):
                    raise
                if not self._may_wait():
                    raise StoreLost(str(error.orig)) from error
                if not said_at_s or clock.monotonic() - said_at_s > _SAY_AGAIN_S:
                    said_at_s = clock.monotonic()
                    observed.log().error("the store cannot be written; trying again", error=_name(error), pieces=len(pieces))
                clock.sleep(back_off_s)
                back_off_s = min(back_off_s * 2, _BACK_OFF_MAX_S)
            except Exception:
                self._weeks.clear()
                raise

    def _commit(self, pieces: Sequence[Piece]) -> None:
        now = clock.utc_now()
        sorted_out = _Sorted()
        sorted_out.take(pieces)
        with self._engine.begin() as tx:
            self._write(tx, sorted_out, now)

    def _write(self, tx: sa.Connection, batch: _Sorted, now: dt.datetime) -> None:
        reports.attach(tx, batch.arrivals, now)
        reports.see(tx, [Seen(pk, *marks) for pk, marks in batch.seen.items()])
        reports.note_policies(tx, list(batch.judging.items()))
        reports.part(tx, list(batch.partings.values()))
        reports.record_events(tx, batch.events)
        reports.store_vitals(tx, [(pk, *reported) for pk, reported in batch.vitals.items()])
        reports.store_live(tx, [(pk, *watched) for pk, watched in batch.live.items()])
        reports.take_stock(tx, batch.stock, now)
        looks = [(pk, from_ms(stock.at_ms), stock.body) for pk, stock in batch.stock if stock.section == "updates"]
        if looks:
            patches.take(tx, looks, now)
        if batch.jobs:
            report(tx, batch.jobs, now)
        history.store(tx, batch.hours, self._weeks)
        signals = batch.signals + record_clashes(tx, batch.clashes, now)
        if signals:
            orders = self._orders_at(tx, signals, now)
            detect(tx, signals, policy=self.policy, now=now, reopen_within=self._reopen_within, orders=orders)
        reports.detach(tx, list(batch.ended.items()), now)

    def _orders_at(self, tx: sa.Connection, signals: Sequence[tuple[int, Signal]], now: dt.datetime) -> Orders | None:
        """What people ordered to be held back: read where a fault begins, and not again for two seconds."""
        if not any(type(signal) is Raise for _, signal in signals):
            return None
        if self._orders is None or not dt.timedelta(0) <= now - self._orders_read_at < _ORDERS_EVERY:
            self._orders, self._orders_read_at = in_force(tx, now), now
        return self._orders


class _Sorted:
    """The pieces of one transaction, sorted by where they go."""

    __slots__ = (
        "arrivals",
        "clashes",
        "ended",
        "events",
        "hours",
        "jobs",
        "judging",
        "live",
        "partings",
        "seen",
        "signals",
        "stock",
        "vitals",
    )

    def __init__(self) -> None:
        self.seen: dict[int, list[int]] = {}
        self.arrivals: list[Arrival] = []
        self.partings: dict[int, Parting] = {}
        self.ended: dict[int, int] = {}
        self.judging: dict[int, int] = {}
        self.signals: list[tuple[int, Signal]] = []
        self.events: list[Event] = []
        self.vitals: dict[int, Reported] = {}
        self.live: dict[int, Watched] = {}
        self.hours: list[tuple[int, int, bytes]] = []
        self.stock: list[tuple[int, Stocktake]] = []
        self.jobs: list[tuple[int, dt.datetime, Report]] = []
        self.clashes: list[tuple[int, dt.datetime, str]] = []

    def take(self, pieces: Sequence[Piece]) -> None:
        """Sort pieces out; the order within each kind stays."""
        seen = self.seen
        for pk, _, at_ms, sequence, number, fact in pieces:
            if isinstance(fact, Came | Went | Clash):
                self._link(pk, fact)
                continue
            marks = seen.get(pk)
            if marks is None:
                seen[pk] = [at_ms, sequence, number]
            else:
                marks[0] = at_ms
                if sequence:
                    marks[1] = sequence
                if number:
                    marks[2] = number
            if isinstance(fact, Raise | Clear | Held):
                self.signals.append((pk, fact))
            else:
                self._put(pk, fact)

    def _put(self, pk: int, fact: Happened | Reported | Hour | Watched | Stocktake | JobSaid | Judging | Nothing) -> None:
        if isinstance(fact, Happened):
            self.events.append(Event(pk, *fact))
            if fact.kind in LEAVING:
                self._part(pk, fact)
        elif isinstance(fact, Reported):
            self.vitals[pk] = fact
        elif isinstance(fact, Hour):
            self.hours.append((pk, *fact))
        elif isinstance(fact, Watched):
            self.live[pk] = fact
        elif isinstance(fact, Stocktake):
            self.stock.append((pk, fact))
        elif isinstance(fact, JobSaid):
            self.jobs.append((pk, from_ms(fact.at_ms), fact.report))
        elif isinstance(fact, Judging):
            self.judging[pk] = fact.version

    def _part(self, pk: int, fact: Happened) -> None:
        """What it said last of its going; that its agent ends says less than that the machine does."""
        before = self.partings.get(pk)
        if fact.kind == "agent stopping" and before is not None and before.leaving in ("shutting down", "restarting"):
            return
        self.partings[pk] = Parting(pk, fact.at_ms, LEAVING[fact.kind], int(fact.detail.get("back_by_ms", 0)))

    def _link(self, pk: int, fact: Came | Went | Clash) -> None:
        if isinstance(fact, Came):
            self.arrivals.append(fact.arrival)
            self.ended.pop(pk, None)
            self.partings.pop(pk, None)
            if fact.is_new_spool and pk in self.seen:
                self.seen[pk][1:] = [0, 0]  # those were numbers of the spool before
        elif isinstance(fact, Went):
            self.ended[pk] = fact.at_ms
        else:
            self.clashes.append((pk, from_ms(fact.at_ms), fact.address))


def _parts(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """The pieces in their order, cut where one transaction has enough looks at updates."""
    start, looks = 0, 0
    for at, piece in enumerate(pieces):
        looks += isinstance(piece.fact, Stocktake) and piece.fact.section == "updates"
        if looks > LOOKS_LIMIT:
            yield pieces[start:at]
            start, looks = at, 1
    if start < len(pieces):
        yield pieces[start:]


def _name(error: Exception) -> str:
    """What kind of error it is, without any of the data that a store's message may quote."""
    original = getattr(error, "orig", None)
    return type(original or error).__name__
