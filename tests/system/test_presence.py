"""A machine that always runs: missed when it is gone, back when it is back, and never missed for the server's own restart."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fettle_server import clock, config, db
from fettle_server.db import to_ms
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.rooms import actions as rooms

PATIENCE_MS = 2000
IMPATIENT = f"""
import datetime as dt, sys
from fettle_server.proactive.presence import losses, rules
rules.PATIENCE = losses.PATIENCE = rules.BACK_FOR = dt.timedelta(milliseconds={PATIENCE_MS})
if "worker" in sys.orig_argv:
    from fettle_server.proactive.causes import rules as causes
    from fettle_server.worker.jobs import JOBS
    causes.CALM = dt.timedelta(seconds=1)
    object.__setattr__(next(job for job in JOBS if job.name == "presence"), "every_s", 1)
"""
"""Read by the server's processes as they start: minutes are seconds, and who is missing is looked for each second."""
HEARS_FOR_TEN_MINUTES = """
begin = rules.begin
rules.begin = lambda now_ms, monotonic_s: rules.replace(begin(now_ms, monotonic_s), since_ms=now_ms - 600_000)
"""


@pytest.fixture
def restart(server: Any, place: Path, publish: Callable[..., None]) -> Callable[..., None]:
    """Stops the server, lets something happen meanwhile, and starts it with minutes made seconds.

    It had heard its agents for ten minutes, and was away for one. Without the code that says otherwise, nothing is judged at
    first.
    """
    publish(server, "absent", raise_level=0.05, gather_s=0)

    def restarted(code: str = "", meanwhile: Callable[[], None] = lambda: None) -> None:
        server.stop()
        meanwhile()
        with contextlib.closing(sqlite3.connect(server.data / "fettle.db")) as store, store:
            store.execute("DELETE FROM presence_mark")
            store.execute("UPDATE server_watch SET since_at = since_at - 660000, alive_at = alive_at - 60000")
        (place / "sitecustomize.py").write_text(IMPATIENT + code)
        server.env = {"PYTHONPATH": str(place)}
        server.start()

    return restarted


def is_connected(server: Any) -> bool:
    return any(endpoint["connected"] for endpoint in server.endpoints())


def count(server: Any, what: str, *values: object) -> int:
    """How many rows of the store are such."""
    with contextlib.closing(sqlite3.connect(server.data / "fettle.db")) as store:
        return int(store.execute(f"SELECT count(*) FROM {what}", values).fetchone()[0])


def make_it_a_server(server: Any) -> None:
    endpoint_id = server.endpoints()[0]["id"]
    engine = db.open_engine(config.load(server.data).database_url)
    with engine.begin() as tx:
        rooms.set_class(tx, SYSTEM, endpoint_id, "server", clock.utc_now())
    engine.dispose()


def test_a_killed_server_is_missed_until_it_is_back(server: Any, connected: Any, restart: Any, wait_for: Any) -> None:
    make_it_a_server(server)
    restart(HEARS_FOR_TEN_MINUTES)
    wait_for(lambda: is_connected(server) and not server.incidents("open", "absent"), 60)
    connected.kill()
    (missed,) = wait_for(lambda: server.incidents("open", "absent"), 60)
    assert "Not heard of" in missed["title"]
    connected.start()
    wait_for(lambda: [row["number"] for row in server.incidents("resolved", "absent")] == [missed["number"]], 60)


def test_a_restart_of_fettle_itself_misses_nobody(server: Any, connected: Any, restart: Any, wait_for: Any) -> None:
    make_it_a_server(server)
    restart(meanwhile=connected.kill)  # to be away after the restart, as agents are at first that come back slowly
    patience_over_ms = to_ms(clock.utc_now()) + PATIENCE_MS
    wait_for(lambda: count(server, "presence_mark WHERE looked_at > ?", patience_over_ms), 60)
    connected.start()
    wait_for(lambda: is_connected(server), 60)
    assert count(server, "faults WHERE rule = 'absent'") == 0
    assert server.incidents("all", "absent") == []
