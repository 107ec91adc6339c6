"""The gate: its limits, its statistics, its words; and that no course of results lets a ring go past a failed one."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from fettle_server.change.rollouts.gate import Compared, Tally, Verdict, fisher_tail, judge, poisson_tail, surprises
from fettle_server.change.rollouts.plans import Gate, Plan, RingPlan, RolloutError, as_json, check, plan_from
from fettle_server.change.rollouts.rules import Finish, Halt, Release, Standing, Wait, next_step
from hypothesis import given
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 23, 14, 2, tzinfo=dt.UTC)
DAY_S = 86_400
GATE = Gate()


@pytest.mark.parametrize(
    ("tally", "compared", "verdict", "words"),
    [
        (Tally(changed=20, seen=20), Compared(), "pass", "0 of 20 are sick after the update, limit 1."),
        (Tally(changed=19, sick=1, seen=20), Compared(20, 1), "pass", "1 of 20 is sick after the update, limit 1."),
        (Tally(changed=18, sick=2, seen=20), Compared(20, 2), "halt", "2 of 20 are sick after the update, limit 1."),
        (Tally(changed=18, failed=2, seen=18), Compared(), "halt", "2 of 20 failed, limit 1."),
        (Tally(failed=1), Compared(), "halt", "1 of 1 failed, limit 0."),
        (Tally(changed=14, silent=6, seen=14), Compared(), "halt", "6 of 20 said nothing until the deadline, limit 5."),
        (Tally(changed=20, seen=9), Compared(), "wait", "9 of 20 changed PCs were online long enough since; 10 are needed"),
        (Tally(silent=1, waiting=4), Compared(), "wait", "0 of 0 changed PCs were online long enough since; 1 are needed"),
    ],
)
def test_the_gate_states_its_arithmetic(tally, compared, verdict, words):
    ruling = judge(GATE, tally, compared)
    assert ruling.verdict == verdict
    assert ruling.why.startswith(words)


def test_what_befalls_those_not_changed_as_often_is_not_put_down_to_the_change():
    tally = Tally(changed=10, sick=10, seen=20)
    shared = judge(GATE, tally, Compared(20, 10, 0.1, control=40, control_faulty=21))
    assert shared.verdict is Verdict.WAIT
    assert "fare alike" in shared.why
    assert judge(GATE, tally, Compared(20, 10, 0.1, control=40, control_faulty=2)).verdict is Verdict.HALT


@pytest.mark.parametrize(
    ("expected", "control", "words"),
    [
        (0.0, (310, 0), "where the four weeks before let one expect none. Of 310 not yet changed, none have any."),
        (0.1, (0, 0), "where the four weeks before let one expect fewer than one. There are no PCs left to compare them with."),
        (1.9, (310, 2), "where the four weeks before let one expect about 2. Of 310 not yet changed, 2 have some."),
    ],
)
def test_a_halt_says_what_was_to_be_expected_as_people_count(expected, control, words):
    ruling = judge(GATE, Tally(changed=17, sick=2, seen=19), Compared(19, 2, expected, *control))
    assert ruling.why == f"2 of 19 are sick after the update, limit 0. 2 of 19 changed PCs have new faults, {words}"


def test_failures_are_never_excused_by_others():
    tally = Tally(changed=10, failed=10, seen=10)
    assert judge(GATE, tally, Compared(10, 0, 0.0, control=40, control_faulty=40)).verdict is Verdict.HALT


def test_more_than_chance_halts_below_the_limit():
    tally = Tally(changed=990, sick=10, seen=1000)
    ruling = judge(GATE, tally, Compared(1000, 10, 1.5, control=5000, control_faulty=6))
    assert ruling.verdict is Verdict.HALT
    assert "more than chance" in ruling.why
    assert judge(GATE, tally, Compared(1000, 10, 9.0, control=5000, control_faulty=50)).verdict is Verdict.PASS


@pytest.mark.parametrize(("past", "hours", "surprising"), [(0, 24, True), (1, 4, True), (5, 24, False), (28, 24, False)])
def test_a_fault_counts_where_the_pcs_own_past_does_not_explain_it(past, hours, surprising):
    assert surprises(1, past, 28 * DAY_S, hours * 3600) is surprising


@given(st.integers(0, 60), st.floats(0, 50))
def test_poisson_tail_is_a_likelihood_that_falls_with_the_count(count, expected):
    assert 0 <= poisson_tail(count + 1, expected) <= poisson_tail(count, expected) + 1e-12 <= 1 + 1e-9


@given(st.integers(0, 40), st.integers(1, 40), st.integers(0, 40), st.integers(1, 40))
def test_fishers_tail_is_what_counting_all_the_ways_gives(first, of_first, second, of_second):
    first, second = min(first, of_first), min(second, of_second)
    marked = first + second
    ways = sum(math.comb(of_first, k) * math.comb(of_second, marked - k) for k in range(first, min(of_first, marked) + 1))
    assert fisher_tail(first, of_first, second, of_second) == pytest.approx(
        ways / math.comb(of_first + of_second, marked), abs=1e-9
    )


counts = st.integers(0, 30)
tallies = st.builds(Tally, counts, counts, counts, counts, counts, counts, counts, counts)
compareds = st.builds(Compared, counts, counts, st.floats(0, 10), counts, counts)
gates = st.builds(Gate, st.integers(0, 30), st.integers(0, 3), st.integers(0, 100), st.integers(0, 100), st.integers(0, 3600))


@given(gates, tallies, compareds)
def test_no_gate_passes_over_its_limits_or_without_evidence(gate, tally, compared):
    ruling = judge(gate, tally, compared)
    if tally.failed > ruling.limit or tally.silent > ruling.silent_limit:
        assert ruling.verdict is Verdict.HALT
    if ruling.verdict is Verdict.PASS:
        assert tally.failed + tally.sick <= ruling.limit
        assert tally.seen >= ruling.seen_needed


@st.composite
def courses(draw):
    """A ring's PCs from waiting to their ends, in any order, as the gate would see them one look after the other."""
    gate = draw(gates)
    many = draw(st.integers(1, 12))
    ends = draw(st.lists(st.sampled_from(["changed", "sick", "failed", "silent", "stuck"]), min_size=many, max_size=many))
    order = draw(st.permutations(range(many)))
    return gate, ends, order, draw(compareds)


