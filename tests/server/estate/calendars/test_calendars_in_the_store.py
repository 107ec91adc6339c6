"""Calendars in the store: what people enter, what files bring, and copies that know when they are old."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server import db
from fettle_server.estate.calendars import actions, queries, transfer
from fettle_server.estate.calendars.rules import CalendarError, DayKind, Kind
from fettle_server.estate.calendars.views import BellRow, Lesson, NewEntry
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role
from fettle_server.estate.rooms import actions as rooms
from fettle_server.journal.tables import Entry as JournalEntry

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
MONDAY = dt.date(2026, 11, 23)


def new(kind: Kind = Kind.CLOSURE, title: str = "Burst pipe", day: dt.date = MONDAY, **more) -> NewEntry:
    return NewEntry(kind, title, day, more.pop("ends_on", day), **more)


def kind_of(tx, school: int) -> DayKind:
    return queries.calendar_of(tx, school).day(MONDAY).kind


def test_an_entry_counts_at_once_and_until_it_is_removed(store):
    school = store.school()
    with store.begin() as tx:
        assert kind_of(tx, school) is DayKind.SCHOOL_DAY
        entry_id = actions.add_entry(tx, SYSTEM, school, new(), NOW)
        assert kind_of(tx, school) is DayKind.CLOSURE
        actions.remove_entry(tx, SYSTEM, entry_id, NOW)
        assert kind_of(tx, school) is DayKind.SCHOOL_DAY


def test_a_change_by_another_process_is_seen(store):
    school, other = store.school(), db.open_engine(store.url)
    with store.begin() as tx:
        assert kind_of(tx, school) is DayKind.SCHOOL_DAY
    with other.begin() as tx:
        actions.add_entry(tx, SYSTEM, school, new(), NOW)
    with store.begin() as tx:
        assert kind_of(tx, school) is DayKind.CLOSURE
    other.dispose()


def test_what_was_rolled_back_was_never_there(store):
    school = store.school()
    connection = store.engine.connect()
    with connection, connection.begin() as undone:
        actions.add_entry(connection, SYSTEM, school, new(), NOW)
        assert kind_of(connection, school) is DayKind.CLOSURE
        undone.rollback()
    with store.begin() as tx:
        assert kind_of(tx, school) is DayKind.SCHOOL_DAY


def test_asking_again_costs_two_small_reads(store):
    schools, asked = [store.school(f"School {n}") for n in range(5)], []
    with store.begin() as tx:
        queries.calendars(tx)
        sa.event.listen(store.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
        found = queries.calendars(tx)
    assert len(asked) <= 2
    assert set(found) == set(schools)


def test_an_entry_for_all_schools_counts_in_each(store):
    one, two = store.school("One"), store.school("Two")
    with store.begin() as tx:
        actions.add_entry(tx, SYSTEM, None, new(), NOW)
        assert kind_of(tx, one) is kind_of(tx, two) is DayKind.CLOSURE
        assert [row.school_id for row in queries.entries(tx, SYSTEM, one)] == [None]


def test_only_those_who_see_all_schools_enter_for_all(store):
    tom = Person(7, "tom", Role.TECHNICIAN, frozenset({store.school()}))
    with store.begin() as tx, pytest.raises(Forbidden):
        actions.add_entry(tx, tom, None, new(), NOW)


def test_another_schools_entry_is_not_there(store):
    tom = Person(7, "tom", Role.TECHNICIAN, frozenset({store.school("One")}))
    with store.begin() as tx:
        entry_id = actions.add_entry(tx, SYSTEM, store_school(tx, "Two"), new(), NOW)
        with pytest.raises(CalendarError, match="no such entry"):
            actions.remove_entry(tx, tom, entry_id, NOW)
        assert queries.entries(tx, tom, 2) == ()


def store_school(tx, name: str) -> int:
    from fettle_server.estate.enrolment.actions import make_school

    return make_school(tx, name, NOW)


def test_entries_that_cannot_be_are_refused(store):
    school = store.school()
    for entry in (
        new(title="  "),
        new(ends_on=dt.date(2026, 11, 20)),
        new(ends_on=dt.date(2028, 11, 20)),
        new(from_minute=540, to_minute=600),
        new(Kind.EXAM, from_minute=540),
        new(Kind.EXAM, from_minute=600, to_minute=540),
        new(Kind.EXAM, room_id=99),
    ):
        with store.begin() as tx, pytest.raises(CalendarError):
            actions.add_entry(tx, SYSTEM, school, entry, NOW)


def test_bell_times_set_a_schools_hours(store):
    school = store.school()
    monday = BellRow(0, 8 * 60, 12 * 60, (Lesson("Registration", 480, 500),))
    with store.begin() as tx:
        actions.set_bells(tx, SYSTEM, school, [monday], NOW)
        assert queries.bells(tx, SYSTEM, school) == (monday,)
        found = queries.calendar_of(tx, school)
        assert found.is_open(NOW)
        assert not found.is_open(NOW + dt.timedelta(days=1))
        actions.set_bells(tx, SYSTEM, school, [], NOW)
        assert queries.calendar_of(tx, school).is_open(NOW + dt.timedelta(days=1))


def test_hours_that_cannot_be_are_refused(store):
    school = store.school()
    for bells in (
        [BellRow(7, 480, 900)],
        [BellRow(0, 900, 480)],
        [BellRow(0, 480, 900), BellRow(0, 480, 900)],
        [BellRow(0, 480, 900, (Lesson("Late", 890, 930),))],
    ):
        with store.begin() as tx, pytest.raises(CalendarError):
            actions.set_bells(tx, SYSTEM, school, bells, NOW)


def _fill(tx, school: int) -> None:
    room = rooms.make_room(tx, SYSTEM, school, "Hall", now=NOW)
    week = MONDAY + dt.timedelta(days=4)
    exam = new(Kind.EXAM, "GCSE, Maths; part 1", ends_on=week, from_minute=540, to_minute=630, room_id=room)
    for entry in (new(), new(Kind.TERM, "Autumn", dt.date(2026, 9, 2), ends_on=dt.date(2026, 12, 18)), exam):
        actions.add_entry(tx, SYSTEM, school, entry, NOW)


def _shown(tx, school: int) -> list[tuple]:
    return [(row.kind, row.title, row.starts_on, row.ends_on, row.from_minute, row.to_minute, row.room, row.uid)
            for row in queries.entries(tx, SYSTEM, school)]  # fmt: skip


def test_a_calendar_taken_out_and_in_again_is_the_same(store):
    school = store.school()
    with store.begin() as tx:
        _fill(tx, school)
        before, content = _shown(tx, school), transfer.as_file(tx, SYSTEM, school, NOW)
        found = transfer.preview(tx, SYSTEM, school, content, NOW)
        assert (len(found.taken), found.unplaced, found.replaces) == (3, (), 3)
        entries = [entry for entry, _ in found.taken]
        assert actions.take_in(tx, SYSTEM, school, entries, now=NOW, series=found.series, source="harbour.ics") == 3
        assert _shown(tx, school) == before


def test_an_unknown_room_makes_an_exam_the_whole_schools_and_says_so(store):
    one, two = store.school("One"), store.school("Two")
    with store.begin() as tx:
        _fill(tx, one)
        found = transfer.preview(tx, SYSTEM, two, transfer.as_file(tx, SYSTEM, one, NOW), NOW)
    exam, word = next((entry, word) for entry, word in found.taken if entry.kind is Kind.EXAM)
    assert exam.room_id is None
    assert "no room named Hall" in word


def test_an_event_that_recurs_is_replaced_as_a_whole(store):
    school = store.school()
    weekly = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nSUMMARY:INSET\nDTSTART;VALUE=DATE:20261123\nRRULE:FREQ=WEEKLY;COUNT={}"
    with store.begin() as tx:
        for count in (4, 2):
            content = (weekly.format(count) + "\nEND:VEVENT\nEND:VCALENDAR\n").encode()
            found = transfer.preview(tx, SYSTEM, school, content, NOW)
            actions.take_in(tx, SYSTEM, school, [entry for entry, _ in found.taken], now=NOW, series=found.series)
        assert len(queries.entries(tx, SYSTEM, school)) == 2


def test_common_entries_in_a_schools_file_are_not_taken_for_its_own(store):
    school = store.school()
    with store.begin() as tx:
        actions.add_entry(tx, SYSTEM, None, new(), NOW)
        found = transfer.preview(tx, SYSTEM, school, transfer.as_file(tx, SYSTEM, school, NOW), NOW)
    assert found.taken == ()
    assert "all schools already" in found.unplaced[0].why


def test_replacing_a_calendar_leaves_nothing_of_the_old_one(store):
    school = store.school()
    with store.begin() as tx:
        _fill(tx, school)
        actions.replace_all(tx, SYSTEM, school, [new(Kind.INSET, "INSET")], [BellRow(0, 500, 900)], now=NOW)
        assert [row.title for row in queries.entries(tx, SYSTEM, school)] == ["INSET"]
        kinds = tx.scalars(sa.select(JournalEntry.kind).order_by(JournalEntry.id)).all()
    assert kinds[-2:] == ["calendar.imported", "calendar.bells"]
