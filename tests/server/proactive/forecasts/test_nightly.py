"""The night on the real store: hours into days, days into forecasts, and those into incidents and tasks at the right hour."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_protocol import catalogue, packing
from fettle_server.config import Settings
from fettle_server.db import EPOCH
from fettle_server.estate import history
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive import queries as proactive
from fettle_server.proactive.forecasts import actions, nightly, queries
from fettle_server.proactive.forecasts.days import Reading, encode
from fettle_server.proactive.forecasts.tables import SHIFT, Daily, Forecast, NightlyMark
from fettle_server.proactive.maintenance.tables import MaintenanceTask
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.rules import Refused
from fettle_server.reactive.tables import Incident
from fettle_server.worker import forecasts as jobs
from fettle_server.worker.jobs import Work

MONDAY = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TODAY = nightly.day_of(MONDAY)
only_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def number(key):
    return catalogue.BY_KEY[key].number


@pytest.fixture
def work(store, tmp_path):
    return Work(Settings(data=tmp_path, database=store.url), store.engine, store.engine)


def run(job, work, now):
    """All pieces of a job."""
    pieces = 0
    while job(work, now):
        pieces += 1
        assert pieces < 500
    return pieces


def night(work, now):
    for job in (jobs.summarise_days, jobs.make_forecasts, jobs.tell_forecasts):
        run(job, work, now)


def store_day(store, pk, day, readings):
    body = encode({(number(key), instance): Reading(*[value] * 4, 480) for (key, instance), value in readings.items()})
    with store.begin() as tx:
        tx.execute(sa.insert(Daily).values(id=day * SHIFT + pk, body=body))


def filling(free_gb):
    return {("disk.free_bytes", "C:"): free_gb * 1e9, ("disk.free_percent", "C:"): free_gb / 2.56}


def made_until(store, day):
    with store.begin() as tx:
        nightly.keep_mark(tx, nightly.DAYS, nightly.Mark(day))


def fill_days(store, pk, last_gb=6.0, until=TODAY):
    for age in range(30):
        store_day(store, pk, until - age, filling(last_gb + age))


def test_hours_become_one_day(store, work):
    pk = store.endpoint(system="windows")
    series = {(number("disk.free_bytes"), "C:"): [5e9] * 60, (number("network.link_up"), "eth0"): [1.0] * 60}
    with store.begin() as tx:
        for hour, free in ((9, 5e9), (11, 3e9)):
            series[number("disk.free_bytes"), "C:"] = [free] * 60
            history.store(tx, [(pk, (TODAY - 1) * 24 + hour, packing.pack(series))], set())
    run(jobs.summarise_days, work, MONDAY)
    with store.begin() as tx:
        ((day, readings),) = nightly.read_days(tx, [pk], TODAY - 1)[pk]
    assert day == TODAY - 1
    assert readings == {(number("disk.free_bytes"), "C:"): Reading(3e9, 4e9, 5e9, 3e9, 120)}


def test_nothing_is_due_again_once_the_night_is_done(store, work):
    store.endpoint()
    night(work, MONDAY)
    assert jobs.summarise_days(work, MONDAY) is False
    assert jobs.make_forecasts(work, MONDAY) is False
    assert jobs.tell_forecasts(work, MONDAY) is False


def test_an_absence_is_caught_up_day_by_day(store, work):
    pk = store.endpoint(system="windows")
    night(work, MONDAY - 4 * DAY)
    for age in (3, 2, 1):
        with store.begin() as tx:
            packed = packing.pack({(number("disk.free_bytes"), "C:"): [9e9] * 60})
            history.store(tx, [(pk, (TODAY - age) * 24 + 10, packed)], set())
    night(work, MONDAY)
    assert store.value(sa.select(sa.func.count()).select_from(Daily)) == 3


def test_hours_that_came_late_are_found_a_week_later(store, work):
    pk = store.endpoint(system="windows")
    made_until(store, TODAY)
    with store.begin() as tx:
        packed = packing.pack({(number("disk.free_bytes"), "C:"): [9e9] * 60})
        history.store(tx, [(pk, (TODAY - 1) * 24 + 10, packed)], set())
    night(work, MONDAY + DAY)
    assert store.rows(sa.select(Daily.id)) == []
    night(work, MONDAY + 8 * DAY)
    assert [row.id // SHIFT for row in store.rows(sa.select(Daily.id))] == [TODAY - 1]


def test_a_filling_disk_becomes_an_incident_of_low_urgency_in_the_morning(store, work):
    pk = store.endpoint("pc-1", system="windows")
    fill_days(store, pk, until=TODAY - 1)
    made_until(store, TODAY - 1)
    run(jobs.make_forecasts, work, MONDAY - DAY)
    made_until(store, TODAY)
    run(jobs.make_forecasts, work, MONDAY)
    run(jobs.tell_forecasts, work, MONDAY)
    assert store.rows(sa.select(Incident.number)) == []
    run(jobs.tell_forecasts, work, MONDAY + dt.timedelta(hours=6))
    (incident,) = store.rows(sa.select(Incident.title, Incident.urgency, Incident.priority))
    assert tuple(incident) == ("Disk C: will be full within two weeks", "low", 5)
    assert store.value(sa.select(Endpoint.state).where(Endpoint.pk == pk)) != "watch"
    (fault,) = store.rows(sa.select(Fault.rule, Fault.detail))
    assert "Disk C: will be full in" in fault.detail


def raised(store, work, pk):
    fill_days(store, pk, until=TODAY - 1)
    for day in (TODAY - 1, TODAY):
        made_until(store, day)
        run(jobs.make_forecasts, work, EPOCH + dt.timedelta(days=day, hours=3))
    run(jobs.tell_forecasts, work, MONDAY + dt.timedelta(hours=6))


@only_sqlite
def test_a_cleaned_disk_clears_its_forecast_once(store, work):
    pk = store.endpoint(system="windows")
    raised(store, work, pk)
    for day in (TODAY, TODAY + 1, TODAY + 2):
        store_day(store, pk, day, filling(150.0))
        made_until(store, day + 1)
        now = EPOCH + dt.timedelta(days=day + 1, hours=3)
        run(jobs.make_forecasts, work, now)
        run(jobs.tell_forecasts, work, now + dt.timedelta(hours=6))
    assert [row.state for row in store.rows(sa.select(Incident.state))] == ["resolved"]
    assert store.rows(sa.select(Forecast.id)) == []


@only_sqlite
def test_a_pc_that_is_silent_keeps_its_forecast_as_it_is(store, work):
    pk = store.endpoint(system="windows")
    raised(store, work, pk)
    before = store.rows(sa.select(*Forecast.__table__.c))
    made_until(store, TODAY + 1)
    run(jobs.make_forecasts, work, MONDAY + DAY)
    assert store.rows(sa.select(*Forecast.__table__.c)) == before


@only_sqlite
def test_a_warranty_makes_a_task_and_not_an_incident(store, work):
    pk = store.endpoint("pc-9", system="windows")
    identity = store.value(sa.select(Endpoint.id).where(Endpoint.pk == pk))
    with store.begin() as tx:
        actions.set_warranty(tx, SYSTEM, identity, (MONDAY + 40 * DAY).date(), MONDAY)
    made_until(store, TODAY)
    night(work, MONDAY)
    run(jobs.tell_forecasts, work, MONDAY + dt.timedelta(hours=6))
    (task,) = store.rows(sa.select(MaintenanceTask.kind, MaintenanceTask.title, MaintenanceTask.due_on))
    assert tuple(task) == ("warranty", "Have pc-9 looked over before its warranty ends", dt.date(2026, 12, 19))
    assert store.rows(sa.select(Incident.number)) == []
    with store.begin() as tx:
        actions.set_warranty(tx, SYSTEM, identity, None, MONDAY)
    made_until(store, TODAY + 1)
    night(work, MONDAY + DAY)
    run(jobs.tell_forecasts, work, MONDAY + DAY + dt.timedelta(hours=6))
    assert [row.state for row in store.rows(sa.select(MaintenanceTask.state))] == ["withdrawn"]


@only_sqlite
def test_warranties_are_imported_and_each_bad_line_is_named(store):
    store.endpoint("pc-1", serial="S1")
    store.endpoint("pc-2", serial="S2")
    text = "Serial,Ends_on\nS1,2027-08-31\nS2,soon\nS3,2027-01-01\n"
    with store.begin() as tx:
        count, problems = actions.import_warranties(tx, SYSTEM, text, MONDAY)
    assert count == 1
    assert problems == ["Line 3: 'soon' is not a day such as 2027-08-31", "Line 4: no PC 'S3' is known"]
    with store.begin() as tx, pytest.raises(Refused, match="first line"):
        actions.import_warranties(tx, SYSTEM, "a,b\n1,2\n", MONDAY)
    with store.begin() as tx, pytest.raises(Forbidden):
        actions.import_warranties(tx, Person(5, "Vera", Role.VIEWER, None), text, MONDAY)


@only_sqlite
def test_old_days_and_forecasts_of_retired_endpoints_are_dropped(store, work):
    pk = store.endpoint(system="windows")
    raised(store, work, pk)
    store_day(store, pk, TODAY - 500, filling(9.0))
    with store.begin() as tx:
        tx.execute(sa.update(Endpoint).values(revoked_at=MONDAY))
    run(jobs.drop_days, work, MONDAY)
    assert store.rows(sa.select(Forecast.id)) == []
    assert store.value(sa.select(sa.func.min(Daily.id))) // SHIFT > TODAY - 400
    assert store.value(sa.select(sa.func.count()).select_from(NightlyMark)) >= 1


@only_sqlite
def test_a_pc_says_that_it_is_well_but_and_lists_show_what_comes(store, work):
    pk = store.endpoint("pc-7", system="windows", last_seen=MONDAY, state="well", connected=True)
    raised(store, work, pk)
    identity = store.value(sa.select(Endpoint.id).where(Endpoint.pk == pk))
    with store.begin() as tx:
        assert proactive.sentence(tx, SYSTEM, identity, MONDAY).startswith("Well, but disk C: will be full in ")
        page = queries.coming(tx, SYSTEM, queries.ForecastFilter(search="pc-7 full"))
        assert [(row.endpoint, row.state, row.makes) for row in page.rows] == [("pc-7", "raised", "incident")]
        assert page.rows[0].earliest <= page.rows[0].due_at <= page.rows[0].latest
        own = queries.of_endpoint(tx, SYSTEM, identity, MONDAY)
        assert [(row.rule, row.state) for row in own] == [("disk-will-fill", "raised")]
        elsewhere = Person(3, "Tom", Role.TECHNICIAN, frozenset({999}))
        assert queries.coming(tx, elsewhere, queries.ForecastFilter()).rows == ()
        assert queries.of_endpoint(tx, elsewhere, identity, MONDAY) == ()


def test_pages_of_what_is_coming_neither_repeat_nor_miss(store, work):
    for _ in range(5):
        fill_days(store, store.endpoint(system="windows"), until=TODAY - 1)
    made_until(store, TODAY)
    run(jobs.make_forecasts, work, MONDAY)
    seen, after = [], None
    with store.begin() as tx:
        while True:
            page = queries.coming(tx, SYSTEM, queries.ForecastFilter(), after=after, limit=2)
            seen += [row.endpoint for row in page.rows]
            after = page.after
            if after is None:
                break
    assert sorted(seen) == sorted(set(seen))
    assert (len(seen), page.total) == (5, 5)
