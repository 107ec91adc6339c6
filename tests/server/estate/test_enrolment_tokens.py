"""The tokens that still enrol: who sees them, and ending one."""

from __future__ import annotations

import datetime as dt

import pytest
from fettle_server.estate.enrolment import actions, queries
from fettle_server.estate.enrolment.rules import EnrolmentError
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role

DAY = dt.timedelta(days=1)


@pytest.fixture
def tokens(store, now):
    """A token for each of two schools; the key of a school by its name."""
    schools = {name: store.school(name) for name in ("Harbour School", "Hilltop College")}
    with store.begin() as tx:
        for name in schools:
            actions.create_token(tx, SYSTEM, name, 2, DAY, now, "0" * 64)
    return schools


def _listed(store, person, now):
    with store.begin() as tx:
        return [(row.school, row.uses_left) for row in queries.tokens(tx, person, now)]


def test_tokens_of_a_persons_schools_are_listed_newest_first(store, tokens, now):
    tom = Person(1, "tom", Role.TECHNICIAN, frozenset({tokens["Harbour School"]}))
    assert _listed(store, SYSTEM, now) == [("Hilltop College", 2), ("Harbour School", 2)]
    assert _listed(store, tom, now) == [("Harbour School", 2)]


def test_an_expired_token_is_not_listed(store, tokens, now):
    assert _listed(store, SYSTEM, now + DAY) == []


def test_an_ended_token_is_not_listed_and_enrols_nothing(store, tokens, now):
    with store.begin() as tx:
        newest = queries.tokens(tx, SYSTEM, now)[0]
        actions.end_token(tx, SYSTEM, newest.id, now)
    assert _listed(store, SYSTEM, now) == [("Harbour School", 2)]


def test_a_viewer_sees_and_ends_none(store, tokens, now):
    vera = Person(1, "vera", Role.VIEWER, None)
    with store.begin() as tx, pytest.raises(Forbidden):
        queries.tokens(tx, vera, now)
    with store.begin() as tx, pytest.raises(Forbidden):
        actions.end_token(tx, vera, 1, now)


def test_a_token_of_another_school_is_as_if_it_were_not_there(store, tokens, now):
    tom = Person(1, "tom", Role.TECHNICIAN, frozenset({tokens["Harbour School"]}))
    with store.begin() as tx:
        other = next(row for row in queries.tokens(tx, SYSTEM, now) if row.school == "Hilltop College")
    for token_id in (other.id, 999):
        with store.begin() as tx, pytest.raises(EnrolmentError, match="no such token"):
            actions.end_token(tx, tom, token_id, now)
