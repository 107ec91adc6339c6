"""The doctor: each usual trouble by its name, and what to do."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
from fettle_agent import identity
from fettle_agent.doctor import examine


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETTLE_AGENT_PROXY", "none")


def problems(state: Path, capsys: Any) -> dict[str, str]:
    """What was found wrong, by what it is about."""
    code = examine(state)
    out, err = capsys.readouterr()
    rows = [line.split(maxsplit=2) for line in out.splitlines() if line.startswith("problem")]
    assert code == (1 if rows else 0)
    assert len(err.splitlines()) == code
    return {row[1]: row[2] for row in rows}


def changed(machine: Any, **fields: Any) -> None:
    known = dataclasses.replace(identity.load(machine.state), **fields)
    pem = identity.key_and_certificate(machine.state)
    identity.save(machine.state, known, key_and_certificate_pem=pem, authority_pem=identity.authority(machine.state))


def test_running_connected_agent_has_no_problem(machine: Any, server: Any, until: Any, capsys: Any) -> None:
    machine.settle().start()
    until(lambda: machine.status().get("connected") and machine.status().get("clock_lead_s") is not None)
    assert problems(machine.state, capsys) == {}


def test_folder_that_is_not_there(tmp_path: Path, capsys: Any) -> None:
    assert set(problems(tmp_path / "nowhere", capsys)) == {"folder", "enrolment"}


def test_agent_that_does_not_run(machine: Any, capsys: Any) -> None:
    machine.settle()
    assert "no agent runs here" in problems(machine.state, capsys)["agent"]


def test_server_that_is_gone(machine: Any, server: Any, capsys: Any) -> None:
    machine.settle()
    server.stop()
    assert "nothing listens" in problems(machine.state, capsys)["server"]


def test_name_that_does_not_resolve(machine: Any, capsys: Any) -> None:
    machine.settle()
    changed(machine, server="no-such-host.invalid:7443")
    assert "cannot be resolved" in problems(machine.state, capsys)["server"]


def test_intercepted_tls(machine: Any, make_server: Any, make_authority: Any, capsys: Any) -> None:
    machine.settle()
    changed(machine, server=make_server(make_authority("Filter box")).address)
    assert "CN=Filter box" in problems(machine.state, capsys)["server"]


def test_proxy_that_refuses(machine: Any, proxy: Any, capsys: Any, monkeypatch: Any) -> None:
    machine.settle()
    proxy.answer = "403 Forbidden"
    monkeypatch.setenv("FETTLE_AGENT_PROXY", proxy.url)
    assert "403 Forbidden" in problems(machine.state, capsys)["server"]


@pytest.mark.parametrize(
    ("first_day", "last_day", "words"), [(-100, -10, "expired"), (10, 100, "clock is behind"), (-89, 1, "was not renewed")]
)
def test_certificate(machine: Any, capsys: Any, first_day: int, last_day: int, words: str) -> None:
    machine.settle()
    now_ms, day_ms = round(time.time() * 1000), 86_400_000
    changed(machine, not_before_ms=now_ms + first_day * day_ms, not_after_ms=now_ms + last_day * day_ms)
    assert words in problems(machine.state, capsys)["certificate"]


def test_clock_of_the_machine_that_the_agent_compared(machine: Any, server: Any, until: Any, capsys: Any) -> None:
    server.clock_ahead_ms = 3_600_000
    machine.settle().start()
    until(lambda: machine.status().get("clock_lead_s"))
    assert "3,600 s behind the server's" in problems(machine.state, capsys)["clock"]


def test_revoked_machine(machine: Any, server: Any, until: Any, capsys: Any) -> None:
    from fettle_protocol.v1 import link_pb2

    server.refusal = link_pb2.Refusal(code="revoked", text="this endpoint was revoked: enrol the machine again")
    machine.settle().start()
    until(lambda: machine.status().get("link_code") == "revoked")
    assert "this endpoint was revoked" in problems(machine.state, capsys)["link"]


def test_settings_that_cannot_be_used(machine: Any, capsys: Any) -> None:
    machine.settle()
    (machine.state / "agent.toml").write_text("x = 1")
    assert "no setting x" in problems(machine.state, capsys)["settings"]
