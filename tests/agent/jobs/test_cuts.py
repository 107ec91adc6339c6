"""Whatever is cut off, at any moment: what may be done once is done once, what may be done again ends well, and all is told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fettle_agent import identity
from fettle_agent.jobs import doing, facts, people, putting_off, restarting, signers, steps
from fettle_agent.jobs.book import ENDS, Book
from fettle_agent.jobs.context import Context, Outcome
from fettle_agent.jobs.courtesy import Sitting
from fettle_agent.jobs.work import work
from fettle_protocol import manifests, signing
from fettle_protocol.steps import StepKind
from fettle_protocol.v1 import link_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

State = link_pb2.JobReport


def child(pc: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "fettle_agent", "work", "--state", str(pc.state)], start_new_session=True)


def kill_in_the_middle(pc: Any, until: Any, begun: Path) -> None:
    """A real child, killed with all that it started while its step runs."""
    process = child(pc)
    until(begun.exists, 20)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def test_step_that_may_be_begun_once_is_not_begun_twice_after_kill_9(pc: Any, until: Any, tmp_path: Path) -> None:
    pc.give(pc.sign(pc.manifest(pc.script(f"echo x >> {tmp_path}/begun; sleep 30"))))
    kill_in_the_middle(pc, until, tmp_path / "begun")
    assert child(pc).wait(20) == 0
    assert pc.states() == ["received", "started", "step_failed", "failed"]
    assert "cut off in the middle and is not begun twice" in pc.told()[-1].why
    assert (tmp_path / "begun").read_text() == "x\n"


def test_step_that_may_be_begun_again_is_resumed_after_kill_9_and_its_orphan_is_stopped(
    pc: Any, until: Any, tmp_path: Path
) -> None:
    body = f"if test -e {tmp_path}/begun; then exit 0; fi; touch {tmp_path}/begun; sleep 2; touch {tmp_path}/orphan"
    pc.give(pc.sign(pc.manifest(pc.script(body, idempotent=True))))
    kill_in_the_middle(pc, until, tmp_path / "begun")
    assert child(pc).wait(20) == 0
    assert pc.states() == ["received", "started", "resumed", "step_done", "done"]
    time.sleep(1.5)
    assert not (tmp_path / "orphan").exists()


@pytest.mark.parametrize("is_another_boot", [True, False])
def test_stranger_with_the_number_of_a_tool_that_was_cut_off_is_left_alone(pc: Any, is_another_boot: bool) -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        begun_ms = int(time.time() * 1000) + (0 if is_another_boot else 60_000)
        job = pc.give(pc.sign(pc.manifest(pc.script("true", idempotent=True))))
        book = Book.open(pc.state)
        book.begin(job, 1, begun_ms)
        boot = "an earlier boot" if is_another_boot else facts.Clock(None).boot
        book.begin_step(job, 1, "script", boot=boot, now_ms=begun_ms)
        book.step_process(job, 1, stranger.pid)
        book.close()
        assert pc.work() == 0
        assert pc.states()[-1] == "done"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_second_child_leaves_the_first_alone(pc: Any, until: Any, tmp_path: Path) -> None:
    pc.give(pc.sign(pc.manifest(pc.script(f"touch {tmp_path}/begun; sleep 2"))))
    first = child(pc)
    until((tmp_path / "begun").exists, 20)
    assert child(pc).wait(20) == 75
    assert first.wait(20) == 0


class Cut(BaseException):
    """The power goes."""


class World:
    """One PC whose power goes at chosen writes, whose restarts happen, and which counts what was really done."""

    def __init__(self, state: Path, key: Ed25519PrivateKey) -> None:
        self.state, self.key = state, key
        self.did: dict[str, int] = {}
        self.boots = 0
        self.writes_left = 10**9
        state.mkdir(mode=0o700)
        about = identity.Identity("0" * 32, "Bow Primary", "127.0.0.1:1", "", "none", 0, 2**50)
        identity.save(state, about, key_and_certificate_pem=b"", authority_pem=b"")
        signers.pin(state, [signing.public_bytes(key)])

    def act(self, context: Context, step: Any) -> Outcome:
        self.spend()
        self.did[step["name"]] = self.did.get(step["name"], 0) + 1
        self.spend()
        return Outcome(step["name"] != "fails", "did it", {"rescan": True})

    def restart(self, _: str) -> str:
        self.did["restart"] = self.did.get("restart", 0) + 1
        self.boots += 1
        raise Cut

    def spend(self) -> None:
        self.writes_left -= 1
        if self.writes_left < 0:
            raise Cut

    def run(self, writes: int) -> None:
        self.writes_left = writes
        with contextlib.suppress(Cut):
            work(self.state, None, lambda *_: {})


@contextlib.contextmanager
def living_in(world: World) -> Iterator[None]:
    """The child's clock, book, steps and restarts are that world's."""
    with pytest.MonkeyPatch.context() as patch:
        begin, writing = facts.Clock.__init__, Book.writing

        def born(self: facts.Clock, zero_ms: int | None) -> None:
            begin(self, zero_ms)
            self.boot = f"boot {world.boots}"

        @contextlib.contextmanager
        def costly(self: Book) -> Iterator[Any]:
            world.spend()
            with writing(self) as database:
                yield database
            world.spend()

        patch.setattr(facts.Clock, "__init__", born)
        patch.setattr(Book, "writing", costly)
        patch.setitem(steps.STEPS, StepKind.SCRIPT, world.act)
        patch.setattr(restarting, "restart", world.restart)
        patch.setattr(restarting, "NOT_RESTARTED_MS", 0)
        patch.setattr(people, "sitting", lambda _: ())
        patch.setattr(doing.time, "sleep", lambda _: None)
        yield


_STEP = st.tuples(st.sampled_from(["works", "works", "works", "fails"]), st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=st.lists(st.one_of(_STEP, st.just("reboot")), min_size=1, max_size=4),
    at_end=st.sampled_from(["if needed", "always"]),
    cuts=st.lists(st.integers(0, 30), max_size=8),
    again=st.booleans(),
)
def test_no_sequence_of_cuts_and_replays_does_twice_what_may_be_done_once(
    key: Ed25519PrivateKey, wanted: list[Any], at_end: str, cuts: list[int], again: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "state", key)
        manifest, once = order(wanted, at_end)
        restarts = wanted.count("reboot") + (1 if at_end == "always" and wanted[-1] != "reboot" else 0)
        with living_in(world):
            hand_over(world, key, manifest, start_ms=1)
            for writes in cuts:
                world.run(writes)
                hand_over(world, key, manifest, start_ms=1)
            if again:
                hand_over(world, key, manifest, start_ms=2)
            for _ in range(12):
                world.run(10**9)
            told = reports(world)
        assert all(world.did.get(name, 0) <= 1 for name in once)
        assert world.did.get("restart", 0) <= restarts
        for job in {report.job for report in told}:
            assert sum(1 for report in told if report.job == job and report.state in ENDS.values()) == 1
            assert sum(1 for report in told if report.job == job and report.state == State.STATE_RECEIVED) == 1
        done = sum(1 for report in told if report.state == State.STATE_DONE)
        assert done <= 1
        if done and not any(one != "reboot" and one[0] == "fails" for one in wanted):
            assert all(world.did.get(step["name"], 0) >= 1 for step in manifest.steps if step["kind"] == "script")
            assert world.did.get("restart", 0) == restarts


def order(wanted: list[Any], at_end: str) -> tuple[manifests.Manifest, set[str]]:
    made, once = [], set()
    for number, one in enumerate(wanted):
        if one == "reboot":
            made.append({"kind": "reboot"})
            continue
        name = "fails" if one[0] == "fails" else f"step {number}"
        if not one[1]:
            once.add(name)
        body = {"version": "1", "sha256": "0" * 64, "body": "true", "interpreter": "sh", "idempotent": one[1]}
        made.append({"kind": "script", "name": name} | body)
    names = [step.get("name") for step in made]
    return (
        manifests.Manifest(
            "work",
            "a" * 32,
            1,
            not_before_ms=int(time.time() * 1000) - 86_400_000,
            expires_ms=int(time.time() * 1000) + 86_400_000,
            title="Work",
            target=manifests.Target(("0" * 32,)),
            people=manifests.People(reboots=at_end),
            needs=manifests.Needs(0, 0),
            steps=tuple(made),
        ),
        {name for name in once if names.count(name) == 1},
    )


def hand_over(world: World, key: Ed25519PrivateKey, manifest: manifests.Manifest, start_ms: int) -> None:
    body = manifests.encode(manifest)
    name = signing.key_id(signing.public_bytes(key))
    job = link_pb2.Job(id=f"{start_ms:032x}", manifest=body, signature=signing.sign(key, body), key=name, start_ms=start_ms)
    world.writes_left = 10**9
    book = Book.open(world.state)
    book.receive(job, 1)
    book.close()


def reports(world: World) -> list[link_pb2.JobReport]:
    book = Book.open(world.state)
    try:
        return [link_pb2.JobReport.FromString(one.report) for one in book.outbox(0)]
    finally:
        book.close()


@pytest.fixture
def restarts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Restarts that were asked for; nobody is signed in."""
    found: list[str] = []
    monkeypatch.setattr(restarting, "restart", lambda system: found.append(system) or "")
    monkeypatch.setattr(people, "sitting", lambda _: ())
    monkeypatch.setattr(doing.time, "sleep", lambda _: None)
    return found