@given(courses())
def test_no_course_of_results_releases_a_ring_past_a_failed_gate(course):
    gate, ends, order, compared = course
    plan = Plan((RingPlan("bench", 50, soak_s=60, gate=gate), RingPlan("all", 100)))
    states = ["waiting"] * len(ends)
    worst, moment, settled, step = 0, NOW, None, None
    for place in [*order, *[None] * 3]:
        moment += dt.timedelta(seconds=40)
        if place is not None and ends[place] != "stuck":
            states[place] = ends[place]
        done = states.count("changed") + states.count("sick")
        tally = Tally(
            waiting=states.count("waiting"), changed=states.count("changed"), sick=states.count("sick"),
            failed=states.count("failed"), silent=states.count("silent"), seen=done, pending=states.count("waiting"),
        )  # fmt: skip
        settled = settled or (moment if not tally.pending else None)
        step = next_step(plan, Standing(0, tally, compared, NOW, None, settled), moment)
        ruling = judge(gate, tally, compared)
        worst = max(worst, tally.failed + tally.sick - ruling.limit)
        if isinstance(step, Release | Finish):
            assert ruling.verdict is Verdict.PASS
            assert worst <= 0
            assert "waiting" not in states
            assert moment >= settled + dt.timedelta(seconds=60)
        if isinstance(step, Halt | Release):
            break
    assert isinstance(step, Halt | Release | Wait)


def test_an_empty_ring_passes_at_once_with_words():
    plan = Plan((RingPlan("bench", 0), RingPlan("all", 100)))
    assert next_step(plan, Standing(0, Tally(), Compared()), NOW) == Release(0, "The ring bench begins.")
    passed = next_step(plan, Standing(0, Tally(), Compared(), released_at=NOW), NOW)
    assert passed == Release(1, "The ring bench has no PC: it passes at once.")


def test_a_plan_survives_its_json():
    assert plan_from(as_json(Plan())) == Plan()
    assert plan_from({}) == Plan()


@pytest.mark.parametrize(
    "said",
    [
        {"rings": []},
        {"rings": [{"name": "a", "share_percent": 50}]},
        {"rings": [{"name": "a", "share_percent": 60}, {"name": "b", "share_percent": 40}]},
        {"rings": [{"name": "a", "share_percent": 60}, {"name": "A", "share_percent": 100}]},
        {"rings": [{"name": "", "share_percent": 100}]},
        {"rings": [{"name": "a", "share_percent": "100"}]},
        {"rings": [{"name": "a", "share_percent": 100, "gate": {"unwell_percent": -1}}]},
        {"rings": [{"name": "a", "share_percent": 100, "spares": ["fridge"]}]},
        {"rings": "all"},
        {"when": "midnight"},
        {"stagger_s": 1.5},
        {"people": {"reboots": "daily"}},
        {"life_days": 400},
        {"wings": 2},
    ],
)
def test_a_plan_that_cannot_be_says_why(said):
    with pytest.raises(RolloutError) as error:
        plan_from(said)
    assert str(error.value).endswith(".")


def test_a_checked_plan_may_be_of_one_ring():
    check(Plan((RingPlan("all", 100),)))
