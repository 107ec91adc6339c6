"""The crowd is worth believing: its bytes are the protocol's, its readings legal, its faults real ones."""

from __future__ import annotations

import random
import time

import pytest
from crowd import estate, faults, vitals, wire
from crowd.work import Work
from fettle_protocol import catalogue, packing, rules
from fettle_protocol.manifests import Manifest, encode
from fettle_protocol.policy import Rule
from fettle_protocol.v1 import link_pb2 as pb
from fettle_server.proactive.policies import shipped

CAST = estate.plan(3, 70, seed=1)
NOW = 1_790_000_000.0


def test_letter_is_its_event_under_the_given_number() -> None:
    event = pb.Event(at_ms=123, notice=pb.Notice(code="collector_failing", subject="smart", text="x" * 200))
    uplink = pb.Uplink.FromString(wire.Letter(event).numbered(70_000))
    event.sequence = 70_000
    assert list(uplink.events) == [event]


def test_letters_of_a_batch_are_numbered_in_a_row() -> None:
    letter = wire.Letter(pb.Event(at_ms=1, power=pb.PowerChange(kind=pb.PowerChange.KIND_WOKE)))
    uplink = pb.Uplink.FromString(wire.numbered([letter] * 100, 41))
    assert [event.sequence for event in uplink.events] == list(range(41, 141))


def test_no_two_pcs_share_a_name_or_a_serial() -> None:
    assert len({pc.name for pc in CAST}) == len({pc.serial for pc in CAST}) == len(CAST)


def test_every_reading_is_legal_whatever_the_minute() -> None:
    for pc in CAST[::9]:
        for (number, _), value in vitals.at(pc, random.randrange(30_000_000), ()).items():
            assert catalogue.BY_NUMBER[number].admits(value)


def test_packed_hour_holds_what_was_felt() -> None:
    pc = CAST[5]
    series = {one.key: one for one in packing.unpack(vitals.hour(pc, 500_000, ()), None)}
    felt = vitals.at(pc, 500_000 * 60 + 7, ())
    assert series[1, ""].values[7] == pytest.approx(felt[1, ""], abs=0.06)


def has(pc: estate.Pc, rule: Rule) -> bool:
    return vitals.instance_of(pc, rule.reading) is not None


PLAYED = [rule for rule in shipped().rules if any(has(pc, rule) for pc in CAST)]


@pytest.mark.parametrize("rule", PLAYED, ids=lambda rule: rule.key)
def test_bent_reading_is_a_fault_by_the_rule_itself(rule: Rule) -> None:
    pc = next(pc for pc in CAST if has(pc, rule))
    fault = faults.strike(pc, rule, NOW)
    event = fault.raised(pc, [fault.bend], 1)
    state, decision = rules.step(rules.WELL, fault.rule.levels, event.raised.value, int(fault.since_s * 1000))
    if decision is None:
        state, decision = rules.step(state, fault.rule.levels, event.raised.value, int(NOW * 1000))
    assert isinstance(decision, rules.Raised) or fault.rule.gap_s < fault.rule.raise_for_s
    cleared = fault.cleared(pc, [], NOW + 600).cleared.value
    assert rules.step(rules.State(rules.Phase.RAISED), fault.rule.levels, cleared, 0)[0].phase is not rules.Phase.RAISED


def test_lean_streams_are_understood_by_the_real_library(tmp_path_factory: pytest.TempPathFactory) -> None:
    import ceiling
    import table

    run = table.Run(quick=True, full=False, work=tmp_path_factory.mktemp("echo"))
    began = time.monotonic()
    assert ceiling.echoes_per_s(run, 5, 0.5) > 10
    assert time.monotonic() - began < 30


def test_played_pc_does_a_job_once_and_tells_of_each_step() -> None:
    steps = ({"kind": "collect diagnostics"}, {"kind": "clean temporary files"})
    manifest = Manifest("work", "a" * 32, 1, 0, 86_400_000, "t", steps=steps)
    work = Work(random.Random(4))
    for _ in range(2):
        work.take([pb.Job(id="b" * 32, manifest=encode(manifest))], [], NOW)
    states = [pb.JobReport.State.Name(event.job.state) for event in work.told(NOW + 600)]
    assert states == [f"STATE_{name}" for name in ("RECEIVED", "STARTED", "STEP_DONE", "STEP_DONE", "DONE")]
    assert work.told(NOW + 700) == []


def test_played_pc_takes_back_what_has_not_begun() -> None:
    manifest = Manifest("work", "a" * 32, 1, 0, 86_400_000, "t", steps=({"kind": "collect diagnostics"},))
    work = Work(random.Random(4))
    work.take([pb.Job(id="b" * 32, manifest=encode(manifest))], [], NOW)
    work.told(NOW)
    work.take([], [pb.CancelJob(id="b" * 32, reason="halted")], NOW + 0.5)
    assert [event.job.why for event in work.told(NOW + 600)] == ["halted"]
