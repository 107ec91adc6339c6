"""The nightly work in pieces: days made of packed hours, then forecasts of days. Reads on the side that blocks nobody.

Owns how far it has come (NightlyMark) and what is read for one piece. A piece is a few hundred endpoints, so that whatever else
waits for the store gets its turn. A day counts as over two hours after its midnight (UTC), when the last packs have come;
laptops that were away tell their hours later, so each day is looked at once more after a week.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.db import EPOCH, bulk_upsert, insert_into
from fettle_server.estate import history
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.forecasts import rules
from fettle_server.proactive.forecasts.days import Day, decode, encode, fold
from fettle_server.proactive.forecasts.tables import SHIFT, Daily, NightlyMark

PIECE = 250
SETTLES = dt.timedelta(hours=2)
LOOK_AGAIN_DAYS = 7
KEEP_DAYS = 400
DAYS, LATE, FORECASTS = "days", "late days", "forecasts"
_REACH_DAYS = 61


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a piece of nightly work goes on: at that day, after that endpoint."""

    day: int
    after_pk: int = 0


@dataclass(frozen=True, slots=True)
class Folded:
    """A piece of a day, ready to be stored, and where to go on."""

    name: str
    rows: tuple[tuple[int, bytes], ...]
    then: Mark


def day_of(now: dt.datetime) -> int:
    """The day (since the epoch, UTC) of a moment."""
    return (now - EPOCH).days


def date_of(day: int) -> dt.date:
    """That day as a date."""
    return EPOCH.date() + dt.timedelta(days=day)


def newest_over(now: dt.datetime) -> int:
    """The newest day that counts as over."""
    return day_of(now - SETTLES) - 1


def mark_of(tx: sa.Connection, name: str) -> Mark | None:
    """How far that work has come; None before its first piece."""
    row = tx.execute(sa.select(NightlyMark.day, NightlyMark.after_pk).where(NightlyMark.name == name)).one_or_none()
    return None if row is None else Mark(row.day, row.after_pk)


def keep_mark(tx: sa.Connection, name: str, mark: Mark) -> None:
    """Note how far that work has come."""
    insert = insert_into(tx, NightlyMark).values(name=name, day=mark.day, after_pk=mark.after_pk)
    new = {"day": insert.excluded.day, "after_pk": insert.excluded.after_pk}
    tx.execute(insert.on_conflict_do_update(index_elements=["name"], set_=new))


def next_days(tx: sa.Connection, now: dt.datetime) -> Folded | None:
    """The next piece of the newest days that are not made yet, or of those to look at again; None where nothing is due."""
    newest = newest_over(now)
    weeks = history.weeks(tx)
    if not weeks:
        return None
    for name, last in ((DAYS, newest), (LATE, newest - LOOK_AGAIN_DAYS)):
        mark = mark_of(tx, name) or Mark(_first(weeks, last))
        mark = mark if mark.day >= last - _REACH_DAYS else Mark(last - _REACH_DAYS)
        if mark.day <= last:
            return _piece(tx, name, mark, frozenset(weeks))
    return None


def store_days(tx: sa.Connection, folded: Folded) -> None:
    """Store what next_days made."""
    bulk_upsert(tx.dialect.name, Daily, "id", "body").run(tx, list(folded.rows))
    keep_mark(tx, folded.name, folded.then)


def read_days(tx: sa.Connection, pks: Sequence[int], day: int) -> dict[int, list[tuple[int, Day]]]:
    """By endpoint, the days that a forecast as of that day looks at: sixty in a row, and a thin tail of a year before."""
    wanted = [*_tail(day), *range(day - rules.HISTORY_DAYS + 1, day + 1)]
    found: dict[int, list[tuple[int, Day]]] = defaultdict(list)
    low, high, among = min(pks, default=0), max(pks, default=-1), frozenset(pks)
    for one in wanted if pks else ():
        between = sa.select(Daily.id, Daily.body).where(Daily.id >= one * SHIFT + low, Daily.id <= one * SHIFT + high)
        for key, body in tx.execute(between):
            pk = key % SHIFT
            if pk in among:
                found[pk].append((one, decode(body)))
    return found


def drop_old(tx: sa.Connection, now: dt.datetime, limit: int) -> int:
    """Drop days past their age, the oldest first; returns how many."""
    before = (day_of(now) - KEEP_DAYS) * SHIFT
    old = tx.scalars(sa.select(Daily.id).where(Daily.id < before).order_by(Daily.id).limit(limit)).all()
    if old:
        tx.execute(sa.delete(Daily).where(Daily.id <= old[-1]))
    return len(old)


def endpoints_after(
    tx: sa.Connection, after_pk: int, columns: Iterable[Any] = (Endpoint.pk,), *, limit: int = PIECE
) -> list[Any]:
    """The next endpoints that still count, in the order of their keys."""
    statement = sa.select(*columns).where(Endpoint.pk > after_pk, Endpoint.revoked_at.is_(None))
    return list(tx.execute(statement.order_by(Endpoint.pk).limit(limit)))


def _piece(tx: sa.Connection, name: str, mark: Mark, weeks: frozenset[int]) -> Folded:
    hours = [hour for hour in range(mark.day * 24, mark.day * 24 + 24) if hour // history.HOURS_A_WEEK in weeks]
    pks = [row.pk for row in endpoints_after(tx, mark.after_pk)] if hours else []
    if not pks:
        return Folded(name, (), Mark(mark.day + 1))
    then = Mark(mark.day, pks[-1])
    if name == LATE:
        there = {key % SHIFT for key in tx.scalars(sa.select(Daily.id).where(Daily.id.in_([_key(mark.day, pk) for pk in pks])))}
        pks = [pk for pk in pks if pk not in there]
    packs: dict[int, list[bytes]] = defaultdict(list)
    for hour in hours if pks else ():
        for pk, pack in history.of_hour(tx, hour, pks).items():
            packs[pk].append(pack)
    days = ((pk, fold(of_day)) for pk, of_day in sorted(packs.items()))
    return Folded(name, tuple((_key(mark.day, pk), encode(day)) for pk, day in days if day), then)


def _key(day: int, pk: int) -> int:
    return day * SHIFT + pk


def _first(weeks: Sequence[int], last: int) -> int:
    """Where to begin in a store that no night has seen: with the oldest history, but not before what a forecast reads."""
    oldest = weeks[0] * history.HOURS_A_WEEK // 24 if weeks else last
    return max(oldest, last - _REACH_DAYS)


def _tail(day: int) -> list[int]:
    first, last = day - rules.TAIL_REACH_DAYS, day - rules.HISTORY_DAYS
    return [one for one in range(first, last + 1) if one % rules.TAIL_DAYS == 0]
