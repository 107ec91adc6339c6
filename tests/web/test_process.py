"""The console as a process: where it says that it serves, and how it leaves."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fettle_server import clock, db
from fettle_server.config import Settings
from fettle_server.estate.enrolment import pki
from fettle_server.estate.people import actions as people
from fettle_server.estate.people import queries
from fettle_server.estate.people.rules import SYSTEM, Role

pytestmark = pytest.mark.system
LEAVE_WITHIN_S = 3.5


@pytest.fixture
def data(store_template, tmp_path):
    directory = tmp_path / "data"
    directory.mkdir()
    shutil.copyfile(store_template, directory / "fettle.db")
    return directory


@pytest.fixture
def start(data):
    started = []

    def run(*arguments):
        command = [sys.executable, "-m", "fettle_web", str(data), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def _serving(data, process):
    assert _until(lambda: (data / "run" / "console.ready").exists() or process.poll() is not None)
    assert process.poll() is None, process.stderr.read()
    return int((data / "run" / "console.port").read_text())


def _signed_in(data):
    """The cookie of an administrator's sign-in."""
    settings = Settings(data=data)
    engine = db.open_engine(settings.database_url)
    with engine.begin() as tx:
        people.add_user(tx, SYSTEM, "ada", Role.ADMINISTRATOR, now=clock.utc_now())
        ada = queries.person_named(tx, "ada")
        people.set_password(tx, ada, "four words in a row", clock.utc_now())
        secret = people.start_session(tx, ada, "", "", settings, clock.utc_now())
    engine.dispose()
    return {"Cookie": f"fettle={secret}"}


def _listen(port, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/live", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline().startswith(b"retry")
    return connection, answer


def test_it_says_where_it_serves_and_takes_its_files_away_when_it_leaves(data, start):
    process = start("--http", "127.0.0.1:0")
    port = _serving(data, process)
    run = data / "run"
    assert (run / "console.ready").read_text() == f"http://127.0.0.1:{port}\n"
    assert int((run / "console.pid").read_text()) == process.pid
    process.terminate()
    assert process.wait(LEAVE_WITHIN_S) == 0
    assert list(run.iterdir()) == []


def test_pages_are_answered_beside_two_hundred_live_ones_and_all_end_at_once(data, start):
    headers = _signed_in(data)
    process = start("--http", "127.0.0.1:0")
    port = _serving(data, process)
    open_pages = [_listen(port, headers) for _ in range(200)]
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    assert time.monotonic() - began < 2
    process.terminate()
    assert process.wait(LEAVE_WITHIN_S) == 0
    for page, answer in open_pages:
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer.read()
        page.close()
    connection.close()


def test_a_port_that_is_taken_is_said_in_one_line(start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        process = start("--http", f"127.0.0.1:{other.getsockname()[1]}")
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "is taken by another program" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("setting", ["http_certificate", "http_key"])
def test_a_certificate_that_is_not_there_is_said_in_one_line(data, start, setting):
    (data / "fettle.toml").write_text(f'{setting} = "/no/such/file.pem"\n')
    process = start("--http", "127.0.0.1:0")
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said.count("\n")) == (1, 1)
    assert "HTTPS needs both" in said


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_left_behind_when_the_parent_is_killed(data, start):
    process = start("--http", "127.0.0.1:0")
    _serving(data, process)
    children = [int(pid) for pid in _children(process.pid)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert children
    assert _until(lambda: not any(_is_running(child) for child in children), 10)


def _children(pid):
    return subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True).stdout.split()


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_with_a_certificate_it_speaks_https_alone(data, start):
    authority = pki.make_authority(data, clock.utc_now())
    key, chain = pki.issue_server(authority, ("localhost",), clock.utc_now())
    (data / "key.pem").write_bytes(key)
    (data / "chain.pem").write_bytes(chain)
    (data / "fettle.toml").write_text(f'http_certificate = "{data / "chain.pem"}"\nhttp_key = "{data / "key.pem"}"\n')
    port = _serving(data, start("--http", "127.0.0.1:0"))
    trust = ssl.create_default_context(cafile=data / "ca.pem")
    connection = http.client.HTTPSConnection("localhost", port, context=trust, timeout=10)
    connection.request("GET", "/sign-in")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200
    assert answer.headers["Strict-Transport-Security"]
    assert answer.headers["Set-Cookie"].startswith("__Host-fettle-form=")
