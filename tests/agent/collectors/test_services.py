"""Services: which should be running, as systemd, init scripts, Windows and launchd tell it."""

import plistlib
import subprocess

import pytest
from fettle_agent.collectors import CollectError, initscripts_linux, services_linux, services_macos, services_windows
from fettle_agent.collectors.services import Condition, Service, Watch
from fettle_agent.collectors.services_windows import Installed
from hypothesis import given
from hypothesis import strategies as st

RUNNING, STOPPED, DIED = Condition.RUNNING, Condition.STOPPED, Condition.DIED


@pytest.mark.parametrize(
    ("conditions", "patterns", "expected"),
    [
        ([RUNNING, STOPPED, RUNNING], (), [1, 0, 1]),
        ([STOPPED, STOPPED], (), [None, None]),
        ([STOPPED, RUNNING], ("pri*",), [0, 1]),
        ([DIED], (), [0]),
        ([Condition.ON_DEMAND], (), [1]),
        ([STOPPED], ("PRINTER",), [0]),
        ([STOPPED], ("other",), [None]),
    ],
)
def test_service_is_wrong_if_it_died_or_ran_before_or_is_named(conditions, patterns, expected):
    watch = Watch(lambda: patterns)
    found = [watch.readings([Service("printer", condition)]).readings for condition in conditions]

    assert [readings[0].value if readings else None for readings in found] == expected


# systemd


def test_units_that_start_by_themselves_and_stay_are_told_apart(sample):
    found = {service.name: service.condition for service in services_linux.parse_units(sample("systemctl_show.txt"))}

    assert found["ssh"] is RUNNING
    assert found["cron"] is STOPPED
    assert found["broken"] is DIED
    assert found["restarting"] is DIED
    assert found["ondemand"] is Condition.ON_DEMAND
    assert not {"systemd-remount-fs", "systemd-logind", "apt-daily"} & set(found)


def test_systemctl_that_fails_is_told(install):
    install("systemctl", "exit 1")

    with pytest.raises(CollectError, match="systemctl failed with status 1"):
        services_linux.ask()


@given(st.text())
def test_any_text_of_systemctl_is_read_without_harm(text):
    services_linux.parse_units(text)


# init scripts

SCRIPT = """#!/bin/sh
# pidfile: {folder}/NAME.pid
PIDFILE={folder}/$NAME.pid
case "$1" in
  status) echo asked >> {folder}/asked
    [ -e {folder}/demo.pid ] || exit 3
    kill -0 "$(cat {folder}/demo.pid)" 2>/dev/null || exit 1 ;;
esac
"""


@pytest.fixture
def etc(tmp_path, monkeypatch):
    """An /etc with one init script that the runlevel starts, and one that it does not."""
    monkeypatch.setattr(initscripts_linux, "_runlevel", lambda: "2")
    for folder in ("init.d", "rc2.d"):
        (tmp_path / folder).mkdir()
    for name in ("demo", "unlinked"):
        script = tmp_path / "init.d" / name
        script.write_text(SCRIPT.format(folder=tmp_path))
        script.chmod(0o755)
    (tmp_path / "rc2.d" / "S01demo").touch()
    (tmp_path / "rc2.d" / "K01unlinked").touch()
    (tmp_path / "rc2.d" / "README").touch()
    return tmp_path


def test_service_that_is_stopped_and_started_is_seen_at_once_and_seldom_asked(etc):
    scripts = initscripts_linux.Scripts(etc)
    assert scripts.services() == (Service("demo", STOPPED, "stopped"),)

    process = subprocess.Popen(["/bin/sleep", "30"])
    (etc / "demo.pid").write_text(f"{process.pid}\n")
    try:
        assert [scripts.services()[0].condition for _ in range(5)] == [RUNNING] * 5
        assert (etc / "asked").read_text().count("asked") == 2
    finally:
        process.kill()
        process.wait()
    assert scripts.services()[0].condition is DIED
    (etc / "demo.pid").unlink()
    assert scripts.services()[0].condition is STOPPED


def test_link_that_comes_or_goes_changes_what_is_watched(etc):
    scripts = initscripts_linux.Scripts(etc)
    scripts.services()
    (etc / "rc2.d" / "S02unlinked").touch()
    assert [service.name for service in scripts.services()] == ["demo", "unlinked"]
    (etc / "rc2.d" / "S01demo").unlink()
    assert [service.name for service in scripts.services()] == ["unlinked"]


