"""The jobs book's SQLite file: its tables, how it is opened, and what happens where it is damaged.

Owns the file's durability: a rollback journal and a flush at each commit, because two processes write to it, and seldom.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

FOLDER, FILE_NAME = "jobs", "book.db"
MAX_OPEN = 200
"""How many jobs one PC may have to do."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, manifest BLOB NOT NULL, signature BLOB NOT NULL, key TEXT NOT NULL,
    start_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, exam INTEGER NOT NULL, received_ms INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'received', why TEXT NOT NULL DEFAULT '', manifest_id TEXT NOT NULL DEFAULT '',
    title TEXT NOT NULL DEFAULT '', attempt INTEGER NOT NULL DEFAULT 0, begun_ms INTEGER NOT NULL DEFAULT 0,
    ended_ms INTEGER NOT NULL DEFAULT 0, deferrals INTEGER NOT NULL DEFAULT 0, warned_ms INTEGER NOT NULL DEFAULT 0,
    restart_ms INTEGER NOT NULL DEFAULT 0, last BLOB NOT NULL DEFAULT x'');
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state);
CREATE INDEX IF NOT EXISTS jobs_by_manifest ON jobs (manifest_id);
CREATE TABLE IF NOT EXISTS steps (job TEXT NOT NULL, step INTEGER NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
    tries INTEGER NOT NULL, boot TEXT NOT NULL, begun_ms INTEGER NOT NULL, pid INTEGER NOT NULL DEFAULT 0,
    result TEXT NOT NULL DEFAULT '', PRIMARY KEY (job, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS former (manifest_id TEXT NOT NULL, provider TEXT NOT NULL, name TEXT NOT NULL,
    version TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (manifest_id, provider, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, report BLOB NOT NULL,
    rescan INTEGER NOT NULL);
"""


class BookError(Exception):
    """The book cannot be read or written now; the message says why."""


def open_file(folder: Path, patience_s: float) -> sqlite3.Connection:
    """The book in that folder, begun where there is none; a damaged one is set aside and begun anew, under another id.

    Raises:
        BookError: the disk does not take it.
    """
    path = folder / FILE_NAME
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
        return _connect(path, patience_s)
    except (sqlite3.OperationalError, OSError) as error:
        raise BookError(f"{path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError:
        pass
    try:
        path.replace(path.with_name(FILE_NAME + ".damaged"))
        path.with_name(FILE_NAME + "-journal").unlink(missing_ok=True)
        return _connect(path, patience_s)
    except (sqlite3.Error, OSError) as error:
        raise BookError(f"{path} cannot be begun anew: {error}") from error


def _connect(path: Path, patience_s: float) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = DELETE", "synchronous = FULL", "cache_size = -128", "mmap_size = 0"):
            database.execute(f"PRAGMA {pragma}").fetchall()
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("its check failed")
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
            database.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
        database.execute("INSERT OR IGNORE INTO marks VALUES ('id', ?)", (os.urandom(16).hex(),))
    except BaseException:
        database.close()
        raise
    if os.name == "posix":
        path.chmod(0o600)
    return database
