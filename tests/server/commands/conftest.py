"""The commands as people run them: words in, exit status and lines out."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fettle_server.__main__ import main


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def fettle(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs a command in this process."""

    def run(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["fettle", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return Result(int(left.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `fettle init` makes, once, to copy."""
    made = tmp_path_factory.mktemp("made") / "data"
    command = [sys.executable, "-m", "fettle_server", "init", str(made), "--school", "Harbour School"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return made


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A data directory as `fettle init` makes it."""
    return shutil.copytree(made, tmp_path / "data")


@dataclass(slots=True)
class Serving:
    """A real `fettle serve` on ports of its own."""

    process: subprocess.Popen[str]
    line: str

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Seconds until it has left, which must be with status 0."""
        began_s = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(15) == 0
        return time.monotonic() - began_s


@pytest.fixture
def serve(data: Path) -> Iterator[Callable[..., Serving]]:
    """Starts `fettle serve` with further words, and returns when it printed its line."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> Serving:
        command = [sys.executable, "-m", "fettle_server", "serve", str(data), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        with (data / "serve.log").open("a") as log:
            process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=log, text=True)
        started.append(process)
        assert process.stdout is not None
        return Serving(process, process.stdout.readline())

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait(15)
        assert process.stdout is not None
        process.stdout.close()
