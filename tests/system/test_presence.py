"""A machine that always runs: missed when it is gone, back when it is back, and never missed for the server's own restart."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fettle_server import clock, config, db
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.rooms import actions as rooms

IMPATIENT = """
import datetime as dt
from fettle_server.proactive.presence import losses, rules
rules.PATIENCE = losses.PATIENCE = rules.BACK_FOR = dt.timedelta(seconds=2)
"""
HEARS_FOR_TEN_MINUTES = """
begin = rules.begin
rules.begin = lambda now_ms, monotonic_s: rules.replace(begin(now_ms, monotonic_s), since_ms=now_ms - 600_000)
"""


@pytest.fixture
def restart(server: Any, place: Path, publish: Callable[..., None]) -> Callable[[str], None]:
    """Starts the server again with minutes made seconds; before the code that is given, nothing is judged for a while."""
    publish(server, "absent", raise_level=0.05, gather_s=0)

    def restarted(more: str = "") -> None:
        server.stop()
        if more:
            with contextlib.closing(sqlite3.connect(server.data / "fettle.db")) as store, store:
                store.execute("DELETE FROM presence_mark")  # the first start was long ago
                store.execute("UPDATE server_watch SET since_at = since_at - 600000")
        (place / "sitecustomize.py").write_text(IMPATIENT + more)
        server.env = {"PYTHONPATH": str(place)}
        server.start()

    return restarted


def is_connected(server: Any) -> bool:
    return any(endpoint["connected"] for endpoint in server.endpoints())


def make_it_a_server(server: Any) -> None:
    endpoint_id = server.endpoints()[0]["id"]
    engine = db.open_engine(config.load(server.data).database_url)
    with engine.begin() as tx:
        rooms.set_class(tx, SYSTEM, endpoint_id, "server", clock.utc_now())
    engine.dispose()


def test_a_killed_server_is_missed_until_it_is_back(server: Any, connected: Any, restart: Any, wait_for: Any) -> None:
    make_it_a_server(server)
    restart(HEARS_FOR_TEN_MINUTES)
    wait_for(lambda: is_connected(server), 60)
    connected.process.kill()
    connected.process.wait()
    (missed,) = wait_for(lambda: server.incidents("open", "absent"), 60)
    assert "Not heard of" in missed["title"]
    connected.start()
    wait_for(lambda: [row["number"] for row in server.incidents("resolved", "absent")] == [missed["number"]], 60)


def test_a_restart_of_fettle_itself_misses_nobody(server: Any, connected: Any, restart: Any, wait_for: Any) -> None:
    make_it_a_server(server)
    restart(HEARS_FOR_TEN_MINUTES)
    wait_for(lambda: is_connected(server), 60)
    connected.process.kill()  # to be away after the restart, as agents are at first that come back slowly
    connected.process.wait()
    restart()
    time.sleep(8)
    assert server.incidents("all", "absent") == []
    connected.start()
    wait_for(lambda: is_connected(server), 60)
    assert server.incidents("all", "absent") == []
