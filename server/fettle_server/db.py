"""The store's engine: one way to open SQLite and PostgreSQL alike, and the column types both share.

Owns connections, pragmas and types. Does not know any table (schema.py gathers those).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase

Connection = sa.Connection
Engine = sa.Engine
StoreFailure = sa.exc.SQLAlchemyError
"""Whatever goes wrong with a store: for those who may not know SQLAlchemy but must live on."""
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)


class Model(DeclarativeBase):
    """The one metadata that every wing's tables hang on."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Utc(sa.types.TypeDecorator[dt.datetime]):
    """An aware UTC datetime kept as milliseconds since the epoch: the same number in both stores, and quick to compare."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> int | None:
        """Milliseconds since the epoch. Raises ValueError for a naive time."""
        return None if value is None else to_ms(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> dt.datetime | None:
        """The time, aware."""
        return None if value is None else from_ms(value)


Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""A key that the store counts up by itself."""


def to_ms(time: dt.datetime) -> int:
    """Milliseconds since the epoch.

    Raises:
        ValueError: the time is naive.
    """
    if time.tzinfo is None:
        raise ValueError("a time without its zone reached the store")
    return (time - EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> dt.datetime:
    """The aware UTC time of that many milliseconds since the epoch."""
    return EPOCH + dt.timedelta(milliseconds=milliseconds)


def insert_into(tx: sa.Connection, table: Any) -> Any:
    """The insert of the connection's own dialect for a table or model: both know on_conflict_do_update."""
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)


as_json: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""A value as the JSON text that a Bulk gives to a JSON column."""


class Bulk:
    """A statement that runs for very many rows: compiled once for each dialect, then given plain tuples.

    SQLAlchemy's own executemany spends more on each row's parameters than SQLite does on storing it. In return the values
    must be the store's own: milliseconds for a Utc column, as_json(...) for a JSON column. `names` are the statement's
    parameters, in the order of each row.
    """

    def __init__(self, statement: Any, *names: str) -> None:
        self._statement = statement
        self._names = names
        self._ready: dict[str, tuple[str, Callable[[Any], Any]]] = {}

    def run(self, tx: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run it for each row."""
        if rows:
            text, fit = self._ready.get(tx.dialect.name) or self._prepare(tx.dialect)
            tx.exec_driver_sql(text, [fit(row) for row in rows])

    def _prepare(self, dialect: sa.Dialect) -> tuple[str, Callable[[Any], Any]]:
        compiled = self._statement.compile(dialect=dialect, column_keys=list(self._names))
        order = compiled.positiontup or list(compiled.params)
        if set(order) != set(self._names):
            raise TypeError(f"a bulk statement has the parameters {sorted(order)}, its rows {sorted(self._names)}")
        by_place = itemgetter(*(self._names.index(name) for name in order))
        fit = by_place if dialect.positional else _named(self._names)
        self._ready[dialect.name] = (str(compiled), fit)
        return self._ready[dialect.name]


def _named(names: tuple[str, ...]) -> Callable[[Any], Any]:
    return lambda row: dict(zip(names, row, strict=True))


def bulk_insert(model: Any, *names: str) -> Bulk:
    """A bulk insert of those columns."""
    return Bulk(sa.insert(model).values({name: sa.bindparam(name) for name in names}), *names)


def bulk_update(model: Any, key: Any, *names: str) -> Bulk:
    """A bulk update of those columns, where the key column has the row's first value."""
    values: dict[str, Any] = {name: sa.bindparam(name) for name in names}
    return Bulk(sa.update(model).where(key == sa.bindparam("key")).values(values), "key", *names)


def bulk_upsert(dialect: str, model: Any, key: str, *names: str) -> Bulk:
    """A bulk insert of the key and those columns, which replaces them where the key is there already."""
    insert: Any = postgresql.insert(model) if dialect == "postgresql" else sqlite.insert(model)
    upsert = insert.values({name: sa.bindparam(name) for name in (key, *names)})
    new = {name: insert.excluded[name] for name in names}
    return Bulk(upsert.on_conflict_do_update(index_elements=[key], set_=new), key, *names)


def open_engine(url: str, *, readonly: bool = False) -> sa.Engine:
    """An engine for a SQLAlchemy URL ("sqlite:////path" or "postgresql+psycopg://..."); connects only when used.

    SQLite: WAL, synchronous FULL (what is acknowledged is on disk), foreign keys on, ten seconds of patience, and every
    transaction takes its write lock at the beginning, so that it can never fail half-way for want of it. With `readonly`
    transactions begin deferred: readers then never wait for the writer.
    """
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = sa.create_engine(url, connect_args={"timeout": 10}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_deferred if readonly else _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event decides when a transaction starts, not the driver
    for pragma in (
        "page_size = 16384",  # takes effect on a new file only: packed history lies twice as dense as in 4 KiB pages
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "cache_size = -65536",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")
