"""Flapping: whatever comes and goes, each opening of an incident is closed once, and what lasts is never lost."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from fettle_server.proactive.actions import judge
from fettle_server.proactive.rules import Clear, Raise
from fettle_server.reactive.tables import Incident, IncidentEntry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
HOUR = 3600
OPENINGS = ("opened", "reopened", "resolved")


def flap(scene, pk, *starts, lasting=60):
    for start in starts:
        scene.fall([pk], start, "disk-full", "C:")
        scene.recover([pk], start + lasting, "disk-full", "C:")


def entries(scene):
    rows = scene.store.rows(sa.select(IncidentEntry.kind, IncidentEntry.text).order_by(IncidentEntry.id))
    return [tuple(row) for row in rows]


def test_the_third_time_in_six_hours_the_incident_stays_open_until_it_is_quiet(stored_scene):
    scene = stored_scene
    (pk,) = scene.pcs(1)
    flap(scene, pk, 0, 600, 1200)
    assert [row[2] for row in scene.incidents()] == ["new"]
    scene.look(1260 + 2 * HOUR - 1)
    assert [row[2] for row in scene.incidents()] == ["new"]
    scene.look(1260 + 2 * HOUR)
    assert [row[2] for row in scene.incidents()] == ["resolved"]
    assert entries(scene)[-1] == ("resolved", "Resolved by itself: quiet for 2 hours")
    assert [kind for kind, _ in scene.told()] == ["opened", "resolved", "reopened", "resolved", "reopened", "resolved"]


def test_it_is_said_once_an_hour_that_it_comes_and_goes(scene):
    (pk,) = scene.pcs(1)
    flap(scene, pk, *range(0, 3 * HOUR, 300), lasting=30)
    said = [text for kind, text in entries(scene) if kind == "comes and goes"]
    assert said[0] == "It comes and goes: 3 times in the last 6 hours"
    assert len(said) == 3
    assert scene.told()[-1][0] == "reopened"


def test_what_came_and_went_and_then_lasts_is_an_incident_like_any(scene):
    (pk,) = scene.pcs(1)
    flap(scene, pk, 0, 600)
    scene.fall([pk], 1200, "disk-full", "C:")
    scene.look_until(2 * HOUR, 30 * HOUR, HOUR)
    assert scene.incidents(Incident.quiet_until)[0][2:] == ("new", 1, None)
    scene.recover([pk], 31 * HOUR, "disk-full", "C:")
    assert scene.incidents()[0][2] == "resolved"


steps = st.lists(
    st.tuples(st.sampled_from((1, 20, 70, 400, 2000, 9000)), st.sampled_from(("raise", "clear", "tick"))),
    min_size=1,
    max_size=25,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, rule=st.sampled_from(("disk-full", "gateway-lost")))
def test_each_opening_closes_exactly_once_and_nothing_that_lasts_is_lost(scene, steps, rule):
    (pk,) = scene.pcs(1)
    now, lasts = 0, False
    for delay, deed in steps:
        now += delay
        if deed == "raise":
            scene.fall([pk], now, rule)
        elif deed == "clear":
            scene.recover([pk], now, rule)
        else:
            scene.look(now)
        lasts = deed == "raise" or (lasts and deed != "clear")
    scene.look_until(now + 600, now + 50 * HOUR, 10 * HOUR)
    own = scene.store.rows(sa.select(Incident.number, Incident.state, Incident.open_faults).where(Incident.endpoint_pk == pk))
    assert [(row.state, row.open_faults) for row in own if row.state != "resolved"] == ([("new", 1)] if lasts else [])
    for number, state, _ in own:
        told = [kind for kind, of in scene.told() if of == number]
        said = [kind for kind, of in entries_of(scene) if of == number and kind in OPENINGS]
        assert told == said
        assert said[0] == "opened"
        assert all((kind == "resolved") == (place % 2 == 1) for place, kind in enumerate(said))
        assert (said[-1] == "resolved") == (state == "resolved")


def entries_of(scene):
    columns = (IncidentEntry.kind, IncidentEntry.incident_number)
    return [tuple(row) for row in scene.store.rows(sa.select(*columns).order_by(IncidentEntry.id))]


def test_what_came_and_went_weeks_ago_holds_nothing_open_when_it_is_told(scene):
    (pk,) = scene.pcs(1)
    three_weeks = 21 * 24 * HOUR
    said = []
    for start in range(0, 6000, 600):
        begun, over = (int((NOW + dt.timedelta(seconds=at)).timestamp() * 1000) for at in (start, start + 300))
        said.append((pk, Raise(begun, "disk-full", "C:", "ill", 1.0, begun, [], 1, "", False)))
        said.append((pk, Clear(over, "disk-full", "C:", "recovered", 0.0, over, [], False)))
    with scene.store.begin() as tx:
        judge(tx, said, now=NOW + dt.timedelta(seconds=three_weeks), reopen_within=dt.timedelta(minutes=30))
    scene.look(three_weeks + 2)
    ((_, _, state, _, resolved_at),) = scene.incidents(Incident.resolved_at)
    assert state == "resolved"
    assert resolved_at < NOW + dt.timedelta(days=1)
