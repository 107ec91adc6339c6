"""What agents' reports change of their endpoints: connected, last seen, vitals, live readings, inventory, events.

The hot path: every action takes many endpoints at a time and writes in bulk. Faults and incidents are the wings' above.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from fettle_server import db
from fettle_server.estate.endpoints.facts import Machine, Stocktake
from fettle_server.estate.endpoints.rules import health, search_text
from fettle_server.estate.rooms import classes
from fettle_server.estate.tables import Endpoint, EndpointEvent, Inventory, Stay, Vitals, Watch
from fettle_server.journal.actions import Line, record_all


class Event(NamedTuple):
    """A line of endpoint_events to be; the time is milliseconds since the epoch."""

    endpoint_pk: int
    at_ms: int
    kind: str
    detail: dict[str, Any]


class Seen(NamedTuple):
    """An endpoint spoke: the highest numbers of its spool that this transaction holds (0: none)."""

    endpoint_pk: int
    at_ms: int
    sequence: int
    history: int


class Arrival(NamedTuple):
    """An endpoint attached; the sequences start anew where `spool` is another one than before."""

    endpoint_pk: int
    at_ms: int
    machine: Machine
    address: str
    spool: str
    boot: str
    policy_version: int


class Parting(NamedTuple):
    """An endpoint said that it is about to go, or (`leaving` empty) that it stays after all; `back_by_ms` 0: not known."""

    endpoint_pk: int
    at_ms: int
    leaving: str
    back_by_ms: int


_EVENT = db.bulk_insert(EndpointEvent, "endpoint_pk", "at", "kind", "detail")


def _higher(column: Any, name: str) -> Any:
    """The larger of what is stored and what is new: a repeat never sets a number back."""
    new = sa.bindparam(name, type_=sa.BigInteger)
    return sa.case((new > column, new), else_=column)


_SEEN = db.Bulk(
    sa.update(Endpoint)
    .where(Endpoint.pk == sa.bindparam("key"))
    .values(
        connected=sa.true(),
        last_seen=sa.bindparam("at"),
        last_sequence=_higher(Endpoint.last_sequence, "sequence"),
        last_history=_higher(Endpoint.last_history, "history"),
    ),
    "key",
    "at",
    "sequence",
    "history",
)
_JUDGING = db.bulk_update(Endpoint, Endpoint.pk, "policy_version")
_GONE_WITH_SERVER = dt.timedelta(seconds=30)
_said = sa.bindparam("said", type_=sa.String)
_says_more = sa.text("(:said <> 'agent stopping' OR leaving NOT IN ('shutting down', 'restarting'))").bindparams(_said)
"""That the agent ends is no news of a machine that said already that it goes down."""
_is_of_now = sa.text("((:said = '' AND leaving <> '') OR (:said <> '' AND connected_since <= :told + 60000))").bindparams(
    _said, sa.bindparam("told", type_=sa.BigInteger)
)
"""What the spool tells of a time before this stream is no word about its end; a minute is for clocks."""
_PARTING = db.Bulk(
    sa.update(Endpoint)
    .where(Endpoint.pk == sa.bindparam("key"), _is_of_now, _says_more)
    .values(leaving=_said, back_by=sa.bindparam("back")),
    "key",
    "told",
    "said",
    "back",
)
_DETACHED = db.Bulk(
    sa.update(Endpoint)
    .where(Endpoint.pk == sa.bindparam("key"))
    .values(
        last_seen=sa.bindparam("at"),
        connected=sa.false(),
        left_at=sa.bindparam("at"),
        leave=sa.text(
            "CASE leaving WHEN 'shutting down' THEN 'clean' WHEN 'agent stopping' THEN 'stopped'"
            " WHEN 'sleeping' THEN leaving WHEN 'restarting' THEN leaving ELSE 'abrupt' END"
        ),
        leaving=sa.text("''"),
    ),
    "key",
    "at",
)
_STAY = db.bulk_insert(Stay, "endpoint_pk", "school_id", "came_at", "went_at")
_LIVE = db.bulk_update(Watch, Watch.endpoint_pk, "live_at", "live")


def record_events(tx: sa.Connection, events: Sequence[Event]) -> None:
    """Add what happened to endpoints."""
    _EVENT.run(tx, [(pk, at_ms, kind, db.as_json(detail) if detail else "{}") for pk, at_ms, kind, detail in events])


def see(tx: sa.Connection, seen: Sequence[Seen]) -> None:
    """Note who spoke last when, and what of each is committed with this transaction; one line an endpoint."""
    _SEEN.run(tx, sorted(seen))


def part(tx: sa.Connection, partings: Sequence[Parting]) -> None:
    """Note which endpoints are about to go, by what they said last; one line an endpoint."""
    _PARTING.run(tx, [(pk, at_ms, leaving, back_by_ms or None) for pk, at_ms, leaving, back_by_ms in sorted(partings)])


def attach(tx: sa.Connection, arrivals: Sequence[Arrival], now: dt.datetime) -> None:
    """Note that endpoints are connected, and who they say they are; their state is that of their open faults again."""
    if not arrivals:
        return
    newest = {arrival.endpoint_pk: arrival for arrival in arrivals}
    columns = (
        Endpoint.pk, Endpoint.id, Endpoint.school_id, Endpoint.name, Endpoint.model, Endpoint.serial, Endpoint.fingerprint,
        Endpoint.spool, Endpoint.last_sequence, Endpoint.last_history, Endpoint.state, Endpoint.state_since,
        Endpoint.watch_faults, Endpoint.ill_faults, Endpoint.connected, Endpoint.connected_since,
    )  # fmt: skip
    statement = sa.select(*columns).where(Endpoint.pk.in_(sorted(newest))).order_by(Endpoint.pk).with_for_update()
    rows = tx.execute(statement).all()
    if not rows:
        return
    tx.execute(_ATTACHED, [_attached(row, newest[row.pk], now) for row in rows])
    _keep_stays(tx, [(row, newest[row.pk].at_ms) for row in rows if row.connected])
    record_events(tx, [_changed_hardware(newest[row.pk]) for row in rows if _is_other_machine(row, newest[row.pk])])
    lines = [_line("endpoint.connected", row, {"name": newest[row.pk].machine.name}, now) for row in rows]
    for row in rows:
        state = health(row.watch_faults, row.ill_faults)
        if state != row.state:
            detail = {"from": row.state, "to": state, "name": newest[row.pk].machine.name}
            lines.append(_line("endpoint.state", row, detail, now))
    record_all(tx, lines)


_ATTACHED_COLUMNS = (
    "name", "system", "system_version", "agent_version", "fingerprint", "search", "address", "spool", "boot", "policy_version",
    "last_sequence", "last_history", "connected_since", "last_seen", "state", "state_since",
)  # fmt: skip
_NOT_LEAVING = {"leaving": "", "leave": "", "left_at": sa.null(), "back_by": sa.null()}
_ATTACHED = (
    sa.update(Endpoint)
    .where(Endpoint.pk == sa.bindparam("key"))
    .values({name: sa.bindparam(name) for name in _ATTACHED_COLUMNS} | {"connected": True, **_NOT_LEAVING})
)


def _attached(row: Any, arrival: Arrival, now: dt.datetime) -> dict[str, Any]:
    machine, is_same_spool = arrival.machine, arrival.spool == row.spool
    state, at = health(row.watch_faults, row.ill_faults), db.from_ms(arrival.at_ms)
    return {
        "key": row.pk,
        "name": machine.name,
        "system": machine.system,
        "system_version": machine.system_version,
        "agent_version": machine.agent_version,
        "fingerprint": machine.fingerprint or row.fingerprint,
        "search": search_text(machine.name, row.id, row.model, row.serial),
        "address": arrival.address,
        "spool": arrival.spool,
        "boot": arrival.boot,
        "policy_version": arrival.policy_version,
        "last_sequence": row.last_sequence if is_same_spool else 0,
        "last_history": row.last_history if is_same_spool else 0,
        "connected_since": at,
        "last_seen": at,
        "state": state,
        "state_since": row.state_since if state == row.state else now,
    }


def _is_other_machine(row: Any, arrival: Arrival) -> bool:
    return bool(row.fingerprint and arrival.machine.fingerprint and row.fingerprint != arrival.machine.fingerprint)


def _changed_hardware(arrival: Arrival) -> Event:
    return Event(arrival.endpoint_pk, arrival.at_ms, "hardware changed", {"address": arrival.address})


def note_policies(tx: sa.Connection, judging: Sequence[tuple[int, int]]) -> None:
    """Note by which version of the policy endpoints (by pk) say that they judge."""
    _JUDGING.run(tx, sorted(judging))


def detach(tx: sa.Connection, ended: Sequence[tuple[int, int]], now: dt.datetime) -> None:
    """Note that endpoints (pk, time in ms) are no longer connected, and how they went: by what they said before, or abruptly.

    Their state stays until silence makes it unknown.
    """
    if not ended:
        return
    _DETACHED.run(tx, sorted(ended))
    went = dict(ended)
    columns = (Endpoint.pk, Endpoint.id, Endpoint.school_id, Endpoint.name, Endpoint.connected_since)
    rows = tx.execute(sa.select(*columns).where(Endpoint.pk.in_([pk for pk, _ in ended]))).all()
    _keep_stays(tx, [(row, went[row.pk]) for row in rows])
    record_all(tx, [_line("endpoint.disconnected", row, {"name": row.name}, now) for row in rows])


def _keep_stays(tx: sa.Connection, over: Sequence[tuple[Any, int]]) -> None:
    stays = [(row, db.to_ms(row.connected_since), went_ms) for row, went_ms in over if row.connected_since is not None]
    _STAY.run(tx, [(row.pk, row.school_id, came_ms, went_ms) for row, came_ms, went_ms in stays if came_ms < went_ms])


def disconnect_all(tx: sa.Connection, now: dt.datetime, heard_until: dt.datetime | None = None) -> int:
    """Note that no endpoint is connected, as a writer that starts knows; returns how many were thought to be.

    `heard_until` is when the writer before this one lived last. Who went without a word in its last seconds went with it.
    """
    _keep_all_stays(tx, heard_until or now)
    values = {"connected": False, "last_seen": now, "left_at": now, "leave": "server away", "leaving": ""}
    count = tx.execute(sa.update(Endpoint).where(Endpoint.connected.is_(True)).values(**values)).rowcount
    if heard_until is not None:
        since = heard_until - _GONE_WITH_SERVER
        went_with_it = (Endpoint.leave == "abrupt", _LEFT, Endpoint.left_at >= since)
        tx.execute(sa.update(Endpoint).where(*went_with_it).values(leave="server away"))
    return count


_LEFT = sa.text("endpoints.leave IN ('abrupt', 'restarting', 'server away')")
"""As the partial index on left_at says it, so that it can be used."""


def _keep_all_stays(tx: sa.Connection, until: dt.datetime) -> None:
    kept = (Endpoint.connected.is_(True), Endpoint.connected_since < until)
    columns = (Endpoint.pk, Endpoint.school_id, Endpoint.connected_since, sa.literal(until, db.Utc))
    names = ["endpoint_pk", "school_id", "came_at", "went_at"]
    tx.execute(sa.insert(Stay).from_select(names, sa.select(*columns).where(*kept)))


def store_vitals(tx: sa.Connection, rows: Sequence[tuple[int, int, bytes]]) -> None:
    """Store each endpoint's newest readings: (pk, time in ms, message)."""
    _vitals_upsert(tx.dialect.name).run(tx, sorted(rows))


