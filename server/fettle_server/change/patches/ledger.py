"""Endpoints' updates in the store, and the counts that stand beside them: every change of a state goes through here.

Bulk, and in a fixed order, so that two writers never wait for each other. Never commits.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from fettle_server.change.patches.rules import OPEN, PatchState
from fettle_server.change.patches.stepping import Had
from fettle_server.change.patches.tables import EndpointUpdate, PatchCount, PatchException, PatchScan, Update
from fettle_server.db import Bulk, bulk_update, to_ms
from fettle_server.estate.tables import Endpoint

_OPEN = frozenset(OPEN)
_PIECE = 400
_SETTLED_WITHIN = dt.timedelta(hours=26)
"""Agents read their software at least once a day: after that, what it does not show was not installed."""
_ASK_AGAIN = dt.timedelta(minutes=10)
_WAITING = frozenset({PatchState.REBOOT_PENDING})


class Row(NamedTuple):
    """An endpoint's open update, as it is."""

    endpoint_pk: int
    update_id: int
    school_id: int
    had: Had
    due_on: dt.date | None
    change_id: int | None


class Move(NamedTuple):
    """A state that an endpoint's update goes to. `before` None: it is new, or was closed and is offered again."""

    endpoint_pk: int
    update_id: int
    school_id: int
    before: tuple[PatchState, dt.date | None] | None
    state: PatchState
    words: str
    due_on: dt.date | None
    at_ms: int
    installed: bool = False
    version: str = ""


class Sum(NamedTuple):
    """What an endpoint's open updates come to."""

    lacking: int
    restart: int
    due_on: dt.date | None
    excepted: bool


class Scan(NamedTuple):
    """An endpoint's newest look, in the store's own values; see PatchScan."""

    endpoint_pk: int
    at_ms: int
    reboot_pending: bool | None
    worked: bool
    providers: str
    refused: str
    total: Sum
    settle_ms: int | None


def open_rows(tx: sa.Connection, pks: Collection[int]) -> dict[int, dict[int, Row]]:
    """The open updates of those endpoints, by endpoint and update; locked where the store locks rows."""
    found: dict[int, dict[int, Row]] = {pk: {} for pk in pks}
    wanted = sorted(found)
    for start in range(0, len(wanted), _PIECE):
        which = EndpointUpdate.endpoint_pk.in_(wanted[start : start + _PIECE])
        for row in tx.execute(_open_ones(which)):
            had = Had(PatchState(row[3]), row[4], row[5])
            found[row[0]][row[1]] = Row(row[0], row[1], row[2], had, row[6], row[7])
    return found


def _open_ones(*which: sa.ColumnElement[bool]) -> Any:
    columns = (
        EndpointUpdate.endpoint_pk, EndpointUpdate.update_id, EndpointUpdate.school_id, EndpointUpdate.state,
        EndpointUpdate.words, sa.type_coerce(EndpointUpdate.installed_at, sa.BigInteger), EndpointUpdate.due_on,
        EndpointUpdate.change_id,
    )  # fmt: skip
    order = (EndpointUpdate.endpoint_pk, EndpointUpdate.update_id)
    return sa.select(*columns).where(*which, EndpointUpdate.state.in_(OPEN)).order_by(*order).with_for_update()


def move(tx: sa.Connection, moves: Sequence[Move]) -> None:
    """Write the moves, one for each endpoint's update, and set the counts right."""
    new: list[tuple[Any, ...]] = []
    by_state: dict[tuple[PatchState, bool], list[tuple[Any, ...]]] = {}
    for one in sorted(moves):
        due = None if one.due_on is None else one.due_on.isoformat()
        if one.before is None:
            new.append((one.endpoint_pk, one.update_id, one.school_id, one.state, one.version, one.words, due, one.at_ms))
        if one.before is None and one.state is PatchState.OFFERED:
            continue
        key = (one.state, one.installed)
        by_state.setdefault(key, []).append((one.endpoint_pk, one.update_id, one.state, one.words, due, one.at_ms))
    _new(tx.dialect.name).run(tx, new)
    for (state, installed), rows in by_state.items():
        _step(state, installed).run(tx, rows)
    count(tx, moves)


