"""The classes of endpoints in the store: guessed from what a machine is and where it stands, until a person sets them.

Knows what the hardware inventory and the newest readings say of chassis and battery. Never commits.
"""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fettle_protocol import catalogue
from fettle_protocol.policy import EndpointClass
from fettle_protocol.v1 import link_pb2
from google.protobuf.message import DecodeError

from fettle_server.estate.rooms.rules import ClassSource, RoomKind, guess_class
from fettle_server.estate.tables import Endpoint, Inventory, Room, Vitals
from fettle_server.journal.actions import Line, record_all

_MAX_PLAIN_BYTES = 4 * 1024 * 1024
_BATTERY = catalogue.BY_KEY["battery.charge_percent"].number


@dataclass(frozen=True, slots=True)
class _Newly:
    """An endpoint whose class changes, and from which to which."""

    pk: int
    id: str
    school_id: int
    name: str
    before: str
    after: EndpointClass


def guess(tx: sa.Connection, pks: Collection[int], now: dt.datetime) -> int:
    """Guess the classes of those endpoints anew, save those that a person set; returns how many are others than before."""
    rows = tx.execute(
        sa.select(
            Endpoint.pk, Endpoint.id, Endpoint.school_id, Endpoint.name, Endpoint.system_version, Endpoint.model,
            Endpoint.endpoint_class, Room.kind,
        )
        .outerjoin(Room, Room.id == Endpoint.room_id)
        .where(Endpoint.pk.in_(pks), Endpoint.class_source == ClassSource.GUESSED)
    ).all()  # fmt: skip
    known = [row.pk for row in rows]
    chassis, batteries = _chassis(tx, known), _batteries(tx, known)
    changes = []
    for row in rows:
        after = _guess(row, chassis, batteries)
        if after != row.endpoint_class:
            changes.append(_Newly(row.pk, row.id, row.school_id, row.name, row.endpoint_class, after))
    _write(tx, changes, now)
    return len(changes)


def _guess(row: Any, chassis: Mapping[int, str], batteries: Collection[int]) -> EndpointClass:
    return guess_class(
        system_version=row.system_version,
        model=row.model,
        chassis=chassis.get(row.pk, ""),
        has_battery=row.pk in batteries,
        room_kind=row.kind or RoomKind.ROOM,
    )


def _write(tx: sa.Connection, changes: Collection[_Newly], now: dt.datetime) -> None:
    by_class: dict[EndpointClass, list[int]] = {}
    for change in changes:
        by_class.setdefault(change.after, []).append(change.pk)
    for klass, pks in by_class.items():
        tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pks)).values(endpoint_class=klass, classed_at=now))
    record_all(tx, [_line(change, now) for change in changes])


def _line(change: _Newly, now: dt.datetime) -> Line:
    detail = {"name": change.name, "from": change.before, "to": change.after, "source": ClassSource.GUESSED}
    subject = f"endpoint:{change.id}"
    return Line(at=now, kind="endpoint.class", actor="system", subject=subject, school_id=change.school_id, detail=detail)


def _chassis(tx: sa.Connection, pks: Collection[int]) -> dict[int, str]:
    """The word for each machine's chassis, where its inventory has one."""
    bodies = sa.select(Inventory.endpoint_pk, Inventory.body).where(
        Inventory.endpoint_pk.in_(pks), Inventory.section == "hardware"
    )
    words = ((pk, _plain(body).get("chassis")) for pk, body in tx.execute(bodies))
    return {pk: word for pk, word in words if isinstance(word, str)}


def _batteries(tx: sa.Connection, pks: Collection[int]) -> set[int]:
    """Those that report a battery's charge."""
    bodies = tx.execute(sa.select(Vitals.endpoint_pk, Vitals.body).where(Vitals.endpoint_pk.in_(pks)))
    return {pk for pk, body in bodies if _has_battery(body)}


def _has_battery(body: bytes) -> bool:
    try:
        return any(reading.key == _BATTERY for reading in link_pb2.Vitals.FromString(body).readings)
    except DecodeError:
        return False


def _plain(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(zlib.decompressobj().decompress(body, _MAX_PLAIN_BYTES))
    except (zlib.error, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
