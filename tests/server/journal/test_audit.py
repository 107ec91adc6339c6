"""The audit's pages: what fits, who may see it, and that pages follow each other."""

from __future__ import annotations

import datetime as dt

import pytest
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.journal import actions, queries
from fettle_server.journal.queries import AuditFilter
from fettle_server.paging import PageError


@pytest.fixture
def journal(store, now):
    """Five entries in two schools and of none, a minute apart, the oldest first."""
    harbour, hilltop = store.school("Harbour School"), store.school("Hilltop College")
    with store.begin() as tx:
        for minute, (kind, actor, subject, school) in enumerate(
            (
                ("incident.opened", "system", "incident:1", harbour),
                ("incident.changed", "user:tom", "incident:1", harbour),
                ("incident.opened", "system", "incident:2", hilltop),
                ("user.added", "user:ada", "user:tom", None),
                ("user.added", "user:ada", "user:otto", None),
            )
        ):
            actions.record(tx, kind, actor, subject, school, {}, now + dt.timedelta(minutes=minute))
    return store


def _found(store, person, wanted, **page):
    with store.begin() as tx:
        return [row.subject for row in queries.audit(tx, person, wanted, **page).rows]


@pytest.mark.parametrize(
    ("wanted", "subjects"),
    [
        (AuditFilter(kind="user"), ["user:otto", "user:tom"]),
        (AuditFilter(kind="incident.changed"), ["incident:1"]),
        (AuditFilter(kind="inc"), []),
        (AuditFilter(kind="incident_"), []),
        (AuditFilter(actor="user:ada"), ["user:otto", "user:tom"]),
        (AuditFilter(subject="incident:1"), ["incident:1", "incident:1"]),
    ],
)
def test_only_what_fits_is_found(journal, wanted, subjects):
    assert [subject for subject in _found(journal, SYSTEM, wanted) if not subject.startswith("policy")] == subjects


def test_nothing_from_before_or_after_the_day_is_mixed_up(journal, now):
    wanted = AuditFilter(kind="incident", before=now + dt.timedelta(minutes=2))
    assert _found(journal, SYSTEM, wanted) == ["incident:1", "incident:1"]


def test_a_person_of_one_school_sees_that_school_alone(journal):
    person = Person(1, "tom", Role.TECHNICIAN, frozenset({journal.school("Hilltop College")}))
    assert _found(journal, person, AuditFilter()) == ["incident:2"]


def test_pages_follow_each_other_to_the_end(journal):
    seen, after = [], None
    with journal.begin() as tx:
        while True:
            page = queries.audit(tx, SYSTEM, AuditFilter(kind="incident"), after=after, limit=2)
            seen += [row.subject for row in page.rows]
            after = page.after
            if after is None:
                break
    assert seen == ["incident:2", "incident:1", "incident:1"]


def test_a_mark_that_no_page_gave_out_is_refused(journal):
    with journal.begin() as tx, pytest.raises(PageError):
        queries.audit(tx, SYSTEM, AuditFilter(), after="nonsense")
