"""One fault on machines far apart: what is no chance, and what they have in common."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from fettle_server.proactive.causes.kinds import Estate, Kind, burst, kinds, tail
from fettle_server.proactive.causes.rules import Case
from hypothesis import given
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
SPOOLER = Kind("service-stopped", "Spooler", "Service Spooler has stopped", "user")


def cases(school, count, first=0, model="M1", build="B1", minutes=0.5):
    return [
        Case(n, n, school, None, NOW + n * minutes * MINUTE, NOW, model=model, build=build, rule="service-stopped")
        for n in range(first, first + count)
    ]


def estate(before=(), models=None, builds=None):
    schools = dict.fromkeys((1, 2, 3), 300)
    names = {1: "Oak", 2: "Ash", 3: "Elm"}
    return Estate(schools, names, models or {"M1": 100, "M2": 800}, builds or {"B1": 900}, before)


def found(alike, against):
    return [(group.scope, group.title) for group in kinds(SPOOLER, alike, against)]


def test_three_in_ten_minutes_of_one_school_are_one_cause():
    assert found(cases(1, 4), estate()) == [("service", "Service Spooler has stopped on 4 PCs of Oak")]


def test_two_in_two_schools_are_two_faults():
    assert found(cases(1, 1) + cases(2, 1, 10), estate()) == []


def test_what_comes_every_morning_is_no_burst():
    mornings = [(NOW - dt.timedelta(days=day) + n * MINUTE, 1) for day in range(1, 20) for n in range(3)]
    assert found(cases(1, 4), estate(before=mornings)) == []


def test_several_schools_name_the_model_that_all_share():
    alike = cases(1, 4) + cases(2, 4, 10)
    assert found(alike, estate()) == [("model", "Service Spooler has stopped on 8 PCs of 2 schools: all are M1")]


def test_what_nearly_everybody_has_is_nothing_in_common():
    alike = cases(1, 4) + cases(2, 4, 10)
    everywhere = estate(models={"M1": 890, "M2": 10})
    assert found(alike, everywhere) == [("service", "Service Spooler has stopped on 8 PCs of 2 schools")]


def test_one_school_with_a_stray_elsewhere_is_the_schools_own():
    alike = cases(1, 20, minutes=0.2) + cases(2, 1, 30, minutes=0.1)
    often = [(NOW - dt.timedelta(days=day), 2) for day in range(1, 29)]
    assert [group.school_id for group in kinds(SPOOLER, alike, estate(before=often))] == [1]


def test_one_elsewhere_that_can_hardly_be_chance_makes_it_a_cause_of_several_schools():
    alike = cases(1, 20, minutes=0.2) + cases(2, 1, 30, minutes=0.1)
    assert [group.school_id for group in kinds(SPOOLER, alike, estate())] == [None]


def test_the_first_of_a_burst_belongs_to_it():
    alike = cases(1, 1, 100, minutes=-0.3) + cases(1, 8, minutes=0.5)
    assert [len(group.members) for group in kinds(SPOOLER, alike, estate())] == [9]


def test_one_machine_counts_once():
    again = [Case(n, 5, 1, None, NOW + n * MINUTE, NOW) for n in range(6)]
    assert found(again, estate()) == []


@pytest.mark.parametrize(("count", "expected", "chance"), [(0, 1.0, 1.0), (1, 1.0, 1 - math.exp(-1)), (3, 0.0, 0.0)])
def test_the_tail_of_known_cases(count, expected, chance):
    assert tail(count, expected) == pytest.approx(chance)


@given(st.integers(1, 60), st.floats(1e-6, 50))
def test_the_tail_is_a_chance_that_falls_with_the_count(count, expected):
    assert 0 <= tail(count + 1, expected) <= tail(count, expected) + 1e-12 <= 1 + 1e-9


def test_a_burst_stands_out_of_the_busiest_window_before():
    before = [NOW - dt.timedelta(days=2) + n * MINUTE for n in range(3)]
    now = [NOW] * 6
    assert not burst(now, before, 10 * MINUTE, 300)
    assert burst([*now, NOW], before, 10 * MINUTE, 300)