def store_live(tx: sa.Connection, rows: Sequence[tuple[int, int, bytes]]) -> None:
    """Store the newest second of each live watch: (pk, time in ms, message). Where nobody watches, nothing is stored."""
    _LIVE.run(tx, sorted(rows))


@functools.cache
def _vitals_upsert(dialect: str) -> db.Bulk:
    return db.bulk_upsert(dialect, Vitals, "endpoint_pk", "at", "body")


def take_stock(tx: sa.Connection, taken: Sequence[tuple[int, Stocktake]], now: dt.datetime) -> None:
    """Store inventory sections (endpoint pk, section); one whose digest is known is skipped.

    New hardware says anew of which class an endpoint seems to be.
    """
    rebuilt = []
    for pk, stock in taken:
        key = (Inventory.endpoint_pk == pk, Inventory.section == stock.section)
        before = tx.scalar(sa.select(Inventory.digest).where(*key))
        if before == stock.digest:
            continue
        values = {"digest": stock.digest, "at": db.from_ms(stock.at_ms), "body": stock.body}
        if before is None:
            tx.execute(sa.insert(Inventory).values(endpoint_pk=pk, section=stock.section, **values))
        else:
            tx.execute(sa.update(Inventory).where(*key).values(**values))
        _show_stock(tx, pk, stock, now)
        if stock.section == "hardware":
            rebuilt.append(pk)
    if rebuilt:
        classes.guess(tx, rebuilt, now)


def _show_stock(tx: sa.Connection, pk: int, stock: Stocktake, now: dt.datetime) -> None:
    columns = (Endpoint.pk, Endpoint.id, Endpoint.school_id, Endpoint.name)
    row = tx.execute(sa.select(*columns).where(Endpoint.pk == pk)).one_or_none()
    if row is None:
        return
    if stock.section == "hardware":
        search = search_text(row.name, row.id, stock.model, stock.serial)
        values = {"model": stock.model, "serial": stock.serial, "search": search}
        tx.execute(sa.update(Endpoint).where(Endpoint.pk == pk).values(**values))
    record_events(tx, [Event(pk, stock.at_ms, "inventory changed", {"section": stock.section, "digest": stock.digest})])
    record_all(tx, [_line("endpoint.inventory", row, {"section": stock.section, "name": row.name}, now)])


def _line(kind: str, row: Any, detail: dict[str, Any], now: dt.datetime) -> Line:
    return Line(
        at=now,
        kind=kind,
        actor=f"endpoint:{row.id}",
        subject=f"endpoint:{row.id}",
        school_id=row.school_id,
        detail=detail,
    )
