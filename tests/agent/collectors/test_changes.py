"""Counters that become rates, and answers that are kept until their source changes."""

import pytest
from fettle_agent.collectors.changes import Rates, Renewed, file_times


def test_rate_needs_two_looks(clock):
    rates = Rates(clock)
    rates.tick()
    assert rates.per_second("eth0", 100) is None
    clock.now += 10
    rates.tick()
    assert rates.per_second("eth0", 600) == 50


def test_counter_that_fell_starts_anew(clock):
    rates = Rates(clock)
    for total, expected in ((1000, None), (10, None), (20, 1.0)):
        rates.tick()
        assert rates.per_second("eth0", total) == expected
        clock.now += 10


def test_counters_that_are_gone_are_forgotten(clock):
    rates = Rates(clock)
    rates.tick()
    rates.per_second("old", 1)
    clock.now += 1
    rates.tick()
    rates.per_second("new", 1)
    rates.forget_unseen()
    assert len(rates._before) == 1


def test_answer_is_kept_until_its_sign_changes_or_it_is_old(clock):
    asked, sign = [], ["a"]
    renewed = Renewed(lambda: asked.append(1) or len(asked), lambda: sign[0], max_age_s=60, clock=clock)

    assert [renewed.value(), renewed.value()] == [1, 1]
    sign[0] = "b"
    assert renewed.value() == 2
    clock.now += 60
    assert renewed.value() == 3


def test_question_that_failed_is_asked_again(clock):
    answers = iter([ValueError("no"), 5])

    def ask():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    renewed = Renewed(ask, lambda: None, max_age_s=60, clock=clock)
    with pytest.raises(ValueError, match="no"):
        renewed.value()
    assert renewed.value() == 5


def test_missing_file_has_no_time(tmp_path):
    (tmp_path / "here").touch()

    here, gone = file_times([str(tmp_path / "here"), str(tmp_path / "gone")])
    assert here is not None
    assert gone is None
