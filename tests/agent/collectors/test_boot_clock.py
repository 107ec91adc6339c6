"""The start, the sign-in, the clock, the agent about itself and the test fault."""

import json
import os
from pathlib import Path

import pytest
from fettle_agent.collectors import CollectError, boot_linux, boot_windows, clock, own, testfault
from fettle_agent.collectors.changes import Rates
from hypothesis import given
from hypothesis import strategies as st


def test_duration_of_the_start_is_the_total_of_its_phases(sample):
    assert boot_linux.parse_time(sample("systemd_analyze.txt")) == pytest.approx(69.608)


def test_start_of_a_container_has_one_phase_and_no_total(sample):
    assert boot_linux.parse_time(sample("systemd_analyze_container.txt")) == pytest.approx(0.286)


def test_start_that_is_not_finished_is_no_data():
    assert (
        boot_linux.parse_time("Bootup is not yet finished (org.freedesktop.systemd1.Manager.FinishTimestampMonotonic=0).")
        is None
    )


def test_start_is_asked_for_only_once(setup, install, monkeypatch, tmp_path, values):
    monkeypatch.setattr(boot_linux, "SYSTEMD_SIGN", str(tmp_path))
    monkeypatch.setattr(clock, "uptime_s", lambda: 60.0)
    install(
        "systemd-analyze", f"echo asked >> {tmp_path}/asked; echo 'Startup finished in 1s (kernel) + 2s (userspace) = 3.5s'"
    )
    collect = boot_linux.collector(setup)
    collect()

    assert values(collect()) == {("boot.duration_seconds", ""): 3.5}
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_start_of_long_ago_is_told_no_more(setup, install, monkeypatch, tmp_path, values):
    monkeypatch.setattr(boot_linux, "SYSTEMD_SIGN", str(tmp_path))
    install("systemd-analyze", "echo 'Startup finished in 1s (kernel) + 2s (userspace) = 3.5s'")
    ages = iter((7200.0, 7201.0))
    monkeypatch.setattr(clock, "uptime_s", lambda: next(ages))
    collect = boot_linux.collector(setup)

    assert [len(values(collect())) for _ in range(2)] == [1, 0]


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"boot_told": 7200.0}, {"boot.duration_seconds"}),
        ({"boot_told": 7201.0}, set()),
        ({}, set()),
        ({"logon_began": 7200.0, "profile_ready": 7190.0}, {"logon.duration_seconds"}),
        ({"logon_began": 7201.0, "profile_ready": 7190.0}, set()),
    ],
)
def test_windows_start_and_sign_in_of_long_ago_are_told_no_more(facts, told):
    text = json.dumps({"boot_ms": 400_000} | facts)

    assert {reading.key for reading in boot_windows.readings(text)} == told


def test_windows_start_and_sign_in(sample, values):
    assert values(boot_windows.readings(sample("boot_windows.json"))) == {
        ("boot.duration_seconds", ""): 58.644,
        ("logon.duration_seconds", ""): 22,
    }


@pytest.mark.parametrize(
    ("began", "profile", "policy", "expected"),
    [
        (100, 90, None, 10),
        (100, None, 60, 40),
        (100, 200, 150, None),
        (None, 1, 1, None),
        (9000, 1, 8990, 10),
        (100, None, None, None),
    ],
)
def test_end_that_belongs_to_another_sign_in_does_not_count(began, profile, policy, expected):
    assert boot_windows.logon_seconds(began, profile, policy) == expected


def test_offset_is_told_once_the_server_was_heard(setup_with, values):
    assert values(clock.collector(setup_with(clock_offset_s=lambda: -3.5))())["clock.offset_seconds", ""] == -3.5
    assert ("clock.offset_seconds", "") not in values(clock.collector(setup_with())())


def test_uptime_is_that_of_the_kernel(setup, values):
    seconds = float(Path("/proc/uptime").read_text().split()[0])

    assert values(clock.collector(setup)())["boot.uptime_days", ""] == pytest.approx(seconds / 86_400, abs=1e-3)


def test_agents_share_counts_its_tools(setup_with, monkeypatch, values, clock):
    times = iter([os.times_result((1.0, 0.5, 0.0, 0.0, 0.0)), os.times_result((1.5, 0.5, 1.0, 0.5, 0.0))])
    monkeypatch.setattr(os, "times", lambda: next(times))
    monkeypatch.setattr(own, "Rates", lambda: Rates(clock))
    collect = own.collector(setup_with(collectors_failing=lambda: 2))
    collect()
    clock.now += 10

    found = values(collect())
    assert found["agent.cpu_percent", ""] == pytest.approx(20)
    assert found["agent.collectors_failing", ""] == 2


def test_test_fault_lasts_while_its_file_is_there(setup, values):
    collect = testfault.collector(setup)
    assert values(collect()) == {("agent.test_fault", ""): 0}
    (setup.state / "test-fault").touch()
    assert values(collect()) == {("agent.test_fault", ""): 1}


@given(st.text())
def test_any_text_is_read_without_harm(text):
    boot_linux.parse_time(text)
    try:
        boot_windows.readings(text)
    except CollectError:
        return
