"""Endpoints' software held against their builds and the licences: of those that told it anew, and of all each night.

Nothing here is on the way of agents' reports: the worker reads what the journal says has changed. Never commits.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.change.library.rules import MOST_DRIFT, Documented, Place, Stand, drift, place_of
from fettle_server.change.library.tables import Build, BuildPlace, Drift, LibraryItem, LibraryMark, LicenceUse
from fettle_server.change.patches.software import packages
from fettle_server.db import insert_into
from fettle_server.estate.tables import Endpoint, Inventory
from fettle_server.journal.tables import Entry

PIECE = 100
_JOURNAL, _SWEEP = "journal", "sweep"
_JOURNAL_PIECE = 2000


@dataclass(frozen=True, slots=True)
class Shelf:
    """What endpoints are held against."""

    places: tuple[Place, ...]
    systems: Mapping[int, str]
    builds: Mapping[int, Documented]
    licensed: Mapping[str, tuple[int, ...]]
    """The licensed items by their name in lower case."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an endpoint's software comes to: its build (None: none), how far it is from it, and the licences that it uses."""

    endpoint_pk: int
    build_id: int | None
    detail: tuple[dict[str, str], ...]
    digest: str
    uses: tuple[tuple[int, str], ...]


def again(tx: sa.Connection) -> None:
    """The library or a build changed: all endpoints are looked at anew."""
    _set(tx, _SWEEP, 0, 0)


def new_ones(tx: sa.Connection) -> tuple[list[int], int]:
    """The endpoints (pks) that told their software since the last look at the journal, and how far that looked; reads only."""
    newest = int(tx.scalar(sa.select(sa.func.max(Entry.id))) or 0)
    noted = _mark(tx, _JOURNAL)
    if noted is None:
        return [], newest  # the first look at all takes them in
    until = min(newest, noted[0] + _JOURNAL_PIECE)
    which = (Entry.id > noted[0], Entry.id <= until, Entry.kind == "endpoint.inventory")
    told = tx.execute(sa.select(Entry.subject, Entry.detail).where(*which))
    ids = sorted({row.subject.partition(":")[2] for row in told if row.detail.get("section") == "software"})
    return [pk for start in range(0, len(ids), PIECE) for pk in _pks(tx, ids[start : start + PIECE])], until


def is_behind(tx: sa.Connection, until: int) -> bool:
    """True where so much of the journal was passed over without a word of software that it is worth writing down."""
    noted = _mark(tx, _JOURNAL)
    return noted is None or until - noted[0] >= _JOURNAL_PIECE


def next_ones(tx: sa.Connection, today: dt.date) -> list[int] | None:
    """The next endpoints (pks) of today's look at all of them, none left: an empty list; None where it is over; reads only."""
    after, day = _mark(tx, _SWEEP) or (0, 0)
    if day == today.toordinal():
        return None
    which = (Endpoint.pk > after, Endpoint.revoked_at.is_(None))
    return list(tx.scalars(sa.select(Endpoint.pk).where(*which).order_by(Endpoint.pk).limit(PIECE)))


def note_new(tx: sa.Connection, until: int) -> None:
    """The journal was looked at so far."""
    _set(tx, _JOURNAL, until, 0)


def note_next(tx: sa.Connection, pks: Sequence[int], today: dt.date) -> None:
    """Today's look at all took these in; none: it is over."""
    _set(tx, _SWEEP, pks[-1] if pks else 0, 0 if pks else today.toordinal())


def shelf(tx: sa.Connection) -> Shelf:
    """What endpoints are held against now."""
    builds = tx.execute(sa.select(Build).where(Build.retired_at.is_(None))).all()
    places = tx.execute(sa.select(BuildPlace)).all()
    licensed: dict[str, list[int]] = defaultdict(list)
    items = sa.select(LibraryItem.id, LibraryItem.name)
    for row in tx.execute(items.where(LibraryItem.licences.is_not(None), LibraryItem.withdrawn_at.is_(None))):
        licensed[row.name.casefold()].append(row.id)
    return Shelf(
        tuple(Place(row.build_id, row.school_id, row.room_id, row.endpoint_class) for row in places),
        {row.id: row.system for row in builds},
        {row.id: Documented(tuple((one["name"], one["version"]) for one in row.packages), tuple(row.absent)) for row in builds},
        {name: tuple(ids) for name, ids in licensed.items()},
    )


