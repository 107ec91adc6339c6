"""Windows that repeat: in the school's own time, and only rules whose counting is bounded."""

from __future__ import annotations

import datetime as dt
import time
from zoneinfo import ZoneInfo

import pytest
from fettle_server.proactive.stages import recurrence
from fettle_server.proactive.stages.recurrence import RecurrenceError, check, spans
from hypothesis import given, settings
from hypothesis import strategies as st

LONDON = ZoneInfo("Europe/London")
START = dt.datetime(2026, 1, 6, 17, 0, tzinfo=dt.UTC)
HOURS = dt.timedelta(hours=3)
DAY = dt.timedelta(days=1)


def test_five_in_the_afternoon_stays_five_in_summer():
    june = dt.datetime(2026, 6, 8, tzinfo=dt.UTC)
    ((start, end),) = spans("FREQ=WEEKLY;BYDAY=TU", START, HOURS, LONDON, between=(june, june + 7 * DAY))
    assert start == dt.datetime(2026, 6, 9, 16, 0, tzinfo=dt.UTC)
    assert end - start == HOURS


def test_a_span_that_began_before_still_counts():
    at = START + dt.timedelta(hours=1)
    assert spans("FREQ=DAILY", START, HOURS, LONDON, between=(at, at)) == ((START, START + HOURS),)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "FREQ=SECONDLY", "FREQ=DAILY;COUNT=3", "FREQ=DAILY;BYSECOND=1,2", "FREQ=WEEKLY;BYDAY=XX",
     "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=31", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=999999999999"],
)  # fmt: skip
def test_a_repetition_that_cannot_be_is_refused_quickly(text):
    began = time.thread_time()
    with pytest.raises(RecurrenceError):
        check(text, START, HOURS, LONDON)
    assert time.thread_time() - began < 2


def test_a_window_must_end_before_it_is_a_way_of_life():
    with pytest.raises(RecurrenceError):
        check("FREQ=DAILY", START, dt.timedelta(days=15), LONDON)
    assert check(" rrule:freq=weekly;byday=tu ", START, HOURS, LONDON) == "FREQ=WEEKLY;BYDAY=TU"


@given(st.integers(0, 72), st.integers(1, 100), st.sampled_from(["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SU", "FREQ=MONTHLY"]))
@settings(max_examples=60)
def test_the_spans_of_some_days_are_those_of_the_whole_series(hours, length, rule):
    zone, start = ZoneInfo("Europe/London"), dt.datetime(2026, 9, 6, 23, tzinfo=dt.UTC)
    now = dt.datetime(2026, 10, 25, tzinfo=dt.UTC) + dt.timedelta(hours=hours)  # the clock is put back on that day
    series, begin = (rule, start, dt.timedelta(hours=length), zone), now - dt.timedelta(days=1)
    near = {span for span in recurrence.of_days(*series, begin.date()) if span[1] > begin and span[0] <= now}
    assert near == {span for span in recurrence.spans(*series, between=(begin, now)) if span[0] <= now}
