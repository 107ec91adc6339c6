"""What the look at who is missing makes of a small school's days, with its writer and its clock."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server.db import to_ms
from fettle_server.estate.calendars.tables import CalendarEntry, CalendarMark
from fettle_server.estate.endpoints import reports
from fettle_server.estate.endpoints.reports import Parting
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.maintenance.tables import MaintenanceTask
from fettle_server.proactive.presence import actions
from fettle_server.proactive.presence.tables import Attendance
from fettle_server.proactive.tables import Fault

from tests.server.proactive.presence.conftest import MINUTE, MONDAY, World, at

ONE_STORE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
"""For what both stores would do alike: others here walk through the same statements on each."""


def close_school(world: World, kind: str, first: int, last: int) -> None:
    school_id = world.store.school()
    with world.store.begin() as tx:
        values = {"kind": kind, "title": "Closed", "uid": "u", "series": "u", "source": "", "changed_at": at(0, "00:00")}
        dates = {"starts_on": MONDAY + dt.timedelta(days=first), "ends_on": MONDAY + dt.timedelta(days=last)}
        tx.execute(sa.insert(CalendarEntry).values(school_id=school_id, **dates, **values))
        tx.execute(sa.insert(CalendarMark).values(id=1, mark="new"))


def waits(world: World, pk: int, now: dt.datetime) -> bool:
    held = world.store.value(sa.select(Fault.held_until).where(Fault.endpoint_pk == pk, Fault.cleared_at.is_(None)))
    return held is not None and held - now > dt.timedelta(days=100)


def test_usual_weeks_miss_nobody(world):
    world.lived(range(8))
    assert world.absent() == set()


def test_sudden_silence_in_lessons_waits_for_company(world):
    world.come(world.it, at(0, "08:20"))
    world.look(at(0, "08:30"))
    world.go(world.it[:1], at(0, "10:00"))
    world.look(at(0, "10:05"))
    assert world.absent() == set()
    world.look(at(0, "10:06"))
    assert world.absent() == {world.it[0]}
    assert waits(world, world.it[0], at(0, "10:06"))
    assert world.triage(at(0, "10:06")) == []


@ONE_STORE
@pytest.mark.parametrize(("said", "time"), [("shutting down", "10:00"), ("sleeping", "10:00"), ("", "07:30"), ("", "15:40")])
def test_going_with_a_word_or_out_of_school_is_no_loss(world, said: str, time: str):
    world.come(world.it, at(0, "07:00"))
    world.look(at(0, "07:20"))
    world.go(world.it, at(0, time), said)
    world.look(at(0, "15:44"))
    assert world.absent() == set()


@ONE_STORE
@pytest.mark.parametrize("kind", ["half_term", "inset", "holiday", "closure"])
def test_closed_school_misses_no_pc(world, kind: str):
    world.lived(range(5))
    close_school(world, kind, 7, 13)
    world.come(world.it, at(7, "10:00"))
    world.go(world.it, at(7, "11:00"))
    world.lived(range(7, 12), rooms=())
    assert world.absent() == set()


@pytest.mark.parametrize("endpoint_class", ["trolley", "loan"])
def test_machines_that_come_and_go_are_never_missed_but_their_evidence_ages(world, endpoint_class: str):
    pk = world.endpoint(endpoint_class=endpoint_class, name="lap-1")
    world.come([pk], at(-1, "10:00"))
    world.go([pk], at(-1, "11:00"))
    world.lived(range(23))
    assert world.absent() == set()
    task = sa.select(MaintenanceTask.title, MaintenanceTask.state)
    assert [tuple(row) for row in world.store.rows(task)] == [("Wake and charge lap-1", "open")]
    world.come([pk], at(23, "10:00"))
    world.look(at(24, "00:31"))
    assert world.store.rows(task)[0].state == "withdrawn"


@ONE_STORE
def test_a_pc_that_is_seldom_used_is_looked_at_before_it_is_missed(world):
    world.regular()
    with world.store.begin() as tx:
        tx.execute(sa.update(Attendance).where(Attendance.endpoint_pk == world.it[0]).values(present=21.0))
    world.come(world.it[:1], at(-1, "10:00"))
    world.go(world.it[:1], at(-1, "11:00"), "shutting down")
    world.lived(range(11), absent=world.it[:1])
    task = sa.select(MaintenanceTask.kind, MaintenanceTask.endpoint_pk, MaintenanceTask.state)
    assert world.absent() == set()
    assert [tuple(row) for row in world.store.rows(task)] == [("check", world.it[0], "open")]
    world.lived(range(11, 15))
    assert world.store.rows(task)[0].state == "withdrawn"


@ONE_STORE
def test_server_is_missed_at_any_hour_and_is_back_after_a_minute(world):
    world.look(at(0, "00:31"))
    world.go([world.server], at(0, "02:00"), "shutting down")
    world.look(at(0, "02:05"))
    assert world.absent() == set()
    world.look(at(0, "02:06"))
    assert world.absent() == {world.server}
    with world.store.begin() as tx:
        tx.execute(sa.update(Fault).values(stage=""))  # it was told
    world.come([world.server], at(0, "02:10"))
    world.look(at(0, "02:10"))
    assert world.absent() == {world.server}
    world.look(at(0, "02:11"))
    assert world.absent() == set()


@ONE_STORE
def test_restart_that_does_not_come_back_is_missed(world):
    world.come(world.it, at(0, "08:20"))
    world.look(at(0, "08:40"))
    with world.store.begin() as tx:
        reports.part(tx, [Parting(world.it[0], to_ms(at(0, "09:00")), "restarting", to_ms(at(0, "09:10")))])
    world.go(world.it[:1], at(0, "09:00"))
    world.look(at(0, "09:19"))
    assert world.absent() == set()
    world.look(at(0, "09:20"))
    assert world.absent() == {world.it[0]}


def test_restart_of_the_server_misses_nobody_who_returns(world):
    everybody = [*world.it, *world.lab]
    world.come(everybody, at(0, "08:20"))
    world.look(at(0, "09:00"))
    world.go(everybody, at(0, "09:00"))
    world.start(at(0, "10:00"))
    for minute in range(11):
        world.look(at(0, "10:00") + minute * MINUTE)
    assert world.absent() == set()
    world.look(at(0, "10:11"))
    assert world.absent() == {world.server}


@ONE_STORE
def test_stale_mark_of_the_writer_judges_nothing(world):
    world.come(world.it, at(0, "08:20"))
    world.look(at(0, "09:00"))
    world.go(world.it, at(0, "09:01"))
    with world.store.begin() as tx:
        actions.tick(tx, now=at(0, "09:10"), settings=world.settings)
    assert world.absent() == set()


@ONE_STORE
@pytest.mark.parametrize("jump", [dt.timedelta(hours=1), dt.timedelta(hours=-1)])
def test_clock_that_jumps_moves_no_timer(world, jump: dt.timedelta):
    world.come(world.it, at(0, "08:20"))
    world.look(at(0, "10:00"))
    world.go(world.it[:1], at(0, "10:00"))
    true = at(0, "10:00").timestamp()
    for minute in range(1, 12):
        world.look(at(0, "10:00") + jump + minute * MINUTE, true + 60 * minute)
        assert world.absent() == set()
    world.look(at(0, "10:12") + jump, true + 720)
    assert world.absent() == {world.it[0]}


@ONE_STORE
def test_pc_that_does_not_come_any_more_is_missed_alone_by_its_habit(world):
    world.regular()
    world.lived(range(5))
    dead = world.it[0]
    world.lived(range(7, 9), absent=[dead])
    assert world.absent() == set()
    world.lived(range(9, 12), absent=[dead])
    assert world.absent() == {dead}
    assert not waits(world, dead, at(11, "15:46"))
    assert world.triage(at(11, "15:46")) == ["endpoint"]


@ONE_STORE
def test_pc_that_was_lost_suddenly_is_told_after_a_missed_day(world):
    world.regular()
    world.lived(range(5))
    world.come([*world.it, *world.lab], at(7, "08:20"))
    world.look(at(7, "08:30"))
    world.go(world.it[:1], at(7, "10:00"))
    world.look(at(7, "10:06"))
    world.go([*world.it[1:], *world.lab], at(7, "15:40"), "shutting down")
    world.look(at(7, "15:46"))
    assert waits(world, world.it[0], at(7, "15:46"))
    world.lived(range(8, 10), absent=world.it[:1])
    assert world.absent() == {world.it[0]}
    assert not waits(world, world.it[0], at(9, "15:46"))


@ONE_STORE
def test_plug_that_was_pulled_and_put_back_is_no_incident(world):
    world.lived(range(5))
    world.come([*world.it, *world.lab], at(7, "08:20"))
    world.look(at(7, "08:30"))
    world.go(world.it[:1], at(7, "10:00"))
    world.look(at(7, "10:06"))
    world.go([*world.it[1:], *world.lab], at(7, "15:40"), "shutting down")
    world.lived(range(8, 10))
    reasons = world.store.rows(sa.select(Fault.clear_reason, Fault.incident_number).where(Fault.rule == "absent"))
    assert [row.clear_reason for row in reasons] == ["recovered"]


def test_silent_room_is_missed_as_a_whole(world):
    world.regular()
    world.lived(range(5))
    world.lived(range(7, 9), absent=world.lab)
    assert world.absent() == set()
    world.lived(range(9, 12), absent=world.lab)
    assert world.absent() == set(world.lab)
    assert world.triage(at(11, "15:46")) == ["room"]


@ONE_STORE
def test_silent_school_with_a_silent_server_is_missed_at_once(world):
    world.lived(range(5))
    world.go([world.server], at(7, "06:00"))
    world.look(at(7, "06:06"))
    world.look(at(7, "09:31"))
    assert world.absent() == {world.server, *world.it, *world.lab}
    assert world.triage(at(7, "09:31")) == ["school"]


@ONE_STORE
def test_snow_day_misses_nobody_and_counts_for_nothing(world):
    world.lived(range(5))
    world.lived(range(7, 9), rooms=())
    world.lived(range(9, 12))
    assert world.absent() == set()


@ONE_STORE
def test_reimaged_pc_is_not_missed_under_its_old_name(world):
    world.regular()
    world.lived(range(5))
    old = world.it[0]
    name = world.store.value(sa.select(Endpoint.name).where(Endpoint.pk == old))
    new = world.endpoint(name=name, enrolled_at=at(4, "10:00"))
    world.it.append(new)
    world.lived(range(7, 14), absent=[old])
    assert world.absent() == set()


@ONE_STORE
def test_day_that_the_server_missed_counts_for_nothing(world):
    world.lived(range(5))
    world.look(at(7, "08:00"))
    world.start(at(7, "15:00"))
    world.come([world.server], at(7, "15:01"))
    world.look(at(7, "15:50"))
    world.lived(range(8, 12))
    assert world.absent() == set()


@ONE_STORE
def test_absence_of_one_that_is_not_expected_any_more_is_settled(world):
    world.go([world.server], at(0, "02:00"))
    world.look(at(0, "02:06"))
    assert world.absent() == {world.server}
    with world.store.begin() as tx:
        tx.execute(sa.update(Endpoint).where(Endpoint.pk == world.server).values(endpoint_class="loan"))
    world.look(at(0, "02:07"))
    assert world.store.rows(sa.select(Fault.clear_reason).where(Fault.rule == "absent"))[0].clear_reason == "settled"


def test_servers_own_line_that_is_cut_misses_nobody(world):
    pks = {
        name: [world.store.endpoint(school=name, enrolled_at=at(-30, "08:00")) for _ in range(10)] for name in ("A", "B", "C")
    }
    everybody = [pk for some in pks.values() for pk in some]
    world.come([*everybody, *world.it], at(0, "08:20"))
    world.look(at(0, "09:00"))
    world.go([*everybody, *world.it, world.server], at(0, "10:00"))
    for minute in (7, 30, 60):
        world.look(at(0, "10:00") + minute * MINUTE)
    assert world.absent() == set()
    world.come([*everybody, *world.it, world.server], at(0, "11:10"))
    for minute in (11, 17, 30):
        world.look(at(0, "11:00") + minute * MINUTE)
    assert world.absent() == set()


@ONE_STORE
def test_servers_own_line_that_is_cut_in_the_evening_misses_no_server(world):
    servers = [
        world.store.endpoint(school=name, enrolled_at=at(-30, "08:00"), endpoint_class="server") for name in ("A", "B", "C")
    ]
    world.come(servers, at(0, "08:20"))
    world.look(at(0, "17:00"))
    for minute, pk in enumerate([world.server, *servers]):
        world.go([pk], at(0, "17:01") + minute * MINUTE)
    for minute in range(6, 30):
        world.look(at(0, "17:00") + minute * MINUTE)
    assert world.absent() == set()


def test_next_look_is_known(world):
    world.come(world.it, at(0, "08:20"))
    world.look(at(0, "09:00"))
    with world.store.begin() as tx:
        assert actions.next_due(tx, at(0, "09:00")) == at(0, "09:30")
    world.go(world.it[:1], at(0, "09:10"))
    with world.store.begin() as tx:
        assert actions.next_due(tx, at(0, "09:10")) == at(0, "09:16")
    world.look(at(0, "09:16"))
    world.come(world.it[:1], at(0, "09:20"))
    with world.store.begin() as tx:
        assert actions.next_due(tx, at(0, "09:20")) == at(0, "09:20")


@ONE_STORE
def test_one_of_a_room_of_two_is_missed_on_days_on_which_its_school_is_in_use(world):
    room = world.store.rows(sa.select(Endpoint.room_id).where(Endpoint.pk == world.lab[0]))[0].room_id
    with world.store.begin() as tx:
        tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(world.lab[2:])).values(room_id=None))
    assert room is not None
    world.regular()
    world.lived(range(5))
    world.lived(range(7, 12), absent=world.lab[:1])
    assert world.absent() == {world.lab[0]}
