"""The packed history of endpoints: one row an endpoint-hour, in one plain table a week, so that age is dropped by the table.

A row's key is `hour * 2**32 + endpoint`, so an hour's rows are appended side by side. Weekly tables are made when first
needed and belong to no migration. What is in a pack is fettle_protocol.packing's business.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa

from fettle_server import db

HOURS_A_WEEK = 168
_SHIFT = 2**32
_NAME = re.compile(r"history_w(\d+)")
_METADATA = sa.MetaData()  # apart from the models': these tables come and go


class HourPack(NamedTuple):
    """One hour (since the epoch, UTC) of an endpoint, packed."""

    hour: int
    pack: bytes


def hour_of(time: dt.datetime) -> int:
    """Hours since the epoch, rounded down."""
    return db.to_ms(time) // 3_600_000


def store(tx: sa.Connection, rows: Iterable[tuple[int, int, bytes]], made: set[int]) -> None:
    """Store (endpoint pk, hour, pack) rows; an hour that is there is replaced.

    `made` is the caller's memory of the weeks whose table is known to exist. New ones are added to it: forget them when
    the transaction fails.
    """
    weeks: dict[int, dict[int, bytes]] = defaultdict(dict)
    for endpoint_pk, hour, pack in rows:
        weeks[hour // HOURS_A_WEEK][hour * _SHIFT + endpoint_pk] = pack
    for week in sorted(weeks):
        table = _table(week)
        if week not in made:
            _make(tx, table)
            made.add(week)
        _upsert(tx.dialect.name, table).run(tx, sorted(weeks[week].items()))


def read(tx: sa.Connection, endpoint_pk: int, first_hour: int, last_hour: int) -> tuple[HourPack, ...]:
    """The hours of one endpoint from the first to the last, both included, oldest first; hours without a row are left out."""
    present = set(weeks(tx))
    found: list[HourPack] = []
    for week in range(first_hour // HOURS_A_WEEK, last_hour // HOURS_A_WEEK + 1):
        if week not in present:
            continue
        low, high = max(first_hour, week * HOURS_A_WEEK), min(last_hour, week * HOURS_A_WEEK + HOURS_A_WEEK - 1)
        table = _table(week)
        keys = [hour * _SHIFT + endpoint_pk for hour in range(low, high + 1)]
        statement = sa.select(table.c.id, table.c.pack).where(table.c.id.in_(keys)).order_by(table.c.id)
        found += [HourPack(key // _SHIFT, bytes(pack)) for key, pack in tx.execute(statement)]
    return tuple(found)


def of_hour(tx: sa.Connection, hour: int, endpoint_pks: Iterable[int]) -> dict[int, bytes]:
    """The packs of one hour by endpoint; the hour's week must have a table (see weeks). Endpoints without one are left out."""
    table = _table(hour // HOURS_A_WEEK)
    keys = [hour * _SHIFT + pk for pk in endpoint_pks]
    rows = tx.execute(sa.select(table.c.id, table.c.pack).where(table.c.id.in_(keys)))
    return {key % _SHIFT: bytes(pack) for key, pack in rows}


def weeks(tx: sa.Connection) -> tuple[int, ...]:
    """The weeks that have a table, oldest first."""
    names = (_NAME.fullmatch(name) for name in sa.inspect(tx).get_table_names())
    return tuple(sorted(int(match[1]) for match in names if match))


def drop_before(tx: sa.Connection, hour: int) -> int:
    """Drop every week that ended before that hour; returns how many."""
    old = [week for week in weeks(tx) if (week + 1) * HOURS_A_WEEK <= hour]
    for week in old:
        tx.execute(sa.schema.DropTable(_table(week), if_exists=True))
    return len(old)


def _table(week: int) -> sa.Table:
    name = f"history_w{week}"
    known = _METADATA.tables.get(name)
    if known is not None:
        return known
    key = sa.Column("id", db.Serial, primary_key=True, autoincrement=False)
    return sa.Table(name, _METADATA, key, sa.Column("pack", sa.LargeBinary, nullable=False))


@functools.lru_cache(maxsize=128)
def _upsert(dialect: str, table: sa.Table) -> db.Bulk:
    return db.bulk_upsert(dialect, table, "id", "pack")


def _make(tx: sa.Connection, table: sa.Table) -> None:
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(7_443, int(table.name[9:]))))  # two writers may come at once
    if sa.inspect(tx).has_table(table.name):
        return
    tx.execute(sa.schema.CreateTable(table))
    if tx.dialect.name == "postgresql":
        # Packs are compressed already: a second attempt would only cost time.
        tx.exec_driver_sql(f"ALTER TABLE {table.name} ALTER COLUMN pack SET STORAGE EXTERNAL")
