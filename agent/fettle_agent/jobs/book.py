"""The jobs book: STATE/jobs/book.db, every job that was handed over, how far it is, and what is still to be told of it.

Owns the rows, and the promise that a change of a job and the report of it are on the disk together or not at all. The running
agent and the child that works both write to it, each for milliseconds; SQLite's own locks keep them apart, and every change of
a job's state names the states that it may come from. Does not decide anything.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fettle_protocol.v1 import link_pb2

from fettle_agent.jobs.book_file import FILE_NAME, FOLDER, MAX_OPEN, BookError, open_file

LOCK = "work.lock"
OPEN = ("received", "waiting", "started", "restarting")
UNBEGUN = ("received", "waiting")
KEPT_UNBEGUN = 300
__all__ = ["FILE_NAME", "FOLDER", "LOCK", "Book", "BookError"]
State = link_pb2.JobReport
ENDS = {
    "done": State.STATE_DONE,
    "failed": State.STATE_FAILED,
    "refused": State.STATE_REFUSED,
    "cancelled": State.STATE_CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the book has it. `state` is one of OPEN or of ENDS."""

    id: str
    manifest: bytes
    signature: bytes
    key: str
    start_ms: int
    until_ms: int
    exam: bool
    received_ms: int
    state: str
    why: str
    manifest_id: str
    title: str
    attempt: int
    begun_ms: int
    ended_ms: int
    deferrals: int
    warned_ms: int
    restart_ms: int


@dataclass(frozen=True, slots=True)
class Step:
    """How one step of a job went: "begun", "done", "failed" or "cut". `result` is JSON."""

    step: int
    kind: str
    state: str
    tries: int
    boot: str
    begun_ms: int
    pid: int
    result: str


@dataclass(frozen=True, slots=True)
class Told:
    """A report on its way to the spool."""

    number: int
    at_ms: int
    report: bytes
    rescan: bool


@dataclass(frozen=True, slots=True)
class Former:
    """What was installed before a manifest's first step touched it; version "": nothing. `why` it cannot be brought back."""

    provider: str
    name: str
    version: str
    why: str


_JOB = ", ".join(Job.__slots__)
_STEP = ", ".join(Step.__slots__)


