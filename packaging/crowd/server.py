"""A server for the crowd: its own, started with the product's own commands in a data directory, or one that runs elsewhere.

Owns starting, stopping and what its processes cost. Everything is done by `fettle` as a person would.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

FETTLE = Path(sys.executable).parent / "fettle"
MAX_USES = 10_000
_START_S = 60
_STOP_S = 15


class ServerError(Exception):
    """The server could not be made, started or asked; the message carries its own words."""


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A running `fettle serve`. `process` is the one that was started; its parts are its children."""

    data: Path
    grpc: str
    http: str
    process: subprocess.Popen[str]

    @property
    def ca_pem(self) -> bytes:
        """The authority that its agents trust."""
        return (self.data / "ca.pem").read_bytes()

    @property
    def address(self) -> tuple[str, int]:
        """Where agents are accepted."""
        host, _, port = self.grpc.rpartition(":")
        return host, int(port)

    def cost(self) -> dict[str, Cost]:
        """What each part has cost so far, by its name."""
        return costs(self.process.pid)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds so far and bytes resident now."""

    cpu_s: float
    rss_bytes: int


def make(data: Path, school: str) -> str:
    """Make the data directory where there is none; the command's words, which hold the first password, or nothing."""
    if (data / "fettle.toml").exists():
        return ""
    return _fettle("init", str(data), "--school", school)


def token(data: Path, school: str, uses: int) -> str:
    """A fresh enrolment token for that school, which is made if there is none."""
    words = ("token", "create", str(data), "--school", school, "--uses", str(uses), "--expires", "1h", "--json")
    answer: dict[str, str] = json.loads(_fettle(*words))
    return answer["token"]


@contextmanager
def serving(
    data: Path, settings: Mapping[str, str] | None = None, *, http: str = "", grpc: str = "", only: str = ""
) -> Iterator[OwnServer]:
    """`fettle serve` on loopback until the block ends. `settings` go into its environment; `only`: one part of it.

    Raises:
        ServerError: it did not say that it is ready.
    """
    grpc, http = grpc or f"127.0.0.1:{free_port()}", http or f"127.0.0.1:{free_port()}"
    command = [str(FETTLE), "serve", str(data), "--grpc", grpc, "--http", http, *(["--only", only] if only else [])]
    environment = {**os.environ, **(settings or {})}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    try:
        ready = process.stdout.readline() if process.stdout else ""
        if not ready:
            raise ServerError(f"`fettle serve` ended at once with status {process.wait(_START_S)}; its words are above")
        yield OwnServer(data, grpc, http, process)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def costs(pid: int) -> dict[str, Cost]:
    """CPU and memory of a process and its descendants, added up by what each says it is."""
    found: dict[str, Cost] = {}
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        try:
            name = _part(process)
            times, memory = process.cpu_times(), process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        before = found.get(name, Cost(0.0, 0))
        found[name] = Cost(before.cpu_s + times.user + times.system, before.rss_bytes + memory)
    return found


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, seconds: float, is_so: Callable[[], bool]) -> None:
    """Return once the callable says True.

    Raises:
        ServerError: it did not in time.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise ServerError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)


def _part(process: psutil.Process) -> str:
    words = process.cmdline()
    if "fettle_web" in words:
        return "console"
    if any("spawn_main" in word for word in words):
        parent = process.parent()
        return "console" if parent is not None and "fettle_web" in parent.cmdline() else "writer"
    if any("resource_tracker" in word for word in words):
        return "supervisor"
    return {"ingest": "edge"}.get(part := _after(words, "--part"), part) or "supervisor"


def _after(words: Sequence[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words[:-1] else ""


def _fettle(*words: str) -> str:
    answer = subprocess.run([str(FETTLE), *words], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ServerError(f"`fettle {' '.join(words[:2])}` failed: {(answer.stderr or answer.stdout).strip()}")
    return answer.stdout
