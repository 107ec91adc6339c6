"""Windows: the narrowest place's, less lessons, exams and freezes, across weekends, holidays and the clock changes."""

from __future__ import annotations

import datetime as dt
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from fettle_server.change.rollouts.plans import When
from fettle_server.change.rollouts.windows import (
    LEAST,
    MARGIN,
    USUAL,
    Frozen,
    Place,
    Placed,
    Window,
    freezes_of,
    next_window,
    openings,
    windows_of,
)
from fettle_server.estate.calendars.rules import Calendar, Entry, Kind
from hypothesis import given, settings
from hypothesis import strategies as st

LONDON = ZoneInfo("Europe/London")
PLAIN = Calendar(LONDON)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def at(day, hour, minute=0, month=11):
    return dt.datetime(2026, month, day, hour, minute, tzinfo=LONDON).astimezone(dt.UTC)


def exam(day, room=None, begins=9 * 60, ends=12 * 60):
    date = dt.date(2026, 11, day)
    return Entry(Kind.EXAM, "Maths", date, date, begins, ends, room)


@pytest.mark.parametrize(
    ("now", "begins", "ends"),
    [
        (at(23, 12), at(23, 16, 30), at(23, 21)),  # Monday noon: this evening
        (at(23, 18), at(23, 18), at(23, 21)),  # it is open
        (at(23, 20, 55), at(24, 16, 30), at(24, 21)),  # too little is left
        (at(27, 22), at(30, 16, 30), at(30, 21)),  # Friday night: on Monday
    ],
)
def test_the_usual_windows_are_evenings_after_school(now, begins, ends):
    found = next_window(USUAL, PLAIN, (), None, now)
    assert (found.start, found.end) == (begins, ends)


def test_half_terms_and_inset_days_take_changes_by_day():
    entries = (Entry(Kind.HALF_TERM, "Half-term", dt.date(2026, 11, 24), dt.date(2026, 11, 25)),)
    found = next_window(USUAL, Calendar(LONDON, entries), (), None, at(23, 21))
    assert (found.start, found.end) == (at(24, 8), at(24, 18))


def test_a_window_over_midnight_is_one_window():
    found = next_window((Window((0,), 22 * 60, 6 * 60),), PLAIN, (), None, at(24, 1))
    assert (found.begins, found.start, found.end) == (at(23, 22), at(24, 1), at(24, 6))


def test_no_window_reaches_into_lessons_nor_half_an_hour_before_them():
    found = next_window((Window((0, 1, 2, 3, 4), 6 * 60, 18 * 60),), PLAIN, (), None, at(23, 5))
    assert found.end == at(23, 8)
    after = next_window((Window((0, 1, 2, 3, 4), 6 * 60, 18 * 60),), PLAIN, (), None, at(23, 10))
    assert (after.start, after.end) == (at(23, 15, 30), at(23, 18))


def test_any_time_is_lessons_too_but_no_exam_of_this_room():
    calendar = Calendar(LONDON, (exam(23, room=7),))
    assert next_window((), calendar, (), 8, at(23, 10), when=When.ANY_TIME).start == at(23, 10)
    assert next_window((), calendar, (), 7, at(23, 10), when=When.ANY_TIME).start == at(23, 12)
    assert next_window((), calendar, (), 7, at(23, 5), when=When.ANY_TIME).end == at(23, 8, 30)


def test_the_night_of_a_clock_change_is_as_long_as_it_is():
    found = next_window((Window((6,), 0, 6 * 60),), PLAIN, (), None, at(25, 0, month=10))
    assert found.end - found.start == 7 * HOUR


def test_the_narrowest_place_that_has_any_window_wins():
    rows = [
        Placed(None, None, None, Window((0,), 0, 60)),
        Placed(1, None, None, Window((1,), 0, 60)),
        Placed(1, None, "server", Window((2,), 0, 60)),
        Placed(1, 5, None, Window((3,), 0, 60)),
    ]

    def days(*place):
        return [window.days[0] for window in windows_of(rows, Place(*place))]

    assert days(2, None, "fixed suite") == [0]
    assert days(1, 6, "fixed suite") == [1]
    assert days(1, 6, "server") == [2]
    assert days(1, 5, "server") == [3]
    assert windows_of((), Place(1, None, "server")) == USUAL


def test_a_freeze_counts_for_its_place_only():
    frozen = [
        Frozen(1, 5, "a", at(1, 0), at(2, 0)),
        Frozen(2, None, "b", at(1, 0), at(2, 0)),
        Frozen(None, None, "c", at(1, 0), at(2, 0)),
    ]
    assert [one.title for one in freezes_of(frozen, Place(1, 5, "server"))] == ["a", "c"]
    assert [one.title for one in freezes_of(frozen, Place(1, None, "server"))] == ["c"]


def test_a_freeze_without_end_leaves_no_window():
    assert next_window(USUAL, PLAIN, [Frozen(None, None, "x", at(1, 0), at(1, 0) + 300 * DAY)], None, at(23, 9)) is None


moments = st.integers(0, 120 * 24 * 60).map(lambda minutes: at(1, 0, month=9) + dt.timedelta(minutes=minutes))
minutes = st.integers(0, 24 * 60 - 1)
own_windows = st.lists(
    st.builds(
        Window, st.lists(st.integers(0, 6), min_size=1).map(tuple), minutes, minutes, st.sampled_from(["", "term", "holiday"])
    ),
    max_size=3,
)
all_freezes = st.lists(
    st.builds(lambda start, hours: Frozen(None, None, "f", start, start + hours * HOUR), moments, st.integers(1, 100)),
    max_size=4,
)
all_exams = st.lists(
    st.builds(exam, st.integers(1, 30), st.sampled_from([None, 7]), st.just(540), st.integers(560, 1100)), max_size=4
)


@settings(max_examples=60)
@given(own_windows, all_freezes, all_exams, moments, st.sampled_from(When))
def test_nothing_may_begin_in_a_freeze_an_exam_or_a_lesson(windows, freezes, exams, now, when):
    calendar = Calendar(LONDON, tuple(exams))
    found = next_window(windows, calendar, freezes, 7, now, when=when)
    if found is None:
        return
    assert now <= found.start
    assert found.end - found.start >= LEAST
    step = (found.end - found.start) / 7
    for moment in (found.start + step * part for part in range(7)):
        assert not any(one.starts - MARGIN <= moment < one.ends for one in freezes)
        assert calendar.in_exam(moment, 7) is None
        assert when is When.ANY_TIME or not calendar.is_open(moment)


@settings(max_examples=30)
@given(own_windows, all_freezes, moments)
def test_openings_come_in_order_and_do_not_overlap(windows, freezes, now):
    found = list(islice(openings(windows, PLAIN, freezes, None, now), 20))
    assert all(begins < end for begins, end in found)
    assert all(first[1] <= second[0] for first, second in pairwise(found))
