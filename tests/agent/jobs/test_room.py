"""The running agent with jobs, as a process against a small server: received, done, told exactly once, whatever is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from fettle_agent.jobs import signers, waking
from fettle_agent.jobs.book import Book, BookError
from fettle_agent.jobs.room import Room
from fettle_protocol import signing
from fettle_protocol.v1 import link_pb2

State = link_pb2.JobReport


@pytest.fixture
def agent(machine: Any, key: Any) -> Any:
    """A machine that trusts the key, and runs."""
    machine.settle()
    signers.pin(machine.state, [signing.public_bytes(key)])
    return machine.start()


def states(server: Any, job: link_pb2.Job) -> list[str]:
    names = [
        State.State.Name(report.state).removeprefix("STATE_").lower() for report in server.of("job") if report.job == job.id
    ]
    return [name for name in names if name != "progress"]


def connected(server: Any, until: Any) -> Any:
    """The newest stream, once its welcome was heard."""
    until(lambda: server.streams and server.streams[-1].ups)
    return server.streams[-1]


def test_job_is_received_done_and_told_in_order(agent: Any, server: Any, until: Any, pc: Any, tmp_path: Path) -> None:
    job = pc.sign(pc.manifest(pc.script(f"sleep 0.5; touch {tmp_path}/done")))
    stream = connected(server, until)
    stream.say(jobs=[job, job])
    until(lambda: "done" in states(server, job), 20)
    stream.say(jobs=[job])
    time.sleep(0.5)
    assert states(server, job)[:4] == ["received", "started", "step_done", "done"]
    assert (tmp_path / "done").exists()
    listed = agent.command("jobs", "--state", agent.state)
    assert listed.stdout.split()[1] == "done"
    assert agent.stop() == 0


def test_hostile_words_are_refused_and_nothing_of_them_runs(
    agent: Any, server: Any, until: Any, pc: Any, tmp_path: Path
) -> None:
    good = pc.sign(pc.manifest(pc.script(f"touch {tmp_path}/never")))
    forged = pc.signed(pc.manifest(pc.script(f"touch {tmp_path}/never")), signing.new_key())
    large = link_pb2.Job(id="f" * 32, manifest=b"x" * 200_000)
    changed = link_pb2.Job(
        id="e" * 32, manifest=good.manifest.replace(b"never", b"NEVER"), signature=good.signature, key=good.key
    )
    connected(server, until).say(jobs=[forged, large, changed, link_pb2.Job(id="../../x", manifest=b"")])
    until(lambda: all(states(server, job)[-1:] == ["refused"] for job in (forged, large, changed)), 20)
    assert not (tmp_path / "never").exists()
    assert not (tmp_path / "NEVER").exists()


def test_job_is_taken_back_before_it_begins(agent: Any, server: Any, until: Any, pc: Any) -> None:
    job = pc.sign(pc.manifest(pc.script("true")), start_ms=int(time.time() * 1000) + 3_600_000)
    stream = connected(server, until)
    stream.say(jobs=[job])
    until(lambda: "waiting" in states(server, job), 20)
    stream.say(cancelled=[link_pb2.CancelJob(id=job.id, reason="The rollout was halted.")])
    until(lambda: states(server, job) == ["received", "waiting", "cancelled"])
    assert server.of("job")[-1].why == "The rollout was halted."


def test_power_cut_in_the_middle_ends_well_and_each_word_is_told_once(
    agent: Any, server: Any, until: Any, pc: Any, tmp_path: Path
) -> None:
    body = f"if test -e {tmp_path}/begun; then exit 0; fi; touch {tmp_path}/begun; sleep 30"
    again, once = pc.script(body, idempotent=True), pc.script(f"echo x >> {tmp_path}/once")
    job = pc.sign(pc.manifest(again, once))
    connected(server, until).say(jobs=[job])
    until((tmp_path / "begun").exists, 20)
    families = psutil.Process(agent.running.pid).children(recursive=True)
    agent.running.send_signal(signal.SIGKILL)
    for one in families:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    agent.running.wait(10)
    agent.start()
    until(lambda: "done" in states(server, job), 20)
    assert states(server, job) == ["received", "started", "resumed", "step_done", "step_done", "done"]
    assert (tmp_path / "once").read_text() == "x\n"
    assert [event.sequence for event in server.events] == sorted({event.sequence for event in server.events})


def test_status_counts_signers_and_trust_changes_them(agent: Any, until: Any, tmp_path: Path) -> None:
    until(lambda: agent.status().get("jobs"))
    assert agent.status()["jobs"]["signers"] == 1
    other = signing.public_bytes(signing.new_key())
    (tmp_path / "key.pem").write_bytes(signing.public_pem(other))
    assert agent.command("trust", "--state", agent.state, "--key", tmp_path / "key.pem").returncode == 0
    assert len(agent.command("trust", "--state", agent.state, "--list").stdout.splitlines()) == 2
    assert agent.command("trust", "--state", agent.state, "--remove", signing.key_id(other)).returncode == 0
    assert agent.command("trust", "--state", agent.state, "--remove", "nonsense").returncode == 1
    assert "nothing to put off" in agent.command("defer", "--state", agent.state).stderr


def test_enrolment_pins_the_key_that_a_person_gave(machine: Any, tmp_path: Path) -> None:
    public = signing.public_bytes(signing.new_key())
    (tmp_path / "key.pem").write_bytes(signing.public_pem(public))
    assert machine.enrol("--signer", str(tmp_path / "key.pem")).returncode == 0
    assert list(signers.load(machine.state).keys) == [signing.key_id(public)]
    private = signing.new_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "private.pem").write_bytes(private)
    assert "holds no public key" in machine.enrol("--force", "--signer", str(tmp_path / "private.pem")).stderr


def test_server_never_adds_to_keys_that_are_trusted_already(tmp_path: Path) -> None:
    from fettle_agent.enrolment import _pin

    mine, theirs = (signing.public_bytes(signing.new_key()) for _ in range(2))
    _pin(tmp_path, given=(), offered=[mine, b"short"])
    _pin(tmp_path, given=(), offered=[theirs])
    assert list(signers.load(tmp_path).keys) == [signing.key_id(mine)]
    signers.remove(tmp_path, signing.key_id(mine))
    _pin(tmp_path, given=(), offered=[mine])
    assert not signers.load(tmp_path).keys


def test_agent_that_a_job_restarts_says_that_the_pc_comes_back(agent: Any, server: Any, until: Any) -> None:
    connected(server, until)
    book = Book.open(agent.state)
    book.tell(State(job="a" * 32, state=State.STATE_RESTARTING), int(time.time() * 1000))
    book.close()
    assert agent.stop() == 0
    powers = until(lambda: [power for power in server.of("power") if power.kind == link_pb2.PowerChange.KIND_RESTARTING])
    assert powers[0].back_by_ms > time.time() * 1000
    assert [report.state for report in server.of("job")] == [State.STATE_RESTARTING]


def test_neighbours_are_woken_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bursts: list[int] = []
    monkeypatch.setattr(waking, "wake", lambda macs: bursts.append(len(macs)) or len(macs))
    room = Room(tmp_path, None)
    for now_s in (1.0, 30.0, 61.0, 62.0):
        room.wake([b"123456"], now_s)
    assert bursts == [1, 1]


class Spool:
    """A spool that only remembers."""

    carried = SimpleNamespace(events=())

    def __init__(self) -> None:
        self.told: list[link_pb2.JobReport] = []
        self.marks: dict[str, str] = {}

    def mark(self, name: str) -> str:
        return self.marks.get(name, "")

    def record(self, drafts: Any, marks: Any = ()) -> None:
        self.told += [draft.event.job for draft in drafts]
        self.marks |= dict(marks)


@pytest.fixture
def room(tmp_path: Path) -> Any:
    """A room whose agent is a clock and a spool; nothing of the book is mocked."""
    clock = SimpleNamespace(server_ms=lambda: 1, steady_ms=lambda: 1, boot_ms=lambda: 1, shift_ms=0)
    made = Room(tmp_path, SimpleNamespace(clock=clock, spool=Spool(), lanes=None))
    made.told = made._agent.spool.told
    yield made
    made.close()


def test_first_job_of_an_agent_is_no_trouble(room: Any) -> None:
    room.take([link_pb2.Job(id="a" * 32)], [])
    assert (room.trouble, [report.state for report in room.told]) == ("", [State.STATE_RECEIVED])


def test_disk_that_is_full_loses_no_job_and_no_cancellation(room: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room.take([link_pb2.Job(id="a" * 32)], [])
    full = pytest.MonkeyPatch()
    full.setattr(
        Book, "writing", lambda self: (_ for _ in ()).throw(BookError("the jobs book cannot be written: disk is full"))
    )
    many = [link_pb2.Job(id=f"{number:032x}", manifest=bytes(128 * 1024)) for number in range(300)]
    room.take(many, [link_pb2.CancelJob(id="a" * 32, reason="halted")])
    assert "disk is full" in room.trouble
    assert sum(len(job.manifest) for job in room._unsaved) <= 2**20
    full.undo()
    monkeypatch.setattr(Room, "_start", lambda *_: None)
    room.tick(1.0)
    states = {report.job: report.state for report in room.told}
    assert states["a" * 32] == State.STATE_CANCELLED
    assert states[f"{0:032x}"] == State.STATE_RECEIVED


def test_book_that_is_damaged_while_it_is_open_is_begun_anew(
    room: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "_start", lambda *_: None)
    room.take([link_pb2.Job(id="a" * 32)], [])
    file = tmp_path / "jobs" / "book.db"
    file.write_bytes(b"damaged" * 10_000)
    room.take([link_pb2.Job(id="b" * 32)], [])
    room.tick(1.0)
    assert "b" * 32 in [report.job for report in room.told]
    assert (tmp_path / "jobs" / "book.db.damaged").exists()


def test_agent_that_was_never_handed_a_job_has_no_book(agent: Any, server: Any, until: Any) -> None:
    connected(server, until)
    time.sleep(1.5)
    assert not (agent.state / "jobs").exists()
