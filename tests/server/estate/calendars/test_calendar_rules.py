"""What a calendar says of days and moments, against a slow reading of the wall clock minute by minute."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from fettle_server.estate.calendars.rules import Bell, Calendar, DayKind, Entry, Kind, own_first
from hypothesis import given, settings
from hypothesis import strategies as st

LONDON = ZoneInfo("Europe/London")
MINUTE = dt.timedelta(minutes=1)
D = dt.date
CHANGES = [D(2026, 3, 29), D(2026, 10, 25)]


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=LONDON).astimezone(dt.UTC)


def calendar(*entries: Entry, **more) -> Calendar:
    return Calendar(LONDON, entries, **more)


def terms() -> tuple[Entry, ...]:
    return (
        Entry(Kind.TERM, "Autumn term", D(2026, 9, 2), D(2026, 12, 18)),
        Entry(Kind.TERM, "Spring term", D(2027, 1, 4), D(2027, 3, 25)),
        Entry(Kind.HALF_TERM, "Half term", D(2026, 10, 26), D(2026, 10, 30)),
    )


@pytest.mark.parametrize(
    ("date", "kind"),
    [
        (D(2026, 11, 23), DayKind.SCHOOL_DAY),
        (D(2026, 11, 22), DayKind.WEEKEND),
        (D(2026, 10, 28), DayKind.HALF_TERM),
        (D(2026, 12, 21), DayKind.HOLIDAY),
        (D(2026, 12, 25), DayKind.BANK_HOLIDAY),
        (D(2026, 8, 20), DayKind.HOLIDAY),
        (D(2027, 4, 20), DayKind.HOLIDAY),
        (D(2027, 9, 20), DayKind.SCHOOL_DAY),
    ],
)
def test_days_are_what_terms_say_as_far_as_they_tell(date, kind):
    assert calendar(*terms()).day(date).kind is kind


def test_without_terms_it_is_always_term():
    found = calendar().day(D(2026, 8, 20))
    assert (found.kind, found.opens, found.closes) == (DayKind.SCHOOL_DAY, at("2026-08-20T08:30"), at("2026-08-20T15:30"))


def test_a_closure_names_the_day_before_anything_else():
    shut = Entry(Kind.CLOSURE, "Burst pipe", D(2026, 11, 23), D(2026, 11, 23))
    inset = Entry(Kind.INSET, "INSET", D(2026, 11, 23), D(2026, 11, 23))
    assert calendar(inset, shut).day(D(2026, 11, 23)).title == "Burst pipe"


def test_a_school_with_bells_of_its_own_is_shut_on_other_weekdays():
    found = calendar(bells={5: Bell(540, 720)})
    assert found.day(D(2026, 11, 23)).kind is DayKind.WEEKEND
    assert found.is_open(at("2026-11-28T10:00"))


def test_opening_hours_follow_the_wall_clock_across_the_change():
    assert calendar().next_open(at("2026-10-23T16:00")) == dt.datetime(2026, 10, 26, 8, 30, tzinfo=dt.UTC)
    assert calendar().next_close(at("2026-10-23T12:00")) == dt.datetime(2026, 10, 23, 14, 30, tzinfo=dt.UTC)


def test_next_open_is_none_where_nothing_opens():
    assert calendar(bells={}).next_open(at("2026-11-23T10:00")) is None


def test_an_exam_holds_its_room_and_its_hours_only():
    exam = Entry(Kind.EXAM, "GCSE Maths", D(2026, 11, 23), D(2026, 11, 27), 540, 630, room_id=3)
    found = calendar(exam)
    during = found.in_exam(at("2026-11-24T09:30"), 3)
    assert during is not None
    assert (during.starts, during.ends) == (at("2026-11-24T09:00"), at("2026-11-24T10:30"))
    assert found.in_exam(at("2026-11-24T10:30"), 3) is None
    assert found.in_exam(at("2026-11-24T09:30"), 4) is None
    assert found.in_exam(at("2026-11-24T09:30")) is None


def test_an_exam_without_times_or_room_holds_the_school_on_school_days():
    found = calendar(Entry(Kind.EXAM, "Mocks", D(2026, 11, 20), D(2026, 11, 27)))
    assert found.in_exam(at("2026-11-24T18:00"), 9) is not None
    assert found.in_exam(at("2026-11-22T10:00")) is None


def test_working_hours_leave_out_bank_holidays_but_not_school_holidays():
    assert calendar(*terms()).is_working(at("2026-08-20T08:00"))
    assert not calendar().is_working(at("2026-08-31T10:00"))
    assert not calendar().is_working(at("2026-08-20T17:00"))
    assert not calendar().is_working(at("2026-08-22T10:00"))


def test_a_schools_own_term_takes_the_place_of_the_common_one_only():
    own = Entry(Kind.TERM, "Own", D(2026, 9, 7), D(2026, 12, 11))
    autumn, spring = (
        Entry(Kind.TERM, "Common", D(2026, 9, 2), D(2026, 12, 18), everywhere=True),
        Entry(Kind.TERM, "Common", D(2027, 1, 4), D(2027, 3, 25), everywhere=True),
    )
    shut = Entry(Kind.CLOSURE, "Heat", D(2026, 9, 9), D(2026, 9, 9), everywhere=True)
    assert own_first([own, autumn, spring, shut]) == (own, spring, shut)


def test_a_holiday_a_week_off_the_common_one_takes_its_place():
    own = Entry(Kind.HALF_TERM, "Own", D(2026, 10, 19), D(2026, 10, 23))
    common = Entry(Kind.HALF_TERM, "Common", D(2026, 10, 26), D(2026, 10, 30), everywhere=True)
    assert own_first([own, common]) == (own,)


_days = st.one_of(st.sampled_from(CHANGES), st.dates(D(2026, 1, 1), D(2027, 8, 31)))
_bells = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda pair: pair[0] < pair[1]).map(lambda p: Bell(*p))
_calendars = st.builds(
    Calendar,
    st.sampled_from([LONDON, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("Australia/Lord_Howe")]),
    st.lists(
        st.builds(
            lambda kind, start, days: Entry(kind, "x", start, start + dt.timedelta(days=days)),
            st.sampled_from([kind for kind in Kind if kind is not Kind.EXAM]),
            _days,
            st.integers(0, 30),
        ),
        max_size=3,
    ).map(tuple),
    st.dictionaries(st.integers(0, 6), _bells, max_size=7),
)


def slowly_open(found: Calendar, moment: dt.datetime) -> bool:
    """The oracle: the wall clock's minute between the bells of a school day."""
    local = moment.astimezone(found.zone)
    bell = found.bells.get(local.weekday())
    is_school_day = found.day(local.date()).kind is DayKind.SCHOOL_DAY
    return bool(bell and is_school_day and bell.opens <= local.hour * 60 + local.minute < bell.closes)


