"""/healthz, /readyz and /metrics."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import sqlalchemy as sa

ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}
INGEST = b"""# HELP fettle_ingest_streams Streams that are open
# TYPE fettle_ingest_streams gauge
fettle_ingest_streams 7.0
# HELP fettle_ingest_events_total Events committed
# TYPE fettle_ingest_events_total counter
fettle_ingest_events_total 41.0
# HELP python_info Python platform information
# TYPE python_info gauge
python_info{version="3"} 1.0
"""


def _say(console, part, pid):
    run = console.settings.data / "run"
    run.mkdir(exist_ok=True)
    (run / f"{part}.ready").write_text("\n")
    (run / f"{part}.pid").write_text(f"{pid}\n")


@pytest.fixture
def ingest(console):
    """A stand-in for ingest's own metrics port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(INGEST)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (console.settings.data / "run").mkdir()
    (console.settings.data / "run" / "ingest-metrics.port").write_text(f"{server.server_port}\n")
    yield server
    server.shutdown()
    server.server_close()


def test_a_process_that_lives_says_so(console):
    assert console.client().get("/healthz").text == "ok\n"


def test_ready_when_every_part_is(console):
    for part in ("ingest", "worker"):
        _say(console, part, os.getpid())
    answer = console.client().get("/readyz")
    assert (answer.status_code, answer.json["ready"]) == (200, True)
    assert answer.json["parts"] == {"store": "ready", "ingest": "ready", "worker": "ready"}


def test_not_ready_names_the_part_that_has_died(console):
    _say(console, "ingest", os.getpid())
    _say(console, "worker", 2**22 + 1)
    answer = console.client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json["parts"]["worker"] == "has died"


def test_a_host_with_a_console_alone_asks_for_the_store_alone(console):
    assert console.client().get("/readyz").status_code == 503
    assert console.client().get("/readyz?part=store").status_code == 200


def test_not_ready_while_the_store_is_at_another_step(console):
    with console.begin() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    answer = console.client().get("/readyz?part=store")
    assert answer.status_code == 503
    assert "fettle migrate" in answer.json["parts"]["store"]


def test_not_ready_without_a_store_and_the_address_is_not_told(open_console):
    url = "postgresql+psycopg://someone:secret@127.0.0.1:1/none"
    answer = open_console(database=url).app.test_client().get("/readyz?part=store")
    assert answer.status_code == 503
    assert "secret" not in answer.text


def test_metrics_tell_the_estate_the_requests_and_ingests_own(console, ingest):
    client = console.client()
    client.get("/sign-in")
    text = client.get("/metrics").text
    for line in (
        'fettle_endpoints{state="ill"} 2.0',
        'fettle_incidents_open{priority="3"} 2.0',
        'fettle_incidents_open{priority="1"} 0.0',
        'fettle_console_requests_total{method="GET",route="/sign-in",status="200"} 1.0',
        "fettle_ingest_streams 7.0",
        "fettle_ingest_events_total 41.0",
        'fettle_up{part="ingest"} 1.0',
    ):
        assert line in text.splitlines()
    assert "python_info" not in text


def test_metrics_go_on_without_ingest(console):
    text = console.client().get("/metrics").text
    assert 'fettle_up{part="ingest"} 0.0' in text
    assert 'fettle_up{part="store"} 1.0' in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_accepts_the_metrics(console, ingest):
    client = console.client()
    client.get("/no/such/page")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=client.get("/metrics").data, capture_output=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_an_address_that_nobody_serves_is_counted_under_no_name_of_its_own(console):
    client = console.client()
    client.get("/x/9f8e7d")
    assert "9f8e7d" not in client.get("/metrics").text


def test_metrics_are_for_this_machine(console):
    client = console.client()
    assert client.get("/metrics", environ_base=ELSEWHERE).status_code == 403
    assert client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 403
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 403


def test_metrics_are_for_who_brings_the_token(open_console):
    client = open_console(metrics_token="open sesame").client()
    codes = [
        client.get("/metrics", environ_base=ELSEWHERE, headers={"Authorization": value}).status_code
        for value in ("Bearer open sesame", "Bearer open", "open sesame", "Bearer ")
    ]
    assert codes == [200, 403, 403, 403]


def test_a_trusted_proxy_on_this_machine_does_not_make_a_stranger_local(open_console):
    client = open_console(trusted_proxies=1).client()
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 403
