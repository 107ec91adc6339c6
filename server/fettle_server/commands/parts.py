"""The three parts of a running server: how each is run inside a process of its own, and the files that tell of it.

DIR/run holds <part>.pid, <part>.ready (where it listens) and <part>.lock. Does not start or watch processes (supervisor.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import runpy
import signal
import sys
import threading
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, NoReturn

from fettle_server import observed
from fettle_server.config import Settings

RUN = "run"
METRICS_PORT = "ingest-metrics.port"
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


class Part(StrEnum):
    """What `--only` names."""

    INGEST = "ingest"
    WORKER = "worker"
    CONSOLE = "console"


class PartError(Exception):
    """A part that cannot run; the message says why and what to do."""


def run_directory(data: Path) -> Path:
    """DIR/run, made if it is not there."""
    directory = data / RUN
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def ready_file(data: Path, part: Part) -> Path:
    """The file that a part writes once it serves; its text is where."""
    return data / RUN / f"{part}.ready"


def pid_of(data: Path, name: str) -> int | None:
    """The process that a pid file names, if that process runs."""
    try:
        pid = int((data / RUN / f"{name}.pid").read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def hold(data: Path, name: str) -> IO[str]:
    """A lock that only one process of this host has for this data directory; it ends with the process.

    Raises:
        PartError: another one has it.
    """
    file = (run_directory(data) / f"{name}.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        other = pid_of(data, name)
        who = f"process {other}" if other else "another process"
        raise PartError(f"{who} serves {data} already ({name}): stop it first") from error
    return file


def run_part(part: Part, settings: Settings, *, supervised: bool) -> None:
    """Be that part until SIGTERM.

    Raises:
        PartError: another process is that part of this data directory, or its address cannot be had.
        PkiError: the certificates cannot be used.
    """
    if supervised:
        _end_with_parent()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its C core writes lines of its own form, one a port scan
    os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")  # see docs/decisions: a third less for each message
    observed.set_up(part, level=settings.log_level, form=settings.log_format)
    with hold(settings.data, part):
        if part is not Part.CONSOLE:  # the console writes files of its own
            (settings.data / RUN / f"{part}.pid").write_text(f"{os.getpid()}\n")
        {Part.INGEST: _ingest, Part.WORKER: _worker, Part.CONSOLE: _console}[part](settings)


def leave() -> NoReturn:
    """End this process now, with status 0, when all its work is done and on disk.

    An interpreter that tidies up after this many modules takes a good part of the five seconds on a busy machine.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _ingest(settings: Settings) -> None:
    from fettle_server.ingest import edge

    def ready(where: edge.Ready) -> None:
        (settings.data / RUN / METRICS_PORT).write_text(f"{where.metrics_port}\n")
        ready_file(settings.data, Part.INGEST).write_text(f"{where.address}\n")
        observed.log().info("agents are accepted", address=where.address, metrics_port=where.metrics_port)

    with _forgotten(settings, Part.INGEST):
        try:
            edge.main(settings, write, ready)
        except edge.EdgeError as error:
            raise PartError(str(error)) from error


def write(pipe: Any, settings: Settings) -> None:
    """The writer, imported in its own process only."""
    from fettle_server.ingest import writer

    writer.main(pipe, settings)


def _worker(settings: Settings) -> None:
    from fettle_server import worker

    with _forgotten(settings, Part.WORKER):
        ready_file(settings.data, Part.WORKER).write_text("\n")
        worker.main(settings)


def _console(settings: Settings) -> None:
    sys.argv = ["fettle_web", str(settings.data), "--http", settings.http]
    if settings.database:
        sys.argv += ["--database", settings.database]
    runpy.run_module("fettle_web", run_name="__main__", alter_sys=True)  # by name: the server knows no console


@contextlib.contextmanager
def _forgotten(settings: Settings, part: Part) -> Iterator[None]:
    try:
        yield
    finally:
        for name in (f"{part}.ready", f"{part}.pid", *([METRICS_PORT] if part is Part.INGEST else [])):
            (settings.data / RUN / name).unlink(missing_ok=True)


def _end_with_parent() -> None:
    """Leave as on SIGTERM when the supervisor is gone, however it went: an orphan would keep the port."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
        return

    def watch() -> None:
        os.read(0, 1)  # the supervisor holds the other end and never writes
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="leash", daemon=True).start()
