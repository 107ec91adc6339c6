"""The real agent in a process of its own, enrolled with a server as a person would; its cost, and what went over its wire.

Owns the agent's process and the counting relay between it and the server. The relay counts IP bytes: what was carried, and the
headers of every segment that the kernel says it sent and received.
"""

from __future__ import annotations

import select
import socket
import struct
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import table
from crowd import server

FETTLE_AGENT = Path(sys.executable).parent / "fettle-agent"
SCHOOL = "Bench School"
_HEADERS = 20 + 20 + 12  # IPv4, TCP, its timestamps
_SEGMENTS = struct.Struct("136xII")  # tcpi_segs_out, tcpi_segs_in in Linux's struct tcp_info


class Relay:
    """Passes bytes between agents and the server, and counts them."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._carried = self._ended_segments = 0
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def ip_bytes(self) -> int:
        """All bytes so far on the agent's side, both ways, headers included."""
        return self._carried + _HEADERS * (self._ended_segments + sum(_segments(one) for one in list(self._open)))

    def close(self) -> None:
        """Accept nobody any more."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                agent, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(agent,), daemon=True).start()

    def _pass(self, agent: socket.socket) -> None:
        self._open.add(agent)
        with suppress(OSError), socket.create_connection(self._target) as far, agent:
            other = {agent: far, far: agent}
            while True:
                for ready in select.select([agent, far], [], [])[0]:
                    data = ready.recv(65_536)
                    if not data:
                        self._ended_segments += _segments(agent)
                        self._open.discard(agent)
                        return
                    other[ready].sendall(data)
                    self._carried += len(data)


def _segments(connection: socket.socket) -> int:
    try:
        return sum(_SEGMENTS.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGMENTS.size)))
    except OSError:
        return 0


@dataclass(frozen=True, slots=True)
class Agent:
    """A running agent with its state folder."""

    state: Path
    process: psutil.Process
    relay: Relay

    def test_fault(self, *, clear: bool = False) -> subprocess.Popen[bytes]:
        """Ask for the test fault, or its end; the command itself waits until the agent has seen it."""
        words: list[str | Path] = [FETTLE_AGENT, "test-fault", "--state", self.state, *(["--clear"] if clear else [])]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def cpu_s(self) -> float:
        """CPU seconds so far, the tools that it ran included."""
        times = self.process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def tools_s(self) -> float:
        """The part of it that tools took."""
        times = self.process.cpu_times()
        return float(times.children_user + times.children_system)

    def memory(self) -> tuple[float, float]:
        """(RSS, PSS) in MB of a million bytes, its children of the moment included."""
        found = [self.process, *self.process.children(recursive=True)]
        full = [one.memory_full_info() for one in found]
        return sum(one.rss for one in full) / 1e6, sum(one.pss for one in full) / 1e6


@contextmanager
def agent(run: table.Run, own: server.OwnServer) -> Iterator[Agent]:
    """`fettle-agent run` with all its default collectors, enrolled through the relay, until the block ends."""
    state = run.work / f"agent-{uuid.uuid4().hex[:8]}"
    relay = Relay(own.address)
    token = server.token(own.data, SCHOOL, 1)
    words: list[str | Path] = [FETTLE_AGENT, "enrol", "--server", f"127.0.0.1:{relay.port}", "--token", token, "--state", state]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    process = subprocess.Popen([FETTLE_AGENT, "run", "--state", state], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Agent(state, psutil.Process(process.pid), relay)
    finally:
        process.terminate()
        process.wait(15)
        relay.close()
