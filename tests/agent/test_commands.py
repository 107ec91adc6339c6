"""The command line: exit statuses, one line for what failed, documents that scripts read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fettle_agent import status
from fettle_agent.__main__ import main


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, list[str]]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err.splitlines()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["enrol"],
        ["run", "--fast"],
        ["enrol", "--server", "a:1", "--token", "t", "--ca", "f", "--ca-fingerprint", "0"],
    ],
)
def test_wrong_usage_is_two(words: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2


@pytest.mark.parametrize("command", ["run", "test-fault", "renew"])
def test_what_needs_an_identity_says_so_in_one_line(tmp_path: Path, capsys: Any, command: str, machine: Any) -> None:
    done = machine.command(command, "--state", tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path) in done.stderr


def test_second_enrolment_is_refused_unless_forced(machine: Any, server: Any, capsys: Any) -> None:
    machine.settle()
    words = ["enrol", "--server", server.address, "--token", server.token, "--state", machine.state, "--proxy", "none"]
    code, _, lines = said(capsys, *words)
    assert code == 1
    assert "holds an identity already" in lines[0]
    assert said(capsys, *words, "--force")[0] == 0


def test_status_of_an_enrolled_machine_without_agent(machine: Any, server: Any, capsys: Any) -> None:
    machine.settle()
    code, out, _ = said(capsys, "status", "--state", machine.state, "--json")
    told = json.loads(out)
    assert (code, told["running"], told["enrolled"], told["connected"], told["server"]) == (
        0,
        False,
        True,
        False,
        server.address,
    )
    assert "no agent runs" in said(capsys, "status", "--state", machine.state)[1]


def test_status_of_an_empty_folder(tmp_path: Path, capsys: Any) -> None:
    code, out, _ = said(capsys, "status", "--state", tmp_path, "--json")
    assert (code, json.loads(out)["enrolled"]) == (0, False)


def test_what_a_server_said_cannot_steer_the_terminal() -> None:
    told = {"enrolled": True, "running": True, "connected": False, "endpoint_id": "1", "school": "Bow", "server": "fettle"}
    lines = status.sentences(told | {"told": [{"at": "now", "text": "\x1b[2Jhello"}]})
    assert "the server said (now): \\x1b[2Jhello" in lines


def test_status_of_a_running_agent_is_whole(machine: Any, server: Any, until: Any, capsys: Any) -> None:
    machine.settle().start()
    until(lambda: machine.status().get("connected") and machine.status().get("policy_version") == 1)
    told = json.loads(said(capsys, "status", "--state", machine.state, "--json")[1])
    wanted = {
        "endpoint_id",
        "school",
        "server",
        "policy_version",
        "spool",
        "open_faults",
        "cpu_percent",
        "memory_mib",
        "told",
        "last_error",
    }
    assert wanted <= set(told)
    assert told["certificate_expires"].endswith("Z")


def test_killed_agents_status_is_not_running(machine: Any, server: Any, until: Any, capsys: Any) -> None:
    machine.settle().start()
    until(lambda: machine.status().get("connected"))
    machine.kill()
    told = json.loads(said(capsys, "status", "--state", machine.state, "--json")[1])
    assert (told["running"], told["connected"]) == (False, False)


def test_agent_without_policy_says_why_it_cannot_raise(machine: Any, server: Any, until: Any) -> None:
    server.policy = None
    machine.settle().start()
    until(lambda: machine.status().get("connected"))
    done = machine.command("test-fault", "--state", machine.state)
    assert done.returncode == 1
    assert "no rule for the test fault" in done.stderr


def test_once_prints_one_document(machine: Any) -> None:
    done = machine.command("once", "--json", timeout=120)
    document = json.loads(done.stdout)
    assert set(document) == {"readings", "collectors", "inventory"}
    assert set(document["readings"][0]) == {"key", "instance", "value", "unit", "detail"}
    assert set(document["collectors"][0]) == {"name", "lane", "duration_s", "error"}
    assert "cpu.busy_percent" in {reading["key"] for reading in document["readings"]}


def test_unusable_settings_are_named(machine: Any) -> None:
    machine.settle()
    (machine.state / "agent.toml").write_text("sever = 'x:1'")
    done = machine.command("run", "--state", machine.state)
    assert done.returncode == 1
    assert "no setting sever" in done.stderr
