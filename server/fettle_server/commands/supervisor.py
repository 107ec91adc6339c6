"""The supervisor of `fettle serve`: starts the parts, says when all are ready, starts a dead one again, and stops them all.

Each part is a process of its own. Owns their order, back-off and end. Does not know what a part does (parts.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fettle_server import clock, observed
from fettle_server.commands.parts import Part, PartError, ready_file, run_directory
from fettle_server.config import Settings

_TICK_S = 0.05
_READY_WITHIN_S = 60.0
_STOP_WITHIN_S = 4.2
_STEADY_S = 60.0
_BACK_OFF_MAX_S = 30.0


@dataclass(slots=True)
class _Running:
    """One part as the supervisor sees it."""

    part: Part
    process: subprocess.Popen[bytes]
    started_s: float
    back_off_s: float = 0.0
    again_at_s: float | None = None


@dataclass(slots=True)
class Supervisor:
    """The parts of one `fettle serve`, from start to stop."""

    settings: Settings
    parts: tuple[Part, ...]
    addresses: dict[Part, str] = field(default_factory=dict)
    _running: list[_Running] = field(default_factory=list)
    _leaving: bool = False

    def run(self, ready: Callable[[dict[Part, str]], None]) -> None:
        """Until SIGTERM or SIGINT; `ready` is called once, with where each part listens.

        Raises:
            PartError: a part could not start.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._leave)
        try:
            self._start_all()
            if not self._leaving:
                ready(self.addresses)
            while not self._leaving:
                time.sleep(_TICK_S)
                for running in self._running:
                    self._look_after(running)
        finally:
            self._stop_all()

    def _leave(self, *_: object) -> None:
        self._leaving = True

    def _start_all(self) -> None:
        run_directory(self.settings.data)
        for part in self.parts:
            ready_file(self.settings.data, part).unlink(missing_ok=True)
            self._running.append(_Running(part, self._start(part), clock.monotonic()))
        until_s = clock.monotonic() + _READY_WITHIN_S
        while not self._leaving and not all(self._is_ready(running) for running in self._running):
            if clock.monotonic() > until_s:
                late = ", ".join(running.part for running in self._running if running.part not in self.addresses)
                raise PartError(f"{late} did not become ready within {_READY_WITHIN_S:.0f} s: the log above says why")
            time.sleep(_TICK_S)

    def _is_ready(self, running: _Running) -> bool:
        if running.process.poll() is not None:
            raise PartError(f"{running.part} could not start: the line above says why")
        if running.part not in self.addresses:
            with contextlib.suppress(FileNotFoundError):
                text = ready_file(self.settings.data, running.part).read_text()
                if text.endswith("\n"):  # else it is being written
                    self.addresses[running.part] = text.strip()
        return running.part in self.addresses

    def _start(self, part: Part) -> subprocess.Popen[bytes]:
        settings = self.settings
        # A part that is started again listens where it did before, even where the port was left to chance.
        grpc = self.addresses.get(Part.INGEST, settings.grpc)
        http = self.addresses.get(Part.CONSOLE, settings.http).partition("://")[2] or settings.http
        command = [sys.executable, "-m", "fettle_server", "serve", str(settings.data), "--part", part]
        command += ["--grpc", grpc, "--http", http]
        environment = {**os.environ, **({"FETTLE_DATABASE": settings.database} if settings.database else {})}
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr.fileno(), env=environment)

    def _look_after(self, running: _Running) -> None:
        now_s = clock.monotonic()
        if running.again_at_s is None:
            if running.process.poll() is None:
                return
            steady = now_s - running.started_s > _STEADY_S
            running.back_off_s = 0.5 if steady else min(max(0.5, running.back_off_s * 2), _BACK_OFF_MAX_S)
            running.again_at_s = now_s + running.back_off_s
            facts = {"part": running.part, "exit_code": running.process.returncode, "again_in_s": running.back_off_s}
            observed.log().error("a part of the server died and is started again", **facts)
        elif now_s >= running.again_at_s:
            running.process, running.started_s, running.again_at_s = self._start(running.part), now_s, None

    def _stop_all(self) -> None:
        for running in self._running:
            if running.process.poll() is None:
                running.process.terminate()
        until_s = clock.monotonic() + _STOP_WITHIN_S
        for running in self._running:
            try:
                running.process.wait(max(0.0, until_s - clock.monotonic()))
            except subprocess.TimeoutExpired:
                observed.log().error("a part of the server did not leave in time and is ended", part=running.part)
                running.process.kill()
                running.process.wait()
            if running.process.stdin is not None:
                running.process.stdin.close()
