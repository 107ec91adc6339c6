"""`fettle serve` with its real processes: one line, restarts, and leaving in time."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server import db
from fettle_server.config import load

pytestmark = pytest.mark.system


def pid(data: Path, part: str) -> int:
    return int((data / "run" / f"{part}.pid").read_text())


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(what: Callable[[], Any], seconds: float = 20) -> None:
    until_s = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_all_parts_come_up_with_one_line_and_leave_within_5_s(serve: Callable[..., Any], data: Path) -> None:
    serving = serve()
    said = re.fullmatch(r"Fettle accepts agents on (\S+:\d+) and shows its pages on (http://\S+:\d+)\n", serving.line)
    assert said, serving.line + (data / "serve.log").read_text()
    parts = [pid(data, part) for part in ("ingest", "worker", "console")]
    assert serving.stop() < 5
    assert all(map(is_gone, parts))
    assert serving.process.stdout.read() == ""


def test_part_that_dies_is_started_again_where_it_was(serve: Callable[..., Any], data: Path) -> None:
    serving = serve("--only", "ingest")
    where, first = serving.line, pid(data, "ingest")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: pid(data, "ingest") != first)
    address = where.split()[-1]
    host, port = address.split(":")
    wait_until(lambda: can_connect(host, int(port)))
    assert serving.stop(signal.SIGINT) < 5


def can_connect(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


def test_parts_end_with_a_supervisor_that_is_killed(serve: Callable[..., Any], data: Path) -> None:
    serving = serve("--only", "ingest")
    ingest = pid(data, "ingest")
    serving.process.kill()
    wait_until(lambda: is_gone(ingest), 10)


def test_second_server_on_the_same_directory_is_refused(
    serve: Callable[..., Any], fettle: Callable[..., Any], data: Path
) -> None:
    serving = serve("--only", "ingest")
    second = fettle("serve", data, "--grpc", "127.0.0.1:0", "--only", "ingest")
    assert second.status == 1
    assert f"process {serving.process.pid} serves" in second.err


def test_second_server_for_one_part_leaves_the_first_one_ready(
    serve: Callable[..., Any], fettle: Callable[..., Any], data: Path
) -> None:
    serve("--only", "worker")
    (data / "run" / "serve-worker.lock").unlink()  # as where the first runs all parts: another supervisor's name
    second = fettle("serve", data, "--only", "worker")
    assert (second.status, second.err.count("\n")) == (1, 1)
    assert (data / "run" / "worker.ready").exists()


def test_lost_authority_is_one_line(fettle: Callable[..., Any], data: Path) -> None:
    (data / "ca.key").unlink()
    failed = fettle("serve", data, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    assert (failed.status, failed.err.count("\n")) == (1, 1)
    assert "from a backup" in failed.err


def test_taken_port_is_one_line(fettle: Callable[..., Any], data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        failed = fettle("serve", data, "--grpc", f"127.0.0.1:{other.getsockname()[1]}")
    assert failed.status == 1
    assert "taken by another program" in failed.err
    assert failed.err.count("\n") == 1


def test_store_of_another_version_is_one_line_that_says_what_to_run(fettle: Callable[..., Any], data: Path) -> None:
    engine = db.open_engine(load(data).database_url)
    with engine.begin() as tx:
        tx.execute(sa.text("DELETE FROM alembic_version"))
    engine.dispose()
    failed = fettle("serve", data)
    assert failed.status == 1
    assert f"fettle migrate {data}" in failed.err


def test_metrics_are_in_prometheus_format(serve: Callable[..., Any], data: Path) -> None:
    import urllib.request

    serve("--only", "ingest")
    port = int((data / "run" / "ingest-metrics.port").read_text())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read()
    assert b"fettle_ingest_messages_total 0.0" in text
    promtool = Path("/usr/bin/promtool")
    if promtool.exists():
        subprocess.run([promtool, "check", "metrics"], input=text, check=True)


def test_logs_are_json_lines(serve: Callable[..., Any], data: Path) -> None:
    serving = serve("--only", "ingest")
    serving.stop()
    lines = [json.loads(line) for line in (data / "serve.log").read_text().splitlines()]
    accepted = {"part": "ingest", "event": "agents are accepted", "level": "info"}.items()
    assert any(accepted <= line.items() for line in lines)
