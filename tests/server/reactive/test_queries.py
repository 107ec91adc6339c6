"""Lists of incidents and one incident's story, on both stores."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server import paging
from fettle_server.estate.people import actions as people
from fettle_server.estate.people import queries as people_queries
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.tables import Fault
from fettle_server.reactive import actions, queries
from fettle_server.reactive.queries import IncidentFilter, IncidentQueryError
from fettle_server.reactive.tables import Incident, IncidentEntry, IncidentSchool

_causes = itertools.count()


def _incident(store: Any, now: dt.datetime, **columns: Any) -> int:
    values: dict[str, Any] = {
        "cause": f"cause {next(_causes)}",
        "state": "new",
        "impact": "user",
        "urgency": "high",
        "priority": 3,
        "title": "Disk C: is full",
        "school_id": store.school(),
        "rule": "disk-full",
        "opened_at": now,
        "updated_at": now,
        "open_faults": 1,
    }
    with store.begin() as tx:
        return int(tx.execute(sa.insert(Incident).values(**(values | columns)).returning(Incident.number)).scalar_one())


def _numbers(store: Any, person: Person = SYSTEM, **wanted: Any) -> list[int]:
    numbers: list[int] = []
    after: str | None = None
    with store.begin() as tx:
        while True:
            page = queries.incidents(tx, person, IncidentFilter(**wanted), after, 2)
            numbers += [row.number for row in page.rows]
            after = page.after
            if after is None:
                assert page.total == len(numbers)
                return numbers


@pytest.fixture
def six(store: Any, now: dt.datetime) -> Any:
    pk = store.endpoint("pc-77", "There")
    hour = dt.timedelta(hours=1)
    _incident(store, now, priority=4)
    _incident(store, now, priority=1, state="waiting", school_id=store.school("There"), endpoint_pk=pk)
    _incident(store, now, priority=4, title="The fan stands still", rule="fan")
    _incident(store, now, state="resolved", resolved_at=now - 2 * hour)
    _incident(store, now, state="closed", resolved_at=now - hour, closed_at=now)
    _incident(store, now, state="resolved", resolved_at=now - 3 * hour, school_id=store.school("There"))
    return store


def test_the_queue_is_worked_by_priority(six: Any) -> None:
    assert _numbers(six) == [2, 1, 3]


def test_what_is_over_comes_latest_first(six: Any) -> None:
    assert _numbers(six, state="resolved") == [5, 4, 6]
    assert _numbers(six, state="closed") == [5]
    assert _numbers(six, state="waiting") == [2]
    assert _numbers(six, state="all") == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("further", [0, 40])
def test_a_person_sees_their_schools_only(six: Any, further: int) -> None:
    there = six.school("There")
    person = Person(5, "anna", Role.VIEWER, frozenset({there, *range(1000, 1000 + further)}))
    assert _numbers(six, person, state="all") == [6, 2]
    with six.begin() as tx:
        assert queries.incident(tx, person, 1) is None
        assert queries.alike(tx, person, 1) == ()
        assert sum(day.opened for day in queries.trend(tx, person, 7, dt.datetime(2026, 11, 23, 9, tzinfo=dt.UTC))) == 2


def test_filters_and_search(six: Any) -> None:
    assert _numbers(six, priority=4) == [1, 3]
    assert _numbers(six, school_id=six.school("There"), state="all") == [6, 2]
    assert _numbers(six, endpoint_id=f"{1:032x}") == [2]
    assert _numbers(six, endpoint_id="no such") == []
    assert _numbers(six, search="FAN still") == [3]
    assert _numbers(six, search="pc-77 disk", state="all") == [2]
    assert _numbers(six, search="#3") == [3]
    assert _numbers(six, search="100%", state="all") == []


def test_whose_it_is(six: Any, now: dt.datetime) -> None:
    with six.begin() as tx:
        people.add_user(tx, SYSTEM, "anna", Role.TECHNICIAN, now=now)
        anna = people_queries.person_named(tx, "anna")
        assert anna is not None
        actions.assign(tx, anna, 3, "anna", now)
    assert _numbers(six, anna, assignee="me") == [3]
    assert _numbers(six, anna, assignee=str(anna.id)) == [3]
    assert _numbers(six, anna, assignee="nobody") == [2, 1]
    with six.begin() as tx, pytest.raises(IncidentQueryError):
        queries.incidents(tx, anna, IncidentFilter(assignee="carl"))


@pytest.mark.parametrize("after", ["x", paging.mark(("latest", 1, 1)), paging.mark(("urgent", 1)), paging.mark((1, 2, 3))])
def test_a_mark_of_another_list_is_an_error(six: Any, after: str) -> None:
    with six.begin() as tx, pytest.raises(IncidentQueryError):
        queries.incidents(tx, SYSTEM, IncidentFilter(), after)


def test_an_unknown_state_is_an_error(store: Any) -> None:
    with store.begin() as tx, pytest.raises(IncidentQueryError):
        queries.incidents(tx, SYSTEM, IncidentFilter(state="gone"))


def test_one_incident_tells_its_story_and_what_may_be_done(six: Any, now: dt.datetime) -> None:
    fault = {
        "endpoint_pk": 1, "rule": "disk-full", "instance": "C:", "severity": "ill", "since_at": now, "raised_at": now,
        "value": 3.0, "clear_reason": "", "detail": "",
        "evidence": {"raised": [[1, 3.0]]}, "time_adjusted": False, "policy_version": 1,
    }  # fmt: skip
    with six.begin() as tx:
        people.add_user(tx, SYSTEM, "anna", Role.TECHNICIAN, [_school_of(tx, 2)], now=now)
        anna = people_queries.person_named(tx, "anna")
        assert anna is not None
        tx.execute(sa.insert(Fault).values(**fault, incident_number=2))
        actions.comment(tx, anna, 2, "On my way.", now)
        found = queries.incident(tx, anna, 2)
        looked = queries.incident(tx, Person(9, "carl", Role.VIEWER, None), 2)
    assert found is not None
    assert looked is not None
    assert (found.endpoint, found.school, found.state, found.assignees) == ("pc-77", "There", "waiting", ("anna",))
    assert [(one.rule, one.evidence) for one in found.faults] == [("disk-full", {"raised": [[1, 3.0]]})]
    assert [(one.actor, one.text) for one in found.timeline] == [("user:anna", "On my way.")]
    assert {"resolve", "assign", "comment"} <= found.allowed
    assert "wait" not in found.allowed
    assert looked.allowed == frozenset()


def _school_of(tx: sa.Connection, number: int) -> int:
    return int(tx.scalar(sa.select(Incident.school_id).where(Incident.number == number)) or 0)


def test_alike_are_those_of_the_same_rule(six: Any) -> None:
    with six.begin() as tx:
        assert [one.row.number for one in queries.alike(tx, SYSTEM, 1)] == [6, 5, 4, 2]
        assert queries.alike(tx, SYSTEM, 3) == ()
        assert queries.incident(tx, SYSTEM, 2**70) is None


def test_the_trend_has_every_day(six: Any, now: dt.datetime) -> None:
    _incident(six, now - dt.timedelta(days=2))
    with six.begin() as tx:
        days = queries.trend(tx, SYSTEM, 3, now)
    assert [(str(day.day), day.opened, day.resolved) for day in days] == [
        ("2026-11-21", 1, 0),
        ("2026-11-22", 0, 0),
        ("2026-11-23", 6, 3),
    ]


def test_every_cell_has_a_priority(store: Any) -> None:
    with store.begin() as tx:
        assert queries.priorities(tx)["school", "high"] == 1
        assert len(queries.priorities(tx)) == 9


def test_alike_incidents_say_what_their_pcs_share_and_those_that_share_most_come_first(store: Any, now: dt.datetime) -> None:
    common = {"model": "EliteDesk", "system_version": "24H2"}
    pks = [store.endpoint(**common), store.endpoint(**common, room_id=None), store.endpoint(model="Latitude")]
    for pk in pks:
        _incident(store, now, endpoint_pk=pk)
    with store.begin() as tx:
        found = queries.alike(tx, SYSTEM, 1)
    assert [(one.row.number, one.shares) for one in found] == [(2, ("model", "build")), (3, ())]


def test_wider_incident_shows_its_pcs_to_the_people_of_each_school_that_it_touches(store: Any, now: dt.datetime) -> None:
    here, there = store.school("Harbour School"), store.school("Hilltop College")
    pks = [store.endpoint("a", "Harbour School"), store.endpoint("b", "Hilltop College")]
    _incident(store, now, school_id=None, scope="service")
    fault = {"rule": "disk-full", "severity": "ill", "since_at": now, "raised_at": now, "value": 1.0, "evidence": {}}
    with store.begin() as tx:
        for pk, school in zip(pks, (here, there), strict=True):
            tx.execute(sa.insert(Fault).values(endpoint_pk=pk, incident_number=1, **fault))
            tx.execute(sa.insert(IncidentSchool).values(incident_number=1, school_id=school))
        tom, otto = (Person(9, "x", Role.TECHNICIAN, frozenset({school})) for school in (here, 99))
        found = queries.incident(tx, tom, 1)
        assert queries.incident(tx, otto, 1) is None
        (row,) = queries.incidents(tx, tom, IncidentFilter("open")).rows
    assert [child.endpoint for child in found.children] == ["a"]
    assert (row.endpoints, row.scope, row.school_id, row.school) == (2, "service", None, "")
    assert "resolve" in found.allowed


def test_a_story_of_several_schools_names_only_pcs_of_the_readers(store: Any, now: dt.datetime) -> None:
    here, there = store.school(), store.school("There")
    store.endpoint("pc-here"), store.endpoint("pc-there", "There")
    ids = {row.name: row.id for row in store.rows(sa.select(Endpoint.name, Endpoint.id))}
    number = _incident(store, now, school_id=None, scope="service")
    with store.begin() as tx:
        tx.execute(sa.insert(IncidentSchool), [{"incident_number": number, "school_id": school} for school in (here, there)])
        entry = {"incident_number": number, "at": now, "kind": "joined", "actor": "system"}
        told = [entry | {"text": f"{name}: Spooler has stopped", "detail": {"endpoint_id": ids[name]}} for name in sorted(ids)]
        tx.execute(sa.insert(IncidentEntry), [*told, entry | {"text": "12 more faults are part of it", "detail": {}}])
        of_one = queries.incident(tx, Person(7, "eve", Role.TECHNICIAN, frozenset({here})), number)
        of_all = queries.incident(tx, SYSTEM, number)
    assert of_one is not None
    assert of_all is not None
    assert [line.text for line in of_one.timeline] == ["pc-here: Spooler has stopped", "12 more faults are part of it"]
    assert len(of_all.timeline) == 3