def look(tx: sa.Connection, on: Shelf, pks: Sequence[int]) -> list[Found]:
    """What those endpoints' software comes to; reads only, since it takes milliseconds for each."""
    if not on.places and not on.licensed:
        return [Found(pk, None, (), "", ()) for pk in pks]
    columns = (Endpoint.pk, Endpoint.school_id, Endpoint.room_id, Endpoint.endpoint_class, Endpoint.system)
    told = {
        row.endpoint_pk: row
        for row in tx.execute(
            sa.select(Inventory.endpoint_pk, Inventory.digest, Inventory.body).where(
                Inventory.endpoint_pk.in_(pks), Inventory.section == "software"
            )
        )
    }
    rows = tx.execute(sa.select(*columns).where(Endpoint.pk.in_(pks), Endpoint.revoked_at.is_(None)))
    return [_found(on, Stand(*row[1:]), row.pk, told.get(row.pk)) for row in rows]


def keep(tx: sa.Connection, found: Collection[Found], now: dt.datetime) -> None:
    """Store what was found."""
    if not found:
        return
    pks = [one.endpoint_pk for one in found]
    without = [one.endpoint_pk for one in found if one.build_id is None]
    if without:
        tx.execute(sa.delete(Drift).where(Drift.endpoint_pk.in_(without)))
    rows = [_row(one, now) for one in found if one.build_id is not None]
    if rows:
        insert = insert_into(tx, Drift)
        new = {name: insert.excluded[name] for name in ("build_id", "items", "detail", "software_digest", "at")}
        tx.execute(insert.on_conflict_do_update(index_elements=["endpoint_pk"], set_=new), rows)
    tx.execute(sa.delete(LicenceUse).where(LicenceUse.endpoint_pk.in_(pks)))
    uses = [{"endpoint_pk": one.endpoint_pk, "item_id": id_, "version": version} for one in found for id_, version in one.uses]
    if uses:
        tx.execute(sa.insert(LicenceUse), uses)


def _found(on: Shelf, stand: Stand, pk: int, told: Any) -> Found:
    place = place_of(stand, on.places, on.systems)
    build_id = place.build_id if place else None
    if told is None:
        return Found(pk, build_id, (), "", ())
    software = packages(told.body)
    detail = drift(on.builds[build_id], software) if build_id is not None else []
    return Found(pk, build_id, tuple(detail), told.digest, _uses(on.licensed, software))


def _uses(licensed: Mapping[str, tuple[int, ...]], software: Iterable[tuple[str, str]]) -> tuple[tuple[int, str], ...]:
    found = {id_: version[:120] for name, version in software for id_ in licensed.get(name.casefold(), ())}
    return tuple(sorted(found.items()))


def _row(one: Found, now: dt.datetime) -> dict[str, Any]:
    return {
        "endpoint_pk": one.endpoint_pk,
        "build_id": one.build_id,
        "items": len(one.detail),
        "detail": list(one.detail[:MOST_DRIFT]),
        "software_digest": one.digest,
        "at": now,
    }


def _pks(tx: sa.Connection, ids: Collection[str]) -> list[int]:
    return list(tx.scalars(sa.select(Endpoint.pk).where(Endpoint.id.in_(ids))))


def _mark(tx: sa.Connection, name: str) -> tuple[int, int] | None:
    row = tx.execute(sa.select(LibraryMark.number, LibraryMark.day).where(LibraryMark.name == name)).one_or_none()
    return None if row is None else (row.number, row.day)


def _set(tx: sa.Connection, name: str, number: int, day: int) -> None:
    insert = insert_into(tx, LibraryMark).values(name=name, number=number, day=day)
    tx.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"number": number, "day": day}))
