"""The spool's SQLite file: its tables, how it is opened, what happens when it is damaged or the disk is full.

Owns the connection and its durability. Does not know what the rows mean (spool.py).

Against a full disk, which is just what the agent must be able to report, the file keeps room for itself: at each start it
grows by a reserve and gives the pages back to its own free list, so that later writes need no new block of the disk, neither
in the database nor in its write-ahead log. Exclusive locking keeps the log's index in memory and other programs out.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

FILE_NAME = "spool.db"
_RESERVE_BYTES = 512 * 1024
_SCHEMA = """
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS boots (boot TEXT NOT NULL, anchor_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS events (sequence INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL, zero_ms INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS hours (sequence INTEGER PRIMARY KEY AUTOINCREMENT, hour INTEGER NOT NULL, pack BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS progress (id INTEGER PRIMARY KEY, hour INTEGER NOT NULL, pack BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS phases (rule TEXT, instance TEXT, phase TEXT NOT NULL, since_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL, collector TEXT NOT NULL, boot TEXT NOT NULL, zero_ms INTEGER NOT NULL,
    PRIMARY KEY (rule, instance)) WITHOUT ROWID;
"""
_TABLES = ("marks", "boots", "events", "hours", "progress", "phases", "sqlite_sequence")

Result = TypeVar("Result")


class StoreError(Exception):
    """The disk does not take it; the message says why."""


class Store:
    """One open spool database."""

    def __init__(self, database: sqlite3.Connection, *, on_disk: bool) -> None:
        self._database = database
        self.on_disk = on_disk
        self.is_whole = True
        """False in memory where the file could not be read: what it holds comes before what is here."""
        self._durable = True

    @classmethod
    def open(cls, path: Path) -> tuple[Store, str]:
        """The store in that file, and what was wrong with the file before ("" where nothing was).

        A damaged file is set aside and a new one begun.

        Raises:
            StoreError: the disk is full, read-only or failing.
        """
        try:
            return cls(_open(path), on_disk=True), ""
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path} cannot be written: {error}") from error
        except sqlite3.DatabaseError as error:
            aside = _set_aside(path)
            trouble = f"the spool was damaged ({error}); it was set aside as {aside.name} and a new one begun"
        try:
            return cls(_open(path), on_disk=True), trouble
        except sqlite3.Error as error:
            raise StoreError(f"{path} cannot be written: {error}") from error

    @classmethod
    def in_memory(cls, source: Store | None = None) -> Store:
        """A store that lasts as long as the process, with what can still be read of the source, under a new id."""
        store = cls(_connect(":memory:"), on_disk=False)
        store._database.executescript(_SCHEMA)
        store.is_whole = source is not None
        if source is not None:
            _copy(source._database, store._database, _TABLES)
        store.write(lambda _: store.new_id(), durable=False)
        return store

    def copy_to(self, path: Path) -> Store:
        """The same contents, id included, in that file; behind what the file holds, where that could not be read before.

        Raises:
            StoreError: the disk still does not take it.
        """
        store, _ = Store.open(path)
        try:
            copy = _copy_all if self.is_whole else _append
            store.write(lambda database: copy(self._database, database), durable=True)
        except sqlite3.Error as error:
            store.close()
            raise StoreError(f"{path} cannot be written: {error}") from error
        self.close()
        return store

    def write(self, write: Callable[[sqlite3.Connection], Result], *, durable: bool) -> Result:
        """Run the write in one transaction; with `durable` it is flushed to the disk before this returns.

        Raises:
            sqlite3.Error: nothing was written.
        """
        if durable is not self._durable:
            self._database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        self._database.execute("BEGIN IMMEDIATE")
        try:
            result = write(self._database)
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        return result

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """What the query finds."""
        return self._database.execute(query, values).fetchall()

    def number(self, query: str) -> int:
        """The one number that the query finds, 0 where it finds none."""
        found = self._database.execute(query).fetchone()
        return int(found[0] or 0) if found else 0

    def mark(self, name: str, default: str = "") -> str:
        """A mark's value."""
        found = self._database.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else default

    def new_id(self) -> None:
        """Give the spool a new name, inside a write."""
        self._database.execute("INSERT OR REPLACE INTO marks VALUES ('id', ?)", (os.urandom(16).hex(),))

    def close(self) -> None:
        """Let the file go."""
        self._database.close()


def _connect(path: str | Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # exclusive first: after any other the log's index is a file of its own, for which a full disk has no room
    for pragma in ("locking_mode = EXCLUSIVE", "cache_size = -256", "temp_store = MEMORY", "mmap_size = 0"):
        database.execute(f"PRAGMA {pragma}")
    return database


def _open(path: Path) -> sqlite3.Connection:
    database = _connect(path)
    try:
        for pragma in ("journal_mode = WAL", "wal_autocheckpoint = 64", "synchronous = FULL"):
            database.execute(f"PRAGMA {pragma}").fetchall()
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("its check failed")
        database.executescript(_SCHEMA)
        database.execute("INSERT OR IGNORE INTO marks VALUES ('id', ?)", (os.urandom(16).hex(),))
        _reserve(database)
    except BaseException:
        database.close()
        raise
    if os.name == "posix":
        path.chmod(0o600)
    return database


def _reserve(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # what a killed process left: the log begins anew
    database.execute("INSERT OR REPLACE INTO progress VALUES (0, 0, zeroblob(?))", (_RESERVE_BYTES,))
    database.execute("DELETE FROM progress WHERE id = 0")
    database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _set_aside(path: Path) -> Path:
    """One damaged spool is kept for whoever wants to look; the next takes its place."""
    aside = path.with_name(path.name + ".damaged")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


def _copy_all(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    _copy(source, target, _TABLES)


def _append(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Number the source's events and hours behind the target's, under the target's name; all else is newer in the source."""
    _copy(source, target, ("boots", "phases", "progress"))
    for table, columns in (("events", "boot, zero_ms, at_ms, body"), ("hours", "hour, pack")):
        rows = source.execute(f"SELECT {columns} FROM {table} ORDER BY sequence").fetchall()  # noqa: S608 - our own names
        places = ", ".join("?" * len(columns.split(",")))
        target.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)  # noqa: S608 - our own names
    marks = source.execute("SELECT name, value FROM marks WHERE name != 'id' AND name NOT LIKE 'sent_%'").fetchall()
    target.executemany("INSERT OR REPLACE INTO marks VALUES (?, ?)", marks)


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, tables: tuple[str, ...]) -> None:
    """Replace the target's rows by what can be read of the source's, numbering included."""
    for table in tables:
        target.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        try:
            rows = source.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names
        except sqlite3.Error:
            continue
        if rows:
            places = ", ".join("?" * len(rows[0]))
            target.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608 - our own names
