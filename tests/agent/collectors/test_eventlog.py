"""Counts of errors in the event logs."""

import json

import pytest
from fettle_agent.collectors import CollectError, eventlog_linux, eventlog_macos, eventlog_windows
from fettle_agent.collectors.eventlog import Entry, Level, counted
from hypothesis import example, given
from hypothesis import strategies as st

ERROR, CRITICAL = "log.errors_per_hour", "log.critical_per_hour"


def test_source_that_fell_silent_is_counted_at_nothing(values):
    entries = [Entry("disk:7", Level.ERROR, 60), Entry("disk:7", Level.ERROR, 7200), Entry("old:1", Level.ERROR, 7200)]

    assert values(counted(entries)) == {(ERROR, "disk:7"): 1, (ERROR, "old:1"): 0}


def test_loudest_sources_come_first_and_are_bounded():
    entries = [Entry(f"source{number:03}", Level.ERROR, 1) for number in range(60) for _ in range(number)]

    readings = counted(entries).readings
    assert len(readings) == 40
    assert readings[0].instance == "source059"


def test_journal_is_counted_by_source_and_level(sample, values):
    newest = max(int(json.loads(line)["__REALTIME_TIMESTAMP"]) for line in sample("journalctl.ndjson").splitlines()) / 1e6

    assert values(counted(eventlog_linux.parse(sample("journalctl.ndjson"), newest))) == {
        (ERROR, "fixture-printer"): 2,
        (CRITICAL, "fixture-kernel"): 1,
    }


def test_journals_id_is_told_and_numbers_in_names_are_not():
    row = {"PRIORITY": "3", "__REALTIME_TIMESTAMP": "0", "SYSLOG_IDENTIFIER": "worker[12345]", "MESSAGE_ID": "fc2e22bc6ee647b6"}

    (entry,) = eventlog_linux.parse(json.dumps(row), 0)
    assert entry.source == "worker:fc2e22bc"


def test_machine_without_a_journal_has_no_data(setup, monkeypatch):
    monkeypatch.setattr(eventlog_linux, "_JOURNALS", ())

    assert eventlog_linux.collector(setup)().readings == ()


def test_journalctl_that_fails_is_told(setup, install, monkeypatch, tmp_path):
    monkeypatch.setattr(eventlog_linux, "_JOURNALS", (str(tmp_path),))
    install("journalctl", "exit 1")

    with pytest.raises(CollectError, match="journalctl failed with status 1"):
        eventlog_linux.collector(setup)()


def test_windows_events_are_counted_by_provider_and_id(sample, values):
    assert values(counted(eventlog_windows.entries(sample("eventlog_windows.json")))) == {
        (ERROR, "disk:7"): 2,
        (ERROR, "Application Error:1000"): 0,
        (CRITICAL, "Kernel-Power:41"): 0,
    }


def test_macs_crash_reports_are_counted_by_program(values):
    reports = [
        ("Word-2026-01-02-101010.ips", 60),
        ("Word_2026-01-02-101112_host.crash", 90),
        ("panic-full-2026-01-02-101010.0002.panic", 60),
    ]
    reports += [("Word-2025-12-01-101010.ips", 90_000), ("Safari-2026-01-02-090909.diag", 60), ("notes.txt", 1)]

    assert values(counted(eventlog_macos.entries(reports))) == {(ERROR, "Word:crash"): 2, (CRITICAL, "kernel:panic"): 1}


ROW = st.dictionaries(
    st.sampled_from(
        ["PRIORITY", "__REALTIME_TIMESTAMP", "SYSLOG_IDENTIFIER", "MESSAGE_ID", "source", "id", "level", "age", "events"]
    ),
    st.none() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
)


@example([{"level": float("nan"), "id": float("inf"), "age": 1e400}], "")
@given(ROW | st.lists(ROW), st.text())
def test_any_row_and_any_text_is_read_without_harm(row, text):
    for line in (json.dumps(row), text):
        counted(eventlog_linux.parse(line, 0))
    for document in (json.dumps({"events": row}), text):
        try:
            counted(eventlog_windows.entries(document))
        except CollectError:
            continue
    counted(eventlog_macos.entries([(text, 1.0)]))
