"""Cleaning, diagnostics, messages, services and waking, each on the real system."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fettle_agent import log
from fettle_agent.errors import AgentError
from fettle_agent.jobs import cleaning, diagnostics, doing, facts, people, putting_off, restarting, running, steps, waking
from fettle_agent.packages import locks
from fettle_protocol import manifests
from fettle_protocol.steps import StepKind
from fettle_protocol.v1 import link_pb2

LATER_S = time.time() + 10 * 86_400


def make(path: Path, size: int = 4096) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_old_files_go_and_new_and_linked_ones_stay(tmp_path: Path) -> None:
    folder, outside = tmp_path / "tmp", make(tmp_path / "home" / "work.odt")
    old, new = make(folder / "a" / "b" / "old"), make(folder / "new")
    os.utime(new, (LATER_S, LATER_S))
    (folder / "link").symlink_to(outside.parent)
    make(folder / ".X11-unix" / "X0")
    done = cleaning.clean([folder, tmp_path / "none"], 7, LATER_S)
    assert (done.files, done.size_bytes >= 4096, done.refused) == (2, True, 0)
    assert not old.parent.parent.exists()
    assert outside.exists()
    assert sorted(path.name for path in folder.iterdir()) == [".X11-unix", "new"]


def test_folder_that_is_a_link_itself_is_not_cleaned(tmp_path: Path) -> None:
    kept = make(tmp_path / "home" / "work.odt")
    (tmp_path / "tmp").symlink_to(kept.parent)
    assert cleaning.clean([tmp_path / "tmp"], 1, LATER_S).files == 0
    assert kept.exists()


@pytest.mark.root
def test_folder_of_the_same_disk_that_is_mounted_there_is_not_cleaned(tmp_path: Path) -> None:
    kept, place = make(tmp_path / "home" / "work.odt"), tmp_path / "tmp" / "inside"
    make(place.parent / "old")
    place.mkdir()
    code = f"import pathlib; from fettle_agent.jobs import cleaning; place = pathlib.Path({str(place.parent)!r})\n"
    code += f"cleaning.clean([place], 7, {LATER_S})"
    words = 'mount --bind "$1" "$2" || exit 77; exec "$3" -c "$4"'
    ran = subprocess.run(["unshare", "-m", "sh", "-c", words, "sh", kept.parent, place, sys.executable, code], check=False)
    if ran.returncode in (1, 77):
        pytest.skip("nothing can be mounted here, so no mounted folder can be tried: unshare -m needs root")
    assert ran.returncode == 0
    assert kept.exists()
    assert not (place.parent / "old").exists()


def test_cleaning_step_says_how_much_it_freed(pc: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cleaning, "folders", lambda _: [tmp_path / "tmp"])
    make(tmp_path / "tmp" / "old")
    monkeypatch.setattr(steps, "time", SimpleNamespace(time=lambda: LATER_S))
    told = pc.do(pc.sign(pc.manifest({"kind": "clean temporary files", "older_than_days": 7})))
    assert told[2].words == "1 old temporary files removed, 0.0 MB."


def test_diagnostics_name_nobody_and_stay_within_their_bounds() -> None:
    found = {
        "log": [f"/home/anna/x C:\\Users\\anna\\y anna {number}" + "z" * 400 for number in range(200)],
        "doctor": ["annalise"],
    }
    plain = diagnostics.bounded(diagnostics.nameless(found, {"anna"}))
    assert "anna/" not in str(plain)
    assert plain["doctor"] == ["annalise"]
    assert plain["log"][-1].startswith("/home/(somebody)/x C:\\Users\\(somebody)\\y (somebody) 199")
    assert 10 < len(plain["log"]) < 200


@pytest.mark.parametrize(
    ("told", "plain"),
    [
        ("C:\\Users\\Anna Smith\\AppData is full", "C:\\Users\\(somebody)\\AppData is full"),
        ("c:/users/anna/x", "c:/users/(somebody)/x"),
        ("\\\\server\\Users\\anna\\x", "\\\\server\\Users\\(somebody)\\x"),
        ('"C:\\\\Users\\\\anna"', '"C:\\\\Users\\\\(somebody)"'),
        ("/run/media/anna/STICK", "/run/media/(somebody)/STICK"),
        ("/home/anna is full, see /var/log", "/home/(somebody) is full, see /var/log"),
        ("/Users/anna/Library and /var/home/otto", "/Users/(somebody)/Library and /var/home/(somebody)"),
        ("mail for BELLA.JONES came", "mail for (somebody) came"),
        ("the shared folder", "the shared folder"),
    ],
)
def test_nobody_with_a_folder_here_is_named(told: str, plain: str, tmp_path: Path) -> None:
    for name in ("bella.jones", "bella", "Shared", "of", ".hidden"):
        (tmp_path / name).mkdir()
    assert diagnostics.nameless([told], diagnostics.owners(tmp_path)) == [plain]


def test_collecting_gives_what_is_known_of_the_pc(pc: Any) -> None:
    told = pc.do(pc.sign(pc.manifest({"kind": "collect diagnostics"})))
    import json
    import zlib

    found = json.loads(zlib.decompress(told[2].result))["diagnostics"]
    assert found["disks"] is not None
    assert any("enrolment" in line for line in found["doctor"])
    assert told[-1].state == link_pb2.JobReport.STATE_DONE


def test_no_message_is_shown_in_an_exam(pc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "tell", lambda *_: pytest.fail("somebody was disturbed"))
    told = pc.do(pc.sign(pc.manifest({"kind": "message", "text": "Save your work."}), exam=True))
    assert "exam" in told[2].words


def test_service_is_restarted_by_the_system_and_its_words_are_told(
    pc: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "service"
    tool.write_text('#!/bin/sh\necho "$1 $2"; exit 4\n')
    tool.chmod(0o755)
    monkeypatch.setattr(steps, "_service_commands", lambda _, name: [[str(tool), name, "restart"]])
    told = pc.do(pc.sign(pc.manifest({"kind": "restart service", "service": "print"})))
    assert told[2].words == "print restart"
    assert told[-1].state == link_pb2.JobReport.STATE_FAILED


def test_name_of_a_windows_service_is_never_part_of_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.tools, "find", lambda tool: f"C:\\{tool}")
    ((*_, script),) = steps._service_commands("windows", "Print Spooler")
    assert "Spooler" not in script


def test_words_keep_their_end_and_no_control_characters() -> None:
    words = running.cut("\x1b[31m" + "x" * 5000 + " the end")
    assert len(words) == running.MAX_WORDS
    assert words.endswith("the end")
    assert "\x1b" not in words


HOLD = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's package managers hold such locks")
@pytest.mark.parametrize("name", locks.LOCKS)
def test_package_manager_at_work_is_known_by_its_lock(name: str, tmp_path: Path) -> None:
    make(tmp_path / name, 0)
    assert locks.holder(tmp_path) == ""
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == b"held\n"
        assert locks.holder(tmp_path) == Path(f"/proc/{held.pid}/comm").read_text().strip()
        held.kill()
    assert locks.holder(tmp_path) == ""


def test_packages_and_restarts_wait_for_another_package_manager(pc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, restarts = ["apt-get"], []
    monkeypatch.setattr(locks, "holder", lambda: busy[0])
    monkeypatch.setattr(people, "sitting", lambda _: ())
    monkeypatch.setattr(restarting, "restart", lambda _: restarts.append(busy[0]) or "")
    monkeypatch.setattr(doing.time, "sleep", lambda _: None)
    install = {"kind": "install", "provider": "apt", "packages": [{"name": "tool", "version": "2"}]}
    told = pc.do(pc.sign(pc.manifest(install, {"kind": "reboot"}, people=manifests.People(reboots="always"))))
    assert told[-1].why == "apt-get is changing packages on this PC; this waits for it."
    busy[0] = ""
    monkeypatch.setattr(steps.packaged, "install", lambda *_: busy.__setitem__(0, "dpkg") or steps.Outcome(True, ""))
    monkeypatch.setitem(steps.STEPS, StepKind.INSTALL, steps.packaged.install)
    assert pc.work() == 0
    assert pc.told()[-1].why == "dpkg is changing packages on this PC; it restarts when that is done."
    assert restarts == []
    busy[0] = ""
    assert pc.work() == 0
    assert restarts == [""]


def test_order_whose_time_is_over_while_it_waits_ends(pc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "holder", lambda: "apt-get")
    install = {"kind": "install", "provider": "apt", "packages": [{"name": "tool", "version": "2"}]}
    pc.do(pc.sign(pc.manifest(install)))
    later = facts.look(facts.Clock(None)).now_ms + 2 * 86_400_000
    monkeypatch.setattr(facts, "look", lambda _: facts.Facts(now_ms=later))
    assert pc.work() == 0
    assert pc.told()[-1].state == link_pb2.JobReport.STATE_FAILED
    assert "time was over while it waited. apt-get is changing packages" in pc.told()[-1].why


def test_log_holds_no_character_that_a_terminal_obeys() -> None:
    assert log._quoted("a\x1b[2J\r b\u202e\ud800") == '"a\\x1b[2J\\r b\\u202e\\ud800"'


RUN_AND_ESCAPE = """
import sys
from pathlib import Path
from fettle_agent import stopping
from fettle_agent.jobs import running
from fettle_agent.packages import running as packages
stopping.adopt_orphans()
escape = f"(setsid sh -c 'echo $$ > {sys.argv[1]}; exec sleep 60' &) ; sleep 60"
stayed = running.run(["sh", "-c", "(sleep 60 >/dev/null 2>&1 &)"], timeout_s=9)
if sys.argv[2] == "job":
    running.run(["sh", "-c", escape], timeout_s=0.4)
