"""What an idle machine pays for its agent: memory, CPU and bytes on the wire, beside prometheus-node-exporter in the same run.

The agent runs with every default collector, enrolled with a real server; node_exporter is scraped every 15 s as Prometheus does
(gzip, one connection). The window begins a minute after the start, when inventory and first readings are told.
"""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import table
from crowd.server import free_port
from real_agent import agent
from testbed import site

_SCRAPE_S = 15
_DAY_S = 86_400


@dataclass(slots=True)
class _Exporter:
    """node_exporter with the bytes that its scrapes took."""

    process: psutil.Process
    carried: int = 0


def measure(run: table.Run) -> list[table.Row]:
    """Memory, CPU per 180 s, and MB a day of both."""
    settle, window = run.pick(45, 60), run.pick(30, 660)
    with site(run, 1) as here, agent(run, here.server) as real, _exporter() as peer:
        time.sleep(settle)
        before, tools = (real.cpu_s(), real.relay.ip_bytes(), *_spent(peer)), real.tools_s()
        time.sleep(window)
        after = real.cpu_s(), real.relay.ip_bytes(), *_spent(peer)
        tools = (real.tools_s() - tools) * 180 / window
        (rss, pss), peer_rss = real.memory(), peer.process.memory_info().rss / 1e6 if peer else 0.0
    cpu, wire, peer_cpu, peer_wire = (late - early for early, late in zip(before, after, strict=True))
    to_180, to_day = 180 / window, _DAY_S / window / 1e6
    remark = f"window {window:.0f} s; slow beat 300 s, so a window under 600 s says little about the wire"

    def beside(text: str) -> str:
        return f"node_exporter {text}" if peer else "node_exporter is not installed"

    ran = f"{tools:.2f} s of it by the tools that it ran (dpkg, apt, smartctl)"
    per_day = f"{peer_wire * to_day:.0f} MB"
    return [
        table.Row("agent, resident memory", rss, "MB", beside(f"{peer_rss:.1f} MB"), target=42, remark=f"PSS {pss:.1f} MB"),
        table.Row("agent, CPU in 180 s", cpu * to_180, "s", beside(f"{peer_cpu * to_180:.2f} s"), target=0.25, remark=ran),
        table.Row("agent, on the wire", wire * to_day, "MB/day", beside(per_day), target=0.5, remark=remark),
    ]


def _spent(peer: _Exporter | None) -> tuple[float, float]:
    if peer is None:
        return 0.0, 0.0
    times = peer.process.cpu_times()
    return times.user + times.system, peer.carried


@contextmanager
def _exporter() -> Iterator[_Exporter | None]:
    """The Debian package's exporter, scraped until the block ends; None where it is not installed."""
    program = shutil.which("prometheus-node-exporter")
    if program is None:
        yield None
        return
    port = free_port()
    command = [program, f"--web.listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peer, over = _Exporter(psutil.Process(process.pid)), threading.Event()
    threading.Thread(target=_scrape, args=(port, peer, over), daemon=True).start()
    try:
        yield peer
    finally:
        over.set()
        process.terminate()
        process.wait()


def _scrape(port: int, peer: _Exporter, over: threading.Event) -> None:
    over.wait(2)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while not over.is_set():
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip", "User-Agent": "Prometheus/2.42.0"})
        answer = connection.getresponse()
        peer.carried += len(answer.read()) + len(str(answer.headers)) + 150
        over.wait(_SCRAPE_S)


if __name__ == "__main__":
    sys.exit(table.run_alone(measure))
