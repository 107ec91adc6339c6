"""Problems: what alike incidents propose, once, and who decides."""

from __future__ import annotations

import datetime as dt

import pytest
from fettle_server.estate.people.rules import Forbidden, Person, Role
from fettle_server.proactive.problems import actions, queries
from fettle_server.proactive.problems.actions import ProblemError
from fettle_server.proactive.problems.rules import Likeness, proposals

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
ADA = Person(1, "Ada", Role.TECHNICIAN, None)


def alike(number, school, model="M1", rule="disk-full"):
    return Likeness(number, rule, "", school, model, "A disk is full")


def titles(likenesses, models):
    return [one.title for one in proposals(likenesses, models)]


def test_five_incidents_in_three_schools_are_a_problem():
    models = {"M1": 100}
    assert titles([alike(n, n % 3) for n in range(5)], models) == ["A disk is full in 3 schools"]
    assert titles([alike(n, n % 3) for n in range(4)], models) == []
    assert titles([alike(n, n % 2) for n in range(9)], models) == []


def test_a_conspicuous_model_is_the_problem():
    models = {"M1": 10, "M2": 990}
    found = proposals([alike(n, n % 3) for n in range(6)], models)
    assert [(one.title, one.model) for one in found] == [("A disk is full on M1", "M1")]


def test_a_model_that_everybody_has_is_none():
    assert titles([alike(n, n % 2) for n in range(4)], {"M1": 900, "M2": 100}) == []


@pytest.fixture
def ill_schools(stored_scene):
    for number, school in enumerate(("Oak", "Ash", "Elm", "Oak", "Ash")):
        stored_scene.fall(stored_scene.pcs(1, school=school), number, "disk-full", "C:")
    return stored_scene


def test_a_problem_is_proposed_once_and_decided_by_people(ill_schools):
    with ill_schools.store.begin() as tx:
        assert actions.propose(tx, NOW + dt.timedelta(hours=1)) == 1
        assert actions.propose(tx, NOW + dt.timedelta(hours=2)) == 0
        (row,) = queries.problems(tx, ADA).rows
        assert (row.state, row.incidents, row.schools) == ("proposed", 5, 3)
        assert len(queries.problem(tx, ADA, row.number).found) == 5
        actions.accept(tx, ADA, row.number, NOW)
        assert queries.problem(tx, ADA, row.number).state == "accepted"
        with pytest.raises(ProblemError, match="accepted already"):
            actions.accept(tx, ADA, row.number, NOW)
    assert ill_schools.told()[-1] == ("problem", None)


def test_what_was_dismissed_stays_dismissed(ill_schools):
    with ill_schools.store.begin() as tx:
        actions.propose(tx, NOW)
        actions.dismiss(tx, ADA, 1, "The disks are small", NOW)
        actions.propose(tx, NOW)
        assert queries.problem(tx, ADA, 1).state == "dismissed"
        assert queries.waiting(tx, ADA) == 0


def test_people_of_one_school_see_their_part_and_decide_nothing(ill_schools):
    bo = Person(2, "Bo", Role.TECHNICIAN, frozenset({ill_schools.store.school("Oak")}))
    eve = Person(3, "Eve", Role.TECHNICIAN, frozenset({99}))
    with ill_schools.store.begin() as tx:
        actions.propose(tx, NOW)
        one = queries.problem(tx, bo, 1)
        assert (len(one.found), one.may_decide) == (2, False)
        assert queries.problem(tx, eve, 1) is None
        with pytest.raises(Forbidden):
            actions.dismiss(tx, bo, 1, "no", NOW)