def test_script_that_does_not_know_its_status_says_nothing(etc):
    (etc / "init.d" / "demo").write_text("#!/bin/sh\nPIDFILE=/run/x.pid\n# status\nexit 4 # status)\n")

    assert initscripts_linux.Scripts(etc).services() == ()


def test_script_without_an_answer_to_status_is_not_watched():
    assert not initscripts_linux.knows_status("#!/bin/sh\n# status is not known\ncase $1 in start) hwclock --hctosys;; esac\n")
    assert initscripts_linux.knows_status("case $1 in start|status) true;; esac")
    assert initscripts_linux.knows_status("#!/usr/bin/env /lib/init/init-d-script\nDAEMON=/usr/bin/prometheus\n")


@pytest.mark.parametrize(
    ("status", "keeps_pid_file", "conditions"),
    [(0, True, [RUNNING]), (1, True, [DIED]), (2, True, [DIED]), (1, False, [STOPPED]), (3, True, [STOPPED]), (4, True, [])],
)
def test_exit_status_of_a_script(status, keeps_pid_file, conditions):
    found = initscripts_linux.service_of("demo", status, keeps_pid_file=keeps_pid_file)

    assert [service.condition for service in found] == conditions


def test_pid_files_are_where_the_script_says_and_where_most_are():
    found = initscripts_linux.pid_files(
        'PIDFILE="/var/run/crond.pid"\nPIDFILE=$UNKNOWN/x.pid\nkill $(cat /tmp/own.pid)\n', "cron"
    )

    assert found == ("/var/run/crond.pid", "/tmp/own.pid", "/run/cron.pid", "/run/cron/*.pid", "/run/cron/pid")


@pytest.mark.parametrize(("text", "level"), [("N 5\n", "5"), ("2 3", "3"), ("unknown\n", "2"), ("", "2"), ("N S", "2")])
def test_unknown_runlevel_is_debians_default(text, level):
    assert initscripts_linux.parse_runlevel(text) == level


# Windows


def test_windows_services_that_stop_by_design_are_not_watched():
    installed = [
        Installed("Spooler", automatic=True, delayed=False, triggered=False),
        Installed("W32Time", automatic=True, delayed=False, triggered=True),
        Installed("edgeupdate", automatic=True, delayed=True, triggered=False),
        Installed("WinDefend", automatic=True, delayed=True, triggered=False),
        Installed("CDPUserSvc_4f2a1", automatic=True, delayed=False, triggered=False),
        Installed("Fax", automatic=False, delayed=False, triggered=False),
    ]

    assert services_windows.watched(installed, ("windefend",)) == ("Spooler", "WinDefend")


@pytest.mark.parametrize(
    ("status", "condition"), [("running", RUNNING), ("stopped", STOPPED), ("paused", STOPPED), ("start_pending", None)]
)
def test_windows_words_for_a_state(status, condition):
    assert services_windows.condition(status) is condition


def test_windows_reader_gives_nothing_elsewhere(setup):
    assert services_windows.collector(setup)().readings == ()


# macOS


def test_launchds_list_tells_what_runs_and_what_died(sample):
    loaded = services_macos.parse_list(sample("launchctl_list.txt"))
    labels = ["com.example.backupd", "com.example.crashing", "com.example.idle", "com.example.unloaded"]

    assert [service.condition for service in services_macos.states(labels, loaded)] == [RUNNING, DIED, STOPPED]


@pytest.mark.parametrize(
    ("facts", "label"),
    [
        ({"Label": "a", "KeepAlive": True}, "a"),
        ({"Label": "a", "KeepAlive": {"SuccessfulExit": False}}, None),
        ({"Label": "a", "RunAtLoad": True}, None),
        ({"Label": "a", "KeepAlive": True, "Disabled": True}, None),
        ({"KeepAlive": True}, None),
        ([], None),
    ],
)
def test_only_daemons_that_are_kept_alive_count(facts, label):
    assert services_macos.kept_alive(plistlib.dumps(facts)) == label


@given(st.binary(), st.text())
def test_any_property_list_and_any_list_are_read_without_harm(plist, text):
    services_macos.kept_alive(plist)
    services_macos.parse_list(text)