def next_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    begin: Callable[..., None] = facts.Clock.__init__

    def born(self: facts.Clock, zero_ms: int | None) -> None:
        begin(self, zero_ms)
        self.boot = "another boot"

    monkeypatch.setattr(facts.Clock, "__init__", born)


def test_job_goes_on_behind_its_restart(pc: Any, restarts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    people_rules = manifests.People(reboots="if needed")
    pc.do(pc.sign(pc.manifest(pc.script("true"), {"kind": "reboot"}, pc.script("true"), people=people_rules)))
    pc.work()
    assert (restarts, pc.states()) == (["linux"], ["received", "started", "step_done", "restarting"])
    next_boot(monkeypatch)
    pc.work()
    assert pc.states()[4:] == ["resumed", "step_done", "step_done", "done"]


def test_restart_that_never_came_fails_the_job(pc: Any, restarts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pc.do(pc.sign(pc.manifest({"kind": "reboot"}, people=manifests.People(reboots="always"))))
    monkeypatch.setattr(restarting, "NOT_RESTARTED_MS", 0)
    pc.work()
    assert pc.states() == ["received", "started", "restarting", "step_failed", "failed"]
    assert len(restarts) == 1


def test_restart_waits_for_an_exam_to_end(pc: Any, restarts: list[str]) -> None:
    job = pc.sign(pc.manifest({"kind": "reboot"}, people=manifests.People(reboots="always")), exam=True)
    told = pc.do(job)
    assert (restarts, told[-1].state, "exam" in told[-1].why) == ([], State.STATE_WAITING, True)
    job.exam = False
    pc.give(job)
    pc.work()
    assert len(restarts) == 1


def test_restart_is_put_off_by_whoever_sits_there_and_other_work_waits(
    pc: Any, restarts: list[str], monkeypatch: pytest.MonkeyPatch, until: Any
) -> None:
    said: list[str] = []
    monkeypatch.setattr(people, "sitting", lambda _: (Sitting(1),))
    monkeypatch.setattr(people, "tell", lambda _, text: (True, said.append(text) or ""))
    polite = manifests.People(reboots="always", warn_s=600, deferrals=1, defer_s=3600)
    pc.do(pc.sign(pc.manifest({"kind": "reboot"}, people=polite)), pc.sign(pc.manifest(pc.script("true"))))
    assert "10 minutes" in said[0]
    with ThreadPoolExecutor(1) as person:
        heard = person.submit(putting_off.ask, pc.state)
        until(lambda: putting_off.is_asked(str(pc.state / "defer")))
        pc.work()
        assert "heard" in heard.result()
    assert not (pc.state / "defer").exists()
    assert [report.why for report in pc.told() if report.state == State.STATE_DEFERRED] == [
        "Somebody at the PC put the restart off; it may be put off 0 times more."
    ]
    assert "An earlier job is not done yet." in [report.why for report in pc.told()]
    monkeypatch.setattr(people, "sitting", lambda _: ())
    pc.work()
    assert len(restarts) == 1


def test_result_over_its_bound_says_what_is_missing() -> None:
    import zlib

    noise = os.urandom(200_000).hex()
    found = json.loads(zlib.decompress(doing.packed({"diagnostics": noise, "rescan": True})))
    assert found == {"diagnostics": "too long to be told", "rescan": True}
