"""What the judge promises: raised and cleared alternate, restarts lose nothing, and open faults end when their cause does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fettle_agent.collectors import Reading
from fettle_agent.judge import Judge, Verdict
from fettle_agent.spool import Moment
from fettle_protocol.policy import Policy, Rule
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = Moment("boot", 0)


@pytest.fixture
def rule(make_rule: Callable[..., Rule]) -> Rule:
    return make_rule(
        key="disk-full",
        reading="disk.free_percent",
        direction="below",
        raise_level=5,
        clear_level=10,
        raise_for_s=10,
        clear_for_s=20,
    )


class Bench:
    """A judge, and what it would have on disk."""

    def __init__(self, *rules: Rule, version: int = 1) -> None:
        self.policy = Policy(version=version, rules=rules)
        self.disk: dict[tuple[str, str], Any] = {}
        self.events: list[str] = []
        self.bodies: list[Any] = []
        self.restart()

    def restart(self, now: Moment = NOW, then: Moment = NOW) -> None:
        self.judge = Judge("linux")
        self.judge.restore([(phase, then) for phase in self.disk.values()], now)
        self.take(self.judge.apply(self.policy, 0))

    def take(self, verdict: Verdict) -> list[str]:
        for phase in verdict.phases:
            self.disk[phase.rule, phase.instance] = phase
            if phase.phase == "well":
                del self.disk[phase.rule, phase.instance]
        kinds = [str(draft.event.WhichOneof("body")) for draft in verdict.drafts]
        self.events += kinds
        self.bodies += [getattr(draft.event, kind) for draft, kind in zip(verdict.drafts, kinds, strict=True)]
        return kinds

    def read(self, value: float | None, at_s: float, instance: str = "/") -> list[str]:
        readings = [] if value is None else [Reading("disk.free_percent", value, instance, "detail")]
        return self.take(self.judge.fold("disks", readings, round(at_s * 1000)))


def test_fault_rises_after_its_duration_with_the_samples_around_it(rule: Rule) -> None:
    bench = Bench(rule)
    for second in range(0, 60, 5):
        bench.read(50, second)
    bench.read(4, 60)
    assert bench.read(3, 65) == []
    assert bench.read(2, 70) == ["raised"]
    (raised,) = bench.bodies
    assert (raised.rule, raised.instance, raised.value, raised.since_ms, raised.detail) == (
        "disk-full",
        "/",
        2,
        60_000,
        "detail",
    )
    assert [sample.value for sample in raised.evidence] == [50] * 10 + [4, 3, 2]
    assert bench.judge.open_faults() == [("disk-full", "/")]


def test_long_crossing_keeps_at_most_thirty_samples_from_before_to_the_last(make_rule: Callable[..., Rule]) -> None:
    bench = Bench(
        make_rule(key="r", reading="disk.free_percent", direction="below", raise_level=5, clear_level=10, raise_for_s=3600)
    )
    for second in range(0, 3_700, 5):
        bench.read(50 if second < 60 else 4 - second / 10_000, second)
    samples = bench.bodies[0].evidence
    assert len(samples) <= 30
    assert (samples[0].value, samples[-1].at_ms) == (50, 3_660_000)
    assert [sample.at_ms for sample in samples] == sorted({sample.at_ms for sample in samples})


def test_quiet_well_rule_writes_nothing(rule: Rule) -> None:
    bench = Bench(rule)
    assert not any(bench.judge.fold("disks", [Reading("disk.free_percent", 50, "/")], second * 1000) for second in range(600))


@pytest.mark.parametrize("pause_s", [12, 17, 75, 81, 99])
def test_restart_in_every_phase_loses_nothing(rule: Rule, pause_s: int) -> None:
    bench = Bench(rule)
    for second in range(130):
        if second == pause_s:
            bench.take(bench.judge.keep())
            bench.restart()
        bench.read(4 if 10 <= second < 70 else 50, second)
    assert bench.events == ["raised", "cleared"]
    assert bench.bodies[0].since_ms == 10_000
    assert bench.bodies[1].since_ms == 70_000


def test_open_fault_is_raised_once_more_for_a_server_that_lost_it(rule: Rule) -> None:
    bench = Bench(rule)
    for second in range(30):
        bench.read(4, second)
    bench.read(50, 30, instance="/srv")
    bench.restart()
    assert bench.take(bench.judge.tell_again(40_000)) == ["raised"]
    assert (bench.bodies[-1].instance, bench.bodies[-1].value, bench.bodies[-1].since_ms) == ("/", 5, 0)
    assert bench.read(4, 41) == []


def test_restart_moves_times_to_the_new_process_and_keeps_the_duration(rule: Rule) -> None:
    bench = Bench(rule)
    bench.read(4, 10)
    bench.restart(now=Moment("boot", 5_000), then=Moment("boot", 0))
    assert bench.read(4, 24) == []
    assert bench.read(4, 25) == ["raised"]
    assert bench.bodies[0].since_ms == 15_000


def test_killed_while_raising_goes_on_after_a_long_watch(make_rule: Callable[..., Rule]) -> None:
    """seen_ms is refreshed on disk each minute, so the gap is measured from there."""
    bench = Bench(
        make_rule(
            key="r", reading="disk.free_percent", direction="below", raise_level=5, clear_level=10, raise_for_s=3600, gap_s=120
        )
    )
    for second in range(0, 3_000, 10):
        bench.read(4, second)
    bench.restart()
    for second in range(3_000, 3_601, 10):
        bench.read(4, second)
    assert bench.events == ["raised"]
    assert bench.bodies[0].since_ms == 0


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.sampled_from([1.0, 5.0, 7.0, 10.0, 50.0]), st.integers(1, 40)),
            st.just(("restart",)),
            st.just(("lost",)),
            st.just(("gone",)),
            st.just(("policy",)),
        ),
        max_size=60,
    )
)
def test_raised_and_cleared_alternate_whatever_happens(steps: list[tuple[Any, ...]]) -> None:
    rule = Rule(
        key="r", reading="disk.free_percent", direction="below", raise_level=5, raise_for_s=30, clear_level=10, clear_for_s=30,
        severity="ill", impact="user", topic="t", title="t", meaning="m", first_step="f",
    )  # type: ignore[arg-type]  # fmt: skip
    bench, now = Bench(rule), 0
    for step in steps:
        now += step[2] if len(step) > 2 else 5
        if step[0] == "read":
            bench.read(step[1], now)
        elif step[0] == "restart":
            bench.restart()
        elif step[0] == "gone":
            bench.read(None, now)
        elif step[0] == "policy":
            bench.take(bench.judge.apply(Policy(version=2), now * 1000))
            bench.take(bench.judge.apply(bench.policy, now * 1000))
        is_open = bool(bench.judge.open_faults())
        assert bench.events == (["raised", "cleared"] * 60)[: len(bench.events)]
        assert is_open == (len(bench.events) % 2 == 1)


def raised_bench(rule: Rule) -> Bench:
    bench = Bench(rule)
    bench.read(1, 0)
    assert bench.read(1, 10) == ["raised"]
    return bench


def test_instance_that_is_gone_clears_only_after_the_clear_duration(rule: Rule) -> None:
    bench = raised_bench(rule)
    assert bench.read(None, 15) == []
    assert bench.read(None, 35) == []
    assert bench.read(None, 36) == ["cleared"]
    assert bench.bodies[-1].reason == "gone"
    assert bench.disk == {}


def test_instance_that_comes_back_is_not_gone(rule: Rule) -> None:
    bench = raised_bench(rule)
    bench.read(None, 15)
    bench.read(1, 30)
    assert bench.read(None, 40) == []
    assert bench.judge.open_faults() == [("disk-full", "/")]


def test_gone_instance_is_found_after_a_restart_too(rule: Rule) -> None:
    bench = raised_bench(rule)
    bench.restart()
    bench.read(None, 15)
    assert bench.read(None, 40) == ["cleared"]


def test_another_collectors_run_says_nothing_of_this_one(rule: Rule) -> None:
    bench = raised_bench(rule)
    bench.judge.fold("cpu", [], 15_000)
    assert bench.take(bench.judge.fold("cpu", [], 900_000)) == []


def test_withdrawn_rule_clears_its_fault_as_policy(rule: Rule) -> None:
    bench = raised_bench(rule)
    assert bench.take(bench.judge.apply(Policy(version=2), 20_000)) == ["cleared"]
    assert bench.bodies[-1].reason == "policy"
    assert bench.disk == {}


def test_rule_that_no_longer_sees_the_instance_clears_its_fault(rule: Rule, make_rule: Callable[..., Rule]) -> None:
    bench = raised_bench(rule)
    narrowed = make_rule(
        key="disk-full", reading="disk.free_percent", direction="below", raise_level=5, clear_level=10, instances=["/home"]
    )
    assert bench.take(bench.judge.apply(Policy(version=2, rules=(narrowed,)), 20_000)) == ["cleared"]


def test_changed_levels_keep_the_fault_and_clear_by_the_new_ones(rule: Rule, make_rule: Callable[..., Rule]) -> None:
    bench = raised_bench(rule)
    eased = make_rule(key="disk-full", reading="disk.free_percent", direction="below", raise_level=2, clear_level=3)
    assert bench.take(bench.judge.apply(Policy(version=2, rules=(eased,)), 20_000)) == []
    assert bench.read(4, 21) == ["cleared"]


def test_rule_of_another_system_judges_nothing(make_rule: Callable[..., Rule]) -> None:
    bench = Bench(
        make_rule(key="w", reading="disk.free_percent", direction="below", raise_level=5, clear_level=10, systems=["windows"])
    )
    assert bench.read(1, 0) == []
    assert not bench.judge.judges("disk.free_percent")


def test_duration_under_way_is_at_hand_until_it_ends(rule: Rule) -> None:
    bench = Bench(rule)
    bench.read(50, 0)
    assert bench.judge.under_way() == []
    bench.read(4, 5)
    assert bench.judge.under_way() == [("disk-full", "/", False, 5_000, 10_000)]
    bench.read(4, 15)
    assert bench.judge.under_way() == []
    bench.read(50, 20)
    assert bench.judge.under_way() == [("disk-full", "/", True, 20_000, 20_000)]


def test_duration_under_way_survives_a_restart_and_ends_with_its_instance(rule: Rule) -> None:
    bench = Bench(rule)
    bench.read(4, 5)
    bench.restart()
    assert [one.since_ms for one in bench.judge.under_way()] == [5_000]
    bench.read(None, 6)
    bench.read(None, 60)
    assert bench.judge.under_way() == []


def test_fault_of_a_reading_that_vanished_for_long_is_gone(rule: Rule) -> None:
    bench = Bench(rule)
    for second in range(30):
        bench.read(4, second, instance="")
    patience_s = 3 * rule.gap_s
    assert bench.read(None, 100) == bench.read(None, 100 + patience_s) == []
    assert bench.read(None, 101 + patience_s) == ["cleared"]
    assert bench.bodies[-1].reason == "gone"


def test_fault_of_a_collector_that_was_switched_off_is_gone(rule: Rule) -> None:
    bench = Bench(rule)
    for second in range(30):
        bench.read(4, second)
    bench.restart()
    assert bench.take(bench.judge.look_after({"disks"}, 40_000)) == bench.take(bench.judge.look_after({"cpu"}, 40_000)) == []
    assert bench.take(bench.judge.look_after({"cpu"}, 61_000)) == ["cleared"]
    assert bench.judge.open_faults() == []