def count(tx: sa.Connection, moves: Iterable[Move]) -> None:
    """Set the counts right after these moves."""
    deltas: Counter[tuple[int, int, str, int]] = Counter()
    for one in moves:
        if one.before is not None and one.before[0] in _OPEN:
            deltas[one.update_id, one.school_id, one.before[0], _day(one.before[1])] -= 1
        if one.state in _OPEN:
            deltas[one.update_id, one.school_id, one.state, _day(one.due_on)] += 1
    _counts(tx.dialect.name).run(tx, [(*key, delta) for key, delta in sorted(deltas.items()) if delta])


def wind(tx: sa.Connection, update_id: int, before: dt.date | None, due: dt.date | None) -> None:
    """The update's clock was set anew: so are those of its endpoints, save of those whose clock began with a predecessor."""
    same = EndpointUpdate.due_on.is_(None) if before is None else EndpointUpdate.due_on == before
    if due is not None:
        same = sa.or_(same, EndpointUpdate.due_on > due)
    which = (EndpointUpdate.update_id == update_id, EndpointUpdate.state.in_(OPEN), same)
    pks = list(tx.scalars(sa.select(EndpointUpdate.endpoint_pk).where(*which)))
    if not pks:
        return
    tx.execute(sa.update(EndpointUpdate).where(*which).values(due_on=due))
    recount(tx, update_id)
    refresh(tx, pks)


def recount(tx: sa.Connection, update_id: int) -> None:
    """Count one update's endpoints anew."""
    tx.execute(sa.delete(PatchCount).where(PatchCount.update_id == update_id))
    grouped = (EndpointUpdate.school_id, EndpointUpdate.state, EndpointUpdate.due_on)
    which = (EndpointUpdate.update_id == update_id, EndpointUpdate.state.in_(OPEN))
    found = tx.execute(sa.select(*grouped, sa.func.count()).where(*which).group_by(*grouped))
    rows = [(update_id, school_id, state, _day(due), number) for school_id, state, due, number in found]
    _counts(tx.dialect.name).run(tx, rows)


def refresh(tx: sa.Connection, pks: Collection[int]) -> None:
    """Sum up anew what those endpoints' open updates come to."""
    wanted = sorted(set(pks))
    excepted = exceptions(tx)
    rows = []
    for pk, held in open_rows(tx, wanted).items():
        total = sum_up(((row.update_id, row.school_id, row.had.state, row.due_on) for row in held.values()), excepted)
        due = None if total.due_on is None else total.due_on.isoformat()
        rows.append((pk, total.lacking, total.restart, due, total.excepted))
    _SUMMED.run(tx, rows)


def sum_up(rows: Iterable[tuple[int, int, PatchState, dt.date | None]], excepted: Collection[tuple[int, int | None]]) -> Sum:
    """What open updates (update, school, state, due day) come to."""
    lacking = restart = 0
    due, has_exception = None, False
    for update_id, school_id, state, day in rows:
        lacking += 1
        restart += state in _WAITING
        if day is None:
            continue
        if excepted and ((update_id, school_id) in excepted or (update_id, None) in excepted):
            has_exception = True
        elif due is None or day < due:
            due = day
    return Sum(lacking, restart, due, has_exception)


def exceptions(tx: sa.Connection) -> frozenset[tuple[int, int | None]]:
    """The exceptions in force: (update, school; None: everywhere). One that is past its day is ended by the worker."""
    statement = sa.select(PatchException.update_id, PatchException.school_id).where(PatchException.ended_at.is_(None))
    return frozenset((row[0], row[1]) for row in tx.execute(statement))


def store_scans(tx: sa.Connection, scans: Sequence[Scan]) -> None:
    """Keep endpoints' newest looks, and what they come to."""
    rows = [
        (
            one.endpoint_pk, one.at_ms, one.reboot_pending, one.worked, one.providers, one.refused, one.total.lacking,
            one.total.restart, None if one.total.due_on is None else one.total.due_on.isoformat(), one.total.excepted,
            one.settle_ms,
        )
        for one in sorted(scans)
    ]  # fmt: skip
    _scans(tx.dialect.name).run(tx, rows)


def _day(due: dt.date | None) -> int:
    return 0 if due is None else due.toordinal()


_STAMPS: dict[PatchState, tuple[str, ...]] = {
    PatchState.OFFERED: (),
    PatchState.APPROVED: ("approved_at",),
    PatchState.DOWNLOADED: ("downloaded_at",),
    PatchState.INSTALLED: ("installed_at",),
    PatchState.REBOOT_PENDING: ("restart_due_at",),
    PatchState.PROVEN: ("fixed_at",),
    PatchState.FAILED: ("failed_at",),
    PatchState.GONE: ("gone_at",),
}


