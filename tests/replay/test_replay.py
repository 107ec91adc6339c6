"""A few weeks of one small school through the real server: the figures have their form, and quiet weeks stay quiet."""

from __future__ import annotations

import json

import pytest
from replay import report
from replay.drive import Options, Outcome, replay
from replay.score import Score, score
from replay.world.world import Plan

PLAN = Plan(seed=9, schools=1, pcs=24, days=4, lead=2, tail=0, scale=50.0)
FIGURES = {
    "pc_days", "causes", "found", "missed", "incidents", "incidents_per_cause_max", "false_incidents", "seconds_to_find_p50",
    "seconds_to_find_p99", "notices",
}  # fmt: skip


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return replay(PLAN, Options(bucket_s=300, processes=1, is_quiet=True))


@pytest.fixture(scope="module")
def scored(outcome: Outcome) -> Score:
    return score(outcome)


def test_everything_that_agents_say_is_taken(outcome: Outcome) -> None:
    assert outcome.tally.messages > 200
    assert (outcome.tally.refused, outcome.tally.rejected, outcome.tally.failed) == (0, 0, {})


def test_out_holds_the_figures_twice_and_the_stories(outcome: Outcome, scored: Score) -> None:
    out = json.loads(json.dumps(report.as_json(outcome, scored)))
    assert out.keys() >= FIGURES | {"seed", "baseline", "missed_causes", "false_incident_stories"}
    assert out["baseline"].keys() == FIGURES
    assert out["missed"] == len(out["missed_causes"])
    assert out["false_incidents"] == len(out["false_incident_stories"])
    assert out["found"] + out["missed"] == out["causes"] > 0
    assert out["pc_days"] == 24 * 6


def test_causes_are_found_and_ordinary_days_open_nothing(outcome: Outcome, scored: Score) -> None:
    assert scored.ours.found > 0
    assert report.as_json(outcome, scored)["false_by_noise"]["holidays"] == 0


def test_the_usual_practice_cries_for_every_machine_that_is_switched_off(scored: Score) -> None:
    assert scored.baseline.false > 10 * max(1, scored.ours.false)
    assert scored.baseline.incidents > scored.ours.incidents


def test_the_table_says_of_each_target_whether_it_is_met(outcome: Outcome, scored: Score) -> None:
    text = report.table(outcome, scored)
    assert sum(line.startswith(("met", "MISSED")) for line in text.splitlines()) == 4
    assert "usual practice" in text


def test_the_same_seed_comes_to_the_same_figures() -> None:
    plan = Plan(seed=4, schools=1, pcs=20, days=1, lead=1, tail=0, scale=100.0)
    both = [score(replay(plan, Options(bucket_s=600, processes=1, is_quiet=True))) for _ in range(2)]
    assert both[0].ours.as_json(1) == both[1].ours.as_json(1)