@settings(max_examples=60)
@given(_calendars, _days, st.integers(0, 1439), st.integers(1, 2 * 1440))
def test_open_hours_agree_with_the_wall_clock_at_every_minute(found, date, minute, length):
    start = dt.datetime.combine(date, dt.time(), found.zone).astimezone(dt.UTC) + minute * MINUTE
    moments = [start + step * MINUTE for step in range(length)]
    slow = [slowly_open(found, moment) for moment in moments]
    assert [found.is_open(moment) for moment in moments] == slow
    assert found.open_seconds(start, start + length * MINUTE) == sum(slow) * 60


@settings(max_examples=60)
@given(_calendars, _days, st.integers(0, 1439))
def test_the_next_opening_and_closing_are_where_the_wall_clock_turns(found, date, minute):
    start = dt.datetime.combine(date, dt.time(), found.zone).astimezone(dt.UTC) + minute * MINUTE
    moments = [start + step * MINUTE for step in range(2 * 1440)]
    slow = [slowly_open(found, moment) for moment in moments]
    turns = [(moment, now) for moment, was, now in zip(moments[1:], slow, slow[1:], strict=False) if was != now]
    for expected, got in (
        (next((moment for moment, is_open in turns if is_open), None), found.next_open(start)),
        (next((moment for moment, is_open in turns if not is_open), None), found.next_close(start)),
    ):
        if expected is not None:
            assert got == expected
        else:
            assert got is None or got > moments[-1]


@settings(max_examples=40)
@given(_calendars, st.tuples(_days, _days, _days))
def test_open_time_adds_up(found, days):
    first, middle, last = sorted(dt.datetime.combine(day, dt.time(11, 7), dt.UTC) for day in days)
    whole = found.open_seconds(first, last)
    assert whole == pytest.approx(found.open_seconds(first, middle) + found.open_seconds(middle, last))
