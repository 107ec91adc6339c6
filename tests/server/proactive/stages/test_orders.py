"""Windows and silences: who may order them, what they hold back, and what is told when they end."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server.estate.people.rules import Forbidden, Person, Role
from fettle_server.estate.tables import Endpoint
from fettle_server.journal.tables import Entry
from fettle_server.proactive.stages import actions, queries
from fettle_server.proactive.stages.actions import Span
from fettle_server.proactive.stages.tables import Suppression
from fettle_server.proactive.stages.views import HeldFilter, Reach, StagesError
from fettle_server.proactive.tables import Fault

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
ALL = Reach()
EVERYBODY = Person(1, "Ada", Role.TECHNICIAN, None)


def silence(store, reach=ALL, until=NOW + HOUR, person=EVERYBODY, now=NOW):
    with store.begin() as tx:
        return actions.add_silence(tx, person, reach, until=until, reason="Builders", now=now)


def window(store, span, reach=ALL, person=EVERYBODY):
    with store.begin() as tx:
        return actions.add_window(tx, person, reach, span, title="Summer", reason="re-imaging", now=NOW)


def test_a_silence_holds_faults_back_and_what_lasts_is_told_at_its_end(stored_scene):
    scene = stored_scene
    ill, well = scene.pcs(2)
    silence(scene.store)
    scene.fall([ill, well], 60, "disk-full", "C:")
    scene.recover([well], 120, "disk-full", "C:")
    scene.look_until(60, 3590, 600)
    assert (scene.incidents(), scene.told()) == ([], [])
    assert scene.store.value(sa.select(Endpoint.state).where(Endpoint.pk == ill)) == "ill"
    scene.look(3600)
    assert scene.incidents() == [("endpoint", "Disk C: is full", "new", 1)]
    assert scene.store.value(sa.select(Suppression.held)) == 2
    ((trail,),) = scene.store.rows(sa.select(Fault.trail).where(Fault.endpoint_pk == ill))
    assert [(one["stage"], one["to_ms"] is not None) for one in trail] == [("silence", True)]


def test_ending_early_tells_what_is_still_ill(scene):
    (ill,) = scene.pcs(1)
    number = silence(scene.store)
    scene.fall([ill], 60, "disk-full", "C:")
    with scene.store.begin() as tx:
        actions.end_early(tx, EVERYBODY, number, NOW + dt.timedelta(seconds=90))
    scene.look(90)
    assert [row[0] for row in scene.incidents()] == ["endpoint"]
    with scene.store.begin() as tx, pytest.raises(StagesError, match="over already"):
        actions.end_early(tx, EVERYBODY, number, NOW + dt.timedelta(seconds=91))


def test_what_a_window_held_looks_around_before_it_is_told(scene):
    pcs = scene.pcs(10, scene.room("R1"))
    window(scene.store, Span(NOW, NOW + HOUR))
    scene.fall(pcs, 60)
    scene.look_until(3600, 3700)
    assert [(row[0], row[3]) for row in scene.incidents()] == [("room", 10)]


def test_a_repeating_window_is_asked_in_its_hours_only(scene):
    first, second = scene.pcs(2)
    window(scene.store, Span(NOW, None, "FREQ=DAILY", HOUR))
    scene.fall([first], 24 * 3600 + 60, "disk-full", "C:")
    scene.fall([second], 26 * 3600, "disk-full", "C:")
    assert [row[0] for row in scene.incidents()] == ["endpoint"]
    assert scene.stages() == {"window": 1, "": 1}


@pytest.mark.parametrize(
    ("until", "reason"),
    [(NOW, "ends after"), (NOW + dt.timedelta(days=91), "at most 90 days"), (NOW - HOUR, "ends after")],
)
def test_a_silence_has_an_end_within_ninety_days(scene, until, reason):
    with pytest.raises(StagesError, match=reason):
        silence(scene.store, until=until)


def test_people_hold_back_their_own_schools_only(scene):
    oak, ash = scene.store.school("Oak"), scene.store.school("Ash")
    room = scene.room("R1", "Ash")
    ours = Person(2, "Bo", Role.TECHNICIAN, frozenset({oak}))
    assert silence(scene.store, Reach(school_id=oak), person=ours)
    with pytest.raises(Forbidden):
        silence(scene.store, person=ours)
    with pytest.raises(StagesError):
        silence(scene.store, Reach(school_id=ash), person=ours)
    with pytest.raises(StagesError):
        silence(scene.store, Reach(room_id=room), person=ours)
    with pytest.raises(Forbidden):
        silence(scene.store, person=Person(3, "Vi", Role.VIEWER, None))


def test_the_list_says_what_is_on_and_how_much_each_held(stored_scene):
    scene = stored_scene
    (pk,) = scene.pcs(1, school="Oak")
    silence(scene.store, Reach(school_id=scene.store.school("Oak")))
    window(scene.store, Span(NOW + HOUR, NOW + 2 * HOUR))
    scene.fall([pk], 60, "disk-full", "C:")
    at = NOW + dt.timedelta(minutes=2)
    with scene.store.begin() as tx:
        coming, on = queries.suppressions(tx, EVERYBODY, at)
        assert (on.state, on.school, on.held, on.until) == ("on", "Oak", 1, NOW + HOUR)
        assert (coming.state, coming.next_at, coming.school) == ("coming", NOW + HOUR, "")
        assert queries.suppressions(tx, EVERYBODY, at, over=True) == ()
        assert queries.holding(tx, EVERYBODY) == {"silence": 1}


def test_the_log_of_held_faults_comes_in_pages_for_those_who_may_see(stored_scene):
    scene = stored_scene
    pcs = scene.pcs(3, school="Oak")
    silence(scene.store)
    scene.fall(pcs, 60, "disk-full", "C:")
    scene.recover(pcs[:1], 70, "disk-full", "C:")
    with scene.store.begin() as tx:
        first = queries.held(tx, EVERYBODY, HeldFilter(stage="silence"), limit=2)
        rest = queries.held(tx, EVERYBODY, HeldFilter(stage="silence"), first.after, limit=2)
        assert [len(page.rows) for page in (first, rest)] == [2, 1]
        assert rest.after is None
        assert [row.reason for row in rest.rows] == ["Silence: Builders"]
        assert len(queries.held(tx, EVERYBODY, HeldFilter(state="over")).rows) == 1
        stranger = Person(2, "Bo", Role.TECHNICIAN, frozenset({99}))
        assert queries.held(tx, stranger, HeldFilter()).rows == ()
        with pytest.raises(StagesError):
            queries.held(tx, EVERYBODY, HeldFilter(stage="nonsense"))


def test_orders_are_written_to_the_journal(scene):
    silence(scene.store)
    assert ("silence.added",) in scene.store.rows(sa.select(Entry.kind))


def test_a_window_that_cannot_be_read_holds_nothing_back_and_loses_no_fault(scene):
    (ill,) = scene.pcs(1)
    number = window(scene.store, Span(NOW, None, "FREQ=DAILY", HOUR))
    with scene.store.begin() as tx:
        tx.execute(sa.update(Suppression).where(Suppression.id == number).values(rrule="FREQ=SOMETIMES"))
    scene.fall([ill], 60, "disk-full", "C:")
    assert [row[0] for row in scene.incidents()] == ["endpoint"]


def test_a_series_begins_at_most_a_year_ago(sqlite_store):
    for store in sqlite_store():
        with pytest.raises(StagesError, match="a year ago"):
            window(store, Span(NOW - dt.timedelta(days=400), None, "FREQ=DAILY", HOUR))
