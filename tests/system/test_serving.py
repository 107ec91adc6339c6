"""The server as one command: one line when ready, quick to leave, nothing lost when killed under load."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import pytest


def test_serve_prints_one_line_is_healthy_and_leaves_within_five_seconds(server: Any, connected: Any) -> None:
    assert server.grpc in server.ready
    assert server.http in server.ready
    for path in ("healthz", "readyz"):
        with urllib.request.urlopen(f"http://{server.http}/{path}", timeout=5) as answer:
            assert answer.status == 200
    assert server.stop() < 5
    assert server.printed_after == ""


def test_open_fault_outlives_a_restart_and_is_cleared_by_an_agent_that_was_killed(
    server: Any, connected: Any, run: Any, wait_for: Any
) -> None:
    run("fettle-agent", "test-fault", "--state", connected.state)
    wait_for(lambda: server.incidents("open", "test-fault"), 10)
    server.stop()
    server.start()
    wait_for(lambda: server.endpoints()[0]["connected"], 60)
    assert len(server.incidents("open", "test-fault")) == 1
    connected.kill()
    (connected.state / "test-fault").unlink()
    connected.start()
    wait_for(lambda: server.incidents("resolved", "test-fault"), 60)


def test_test_fault_is_an_incident_in_seconds_of_the_documented_shape_and_resolves(
    server: Any, connected: Any, run: Any, wait_for: Any
) -> None:
    begun = time.monotonic()
    run("fettle-agent", "test-fault", "--state", connected.state)
    (incident,) = wait_for(lambda: server.incidents("open", "test-fault"), 5)
    assert time.monotonic() - begun < 5
    assert incident["state"] == "new"
    assert set(server.endpoints()[0]) == {"id", "name", "school", "state", "connected", "last_seen", "open_incidents"}
    assert set(incident) == {
        "number", "state", "priority", "title", "school", "endpoint", "rule", "scope", "endpoints", "merged_into",
        "is_test", "opened_at", "resolved_at", "faults",
    }  # fmt: skip
    assert incident["opened_at"].endswith("Z")
    shown = json.loads(run("fettle", "incidents", server.data, "--state", "open", "--json").stdout)
    assert shown == {"incidents": [incident]}
    assert [row["id"] for row in json.loads(run("fettle", "endpoints", server.data, "--json").stdout)["endpoints"]]
    one = json.loads(run("fettle", "incident", server.data, incident["number"], "--json").stdout)
    assert set(incident) <= set(one)
    run("fettle-agent", "test-fault", "--state", connected.state, "--clear")
    resolved = wait_for(lambda: server.incidents("resolved", "test-fault"), 5)
    assert [row["number"] for row in resolved] == [incident["number"]]


@pytest.mark.postgresql
def test_everything_works_on_postgresql_too(
    postgresql_url: str, place: Any, make_server: Any, enrol: Any, run: Any, wait_for: Any
) -> None:
    server, _ = make_server(place, postgresql_url)
    try:
        agent = enrol(to=server)
        wait_for(lambda: any(endpoint["connected"] for endpoint in server.endpoints()))
        run("fettle-agent", "test-fault", "--state", agent.state)
        wait_for(lambda: server.incidents("open", "test-fault"), 10)
        assert not (server.data / "fettle.db").exists()
        agent.stop()
    finally:
        assert server.stop() < 5
