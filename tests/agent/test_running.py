"""The whole agent as a process, against a small server over real mutual TLS."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fettle_agent import spare
from fettle_agent.spool import Moment, Spool
from fettle_protocol import catalogue, packing, policy
from fettle_protocol.v1 import link_pb2

Power = link_pb2.PowerChange


def set_fault(machine: Any, there: bool = True) -> None:
    file = machine.state / "test-fault"
    file.touch() if there else file.unlink()


def kinds(server: Any) -> list[str]:
    """Faults in the order in which the server keeps them."""
    return [name for event in list(server.events) if (name := event.WhichOneof("body")) in ("raised", "cleared")]


def sequences(server: Any) -> list[int]:
    return [event.sequence for event in server.events]


def test_machine_enrols_streams_judges_and_leaves(machine: Any, server: Any, until: Any) -> None:
    assert machine.enrol().returncode == 0
    machine.start()
    until(lambda: machine.status().get("connected"))
    assert machine.command("test-fault", "--state", machine.state).returncode == 0
    (raised,) = until(lambda: server.of("raised"))
    assert (raised.rule, raised.value, raised.severity, raised.policy_version) == ("test-fault", 1.0, "watch", 1)
    assert machine.command("test-fault", "--state", machine.state, "--clear").returncode == 0
    assert [cleared.reason for cleared in until(lambda: server.of("cleared"))] == ["recovered"]
    assert machine.stop() == 0
    assert [power.kind for power in server.of("power")][-1] == Power.KIND_AGENT_STOPPING
    assert sequences(server) == list(range(1, len(server.events) + 1))


def test_agent_leaves_within_three_seconds_though_the_server_is_deaf(machine: Any, server: Any, until: Any) -> None:
    server.acknowledges = False
    machine.settle().start()
    until(lambda: server.events)
    begun = time.monotonic()
    assert machine.stop() == 0
    assert time.monotonic() - begun < 3


def test_run_process_imports_nothing_that_it_can_do_without(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    until(lambda: server.all("vitals"))
    mapped = Path(f"/proc/{machine.running.pid}/maps").read_text()
    for library in ("cryptography", "libssl", "libcrypto", "_multiprocessing", "unicodedata"):
        assert library not in mapped
    about = Path("/proc", str(machine.running.pid))
    assert b"\0-OO\0" in (about / "cmdline").read_bytes()
    assert b"MALLOC_ARENA_MAX=1" in (about / "environ").read_bytes()
    assert (about / "comm").read_text() == "fettle-agent\n"


def test_command_is_put_in_its_own_place_once_and_tools_inherit_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execve", lambda *words: begun.append(words[-1]))
    monkeypatch.setattr(Path, "write_text", lambda *_: 0)  # pytest keeps its own name
    spare.begin_anew()
    monkeypatch.setattr(os, "environ", dict(begun[0]))
    spare.begin_anew()
    assert len(begun) == 1
    assert [name for name in os.environ if name.startswith(("MALLOC", "FETTLE_AGENT_SPARE"))] == []


def test_names_that_python_itself_lacks_come_from_the_real_module(monkeypatch: pytest.MonkeyPatch) -> None:
    import typing

    stands_in = spare._typing()
    monkeypatch.setitem(sys.modules, "typing_extensions", stands_in)
    assert stands_in.Self is typing.Self
    assert stands_in.deprecated.__module__ == "typing_extensions"


def test_vitals_carry_readings_open_faults_and_own_cost(machine: Any, server: Any, until: Any) -> None:
    server.vitals_every_s = 5
    set_fault_file = machine.settle().state / "test-fault"
    set_fault_file.touch()
    machine.start()
    vitals = until(lambda: [one for one in server.all("vitals") if one.faults and len(one.readings) > 8], 15)[-1]
    assert [fault.rule for fault in vitals.faults] == ["test-fault"]
    assert 10 < vitals.agent.memory_mib < 60


def test_killed_agent_loses_and_doubles_nothing(machine: Any, server: Any, until: Any) -> None:
    server.acknowledges = False
    machine.settle().start()
    until(lambda: machine.status().get("connected"))
    set_fault(machine)
    until(lambda: server.of("raised"))
    machine.kill()
    server.events.clear()
    server.acknowledges = True
    machine.start()
    until(lambda: len(server.of("power")) >= 2 and server.of("raised"))
    set_fault(machine, there=False)
    until(lambda: server.of("cleared"))
    machine.stop()
    assert kinds(server) == ["raised", "cleared"]
    assert sequences(server) == list(range(1, len(server.events) + 1))


def test_fault_that_came_and_went_while_cut_off_is_told_with_its_times(
    machine: Any, server: Any, until: Any, proxy: Any
) -> None:
    machine.settle(proxy=proxy.url).start()
    until(lambda: machine.status().get("connected"))
    proxy.answer = "503 Service Unavailable"
    proxy.cut()
    until(lambda: not machine.status().get("connected"))
    set_fault(machine)
    begun = time.time()
    until(lambda: machine.status().get("test_fault") == "raised")
    time.sleep(1.2)
    set_fault(machine, there=False)
    until(lambda: machine.status().get("test_fault") == "clear")
    assert kinds(server) == []
    assert "proxy" in machine.status()["last_error"]
    proxy.answer = "200 OK"
    until(lambda: kinds(server) == ["raised", "cleared"], 20)
    times = [event.at_ms / 1000 for event in server.events if event.WhichOneof("body") in ("raised", "cleared")]
    assert begun - 0.1 <= times[0] <= begun + 2
    assert 1 <= times[1] - times[0] <= 4
    assert server.repeats == 0
    assert all("CONNECT" in asked for asked in proxy.asked)


def test_wrong_wall_clock_does_not_matter_once_the_server_was_heard(machine: Any, server: Any, until: Any) -> None:
    server.clock_ahead_ms = 86_400_000
    machine.settle().start()
    until(lambda: machine.status().get("connected"))
    set_fault(machine)
    until(lambda: server.of("raised"))
    ahead = [event.at_ms / 1000 - 86_400 - time.time() for event in server.events]
    assert all(-10 < seconds < 1 for seconds in ahead)
    assert machine.status()["clock_lead_s"] == pytest.approx(-86_400, abs=2)


def test_rejected_event_is_set_aside_and_the_rest_goes_on(machine: Any, server: Any, until: Any) -> None:
    server.reject = {1}
    machine.settle().start()
    until((machine.state / "dead-letters.jsonl").exists)
    set_fault(machine)
    until(lambda: server.of("raised"))
    until(lambda: machine.status()["spool"]["events"] == 0, 15)
    assert '"sequence": 1' in (machine.state / "dead-letters.jsonl").read_text()
    assert "not taken" in machine.log()


def test_clone_is_refused_said_so_and_tries_seldom(machine: Any, server: Any, until: Any) -> None:
    server.refusal = link_pb2.Refusal(code="clone", text="another machine uses this identity")
    machine.settle().start()
    until(lambda: (machine.state / "status.json").exists() and machine.status().get("link_code") == "clone")
    time.sleep(2)
    assert len(server.streams) == 1
    told = machine.command("status", "--state", machine.state)
    assert "another machine uses this identity" in told.stdout


def test_what_the_server_tells_stands_in_the_status(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    (stream,) = until(lambda: server.streams)
    stream.say(told=link_pb2.Told(code="clone", text="a second machine was turned away"))
    stream.say(ping=link_pb2.Ping(nonce=42))
    assert [pong.nonce for pong in until(lambda: server.all("pong"))] == [42]
    until(lambda: "turned away" in machine.log())
    until(lambda: [one["code"] for one in machine.status()["told"]] == ["clone"], 15)


def test_live_watch_streams_each_second_until_it_is_over(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    (stream,) = until(lambda: server.streams)
    stream.say(watch=link_pb2.Watch(seconds=3))
    until(lambda: len(server.all("live")) >= 3)
    time.sleep(2.5)
    lives = server.all("live")
    assert 3 <= len(lives) <= 4
    assert any(reading.key == 1 for reading in lives[-1].readings)


def test_unusable_policy_is_refused_and_the_old_one_stays(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    (stream,) = until(lambda: server.streams)
    stream.say(policy=link_pb2.Policy(version=9, json=b"nonsense"))
    (refused,) = until(lambda: server.of("notice"))
    assert (refused.code, refused.subject) == ("policy_refused", "9")
    set_fault(machine)
    until(lambda: server.of("raised"))


def test_changed_policy_is_judged_by_at_once_and_after_a_restart(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    (stream,) = until(lambda: server.streams)
    set_fault(machine)
    until(lambda: server.of("raised"))
    server.policy = policy.Policy(version=2)
    stream.say(policy=link_pb2.Policy(version=2, json=policy.encode(server.policy)))
    assert [cleared.reason for cleared in until(lambda: server.of("cleared"))] == ["policy"]
    machine.stop()
    machine.start()
    assert until(lambda: server.streams[1:])[0].hello.policy_version == 2


def test_spool_copied_back_from_an_old_image_goes_on_under_a_new_name(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    first = until(lambda: server.streams)[0].hello.spool
    until(lambda: server.acked.get(first))
    machine.stop()
    server.acked[first] = 1_000
    machine.start()
    until(lambda: len({stream.hello.spool for stream in server.streams}) == 2)
    set_fault(machine)
    until(lambda: server.of("raised"))


def test_server_that_was_set_back_hears_again_what_is_open(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    first = until(lambda: server.streams)[0].hello.spool
    set_fault(machine)
    until(lambda: server.of("raised"))
    machine.stop()
    server.acked[first] = 0
    machine.start()
    until(lambda: len(server.of("raised")) == 2, seconds=20)


def test_hour_in_progress_survives_a_stop(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    until(lambda: server.all("vitals"))
    time.sleep(1)
    machine.stop()
    spool = Spool(machine.state, Moment("b", 0))
    kept = spool.progress()
    spool.close()
    assert kept is not None
    assert catalogue.BY_KEY["memory.used_percent"].number in {series.key[0] for series in packing.unpack(kept[1])}


def test_certificate_is_renewed_by_itself_and_used(machine: Any, server: Any, until: Any) -> None:
    server.certificate_days = (-1, 0.4)
    machine.settle()
    before = (machine.state / "identity.pem").read_bytes()
    machine.start()
    until(lambda: server.renewals, 25)
    until(lambda: len(server.streams) >= 2)
    assert (machine.state / "identity.pem").read_bytes() != before
    assert (machine.state / "identity.pem").stat().st_mode & 0o777 == 0o600


def test_one_state_folder_runs_one_agent(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    until(lambda: server.streams)
    second = machine.command("run", "--state", machine.state)
    assert second.returncode == 1
    assert "another agent runs" in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_server_that_wants_a_proof_gets_the_test_fault_for_so_long(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    until(lambda: machine.status().get("connected"))
    server.streams[-1].say(prove=link_pb2.Prove(seconds=2))
    until(lambda: server.of("raised"))
    until(lambda: server.of("cleared"), 15)
    assert kinds(server) == ["raised", "cleared"]


def test_server_hears_of_sleep_before_the_machine_sleeps(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    until(lambda: machine.status().get("connected"))
    assert machine.command("sleeping", "--state", machine.state).returncode == 0
    assert Power.KIND_SLEEPING in [power.kind for power in server.of("power")]


def test_rule_under_way_is_told_to_who_looks(machine: Any, server: Any, until: Any, make_rule: Any) -> None:
    server.policy = policy.Policy(version=2, rules=(make_rule(raise_for_s=600),))
    set_fault_file = machine.settle().state / "test-fault"
    set_fault_file.touch()
    machine.start()
    until(lambda: machine.status().get("connected"))
    server.streams[-1].say(watch=link_pb2.Watch(seconds=60))
    pending = until(lambda: [one for vitals in server.all("vitals") for one in vitals.pending], 20)[0]
    assert (pending.rule, pending.clearing) == ("test-fault", False)
    assert abs(pending.since_ms / 1000 - time.time()) < 30
