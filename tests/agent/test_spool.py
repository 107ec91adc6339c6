"""What the spool promises: numbered, bounded, whole over kill -9, and alive on a disk that fails."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fettle_agent.spool import Draft, Limits, Moment, Phase, Spool
from fettle_protocol.v1 import link_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

MOMENT = Moment("boot", 1_000_000)


def draft(text: str = "x", at_ms: int = 1_000_500) -> Draft:
    return Draft(link_pb2.Event(notice=link_pb2.Notice(code="test", text=text)), at_ms)


def raised(since_ms: int, at_ms: int) -> Draft:
    samples = [link_pb2.Sample(at_ms=since_ms, value=1)]
    return Draft(link_pb2.Event(raised=link_pb2.FaultRaised(rule="r", since_ms=since_ms, evidence=samples)), at_ms)


def phase(name: str = "raised") -> Phase:
    return Phase("r", "C:", name, 5, 6, "disks")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path, MOMENT)
    yield made
    made.close()


def numbers(spool: Spool, after: int = 0) -> list[int]:
    return [event.sequence for event in spool.events_after(after)]


def test_events_are_numbered_from_one_and_never_again(spool: Spool) -> None:
    spool.record([draft(), draft()])
    spool.acknowledge(2, 0)
    spool.record([draft()])
    assert numbers(spool) == [3]
    assert spool.last_sequence() == 3


def test_reopened_spool_keeps_name_numbers_phases_and_marks(tmp_path: Path) -> None:
    first = Spool(tmp_path, MOMENT)
    name = first.id
    first.record([draft()], [phase()], [("boot", "b")])
    first.close()
    again = Spool(tmp_path, MOMENT)
    assert (again.id, numbers(again), again.mark("boot"), again.phases()) == (name, [1], "b", [(phase(), MOMENT)])
    again.close()


def test_well_phase_is_forgotten(spool: Spool) -> None:
    spool.record([], [phase()])
    spool.record([draft()], [phase("well")])
    assert spool.phases() == []


def test_stored_times_follow_what_the_server_said_later(spool: Spool) -> None:
    spool.record([raised(since_ms=1_000_100, at_ms=1_000_500)])
    spool.keep_anchor(anchor_ms=MOMENT.zero_ms + 60_000, lead_ms=-60_000)
    (event,) = spool.events_after(0)
    assert (event.at_ms, event.raised.since_ms, event.raised.evidence[0].at_ms) == (1_060_500, 1_060_100, 1_060_100)


def test_times_of_a_boot_without_server_stay_as_they_were(spool: Spool) -> None:
    spool.record([draft(at_ms=1_000_500)])
    spool.moment = Moment("next boot", 7)
    spool.keep_anchor(anchor_ms=99, lead_ms=0)
    assert spool.events_after(0)[0].at_ms == 1_000_500


def test_batches_are_bounded_by_count_and_size(spool: Spool) -> None:
    spool.record([draft() for _ in range(250)])
    assert len(spool.events_after(0)) == 200
    spool.record([draft("y" * 300_000), draft("y" * 300_000)])
    assert numbers(spool, after=250) == [251]


def test_hours_are_shed_before_events(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MOMENT, Limits(size_bytes=10_000))
    for hour in range(5):
        spool.put_hour(hour, b"p" * 1_900)
    spool.record([draft("x" * 2_000)])
    assert numbers(spool) == [1]
    first = spool.hour_after(0)
    assert first is not None
    assert first.hour > 0
    assert spool.take_shed() == spool.carried.shed > 0
    spool.close()


def test_events_are_shed_oldest_first_when_no_history_is_left(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MOMENT, Limits(size_bytes=20_000))
    for _ in range(100):
        spool.record([draft("x" * 500)])
    kept = numbers(spool)
    assert kept[-1] == 100
    assert kept == list(range(kept[0], 101))
    assert spool.carried.size_bytes <= 20_000
    spool.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 3_000), st.just("hour"), st.just("ack")), max_size=40))
def test_spool_never_outgrows_its_bound_and_never_reorders(actions: list[int | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), MOMENT, Limits(size_bytes=12_000, events=15, hours=3))
        for action in actions:
            if action == "hour":
                spool.put_hour(1, b"p" * 1_000)
            elif action == "ack":
                spool.acknowledge(spool.last_sequence() // 2, 1)
            else:
                spool.record([draft("x" * int(action))])
            held = numbers(spool)
            assert held == sorted(set(held))
            assert spool.carried.events == len(held) <= 15
            assert spool.carried.size_bytes <= 12_000
        spool.close()


WRITER = """
import sys
from pathlib import Path
from fettle_agent.spool import Draft, Moment, Phase, Spool
from fettle_protocol.v1 import link_pb2
spool = Spool(Path(sys.argv[1]), Moment("b", 0))
for number in range(1, 100000):
    event = link_pb2.Event(notice=link_pb2.Notice(code="test", text=str(number)))
    spool.record([Draft(event, number)], [Phase("r", "", "raised", number, number, "c")], [("last", str(number))])
    print(number, flush=True)
