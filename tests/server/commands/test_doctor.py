"""`fettle doctor`: what is wrong is named in words."""

from __future__ import annotations

import datetime as dt
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server import clock, db
from fettle_server.commands import checks, doctor
from fettle_server.commands.checks import Finding, State
from fettle_server.config import Settings, load
from fettle_server.estate.enrolment import pki
from fettle_server.journal import actions as journal

NOW = clock.utc_now()


def found(check: checks.Check, data: Path, now: dt.datetime = NOW, **settings: Any) -> Finding:
    """The worst that a check says."""
    findings = list(check(load(data, **settings), now))
    return next((finding for finding in findings if finding.state is State.PROBLEM), findings[0])


def test_fresh_data_directory_is_well(fettle: Callable[..., Any], data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETTLE_GRPC", "127.0.0.1:0")
    monkeypatch.setenv("FETTLE_HTTP", "127.0.0.1:0")
    result = fettle("doctor", data, "--json")
    document = json.loads(result.out)
    assert (result.status, document["well"]) == (0, True)
    assert {"check", "state", "text", "advice"} == set(document["checks"][0])


def test_sick_data_directory_is_status_1_with_advice(fettle: Callable[..., Any], data: Path) -> None:
    (data / "ca.key").chmod(0o644)
    result = fettle("doctor", data)
    assert result.status == 1
    assert "PROBLEM  directory: other users can read ca.key" in result.out
    assert result.err.startswith("fettle: ")
    assert result.err.count("\n") == 1
    assert "-> chmod 600" in result.out


def test_port_taken_is_named(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        finding = found(checks.ports, data, grpc=f"127.0.0.1:{other.getsockname()[1]}", http="127.0.0.1:0")
    assert finding.state is State.PROBLEM
    assert "taken by another program" in finding.text


def test_address_of_another_machine_is_named(data: Path) -> None:
    assert "no such address" in found(checks.ports, data, grpc="192.0.2.1:7443", http="127.0.0.1:0").text


@pytest.mark.parametrize(
    ("later", "state", "words"),
    [
        (dt.timedelta(0), State.GOOD, "good until"),
        (dt.timedelta(days=3640), State.PROBLEM, "it expires at"),
        (dt.timedelta(days=3660), State.PROBLEM, "it expired at"),
    ],
)
def test_expiry_of_the_authority_is_named(data: Path, later: dt.timedelta, state: State, words: str) -> None:
    finding = found(checks.certificates, data, NOW + later)
    assert finding.state is state
    assert words in finding.text


def test_missing_own_certificate_is_named(data: Path) -> None:
    assert "there is no" in found(checks.certificates, data, grpc_certificate=str(data / "none.pem")).text


def test_clock_before_the_authority_is_wrong(data: Path) -> None:
    assert "before its certificate authority" in found(checks.clock, data, NOW - dt.timedelta(days=400)).text


def test_clock_behind_the_journal_is_wrong(data: Path) -> None:
    engine = db.open_engine(load(data).database_url)
    with engine.begin() as tx:
        journal.record(tx, "user.added", "system", "user:1", None, {}, NOW + dt.timedelta(hours=2))
    engine.dispose()
    assert "the journal goes on until" in found(checks.clock, data).text


def test_damaged_database_is_named(data: Path) -> None:
    engine = db.open_engine(load(data).database_url)
    with engine.connect() as connection:
        root = connection.execute(sa.text("SELECT rootpage FROM sqlite_master WHERE name = 'journal'")).scalar()
    engine.dispose()  # the last connection writes the log back into the file
    assert root is not None
    with (data / "fettle.db").open("r+b") as file:
        file.seek((root - 1) * 16384)
        file.write(b"\xff" * 16384)
    finding = found(checks.store, data)
    assert finding.state is State.PROBLEM


def test_store_of_another_version_says_what_to_run(data: Path) -> None:
    engine = db.open_engine(load(data).database_url)
    with engine.begin() as tx:
        tx.execute(sa.text("DELETE FROM alembic_version"))
    engine.dispose()
    assert "fettle migrate" in found(checks.store, data).text


def test_full_disk_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type("Usage", (), {"total": 10**12, "used": 10**12 - 5, "free": 5})
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _path: full)
    assert "the disk is full" in found(checks.disk, data).text


def test_few_open_files_are_a_note(data: Path) -> None:
    assert found(checks.files, data, max_streams=10**8).state in (State.NOTE, State.GOOD)


@pytest.fixture
def interceptor(data: Path, tmp_path: Path) -> Iterator[str]:
    """A listener that shows another authority's certificate, as an inspecting proxy does."""
    (tmp_path / "proxy").mkdir()
    key, chain = pki.issue_server(pki.make_authority(tmp_path / "proxy", NOW), ("localhost",), NOW)
    (tmp_path / "proxy" / "both.pem").write_bytes(key + chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "proxy" / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            caller, _ = listener.accept()
            with context.wrap_socket(caller, server_side=True) as secure:
                secure.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


def test_intercepted_tls_is_named(data: Path, interceptor: str) -> None:
    key, chain = pki.issue_server(pki.load_authority(data), ("localhost",), NOW)
    (data / "server.pem").write_bytes(chain)
    pki.write_secret(data / "server.key", key)
    (data / "run").mkdir()
    (data / "run" / "ingest.ready").write_text(f"{interceptor}\n")
    (data / "run" / "ingest.pid").write_text("1\n")
    finding = found(checks.tls, data)
    assert finding.state is State.PROBLEM
    assert "something in between" in finding.text


def test_check_that_breaks_is_itself_a_finding(fettle: Callable[..., Any], data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "CHECKS", (broken,))
    result = fettle("doctor", data, "--json")
    assert result.status == 1
    assert any("could not be looked at" in finding["text"] for finding in json.loads(result.out)["checks"])
