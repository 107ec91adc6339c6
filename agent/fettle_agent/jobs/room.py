"""The running agent's side of jobs: on the disk before the server hears that it was received, and told by the spool.

Owns when the child that works is started, and the way of reports from the book into the spool. Knows no keys and judges
nothing: what verifies and runs is a process that ends, because it needs more memory than all of the agent may. An agent that
was never handed a job has no book and pays nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fettle_protocol.v1 import link_pb2

from fettle_agent import inventories, log
from fettle_agent.jobs import signers
from fettle_agent.jobs.book_file import FILE_NAME, FOLDER, MAX_OPEN, BookError
from fettle_agent.spool import Draft

if TYPE_CHECKING:
    from fettle_agent.agent import Agent
    from fettle_agent.jobs.book import Book

MAX_MANIFEST = 128 * 1024
MAX_SIGNATURE = 256
WAKE_EVERY_S = 60.0
RESTART_BELIEVED_S = 600.0
LOOK_AT_LEAST_EVERY_S = 300.0
_BUSY, _BUSY_RETRY_S, _FAILED_RETRY_S = 75, 5.0, 60.0
_FIRST_LOOK_S = 2.0
_ASKED_EVERY_S = 3.0
_PATIENCE_S = 2.0
_MAX_UNSAVED = 8
_CHILD_AT_MOST_S = 86_400.0
_MARK = "jobs_told"
State = link_pb2.JobReport


class Room:
    """The jobs room of one agent. Every method belongs to the loop's thread."""

    def __init__(self, state: Path, agent: Agent) -> None:
        self._state, self._agent = state, agent
        self._book: Book | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._child_since_s = 0.0
        self._unsaved: list[link_pb2.Job] = []
        self._to_cancel: dict[str, link_pb2.CancelJob] = {}
        self._look_s: float | None = None
        self._woke_s = -WAKE_EVERY_S
        self._restart_s: float | None = None
        self._asked_s = 0.0
        self._has_told = False
        self.open = 0
        self.children_s = 0.0
        """Processor time of the children so far: ordered work, which is no cost of watching."""
        self.trouble = ""
        self._left_over = (state / FOLDER / FILE_NAME).exists()

    # ---- what the server says ----

    def take(self, jobs: Sequence[link_pb2.Job], cancelled: Iterable[link_pb2.CancelJob]) -> None:
        """Put jobs on the disk, and take back those that have not begun."""
        for job in jobs:
            if not _is_id(job.id):
                log.warning("a job without a proper id was left aside")
            elif len(job.manifest) > MAX_MANIFEST or len(job.signature) > MAX_SIGNATURE or len(job.key) > MAX_SIGNATURE:
                self._tell(State(job=job.id, state=State.STATE_REFUSED, why="The order is larger than an order may be."))
            else:
                self._receive(job)
        for one in cancelled:
            self._cancel(one)
        self._drain()

    def _receive(self, job: link_pb2.Job) -> None:
        try:
            book = self._book or self._open()
            came = book.receive(job, self._agent.clock.server_ms())
            if came == "full":
                self._tell(State(job=job.id, state=State.STATE_REFUSED, why=f"This PC has {MAX_OPEN} jobs to do already."))
            elif came == "ended" and not self._agent.spool.carried.events:
                book.tell_end_again(job.id, self._agent.clock.server_ms())
            elif came in ("received", "again"):
                log.info("job received", job=job.id)
        except BookError as error:
            self._failed(f"a job could not be put on the disk: {error}")
            if len(self._unsaved) < _MAX_UNSAVED and all(job.id != one.id for one in self._unsaved):
                self._unsaved.append(job)  # any more are handed over again on the next stream: the server heard of no receipt
        self.look_soon()

    def _cancel(self, one: link_pb2.CancelJob) -> None:
        self._unsaved = [job for job in self._unsaved if job.id != one.id]
        book = self._opened()
        if book is None or not _is_id(one.id):
            return
        try:
            came = book.cancel(one.id, one.reason or "The server took it back.", self._agent.clock.server_ms())
        except BookError as error:
            self._failed(f"a job could not be taken back: {error}")
            if len(self._to_cancel) < MAX_OPEN:
                self._to_cancel[one.id] = link_pb2.CancelJob(id=one.id, reason=one.reason[:500])
            self.look_soon()
            return
        self._to_cancel.pop(one.id, None)
        log.info("job taken back", job=one.id, outcome=came or "not open")

    def wake(self, macs: Sequence[bytes], now_s: float) -> None:
        """Wake neighbours, at most once a minute."""
        if now_s - self._woke_s < WAKE_EVERY_S:
            log.info("neighbours not woken: that was done within the last minute")
            return
        self._woke_s = now_s
        from fettle_agent.jobs import waking

        log.info("neighbours woken", count=waking.wake(macs))

    # ---- each second ----

    def look_soon(self) -> None:
        """Start the child at the next tick."""
        self._look_s = 0.0
        self._left_over = True

    def tick(self, now_s: float) -> bool:
        """Move what is to be told, and start the child where it is due; True where there is something to say.

        Where there are no jobs it does nothing at all.
        """
        if self._left_over:
            self._look(now_s)
        has_told, self._has_told = self._has_told, False
        return has_told

    def _look(self, now_s: float) -> None:
        if self._look_s is None:  # the first tick of this process, with what an earlier one left
            self._look_s = now_s + _FIRST_LOOK_S
        self._retry_unsaved()
        self._drain()
        if self._child is not None:
            self._reap(now_s)
        elif now_s >= self._look_s or self._is_asked(now_s):
            self._start(now_s)

    def _is_asked(self, now_s: float) -> bool:
        """True where a person asks to put a restart off; looked at often, answered at most every few seconds."""
        from fettle_agent.jobs.putting_off import door, is_asked

        if not self.open or now_s < self._asked_s or not is_asked(str(door(self._state))):
            return False
        self._asked_s = now_s + _ASKED_EVERY_S
        return True

    def _retry_unsaved(self) -> None:
        waiting, self._unsaved = self._unsaved, []
        for job in waiting:
            self._receive(job)
        for one in list(self._to_cancel.values()):
            self._cancel(one)

    def _start(self, now_s: float) -> None:
        self._count()
        if not self.open:
            self._rest()
            return
        clock = self._agent.clock
        zero_ms = clock.server_ms() - clock.boot_ms()
        command = [sys.executable, "-m", "fettle_agent", "work", "--state", str(self._state), "--zero-ms", str(zero_ms)]
        alone: dict[str, Any] = {"start_new_session": True} if sys.platform != "win32" else {"creationflags": 0x08000200}
        try:
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **alone)
        except OSError as error:
            self._trouble(f"the child that works could not be started: {error}")
            self._look_s = now_s + _FAILED_RETRY_S
            return
        self._child_since_s = now_s
        self._look_s = now_s + LOOK_AT_LEAST_EVERY_S

    def _reap(self, now_s: float) -> None:
        """The child has ended: when to look again."""
        assert self._child is not None
        before = os.times()
        status = self._child.poll()
        if status is None:
            if now_s - self._child_since_s > _CHILD_AT_MOST_S:
                self._child.kill()  # what it was at is taken up again, or told as cut off
            return
        after = os.times()
        self.children_s += after.children_user + after.children_system - before.children_user - before.children_system
        self._child = None
        self._let_go()  # the child may have found it damaged, and begun another
        self._drain()
        self._count()
        if status == 0:
            self.trouble = ""
            if self._look_s:
                self._look_s = now_s + self._wait_s()
        elif status == _BUSY:
            self._look_s = now_s + _BUSY_RETRY_S
        else:
            self._trouble(f"the child that works on jobs ended with status {status}: see the agent's log")
            # killed by a signal it is begun again at once: what it did lies in the book
            self._look_s = now_s + (1.0 if status < 0 else _FAILED_RETRY_S)
        if not self.open:
            self._rest()

    def _wait_s(self) -> float:
        """What the child said of when to look again; never longer than a few minutes, for a clock may be set."""
        marked = self._read_mark("look_ms")
        ahead_s = (
            (int(marked) - self._agent.clock.server_ms()) / 1000
            if marked.isdigit() and marked != "0"
            else LOOK_AT_LEAST_EVERY_S
        )
        return min(max(ahead_s, 1.0), LOOK_AT_LEAST_EVERY_S)

    def _read_mark(self, name: str) -> str:
        try:
            return self._book.marked(name) if self._book is not None else ""
        except BookError:
            return ""

    def _rest(self) -> None:
        """Nothing is to be done: let the book go, and cost nothing."""
        if self._unsaved or self._to_cancel or self._child is not None:
            return
        self._left_over, self._look_s = False, None
        self._let_go()

    def _count(self) -> None:
        book = self._opened()
        try:
            self.open = book.count_open() if book is not None else 0
        except BookError as error:
            self._failed(str(error))

    # ---- telling ----

    def _drain(self) -> None:
        """Move reports into the spool: each once, because the number of the last one is written there with it."""
        book = self._opened()
        if book is None:
            return
        try:
            name, _, number = self._agent.spool.mark(_MARK).partition(":")
            after = int(number or 0) if name == book.id else 0
            told = book.outbox(after)
            if not told:
                return
            drafts = [self._draft(one.at_ms, State.FromString(one.report)) for one in told]
            self._agent.spool.record(drafts, marks=[(_MARK, f"{book.id}:{told[-1].number}")])
            book.told(told[-1].number)
        except BookError as error:
            self._failed(str(error))
            return
        self._has_told = True
        if any(one.rescan for one in told):
            self._rescan()
        self._count()

    def _draft(self, at_ms: int, report: State) -> Draft:
        if report.state == State.STATE_RESTARTING:
            self._restart_s = self._agent.clock.boot_ms() / 1000
        return Draft(link_pb2.Event(job=report), at_ms - self._agent.clock.shift_ms)

    def _tell(self, report: State) -> None:
        """Tell of a job that never comes into the book."""
        self._agent.spool.record([Draft(link_pb2.Event(job=report), self._agent.clock.steady_ms())])
        self._has_told = True

    def _rescan(self) -> None:
        """Packages may have changed: read anew what is installed and what is offered, and tell it though it be the same."""
        self._agent.spool.record([], marks=[(inventories.mark_name("updates"), "")])
        if self._agent.lanes is not None:
            for name in ("updates", "software"):
                self._agent.lanes.start(name, time.monotonic())

    # ---- what others ask ----

    def restarts(self) -> bool:
        """True where the machine goes down because a job restarts it."""
        self._drain()
        return self._restart_s is not None and self._agent.clock.boot_ms() / 1000 - self._restart_s < RESTART_BELIEVED_S

    def status(self) -> dict[str, Any]:
        """For the status file."""
        return {
            "open": self.open,
            "working": self._child is not None,
            "signers": signers.count(self._state),
            "trouble": self.trouble,
        }

    def close(self) -> None:
        """The agent leaves; a child that works goes on, and what it reports is told by the next agent."""
        self._let_go()

    def _let_go(self) -> None:
        """Close the book; whoever needs it next opens it anew, and with it looks whether it is damaged or another by now."""
        if self._book is not None:
            self._book.close()
            self._book = None

    def _opened(self) -> Book | None:
        if self._book is None and (self._left_over or self._unsaved or (self._state / FOLDER / FILE_NAME).exists()):
            try:
                return self._open()
            except BookError as error:
                self._trouble(str(error))
        return self._book

    def _open(self) -> Book:
        """The book, made where there is none yet.

        Raises:
            BookError: the disk does not take it.
        """
        from fettle_agent.jobs.book import Book  # here, because most agents have no jobs most of the time

        self._book = Book.open(self._state, patience_s=_PATIENCE_S)
        return self._book

    def _failed(self, text: str) -> None:
        """The book failed: say so, and open it anew the next time."""
        self._trouble(text)
        self._let_go()

    def _trouble(self, text: str) -> None:
        if text != self.trouble:
            log.warning("jobs in trouble", why=text)
        self.trouble = text


def _is_id(text: str) -> bool:
    return len(text) == 32 and not set(text) - set("0123456789abcdef")