"""


def test_kill_loses_no_recorded_event_and_parts_nothing(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(60)]
    os.kill(writer.pid, signal.SIGKILL)
    said += writer.stdout.readlines()
    writer.stdout.close()
    writer.wait()
    spool = Spool(tmp_path, MOMENT)
    held = spool.last_sequence()
    assert held >= int([line for line in said if line.endswith("\n")][-1])
    assert numbers(spool, after=held - 1) == [held]
    assert int(spool.mark("last")) == held == spool.phases()[0][0].since_ms
    spool.close()


def test_damaged_file_is_set_aside_and_a_new_spool_begun(tmp_path: Path) -> None:
    first = Spool(tmp_path, MOMENT)
    name = first.id
    first.close()
    (tmp_path / "spool.db").write_bytes(b"this is no database" * 500)
    again = Spool(tmp_path, MOMENT)
    assert again.id != name
    assert "damaged" in again.trouble
    assert (tmp_path / "spool.db.damaged").exists()
    again.record([draft()])
    assert again.on_disk
    again.close()


def test_failing_disk_moves_the_spool_into_memory_and_back(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.record([draft()], [phase()])
    name, store = spool.id, spool._store

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store, "write", full)
    spool.record([draft("second")])
    assert not spool.on_disk
    assert spool.id != name
    assert "disk is full" in spool.trouble
    assert (numbers(spool), spool.phases()) == ([1, 2], [(phase(), MOMENT)])
    in_memory = spool.id
    assert spool.mend()
    assert (spool.on_disk, spool.id, numbers(spool), spool.trouble) == (True, in_memory, [1, 2], "")
    spool.record([draft()])
    assert numbers(spool) == [1, 2, 3]


def test_folder_that_cannot_be_written_still_gives_a_working_spool(tmp_path: Path) -> None:
    (tmp_path / "spool.db").mkdir()
    spool = Spool(tmp_path, MOMENT)
    spool.record([draft()])
    assert not spool.on_disk
    assert spool.trouble
    assert not spool.mend()
    assert numbers(spool) == [1]
    spool.close()


def fill(path: Path) -> None:
    """Write until the disk takes no more."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as filler:
        while filler.write(b"x" * 4096):
            pass


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounts a small file system: needs root")
def test_events_reach_a_truly_full_disk_in_the_room_kept_for_them(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no mounts here")
    try:
        spool = Spool(tmp_path, MOMENT)
        fill(tmp_path / "filler")
        for number in range(200):
            spool.record([draft(f"{number}" * 20)])
        assert spool.on_disk
        assert len(numbers(spool)) == 200
        spool.close()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounts a small file system: needs root")
def test_killed_agent_finds_its_events_again_on_a_full_disk(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no mounts here")
    writes = "import os, pathlib; from fettle_agent.spool import *; from fettle_protocol.v1.link_pb2 import Event\n"
    writes += f"Spool(pathlib.Path({str(tmp_path)!r}), Moment('b', 0)).record([Draft(Event(), 1)]); os._exit(9)"
    try:
        assert subprocess.run([sys.executable, "-c", writes], check=False).returncode == 9
        fill(tmp_path / "filler")
        spool = Spool(tmp_path, MOMENT)
        spool.record([draft()])
        assert spool.on_disk
        assert numbers(spool) == [1, 2]
        spool.close()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_events_of_a_file_that_could_not_be_opened_at_first_are_not_lost(tmp_path: Path) -> None:
    before = Spool(tmp_path, MOMENT)
    before.record([draft("first"), draft("second")])
    name = before.id
    before.close()
    (tmp_path / "spool.db").rename(tmp_path / "away")
    (tmp_path / "spool.db").mkdir()
    spool = Spool(tmp_path, MOMENT)
    spool.record([draft("third")], marks=[("boot", "now")])
    (tmp_path / "spool.db").rmdir()
    (tmp_path / "away").rename(tmp_path / "spool.db")
    assert spool.mend()
    assert numbers(spool) == [1, 2, 3]
    assert (spool.id, spool.mark("boot"), spool.carried.events) == (name, "now", 3)
    spool.close()


def test_rejected_event_leaves_its_lane(spool: Spool) -> None:
    spool.record([draft("poison"), draft("good")])
    body = spool.drop_event(1)
    assert body is not None
    assert link_pb2.Event.FromString(body).notice.text == "poison"
    assert (numbers(spool), spool.carried.events, spool.drop_event(1)) == ([2], 1, None)
