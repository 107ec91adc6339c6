"""Lists of what PCs lack, one update, one PC, and schools by the clock."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server.change.patches import exceptions, queries
from fettle_server.change.patches.rules import PatchError, PatchState, Quiet, Standing
from fettle_server.change.patches.views import LackingFilter
from fettle_server.estate.people.rules import SYSTEM, Person, Role

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
LATE = NOW + dt.timedelta(days=8)


@pytest.fixture
def read(store):
    """Ask a query in a transaction of its own."""

    def asked(query, *args, **more):
        with store.begin() as tx:
            return query(tx, *args, **more)

    return asked


def _of(store, *schools: str) -> Person:
    return Person(2, "tom", Role.TECHNICIAN, frozenset(store.school(name) for name in schools))


def test_lacking_list_has_the_most_urgent_first_and_counts(store, look, offer, read):
    here, there = store.endpoint(), store.endpoint(school="Hilltop College")
    look(here, offer(), offer("bash", security=False), offer("curl", released_on="2026-11-10"))
    look(there, offer())
    rows = read(queries.lacking, SYSTEM, LackingFilter(), NOW).rows
    assert [(row.name, row.lacking, row.schools) for row in rows] == [("curl", 1, 1), ("openssl", 2, 2), ("bash", 1, 1)]
    assert [row.clock for row in rows] == ["the vendor's release", "the vendor's release", ""]
    mine = read(queries.lacking, _of(store, "Hilltop College"), LackingFilter(), NOW).rows
    assert [(row.name, row.lacking, row.schools) for row in mine] == [("openssl", 1, 1)]


def test_lacking_list_goes_on_page_by_page_and_loses_none(store, look, offer, read):
    look(store.endpoint(), *(offer(f"p{number}", released_on=f"2026-11-{10 + number % 3}") for number in range(7)))
    seen, after = [], None
    while True:
        page = read(queries.lacking, SYSTEM, LackingFilter(), NOW, after=after, limit=2)
        seen += [row.name for row in page.rows]
        after = page.after
        if after is None:
            break
    assert page.total == 7
    assert sorted(seen) == [f"p{number}" for number in range(7)]


def test_lacking_list_is_narrowed_by_provider_security_day_and_words(store, look, offer, read):
    look(store.endpoint(), offer(), offer("bash", security=False), offer("Edge", provider="winget", title="100% Edge"))
    for wanted, names in (
        (LackingFilter(provider="winget"), ["Edge"]),
        (LackingFilter(security=True), ["openssl", "Edge"]),
        (LackingFilter(search="100% edge"), ["Edge"]),
        (LackingFilter(search="cve-2026-1 open"), ["openssl"]),
        (LackingFilter(school_id=99), []),
    ):
        assert [row.name for row in read(queries.lacking, SYSTEM, wanted, NOW).rows] == names
    assert read(queries.lacking, SYSTEM, LackingFilter(overdue=True), NOW).rows == ()
    assert len(read(queries.lacking, SYSTEM, LackingFilter(overdue=True), LATE).rows) == 2


def test_update_tells_its_states_schools_and_endpoints(store, look, offer, read, patch):
    pk = store.endpoint("pc-a")
    look(pk, offer())
    look(store.endpoint("pc-b", school="Hilltop College"), offer(state="failed", words="No space left on device"))
    update_id = patch(pk).update_id
    found = read(queries.update, SYSTEM, update_id, NOW)
    assert found.states == {PatchState.FAILED: 1, PatchState.OFFERED: 1}
    assert {(row.school, row.lacking) for row in found.schools} == {("Harbour School", 1), ("Hilltop College", 1)}
    page = read(queries.endpoints_of, SYSTEM, update_id)
    assert [(row.endpoint, row.state.value, row.words) for row in page.rows] == [
        ("pc-a", "offered", ""),
        ("pc-b", "failed", "No space left on device"),
    ]
    assert read(queries.endpoints_of, SYSTEM, update_id, state=PatchState.FAILED, search="pc-b").total == 1
    assert read(queries.update, _of(store), update_id, NOW) is None
    assert read(queries.update, SYSTEM, 10**12, NOW) is None


def test_endpoint_tells_each_step_with_its_time(store, look, offer, read):
    pk = store.endpoint()
    look(pk, offer())
    look(pk, hours=1)
    found = read(queries.of_endpoint, SYSTEM, f"{1:032x}", NOW)
    assert [step[0] for step in found.rows[0].steps] == ["offered", "gone"]
    assert (found.standing, found.due_on, found.reboot_pending) == (Standing.ON_TIME, None, False)
    assert read(queries.of_endpoint, _of(store), f"{1:032x}", NOW) is None


def test_schools_stand_by_their_pcs(store, look, offer, read):
    look(store.endpoint(), offer())
    look(store.endpoint())
    look(store.endpoint(), error="E: no lists")
    store.endpoint()
    look(store.endpoint(school="Hilltop College"), offer("curl", released_on="2026-11-10"), pending=True)
    by_school = {row.school: row for row in read(queries.compliance, SYSTEM, NOW)}
    harbour, hilltop = by_school["Harbour School"], by_school["Hilltop College"]
    assert (harbour.on_time, harbour.soon, harbour.overdue, harbour.unknown, harbour.percent) == (2, 0, 0, 2, 100)
    assert (hilltop.soon, hilltop.due_on) == (1, dt.date(2026, 11, 24))
    late = {row.school: row for row in read(queries.compliance, SYSTEM, NOW + dt.timedelta(days=3))}
    assert (late["Hilltop College"].overdue, late["Hilltop College"].percent) == (1, 0)
    assert read(queries.compliance, SYSTEM, LATE)[0].unknown in (1, 4)
    summed = read(queries.summary, SYSTEM, NOW + dt.timedelta(days=3))
    assert (summed.overdue, summed.updates, summed.updates_overdue) == (1, 2, 1)


def test_standing_of_the_store_is_that_of_the_rule(store, look, offer, read):
    for released, error, pending in (("2026-11-01", "", None), ("2026-11-12", "", False), (None, "E", False), (None, "", True)):
        look(store.endpoint(), offer(released_on=released), error=error, pending=pending)
    for days in (0, 3, 6, 8):
        now = NOW + dt.timedelta(days=days)
        by_rule = sorted(read(queries.of_endpoint, SYSTEM, f"{number:032x}", now).standing.value for number in range(1, 5))
        row = read(queries.compliance, SYSTEM, now)[0]
        by_store = ["due soon"] * row.soon + ["excepted"] * row.excepted + ["on time"] * row.on_time
        assert by_rule == by_store + ["overdue"] * row.overdue + ["unknown"] * row.unknown


def test_lackers_and_steps_are_what_a_change_needs(store, look, offer, read, patch):
    pk, other = store.endpoint(), store.endpoint(school="Hilltop College")
    look(pk, offer(), offer("bash", version="5.3"), offer("Edge", version="", provider="winget"))
    look(other, offer())
    with store.begin() as tx:
        ids = list(tx.scalars(sa.text("SELECT id FROM updates")))
    assert [one.pk for one in read(queries.lackers, SYSTEM, ids)] == [pk, other]
    assert [one.pk for one in read(queries.lackers, SYSTEM, ids, [store.school()])] == [pk]
    steps = read(queries.steps_for, ids)
    assert [(step["kind"], step["provider"], step["packages"]) for step in steps] == [
        ("upgrade", "apt", [{"name": "bash", "version": "5.3"}, {"name": "openssl", "version": "1.1"}]),
        ("upgrade", "winget", [{"name": "Edge"}]),
    ]


def test_freeze_warns_of_what_falls_due_in_it(store, look, offer, read):
    look(store.endpoint(), offer())
    look(store.endpoint(school="Hilltop College"))
    mocks = Quiet(None, "Mock exams", dt.date(2026, 11, 26), dt.date(2026, 12, 4))
    past = Quiet(None, "Last week", dt.date(2026, 11, 16), dt.date(2026, 11, 20))
    rows = read(queries.compliance, SYSTEM, NOW)
    warned = {row.school: row.warnings for row in read(queries.warned, rows, [mocks, past], NOW)}
    assert warned["Hilltop College"] == ()
    assert warned["Harbour School"] == (
        "Mock exams is on from 26 November to 4 December, and 1 PC has fixes that fall due in it."
        " The clock does not stop: install them before.",
    )


def test_exception_takes_the_clock_away_until_its_day_and_says_so(store, look, offer, read, patch):
    pk = store.endpoint()
    look(pk, offer(released_on="2026-11-01"))
    update_id = patch(pk).update_id
    until, school_id = NOW.date() + dt.timedelta(days=30), store.school()
    with store.begin() as tx:
        exceptions.except_update(tx, SYSTEM, update_id, school_id, "The reading scheme needs it", until, NOW)
    row = read(queries.compliance, SYSTEM, NOW)[0]
    assert (row.excepted, row.overdue) == (1, 0)
    assert [one.why for one in read(queries.update, SYSTEM, update_id, NOW).exceptions] == ["The reading scheme needs it"]
    with store.begin() as tx:
        assert exceptions.end_due(tx, NOW + dt.timedelta(days=30), 10) == 0
        assert exceptions.end_due(tx, NOW + dt.timedelta(days=31), 10) == 1
    assert read(queries.compliance, SYSTEM, NOW)[0].overdue == 1


@pytest.mark.parametrize(("why", "days"), [("", 3), ("why", 0), ("why", 91), ("x" * 501, 3), ("a\0b", 3)])
def test_exception_needs_a_reason_and_an_end(store, look, offer, patch, why, days):
    pk = store.endpoint()
    look(pk, offer())
    until, update_id = NOW.date() + dt.timedelta(days=days), patch(pk).update_id
    with store.begin() as tx, pytest.raises(PatchError):
        exceptions.except_update(tx, SYSTEM, update_id, None, why, until, NOW)
