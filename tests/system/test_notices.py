"""The worker is killed while a receiver has the notice and nobody has noted it: it comes again, and can be told apart."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa
from fettle_server import clock, db, migrations
from fettle_server.config import load
from fettle_server.notify import editing, sending
from fettle_server.notify.actions import Message, enqueue
from fettle_server.notify.rules import Wanted
from fettle_server.notify.tables import Delivery
from fettle_server.worker import notices
from fettle_server.worker.jobs import Work

WORKER = "import sys, pathlib; from fettle_server import config, worker; worker.main(config.load(pathlib.Path(sys.argv[1])))"


@pytest.fixture
def receiver():
    keys, go_on = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            keys.append(self.headers["Idempotency-Key"])
            go_on.wait(30)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", keys, go_on
    go_on.set()
    server.shutdown()
    server.server_close()


def wait_for(what, seconds=20.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_that_is_killed_while_it_sends_loses_nothing_and_doubles_nothing(tmp_path, receiver):
    url, keys, go_on = receiver
    settings = load(tmp_path)
    engine = db.open_engine(settings.database_url)
    migrations.upgrade(engine)
    now = clock.utc_now()
    with engine.begin() as tx:
        channel, _ = editing.add_channel(tx, "system", "hook", "webhook", url, now=now)
        editing.set_route(tx, "system", None, channel, Wanted(), now=now)
        enqueue(tx, [Message("incident.opened", 1, None, 1, "No network", True, now)])
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)])
    try:
        wait_for(lambda: keys)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    go_on.set()
    later = clock.utc_now() + sending.CLAIM
    with engine.begin() as tx:
        assert sending.due_channels(tx, clock.utc_now()) == []
        tx.execute(sa.update(Delivery).values(claimed_until=clock.utc_now()))  # the two minutes pass
    notices.tell(Work(settings, engine, engine), later)
    wait_for(lambda: _state(engine) == ("sent", 2))
    assert len(keys) == 2
    assert len(set(keys)) == 1
    engine.dispose()


def _state(engine):
    with engine.begin() as tx:
        return tuple(tx.execute(sa.select(Delivery.state, Delivery.attempts)).one())
