"""The child: what it verifies, does, tells and never does twice, with real processes, files and signatures."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from fettle_agent.jobs import book as book_module
from fettle_agent.jobs import signers
from fettle_agent.jobs.book import Book
from fettle_protocol import manifests, signing
from fettle_protocol.v1 import link_pb2

State = link_pb2.JobReport


def result(report: link_pb2.JobReport) -> dict[str, Any]:
    return dict(json.loads(zlib.decompress(report.result)))


def test_script_runs_and_each_step_is_told(pc: Any) -> None:
    told = pc.do(
        pc.sign(pc.manifest(pc.script("echo it works; pwd"), pc.script("import sys; print(sys.argv)", interpreter="python3")))
    )
    assert pc.states() == ["received", "started", "step_done", "step_done", "done"]
    assert "it works" in told[2].words
    assert str(pc.state) in told[2].words
    assert (told[2].step, told[2].kind, told[2].attempt, told[2].percent, told[-1].percent) == (1, "script", 1, 50, 100)
    assert not list((pc.state / "jobs").glob("script-*"))


def test_script_sees_nothing_of_the_agents_surroundings(pc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETTLE_AGENT_PROXY", "http://user:secret@proxy:1")
    told = pc.do(pc.sign(pc.manifest(pc.script("env"))))
    assert "secret" not in told[2].words
    assert "PATH=" in told[2].words


def test_script_whose_bytes_are_others_is_not_run(pc: Any) -> None:
    told = pc.do(pc.sign(pc.manifest(pc.script("touch never", sha256=hashlib.sha256(b"x").hexdigest()))))
    assert pc.states() == ["received", "started", "step_failed", "failed"]
    assert "checksum" in told[-1].why


def test_failing_step_ends_the_job_with_the_tools_own_words(pc: Any) -> None:
    told = pc.do(pc.sign(pc.manifest(pc.script("echo no room left >&2; exit 3"), pc.script("touch /never"))))
    assert pc.states() == ["received", "started", "step_failed", "failed"]
    assert result(told[2])["status"] == 3
    assert told[-1].why == "Step 1 (script) failed: no room left"


def test_script_that_takes_too_long_is_stopped_with_all_that_it_started(pc: Any, tmp_path: Path) -> None:
    body = f"(sleep 3; touch {tmp_path}/late) & sleep 30"
    told = pc.do(pc.sign(pc.manifest(pc.script(body, timeout_s=1))))
    assert "longer than it may" in told[2].words
    import time

    time.sleep(2.5)
    assert not (tmp_path / "late").exists()


def test_packages_are_told_before_and_after_and_come_back(pc: Any) -> None:
    pc.packages.file.write_text(json.dumps({"tool": "1"}))
    step = {
        "kind": "install",
        "provider": "apt",
        "packages": [{"name": "tool", "version": "2"}, {"name": "other", "version": "5"}],
    }
    forward = pc.manifest(step)
    told = pc.do(pc.sign(forward))
    assert result(told[-1])["packages"] == [
        {"provider": "apt", "name": "tool", "before": "1", "after": "2"},
        {"provider": "apt", "name": "other", "before": "", "after": "5"},
    ]
    assert result(told[-1])["rescan"] is True
    told = pc.do(pc.sign(pc.manifest({"kind": "restore", "manifest": forward.id})))
    assert told[-1].state == State.STATE_DONE
    assert json.loads(pc.packages.file.read_text()) == {"tool": "1"}


def test_restore_says_which_former_version_cannot_be_back(pc: Any) -> None:
    pc.packages.file.write_text(json.dumps({"tool": "1"}))
    forward = pc.manifest({"kind": "remove", "provider": "apt", "packages": [{"name": "tool"}]})
    pc.do(pc.sign(forward))
    pc.packages.install = lambda *_, **__: __import__("fettle_agent.packages").packages.Ran(True, "said it did", 0)
    told = pc.do(pc.sign(pc.manifest({"kind": "restore", "manifest": forward.id})))
    assert told[-1].state == State.STATE_FAILED
    assert "tool is not installed, not 1 as before" in told[-1].why


def test_former_version_that_cannot_be_kept_is_told_with_the_change(pc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pc.packages.file.write_text(json.dumps({"tool": "1"}))
    monkeypatch.setattr(pc.packages, "keep_former", lambda names: dict.fromkeys(names, "tool 1 could not be kept."))
    told = pc.do(pc.sign(pc.manifest({"kind": "install", "provider": "apt", "packages": [{"name": "tool", "version": "2"}]})))
    (done,) = [one for one in told if one.state == State.STATE_STEP_DONE]
    assert done.words == "There is no way back to what was installed: tool 1 could not be kept.\ninstalled"


def test_kept_files_that_a_back_out_may_need_are_said_to_be_needed(pc: Any) -> None:
    kept = pc.state / "packages" / "apt"
    kept.mkdir(parents=True)
    pc.packages.file.write_text(json.dumps({"tool": "1", "other": "4"}))
    forward = pc.manifest({"kind": "install", "provider": "apt", "packages": [{"name": "tool", "version": "2"}]})
    pc.do(pc.sign(forward))
    for name in ("tool_1_all.deb", "strange_1_all.deb"):
        (kept / name).touch()
        os.utime(kept / name, (1, 1))
    later = pc.manifest({"kind": "install", "provider": "apt", "packages": [{"name": "other", "version": "5"}]})
    pc.do(pc.sign(later))
    assert (kept / "tool_1_all.deb").stat().st_mtime > 1
    assert (kept / "strange_1_all.deb").stat().st_mtime == 1


def test_order_under_ever_new_ids_does_not_fill_the_book(pc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "KEPT_UNBEGUN", 2)
    manifest = pc.manifest(pc.script("true"))
    pc.do(pc.sign(manifest))
    pc.do(*(pc.sign(manifest, start_ms=start) for start in range(1, 7)))
    book = Book.open(pc.state)
    cancelled = [pc.sign(pc.manifest(pc.script("true"))) for _ in range(4)]
    for job in cancelled:
        book.receive(job, 1)
        book.cancel(job.id, "", 1)
    states = sorted(job.state for job in book.jobs())
    assert (len(states), states.count("done")) == (3, 1)
    book.close()


def test_order_is_done_once_however_often_it_is_handed_over(pc: Any, tmp_path: Path) -> None:
    manifest = pc.manifest(pc.script(f"echo once >> {tmp_path}/count"))
    pc.do(pc.sign(manifest))
    told = pc.do(pc.sign(manifest, start_ms=1), pc.sign(manifest, start_ms=2))
    assert [report.why for report in told if report.state == State.STATE_REFUSED] == [
        "This PC has done this order already; an order is not done twice."
    ] * 2
    assert (tmp_path / "count").read_text() == "once\n"


def test_failed_order_may_be_tried_as_often_as_it_says(pc: Any) -> None:
    manifest = pc.manifest(pc.script("exit 1", idempotent=True), attempts=2)
    told = pc.do(*(pc.sign(manifest, start_ms=start) for start in (1, 2, 3)))
    assert [report.attempt for report in told if report.state == State.STATE_STARTED] == [1, 2]
    assert told[-1].why == "This PC has tried this order as often as it may."


def test_window_that_is_not_open_is_told_once(pc: Any) -> None:
    job = pc.sign(pc.manifest(pc.script("true")), start_ms=2**45)
    pc.do(job)
    assert pc.work() == 0
    assert pc.states() == ["received", "waiting"]
    assert pc.told()[-1].why == "Its time has not come yet."


def test_cancelled_job_never_begins_and_a_begun_one_says_that_it_is_too_late(pc: Any) -> None:
    job = pc.sign(pc.manifest(pc.script("true")))
    pc.give(job)
    book = Book.open(pc.state)
    assert book.cancel(job.id, "The rollout was halted.", 1) == "cancelled"
    assert book.cancel(job.id, "again", 1) == ""
    other = pc.sign(pc.manifest(pc.script("true")))
    book.receive(other, 1)
    assert book.begin(other.id, 1, 1)
    assert book.cancel(other.id, "halt", 1) == "late"
    book.close()
    assert pc.states() == ["received", "cancelled", "received", "started"]
    assert "too late" in pc.told()[-1].why


def test_signed_keys_are_turned_and_old_work_is_refused(pc: Any) -> None:
    new = signing.new_key()
    public = signing.public_bytes(new)
    turn = pc.manifest(add=(public.hex(),), retire=(signing.key_id(signing.public_bytes(pc.key)),))
    told = pc.do(pc.sign(turn))
    assert told[-1].state == State.STATE_DONE
    told = pc.do(pc.sign(pc.manifest(pc.script("true"))), pc.signed(pc.manifest(pc.script("true")), new))
    assert "retired" in told[-4].why
    assert told[-1].state == State.STATE_DONE
    assert list(signers.load(pc.state).keys) == [signing.key_id(public)]


def test_order_never_leaves_the_pc_without_a_key(pc: Any) -> None:
    told = pc.do(pc.sign(pc.manifest(retire=(signing.key_id(signing.public_bytes(pc.key)),))))
    assert told[-1].state == State.STATE_REFUSED
    assert "no key" in told[-1].why
    assert len(signers.load(pc.state).keys) == 1


def test_later_floor_withdraws_earlier_work(pc: Any) -> None:
    early, late = pc.manifest(pc.script("true")), pc.manifest(pc.script("true"))
    late = manifests.Manifest(**{**{name: getattr(late, name) for name in late.__slots__}, "floor": late.serial})
    told = pc.do(pc.sign(late), pc.sign(early))
    assert [report.why for report in told if report.state == State.STATE_REFUSED] == [
        "The order was withdrawn by whoever signed it."
    ]


def test_lost_record_of_jobs_withdraws_all_that_was_signed_before(pc: Any, tmp_path: Path) -> None:
    manifest = pc.manifest(pc.script(f"echo once >> {tmp_path}/count"))
    pc.do(pc.sign(manifest))
    (pc.state / "jobs" / "book.db").write_bytes(b"damaged" * 1000)
    told = pc.do(pc.sign(manifest))
    assert [report.state for report in told] == [State.STATE_RECEIVED, State.STATE_REFUSED]
    assert (tmp_path / "count").read_text() == "once\n"


def test_pc_without_a_key_refuses_all_work(pc: Any) -> None:
    (pc.state / "signers.json").unlink()
    told = pc.do(pc.sign(pc.manifest(pc.script("true"))))
    assert told[-1].state == State.STATE_REFUSED
    assert "trusts no signer" in told[-1].why


def test_pc_that_cannot_read_its_keys_does_nothing_and_says_so(pc: Any) -> None:
    (pc.state / "signers.json").write_text("{")
    told = pc.do(pc.sign(pc.manifest(pc.script("true"))))
    assert told[-1].state == State.STATE_WAITING
    assert "cannot be read" in told[-1].why