else:
    packages.run("sh", "-c", escape, timeout_s=0.4)
left = [one for one in stopping.own() if one.status() != "zombie"]
print([one.name() for one in left], int(Path(sys.argv[1]).read_text()) in [one.pid for one in left])
stopping.kill(left)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to whom they belong")
@pytest.mark.parametrize("how", ["job", "package"])
def test_tool_that_made_itself_independent_ends_with_its_step_and_no_other(how: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", RUN_AND_ESCAPE, tmp_path / "pid", how], capture_output=True, check=True, text=True
    )
    assert ran.stdout == "['sleep'] False\n"


def test_step_that_prints_without_end_is_told_as_such(pc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_OUTPUT", 2**20)
    told = pc.do(pc.sign(pc.manifest(pc.script("yes"))))
    assert told[2].words.endswith("It printed more than 1 MiB, and was stopped.")
    assert "longer" not in told[-1].why


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has a folder there, on a disk that people may write to anyway")
def test_people_can_ask_for_a_delay_and_store_nothing_by_it(tmp_path: Path) -> None:
    kept = make(tmp_path / "home" / "work.odt")
    door = putting_off.door(tmp_path)
    door.symlink_to(kept)
    assert putting_off.is_asked(str(door)) is False
    putting_off.open_for_asking(tmp_path)
    assert kept.exists()
    assert (door.is_symlink(), oct(door.stat().st_mode), door.stat().st_size) == (False, "0o100444", 0)
    assert putting_off.is_asked(str(door)) is False
    asking = putting_off._asking(door)
    assert next(asking) is False
    assert putting_off.is_asked(str(door)) is True
    putting_off.open_for_asking(tmp_path)
    assert next(asking) is True
    assert putting_off.is_asked(str(door)) is False
    putting_off.close_for_asking(tmp_path)
    with pytest.raises(AgentError, match="nothing to put off"):
        putting_off.ask(tmp_path)


def test_neighbours_are_woken_by_magic_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(3)
        monkeypatch.setattr(waking, "broadcasts", lambda: ["127.0.0.1"])
        macs = [bytes([2, 0, 0, 0, 0, number]) for number in range(80)]
        assert waking.wake([b"short", bytes(6), *macs], ear.getsockname()[1]) == 64
        assert ear.recv(200) == b"\xff" * 6 + macs[0] * 16


def test_restart_is_needed_where_the_system_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarting, "REBOOT_FLAGS", (str(tmp_path / "flag"),))
    assert restarting.is_needed("linux", {}) is False
    (tmp_path / "flag").touch()
    assert restarting.is_needed("linux", {}) is True