@cache
def _step(state: PatchState, installed: bool) -> Bulk:
    """The statement that takes an endpoint's update to a state; `installed`: it is known to be there by then."""
    at: Any = sa.bindparam("at", type_=sa.BigInteger)
    values: dict[str, Any] = {
        "state": sa.bindparam("state"),
        "words": sa.bindparam("words"),
        "due_on": sa.bindparam("due"),
        **dict.fromkeys(_STAMPS[state], at),
    }
    if installed and state is not PatchState.INSTALLED:
        values["installed_at"] = sa.func.coalesce(sa.type_coerce(EndpointUpdate.installed_at, sa.BigInteger), at)
    if state is PatchState.FAILED:
        values["installed_at"] = sa.null()
    if state not in (PatchState.GONE, PatchState.PROVEN):
        values |= {"gone_at": sa.null(), "fixed_at": sa.null()}
    if state is PatchState.PROVEN:
        values["gone_at"] = sa.null()
    which = (EndpointUpdate.endpoint_pk == sa.bindparam("pk"), EndpointUpdate.update_id == sa.bindparam("id"))
    return Bulk(sa.update(EndpointUpdate).where(*which).values(values), "pk", "id", "state", "words", "due", "at")


@cache
def _new(dialect: str) -> Bulk:
    """The statement for an update that is offered to an endpoint anew: whatever was of it before begins again."""
    names = ("endpoint_pk", "update_id", "school_id", "state", "installed", "words", "due_on", "offered_at")
    insert: Any = _insert(dialect, EndpointUpdate).values({name: sa.bindparam(name) for name in names})
    again = {name: insert.excluded[name] for name in names[2:]}
    again |= dict.fromkeys(
        ("change_id", "approved_at", "downloaded_at", "installed_at", "restart_due_at", "failed_at", "fixed_at", "gone_at"),
        sa.null(),
    )
    return Bulk(insert.on_conflict_do_update(index_elements=["endpoint_pk", "update_id"], set_=again), *names)


@cache
def _counts(dialect: str) -> Bulk:
    names = ("update_id", "school_id", "state", "due_day", "endpoints")
    insert: Any = _insert(dialect, PatchCount).values({name: sa.bindparam(name) for name in names})
    more = {"endpoints": PatchCount.endpoints + insert.excluded.endpoints}
    return Bulk(insert.on_conflict_do_update(index_elements=list(names[:4]), set_=more), *names)


@cache
def _scans(dialect: str) -> Bulk:
    columns = (
        "at",
        "reboot_pending",
        "worked",
        "providers",
        "refused",
        "lacking",
        "restart",
        "due_on",
        "excepted",
        "settle_at",
    )
    insert: Any = _insert(dialect, PatchScan).values({name: sa.bindparam(name) for name in ("endpoint_pk", *columns)})
    new = {name: insert.excluded[name] for name in columns}
    new["settle_at"] = sa.func.coalesce(insert.excluded.settle_at, PatchScan.settle_at)  # a question stays until it is answered
    return Bulk(insert.on_conflict_do_update(index_elements=["endpoint_pk"], set_=new), "endpoint_pk", *columns)


def _insert(dialect: str, model: Any) -> Any:
    return postgresql.insert(model) if dialect == "postgresql" else sqlite.insert(model)


_SUMMED = bulk_update(PatchScan, PatchScan.endpoint_pk, "lacking", "restart", "due_on", "excepted")


class Unsettled(NamedTuple):
    """An endpoint some of whose updates are no longer offered, and whether a restart is pending there."""

    endpoint_pk: int
    at: dt.datetime
    reboot_pending: bool | None


def unsettled(tx: sa.Connection, now: dt.datetime, limit: int) -> list[Unsettled]:
    """The endpoints whose software is to be asked now, the longest due first."""
    columns = (PatchScan.endpoint_pk, PatchScan.at, PatchScan.reboot_pending)
    which = (PatchScan.settle_at.is_not(None), PatchScan.settle_at <= now)
    return [Unsettled(*row) for row in tx.execute(sa.select(*columns).where(*which).order_by(PatchScan.settle_at).limit(limit))]