class Book:
    """The open book."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def open(cls, state: Path, *, patience_s: float = 10.0) -> Book:
        """The book of that state folder, begun where there is none; one that is damaged is set aside and begun anew.

        Raises:
            BookError: the disk does not take it.
        """
        return cls(open_file(state / FOLDER, patience_s))

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk when it ends.

        Raises:
            BookError: nothing was written.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise BookError(f"the jobs book cannot be written: {error}") from error

    # ---- what the running agent writes ----

    def receive(self, job: link_pb2.Job, now_ms: int) -> str:
        """Put a job on the disk: "received", "again" where it was known and unbegun, "ended", "begun" or "full"."""
        with self.writing() as database:
            found = database.execute("SELECT state FROM jobs WHERE id = ?", (job.id,)).fetchone()
            if found is not None:
                return self._again(database, job, str(found[0]))
            if self.count_open() >= MAX_OPEN:
                return "full"
            database.execute(
                "INSERT INTO jobs (id, manifest, signature, key, start_ms, until_ms, exam, received_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (job.id, job.manifest, job.signature, job.key, job.start_ms, job.until_ms, job.exam, now_ms),
            )
            _tell(database, now_ms, State(job=job.id, state=State.STATE_RECEIVED))
        return "received"

    def _again(self, database: sqlite3.Connection, job: link_pb2.Job, state: str) -> str:
        """Only the window of a known job may change: what it is stays as it came first."""
        if state not in OPEN:
            return "ended"
        database.execute(
            "UPDATE jobs SET start_ms = ?, until_ms = ?, exam = ? WHERE id = ?", (job.start_ms, job.until_ms, job.exam, job.id)
        )
        return "again" if state in UNBEGUN else "begun"

    def tell_end_again(self, job: str, now_ms: int) -> None:
        """Report a job's end once more: the server hands it over as if it had never heard of it."""
        with self.writing() as database:
            for (report,) in database.execute("SELECT last FROM jobs WHERE id = ? AND last != x''", (job,)).fetchall():
                _tell(database, now_ms, State.FromString(report))

    def cancel(self, job: str, reason: str, now_ms: int) -> str:
        """Never begin that job: "cancelled", "late" where it has begun, "" where it is not known or has ended."""
        with self.writing() as database:
            found = database.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()
            if found is None or found[0] not in OPEN:
                return ""
            if found[0] in UNBEGUN:
                _end(database, job, "cancelled", now_ms, State(why=reason[:500]))
                return "cancelled"
            why = "It is too late to cancel it: it has begun already."
            _tell(database, now_ms, State(job=job, state=State.STATE_PROGRESS, why=why))
            return "late"

    def outbox(self, after: int) -> list[Told]:
        """What is to be told, in order, behind that number."""
        query = "SELECT number, at_ms, report, rescan FROM outbox WHERE number > ? ORDER BY number LIMIT 200"
        return [Told(number, at_ms, report, bool(rescan)) for number, at_ms, report, rescan in self._rows(query, after)]

    def told(self, number: int) -> None:
        """Forget what is in the spool by now."""
        with self.writing() as database:
            database.execute("DELETE FROM outbox WHERE number <= ?", (number,))

    # ---- what the child writes ----

    def mark(self, name: str, value: str) -> None:
        """Keep a small text."""
        with self.writing() as database:
            database.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, value))

    def know(self, job: str, manifest_id: str, title: str) -> None:
        """Note what a job is, once its signature was checked."""
        with self.writing() as database:
            database.execute("UPDATE jobs SET manifest_id = ?, title = ? WHERE id = ?", (manifest_id, title, job))

    def wait(self, job: str, why: str, now_ms: int, state: State.State = State.STATE_WAITING) -> None:
        """Note why a job does not go on; it is told where that is another reason than before."""
        with self.writing() as database:
            found = database.execute("SELECT state, why FROM jobs WHERE id = ?", (job,)).fetchone()
            if found is None or found[0] not in OPEN or found[1] == why:
                return
            now = "waiting" if found[0] in UNBEGUN else found[0]
            database.execute("UPDATE jobs SET state = ?, why = ? WHERE id = ?", (now, why, job))
            _tell(database, now_ms, State(job=job, why=why[:500], state=state))

    def begin(self, job: str, attempt: int, now_ms: int) -> bool:
        """Claim an unbegun job for work; False where it was cancelled meanwhile."""
        with self.writing() as database:
            claimed = database.execute(
                "UPDATE jobs SET state = 'started', why = '', attempt = ?, begun_ms = ? WHERE id = ? AND state IN (?, ?)",
                (attempt, now_ms, job, *UNBEGUN),
            )
            if claimed.rowcount:
                _tell(database, now_ms, State(job=job, state=State.STATE_STARTED, attempt=attempt))
        return bool(claimed.rowcount)

    def tell(self, report: link_pb2.JobReport, now_ms: int) -> None:
        """Report something that changes nothing here."""
        with self.writing() as database:
            _tell(database, now_ms, report)

    def begin_step(self, job: str, step: int, kind: str, *, boot: str, now_ms: int) -> int:
        """Have on the disk, before it begins, that a step begins; how often it was begun by now."""
        with self.writing() as database:
            database.execute(
                "INSERT INTO steps (job, step, kind, state, tries, boot, begun_ms) VALUES (?, ?, ?, 'begun', 1, ?, ?)"
                " ON CONFLICT (job, step) DO UPDATE SET state = 'begun', tries = tries + 1, boot = excluded.boot,"
                " begun_ms = excluded.begun_ms, pid = 0",
                (job, step, kind, boot, now_ms),
            )
            database.execute("UPDATE jobs SET why = '' WHERE id = ?", (job,))
            return int(database.execute("SELECT tries FROM steps WHERE job = ? AND step = ?", (job, step)).fetchone()[0])

    def step_process(self, job: str, step: int, pid: int) -> None:
        """Note the process group that a step runs in."""
        with self.writing() as database:
            database.execute("UPDATE steps SET pid = ? WHERE job = ? AND step = ?", (pid, job, step))

    def end_step(self, job: str, step: int, *, state: str, result: str, report: link_pb2.JobReport, now_ms: int) -> None:
        """Note how a step ended, and tell it."""
        with self.writing() as database:
            database.execute("UPDATE steps SET state = ?, result = ? WHERE job = ? AND step = ?", (state, result, job, step))
            _tell(database, now_ms, report)

    def fail_step(
        self,
        job: str,
        step: int,
        *,
        state: str,
        kind: str,
        boot: str,
        report: link_pb2.JobReport,
        end: link_pb2.JobReport,
        now_ms: int,
        rescan: bool,
    ) -> None:
        """Note that a step failed or was cut off ("failed", "cut"), and in the same moment that its job failed by it."""
        with self.writing() as database:
            database.execute(
                "INSERT INTO steps (job, step, kind, state, tries, boot, begun_ms) VALUES (?, ?, ?, ?, 0, ?, ?)"
                " ON CONFLICT (job, step) DO UPDATE SET state = excluded.state",
                (job, step, kind, state, boot, now_ms),
            )
            _tell(database, now_ms, report)
            _end(database, job, "failed", now_ms, end, rescan=rescan)

    def restart(self, job: str, **times: int) -> None:
        """Keep what a restart that a job needs has come to: `warned_ms`, `deferrals`, `restart_ms`."""
        with self.writing() as database:
            for name in ("warned_ms", "deferrals", "restart_ms"):
                if name in times:
                    database.execute(f"UPDATE jobs SET {name} = ? WHERE id = ?", (times[name], job))  # noqa: S608 - our own names

    def restarting(self, job: str, report: link_pb2.JobReport, now_ms: int) -> None:
        """Note, before it happens, that the PC restarts for a job."""
        with self.writing() as database:
            database.execute("UPDATE jobs SET state = 'restarting', restart_ms = ? WHERE id = ?", (now_ms, job))
            _tell(database, now_ms, report)

    def resume(self, job: str, report: link_pb2.JobReport, now_ms: int) -> None:
        """Go on with a job that was cut, or that restarted the PC."""
        with self.writing() as database:
            database.execute("UPDATE jobs SET state = 'started', why = '' WHERE id = ?", (job,))
            _tell(database, now_ms, report)

    def end(self, job: str, state: str, report: link_pb2.JobReport, now_ms: int, *, rescan: bool = False) -> None:
        """Note a job's end and tell it."""
        with self.writing() as database:
            if not database.execute(f"SELECT 1 FROM jobs WHERE id = ? AND state IN {OPEN}", (job,)).fetchone():  # noqa: S608
                return  # cancelled at the same moment
            _end(database, job, state, now_ms, report, rescan=rescan)

    def keep_former(self, manifest_id: str, formers: Iterable[Former]) -> None:
        """Note what was installed before; what an earlier try of the same manifest found stays."""
        rows = [(manifest_id, one.provider, one.name, one.version, one.why) for one in formers]
        with self.writing() as database:
            database.executemany("INSERT OR IGNORE INTO former VALUES (?, ?, ?, ?, ?)", rows)

    # ---- reading ----

    @property
    def id(self) -> str:
        """The book's own random name: a new book knows nothing of what was done before."""
        return self.marked("id")

    def marked(self, name: str) -> str:
        """A mark's value, empty where there is none."""
        return next((str(value) for (value,) in self._rows("SELECT value FROM marks WHERE name = ?", name)), "")

    def count_open(self) -> int:
        """How many jobs have not ended."""
        return int(self._rows(f"SELECT COUNT(*) FROM jobs WHERE state IN {OPEN}")[0][0])  # noqa: S608 - our own names

    def open_jobs(self) -> list[Job]:
        """The jobs that have not ended: those that have begun first, then as they came."""
        order = "ORDER BY begun_ms = 0, received_ms, rowid"
        return self._jobs(f"SELECT {_JOB} FROM jobs WHERE state IN {OPEN} {order}")  # noqa: S608 - our own names

    def jobs(self, limit: int = 200) -> list[Job]:
        """The newest jobs, newest first."""
        return self._jobs(f"SELECT {_JOB} FROM jobs ORDER BY received_ms DESC, rowid DESC LIMIT ?", limit)  # noqa: S608

    def job(self, job: str) -> Job | None:
        """That job, None where there is none."""
        return next(iter(self._jobs(f"SELECT {_JOB} FROM jobs WHERE id = ?", job)), None)  # noqa: S608 - our own names

    def same(self, manifest_id: str, but: str) -> list[Job]:
        """The other jobs of the same manifest."""
        query = f"SELECT {_JOB} FROM jobs WHERE manifest_id = ? AND id != ?"  # noqa: S608 - our own names
        return self._jobs(query, manifest_id, but)

    def steps(self, job: str) -> list[Step]:
        """The steps of a job that were begun, in order."""
        query = f"SELECT {_STEP} FROM steps WHERE job = ? ORDER BY step"  # noqa: S608 - our own names
        return [Step(*row) for row in self._rows(query, job)]

    def former(self, manifest_id: str) -> list[Former]:
        """What was installed before that manifest's first try."""
        query = "SELECT provider, name, version, why FROM former WHERE manifest_id = ? ORDER BY provider, name"
        return [Former(*row) for row in self._rows(query, manifest_id)]

    def former_of_late(self, within_ms: int) -> list[Former]:
        """What was installed before the manifests that were begun within that time of the one begun last."""
        late = "SELECT manifest_id FROM jobs WHERE begun_ms > 0 AND begun_ms >= (SELECT MAX(begun_ms) FROM jobs) - ?"
        query = f"SELECT provider, name, version, why FROM former WHERE manifest_id IN ({late})"  # noqa: S608 - our own
        return [Former(*row) for row in self._rows(query, within_ms)]

    def _jobs(self, query: str, *values: object) -> list[Job]:
        return [Job(*(*row[:6], bool(row[6]), *row[7:])) for row in self._rows(query, *values)]

    def _rows(self, query: str, *values: object) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise BookError(f"the jobs book cannot be read: {error}") from error


