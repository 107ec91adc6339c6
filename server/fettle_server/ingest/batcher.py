"""The way to the writer: gathers what streams say into lists, hands them to the writer's process, and passes answers on.

Owns the process and the pipe. A list goes when the pipe takes it, so lists grow by themselves while the writer is busy
(group commit), and a full pipe holds back the streams. Does not look into messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from fettle_server import clock, observed
from fettle_server.config import Settings
from fettle_server.ingest.messages import Arrived, ToEdge, ToWriter

WriterMain = Callable[[Any, Settings], None]

STREAM_SHARE = 64
"""Messages that one stream may have in one list: its neighbours' messages are never behind more than these."""
WAITING_BYTES = 64 * 1024 * 1024
_STEADY_S = 30.0
_BACK_OFF_MAX_S = 30.0
_LEAVE_S = 2.0
_PIPE_BYTES = (
    64 * 1024
)  # little enough that what waits, waits here, where streams have equal shares and a stop can let go of it
_SPAWN = multiprocessing.get_context("spawn")  # forking a process with live gRPC threads hangs


class Batcher:
    """One writer process and the list that waits for it. All methods belong to the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        main: WriterMain,
        *,
        on_answers: Callable[[list[ToEdge]], None],
        on_loss: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._main = main
        self._on_answers = on_answers
        self._on_loss = on_loss
        self._thread = ThreadPoolExecutor(1, "to-writer")
        self._items: list[ToWriter] = []
        self._size_bytes = 0
        self._some = asyncio.Event()
        self._taken: asyncio.Future[None] | None = None
        self._pipe: Connection | None = None
        self._process: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._started_s = 0.0
        self._back_off_s = 0.0
        self.number = 0
        self.restarts = 0

    @property
    def is_up(self) -> bool:
        """Whether there is a writer to talk to."""
        return self._pipe is not None

    @property
    def pid(self) -> int | None:
        """The writer's process."""
        return self._process.pid if self._pipe is not None else None

    @property
    def waiting(self) -> int:
        """Messages that no list has taken yet."""
        return len(self._items)

    def start(self) -> None:
        """Start the writer's process and the handing over."""
        ours, theirs = _SPAWN.Pipe(duplex=True)
        self._process = _SPAWN.Process(target=run_writer, args=(self._main, theirs, self._settings), daemon=True)
        self._process.start()
        theirs.close()
        with _as_socket(ours) as half:
            half.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIPE_BYTES)
        self._pipe = ours
        self._started_s = clock.monotonic()
        asyncio.get_running_loop().add_reader(ours.fileno(), self._receive, ours)
        self._keep(self._hand_over(ours))

    def add(self, item: ToWriter, size_bytes: int = 0) -> None:
        """Put a message into the present list. Without a writer it is dropped: its stream is being ended."""
        if self._pipe is None:
            return
        self._items.append(item)
        self._size_bytes += size_bytes
        if len(self._items) == 1:
            self._some.set()

    @property
    def is_full(self) -> bool:
        """Whether so much waits that every stream should wait for the next list."""
        return self._size_bytes > WAITING_BYTES

    async def next_list(self) -> None:
        """Return once the present list was handed over (or dropped with its writer)."""
        if self._taken is None:
            self._taken = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._taken)

    async def stop(self) -> None:
        """Tell the writer that the streams are over, let it commit what it has and leave, and return when it has.

        One that takes too long is ended: nothing is acknowledged before its commit, so what is lost comes again.
        """
        pipe, process = self._pipe, self._process
        if pipe is not None:
            self._items = [item for item in self._items if type(item) is not Arrived]  # not acknowledged: it comes again
            try:
                async with asyncio.timeout(_LEAVE_S):
                    await self._let_finish(pipe)
            except TimeoutError:
                observed.log().warning("the writer was ended over messages not yet acknowledged", after_s=_LEAVE_S)
            self._pipe = None
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            process.kill()
        for task in list(self._tasks):
            task.cancel()
        self._thread.shutdown(wait=False)

    async def _let_finish(self, pipe: Connection) -> None:
        while self._items and self._pipe is pipe:
            await self.next_list()
        await asyncio.get_running_loop().run_in_executor(self._thread, _say_no_more, pipe)
        self._pipe = None
        await asyncio.to_thread(self._process.join, _LEAVE_S)

    async def _hand_over(self, pipe: Connection) -> None:
        loop, linger_s = asyncio.get_running_loop(), self._settings.batch_linger_ms / 1000
        while self._pipe is pipe:
            await self._some.wait()
            if linger_s and len(self._items) < self._settings.batch_limit:
                await asyncio.sleep(linger_s)
            if self._pipe is not pipe:
                return
            items = self._take()
            try:
                await loop.run_in_executor(self._thread, pipe.send, items)
            except (OSError, ValueError):
                return  # the writer is gone: _receive sees the end of the pipe and deals with it
            self._release()

    def _take(self) -> list[ToWriter]:
        items = self._items
        self._items, self._size_bytes = [], 0
        self.number += 1
        self._some.clear()
        return items

    def _release(self) -> None:
        if self._taken is not None:
            self._taken.set_result(None)
            self._taken = None

    def _receive(self, pipe: Connection) -> None:
        try:
            while pipe.poll(0):
                self._on_answers(pipe.recv())
        except (EOFError, OSError):
            self._lost(pipe)

    def _lost(self, pipe: Connection) -> None:
        asyncio.get_running_loop().remove_reader(pipe.fileno())
        if self._pipe is not pipe:
            return  # it left because we asked it to
        self._pipe = None
        self._take()
        self._some.set()  # wakes the handing over, which then ends
        self._release()
        self._on_loss()
        self._keep(self._restart(pipe))

    async def _restart(self, lost: Connection) -> None:
        await asyncio.to_thread(self._process.join, _LEAVE_S)
        ran_s = clock.monotonic() - self._started_s
        self._back_off_s = 0.0 if ran_s > _STEADY_S else min(max(0.5, self._back_off_s * 2), _BACK_OFF_MAX_S)
        facts = {"exit_code": self._process.exitcode, "ran_s": round(ran_s, 1), "again_in_s": self._back_off_s}
        observed.log().error("the writer died; all streams are ended and it is started again", **facts)
        await asyncio.sleep(self._back_off_s)
        self._some.clear()
        lost.close()
        self.restarts += 1
        self.start()

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # a task that nobody holds may be collected while it waits
        task.add_done_callback(self._tasks.discard)


def run_writer(main: WriterMain, pipe: Connection, settings: Settings) -> None:
    """What the writer's process runs: it leaves when the edge says no more, never by a signal meant for the whole server."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    observed.set_up("writer", level=settings.log_level, form=settings.log_format)
    main(pipe, settings)
    sys.stderr.flush()
    os._exit(0)  # all is committed and answered; the edge waits, and an interpreter is slow to tidy up


def _as_socket(pipe: Connection) -> socket.socket:
    """The socket that a two-way pipe is, on a descriptor of its own."""
    return socket.socket(fileno=os.dup(pipe.fileno()))


def _say_no_more(pipe: Connection) -> None:
    """Close our direction only: the writer reads to the end, and can still answer."""
    with contextlib.suppress(OSError), _as_socket(pipe) as half:
        half.shutdown(socket.SHUT_WR)
