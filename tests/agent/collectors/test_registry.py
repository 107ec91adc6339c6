"""The registry, on this real machine: what it names, what it imports, and that nothing unlawful leaves it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fettle_agent.collectors import Lane, registry
from fettle_agent.packages import apt_offers
from fettle_protocol import catalogue


@pytest.mark.parametrize("system", registry.ALL)
def test_every_system_has_collectors_with_names_of_their_own(system, setup_with):
    names = [collector.name for collector in registry.collectors(setup_with(system=system))]

    assert len(names) == len(set(names))
    assert {"cpu", "memory", "disk_space", "services", "updates", "hardware", "software", "event_log"} <= set(names)


def test_collectors_of_this_machine_give_only_what_the_catalogue_admits(setup):
    found = 0
    for collector in registry.collectors(setup):
        for _ in range(2):
            for reading in collector.collect().readings:
                found += 1
                spec = catalogue.BY_KEY[reading.key]
                assert spec.admits(reading.value), reading
                assert bool(reading.instance) <= bool(spec.instance), reading
    assert found > 20


def test_readings_that_every_machine_has_are_there(setup):
    collectors = {collector.name: collector for collector in registry.collectors(setup)}
    keys = {
        reading.key
        for name in ("cpu", "memory", "disk_space", "processes", "clock", "own")
        for reading in collectors[name].collect().readings
    }

    assert {"memory.used_percent", "disk.free_percent", "process.count", "boot.uptime_days", "agent.memory_bytes"} <= keys


def test_intervals_leave_each_collector_time_to_end():
    assert all(row.timeout_s <= row.every_s or row.lane is Lane.SLOW for row in registry.TABLE)
    assert all(row.every_s >= 10 for row in registry.TABLE if row.name != "test_fault")


def test_only_the_running_systems_readers_are_imported():
    program = (
        "import sys; from pathlib import Path; from fettle_agent.collectors import Setup, registry;"
        "registry.collectors(Setup('linux', Path('.'), tuple, lambda: None, lambda: 0));"
        "print([name for name in sys.modules if name.endswith(('_windows', '_macos'))"
        " or name in ('asyncio', 'ssl', 'grpc', 'cryptography', 'plistlib', 'secrets', 'hashlib')])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == "[]"


def test_failing_tool_is_told_in_words(setup, install, monkeypatch, tmp_path):
    install("apt-get", "exit 100")
    updates = next(collector for collector in registry.collectors(setup) if collector.name == "updates")

    monkeypatch.setattr(apt_offers, "LISTS", str(tmp_path))
    (tmp_path / "debian_Release").touch()
    install("dpkg-query", "true")

    assert updates.collect().error == "apt-get failed with status 100"


def test_docs_name_every_collector():
    page = (Path(__file__).parents[3] / "docs" / "platforms.md").read_text(encoding="utf-8")

    assert [row.name for row in registry.TABLE if not re.search(rf"\b{row.name}\b", page)] == []