def _tell(database: sqlite3.Connection, now_ms: int, report: link_pb2.JobReport, *, rescan: bool = False) -> None:
    row = (now_ms, report.SerializeToString(), rescan)
    database.execute("INSERT INTO outbox (at_ms, report, rescan) VALUES (?, ?, ?)", row)


def _end(
    database: sqlite3.Connection, job: str, state: str, now_ms: int, report: link_pb2.JobReport, *, rescan: bool = False
) -> None:
    """The manifest's bytes are let go of; its id, and what was done by it, is remembered for good.

    Of jobs that never began nothing must be remembered: the newest are, so that a server that hands over the same work under
    ever new ids does not fill the disk.
    """
    report.job, report.state = job, ENDS[state]
    database.execute(
        "UPDATE jobs SET state = ?, why = ?, ended_ms = ?, manifest = x'', last = ? WHERE id = ?",
        (state, report.why, now_ms, report.SerializeToString(), job),
    )
    _tell(database, now_ms, report, rescan=rescan)
    unbegun = "state IN ('refused', 'cancelled') AND begun_ms = 0"
    newest = f"SELECT id FROM jobs WHERE {unbegun} ORDER BY ended_ms DESC, rowid DESC LIMIT ?"  # noqa: S608 - our own names
    database.execute(f"DELETE FROM jobs WHERE {unbegun} AND id NOT IN ({newest})", (KEPT_UNBEGUN,))  # noqa: S608
