"""`fettle prove` goes the whole way: a real agent's test fault, its incident, and the notices that a real receiver takes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fettle_server import clock, config, db
from fettle_server.notify import editing
from fettle_server.notify.rules import Wanted

SCHOOL = "Bow Primary"
SHORT = "from fettle_server.proactive.proofs import rules\nrules.ASK_S = 3\n"
"""Read by the server's processes as they start: the test fault lasts seconds, where it otherwise lasts two minutes."""


@pytest.fixture
def told(server: Any) -> Iterator[list[dict[str, Any]]]:
    """What a webhook that takes every notice of the server was told."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True).start()
    engine = db.open_engine(config.load(server.data).database_url)
    with engine.begin() as tx:
        url, now = f"http://127.0.0.1:{receiver.server_port}/", clock.utc_now()
        channel, _ = editing.add_channel(tx, "system", "hook", "webhook", url, now=now)
        editing.set_route(tx, "system", None, channel, Wanted(), now=now)
    engine.dispose()
    yield taken
    receiver.shutdown()
    receiver.server_close()


def test_a_proof_goes_the_whole_way(server: Any, connected: Any, told: Any, run: Any, wait_for: Any, place: Path) -> None:
    (place / "sitecustomize.py").write_text(SHORT)
    server.stop()
    server.env = {"PYTHONPATH": str(place)}
    server.start()
    wait_for(lambda: any(endpoint["connected"] for endpoint in server.endpoints()), 60)
    proof = json.loads(run("fettle", "prove", server.data, "--school", SCHOOL, "--wait", "--json").stdout)
    assert proof["state"] == "passed", proof
    assert all(proof[f"{step}_at"] for step in ("asked", "raised", "opened", "told", "cleared", "resolved"))
    (incident,) = server.incidents("resolved", "test-fault")
    assert incident["is_test"]
    assert incident["number"] == proof["incident"]
    wait_for(lambda: len(told) >= 2)
    assert all(document["test"] for document in told)
    assert {line["incident"] for document in told for line in document["notices"]} == {incident["number"]}
