"""The journal: entries in their order, and each only for who may see its school."""

from __future__ import annotations

import pytest
from fettle_server.estate.people.rules import Person, Role
from fettle_server.journal import queries
from fettle_server.journal.actions import record


@pytest.fixture
def entries(store, now):
    with store.begin() as tx:
        before = queries.newest_id(tx)
        for school_id in (1, 2, None):
            record(tx, "incident.opened", "system", f"incident:{school_id}", school_id, {"title": "ä"}, now)
    return before


@pytest.mark.parametrize(
    ("role", "schools", "seen"),
    [
        (Role.ADMINISTRATOR, None, [1, 2, None]),
        (Role.TECHNICIAN, None, [1, 2]),
        (Role.VIEWER, frozenset({2}), [2]),
        (Role.VIEWER, frozenset(), []),
    ],
)
def test_each_sees_the_entries_of_their_schools(store, entries, role, schools, seen):
    with store.begin() as tx:
        rows = queries.since(tx, Person(1, "p", role, schools), entries)
    assert [row.school_id for row in rows] == seen


def test_entries_are_followed_from_where_one_stopped(store, entries):
    somebody = Person(1, "p", Role.ADMINISTRATOR, None)
    with store.begin() as tx:
        first = queries.since(tx, somebody, entries, limit=2)
        rest = queries.since(tx, somebody, first[-1].id)
        assert queries.newest_id(tx) == rest[-1].id
    assert [row.detail for row in (*first, *rest)] == [{"title": "ä"}] * 3


def test_the_story_of_one_subject_is_told_newest_first(store, entries, now):
    with store.begin() as tx:
        record(tx, "incident.changed", "user:ada", "incident:1", 1, {}, now)
        rows = queries.for_subject(tx, Person(1, "p", Role.ADMINISTRATOR, None), "incident:1")
    assert [row.kind for row in rows] == ["incident.changed", "incident.opened"]
