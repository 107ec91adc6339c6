"""Maintenance tasks: proposed once for one reason, done, withdrawn and opened again."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role
from fettle_server.journal.tables import Entry
from fettle_server.proactive.maintenance import actions, queries
from fettle_server.proactive.maintenance.queries import TaskFilter
from fettle_server.proactive.maintenance.rules import Due, Task, due
from fettle_server.proactive.maintenance.tables import MaintenanceTask
from fettle_server.reactive.rules import Refused

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def task(store, **values):
    usual = {"kind": "battery", "key": "battery/1", "title": "Replace the battery of pc-1", "reason": "Half of it is left"}
    places = {"school_id": store.school(), "endpoint_pk": None, "room_id": None, "due_on": dt.date(2026, 12, 1)}
    return Task(**(usual | places | values))


def states(store):
    return [tuple(row) for row in store.rows(sa.select(MaintenanceTask.state, MaintenanceTask.title))]


def propose(store, now=NOW, **values):
    proposed = task(store, **values)
    with store.begin() as tx:
        return actions.propose(tx, proposed, now)


def act(store, deed, *args):
    with store.begin() as tx:
        return deed(tx, *args)


def test_a_task_is_proposed_once_and_told_anew(store):
    first = propose(store)
    assert propose(store, title="Replace the battery of pc-1 soon") == first
    assert states(store) == [("open", "Replace the battery of pc-1 soon")]


def test_a_task_that_was_done_rests_before_it_is_proposed_again(store):
    first = propose(store)
    act(store, actions.complete, SYSTEM, first, "Fitted a new one", NOW)
    assert propose(store, NOW + 29 * DAY) == first
    assert propose(store, NOW + 31 * DAY) != first


def test_a_withdrawn_task_may_be_proposed_again_at_once(store):
    first = propose(store)
    assert act(store, actions.withdraw, "battery/1", "It was replaced", NOW) is True
    assert act(store, actions.withdraw, "battery/1", "It was replaced", NOW) is False
    assert propose(store) != first


def test_done_is_undone_and_nothing_is_done_twice(store):
    number = propose(store)
    act(store, actions.complete, SYSTEM, number, "", NOW)
    with pytest.raises(Refused, match="done already"):
        act(store, actions.complete, SYSTEM, number, "", NOW)
    act(store, actions.reopen, SYSTEM, number, NOW)
    assert [state for state, _ in states(store)] == ["open"]
    kinds = [row.kind for row in store.rows(sa.select(Entry.kind).where(Entry.subject == f"task:{number}").order_by(Entry.id))]
    assert kinds == ["task.proposed", "task.done", "task.reopened"]


def test_a_done_task_stays_done_where_its_reason_has_another(store):
    number = propose(store)
    act(store, actions.complete, SYSTEM, number, "", NOW)
    propose(store, NOW + 40 * DAY)
    with pytest.raises(Refused, match="Another task"):
        act(store, actions.reopen, SYSTEM, number, NOW)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("person", "problem"),
    [
        (Person(2, "Vera", Role.VIEWER, None), Forbidden),
        (Person(3, "Tom", Role.TECHNICIAN, frozenset({999})), Refused),
    ],
)
def test_who_may_not_is_refused(store, person, problem):
    number = propose(store)
    with pytest.raises(problem):
        act(store, actions.complete, person, number, "", NOW)


@pytest.mark.parametrize(("days", "word"), [(-1, Due.OVERDUE), (0, Due.TODAY), (1, Due.SOON), (7, Due.SOON), (8, Due.LATER)])
def test_due_is_told_in_words(days, word):
    today = dt.date(2026, 11, 23)
    assert due(today + dt.timedelta(days=days), today) is word


def test_open_tasks_come_by_day_in_pages_and_by_filters(store):
    for number in range(5):
        propose(store, key=f"battery/{number}", due_on=dt.date(2026, 12, 5 - number), title=f"Battery {number}")
    propose(store, key="server", kind="certificate", school_id=None, title="The service's own")
    seen, after = [], None
    with store.begin() as tx:
        while True:
            page = queries.tasks(tx, SYSTEM, TaskFilter(kind="battery"), NOW.date(), after=after, limit=2)
            seen += [row.title for row in page.rows]
            after = page.after
            if after is None:
                break
        assert seen == [f"Battery {number}" for number in (4, 3, 2, 1, 0)]
        own = queries.tasks(tx, SYSTEM, TaskFilter(search="service's"), NOW.date()).rows
        assert [(row.school, row.due) for row in own] == [("The service itself", Due.LATER)]
        elsewhere = Person(3, "Tom", Role.TECHNICIAN, frozenset({999}))
        assert queries.tasks(tx, elsewhere, TaskFilter(), NOW.date()).rows == ()