def lately_gone(tx: sa.Connection, endpoint_pk: int, now: dt.datetime) -> list[tuple[Row, tuple[str, str, str]]]:
    """The endpoint's updates that were gone within the last day or so, with their provider, name and version."""
    columns = (EndpointUpdate.update_id, EndpointUpdate.school_id, EndpointUpdate.words, EndpointUpdate.due_on,
               EndpointUpdate.change_id, Update.provider, Update.name, Update.version)  # fmt: skip
    which = (
        EndpointUpdate.endpoint_pk == endpoint_pk,
        EndpointUpdate.state == PatchState.GONE,
        EndpointUpdate.gone_at >= now - _SETTLED_WITHIN - _ASK_AGAIN,
    )
    rows = tx.execute(sa.select(*columns).join(Update, Update.id == EndpointUpdate.update_id).where(*which)).all()
    return [
        (
            Row(endpoint_pk, row.update_id, row.school_id, Had(PatchState.GONE, row.words, None), row.due_on, row.change_id),
            (row.provider, row.name, row.version),
        )
        for row in rows
    ]


def asked(tx: sa.Connection, scans: Sequence[Unsettled], open_questions: Collection[int], now: dt.datetime) -> None:
    """Their software was asked. Those with questions left are asked again in some minutes, until their software must be new."""
    waiting = {scan.endpoint_pk for scan in scans if scan.endpoint_pk in open_questions and now - scan.at < _SETTLED_WITHIN}
    over = sorted({scan.endpoint_pk for scan in scans} - waiting)
    for pks, at in ((over, None), (sorted(waiting), now + _ASK_AGAIN)):
        if pks:
            tx.execute(sa.update(PatchScan).where(PatchScan.endpoint_pk.in_(pks)).values(settle_at=at))


def mark(tx: sa.Connection, change_id: int, keys: Sequence[tuple[int, int]]) -> None:
    """Note which change these endpoints' updates (pk, update) belong to."""
    _MARKED.run(tx, [(pk, update_id, change_id) for pk, update_id in sorted(keys)])


def revoked(tx: sa.Connection, limit: int) -> list[int]:
    """Endpoints that were revoked and still have a look of their updates."""
    joined = sa.select(PatchScan.endpoint_pk).join(Endpoint, Endpoint.pk == PatchScan.endpoint_pk)
    return list(tx.scalars(joined.where(Endpoint.revoked_at.is_not(None)).limit(limit)))


def forget_scans(tx: sa.Connection, pks: Collection[int]) -> None:
    """Those endpoints have no look any more."""
    if pks:
        tx.execute(sa.delete(PatchScan).where(PatchScan.endpoint_pk.in_(pks)))


_MARKED = Bulk(
    sa.update(EndpointUpdate)
    .where(EndpointUpdate.endpoint_pk == sa.bindparam("pk"), EndpointUpdate.update_id == sa.bindparam("id"))
    .values(change_id=sa.bindparam("change")),
    "pk",
    "id",
    "change",
)


def closed_before(tx: sa.Connection, before: dt.datetime, limit: int) -> list[tuple[int, int]]:
    """Endpoints' updates (pk, update) that were proven or gone before that time; reads only."""
    ended = sa.func.coalesce(*(sa.type_coerce(at, sa.BigInteger) for at in (EndpointUpdate.fixed_at, EndpointUpdate.gone_at)))
    which = (EndpointUpdate.state.not_in(OPEN), ended < to_ms(before))
    columns = (EndpointUpdate.endpoint_pk, EndpointUpdate.update_id)
    return [(row[0], row[1]) for row in tx.execute(sa.select(*columns).where(*which).limit(limit))]


def drop(tx: sa.Connection, keys: Sequence[tuple[int, int]], before: dt.datetime) -> None:
    """Drop those, and what nobody has had to do with since that time: updates, and counts of nothing."""
    _DROPPED.run(tx, list(keys))
    nobody = ~sa.exists().where(EndpointUpdate.update_id == Update.id)
    tx.execute(sa.delete(Update).where(Update.first_seen_at < before, nobody))
    tx.execute(sa.delete(PatchCount).where(PatchCount.endpoints == 0))


_DROPPED = Bulk(
    sa.delete(EndpointUpdate).where(
        EndpointUpdate.endpoint_pk == sa.bindparam("pk"), EndpointUpdate.update_id == sa.bindparam("id")
    ),
    "pk",
    "id",
)
