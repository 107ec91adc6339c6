"""Before a machine sleeps the server is told, and nothing keeps it awake for long."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fettle_agent import restarts
from fettle_agent.errors import AgentError
from fettle_agent.sleep import FILE_NAME, Sleep, sleeping


@pytest.fixture
def place() -> Any:
    place = SimpleNamespace(at_s=100.0)
    place.slept_s = lambda: place.at_s
    return place


def test_request_is_taken_once_and_let_go_when_the_server_knows(tmp_path: Path, place: Any) -> None:
    sleep = Sleep(tmp_path, place)
    assert not sleep.falls(0)
    (tmp_path / FILE_NAME).touch()
    assert sleep.falls(1)
    sleep.settle(1.5, is_told=False)
    assert not sleep.falls(1.5)
    sleep.settle(1.6, is_told=True)
    assert not (tmp_path / FILE_NAME).exists()


def test_machine_may_sleep_though_the_server_cannot_be_told(tmp_path: Path, place: Any) -> None:
    sleep = Sleep(tmp_path, place)
    (tmp_path / FILE_NAME).touch()
    sleep.falls(1)
    sleep.settle(3, is_told=False)
    assert not (tmp_path / FILE_NAME).exists()


def test_system_that_calls_back_is_held_until_the_server_knows(tmp_path: Path, place: Any, until: Any) -> None:
    sleep = Sleep(tmp_path, place)
    caller = threading.Thread(target=sleep.hold)
    caller.start()
    until(lambda: sleep.falls(1))
    assert caller.is_alive()
    sleep.settle(1, is_told=True)
    caller.join(1)
    assert not caller.is_alive()


def test_wake_is_seen_by_the_time_slept(tmp_path: Path, place: Any) -> None:
    sleep = Sleep(tmp_path, place)
    place.at_s = 104
    assert sleep.woke() == 0
    place.at_s = 3_700
    assert sleep.woke() == 3_596
    assert sleep.woke() == 0


def test_request_of_before_the_agents_start_is_forgotten(tmp_path: Path, place: Any) -> None:
    (tmp_path / FILE_NAME).touch()
    assert not Sleep(tmp_path, place).falls(0)


def test_without_an_agent_there_is_nobody_to_tell(tmp_path: Path) -> None:
    with pytest.raises(AgentError):
        sleeping(tmp_path)


@pytest.mark.parametrize(
    ("jobs", "comes_back"),
    [
        ("134 reboot.target start waiting\n135 systemd-reboot.service start waiting\n", True),
        ("134 poweroff.target start waiting\n7 fettle-agent.service stop running\n", False),
        ("134 reboot.target stop waiting\n", False),
        ("No jobs running.\n", False),
        ("", False),
    ],
)
def test_queued_job_tells_a_restart_from_an_end(jobs: str, comes_back: bool) -> None:
    assert restarts.in_jobs(jobs) is comes_back


EVENT = "<Event><EventData><Data Name='param1'>C:\\Windows\\x.exe</Data><Data Name='param5'>{}</Data></EventData></Event>"


@pytest.mark.parametrize(("kind", "comes_back"), [("restart", True), ("power off", False), ("Neustart", False)])
def test_event_of_a_shutdown_tells_a_restart_from_an_end(kind: str, comes_back: bool) -> None:
    assert restarts.in_event(EVENT.format(kind)) is comes_back
    assert restarts.in_event("") is False
