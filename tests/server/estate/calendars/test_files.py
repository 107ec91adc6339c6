"""Calendar files: our own come back as they went, strangers' are understood as far as they can be, hostile ones refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from zoneinfo import ZoneInfo

import icalendar
import pytest
from dateutil.rrule import rrulestr
from fettle_server.estate.calendars import files, recurrence
from fettle_server.estate.calendars.files import Dated
from fettle_server.estate.calendars.rules import CalendarError, Kind
from hypothesis import example, given, settings
from hypothesis import strategies as st

LONDON = ZoneInfo("Europe/London")
NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
D = dt.date


def ics(*events: str) -> bytes:
    bodies = "".join(f"BEGIN:VEVENT\r\n{event.strip()}\r\nEND:VEVENT\r\n" for event in events)
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{bodies}END:VCALENDAR\r\n".encode()


def read(*events: str) -> files.Reading:
    return files.read(ics(*events), LONDON, NOW.date())


def day(title: str, first: str = "20260907", end: str = "", more: str = "") -> str:
    last = f"DTEND;VALUE=DATE:{end}\r\n" if end else ""
    return f"UID:{title}@x\r\nSUMMARY:{title}\r\nDTSTART;VALUE=DATE:{first}\r\n{last}{more}"


_text = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=60).map(str.strip).filter(bool)
_dates = st.dates(D(2001, 1, 1), D(2099, 1, 1))
_whole_days = st.builds(
    lambda kind, title, start, days, uid: Dated(kind, title, start, start + dt.timedelta(days=days), uid, uid),
    st.sampled_from(Kind), _text, _dates, st.integers(0, 399), st.uuids().map(str),
)  # fmt: skip
_exams = st.builds(
    lambda title, start, days, uid, minutes, room: Dated(
        Kind.EXAM, title, start, start + dt.timedelta(days=days), uid, uid, min(minutes), max(minutes), room
    ),
    _text, _dates, st.integers(0, 60), st.uuids().map(str),
    st.tuples(st.integers(0, 1440), st.integers(0, 1440)).filter(lambda pair: pair[0] != pair[1]), st.just("") | _text,
)  # fmt: skip


@settings(max_examples=60)
@example([Dated(Kind.INSET, r"\Nas;,\\n", D(2026, 9, 7), D(2026, 9, 7), "a", "a")])
@given(st.lists(_whole_days | _exams, max_size=4, unique_by=lambda entry: entry.uid))
def test_our_own_export_comes_back_exactly(entries):
    reading = files.read(files.write("Harbour", entries, LONDON, NOW), LONDON, NOW.date())
    assert reading.unplaced == ()
    assert sorted(reading.taken, key=lambda one: one.uid) == sorted(entries, key=lambda one: one.uid)


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Half-term", Kind.HALF_TERM),
        ("October half term break", Kind.HALF_TERM),
        ("INSET day", Kind.INSET),
        ("School closed for staff training", Kind.INSET),
        ("Early May Bank Holiday", Kind.BANK_HOLIDAY),
        ("GCSE exams", Kind.EXAM),
        ("A-level Physics paper 1", Kind.EXAM),
        ("KS2 SATs week", Kind.EXAM),
        ("School closed: polling station", Kind.CLOSURE),
        ("Christmas holidays", Kind.HOLIDAY),
        ("Easter break", Kind.HOLIDAY),
    ],
)
def test_a_title_says_what_an_event_is(title, kind):
    assert [entry.kind for entry in read(day(title)).taken] == [kind]


@pytest.mark.parametrize(
    "title", ["GCSE results day", "Year 9 options evening", "Football match", "Holiday club", "Term fees due"]
)
def test_what_is_no_entry_is_left_with_a_reason(title):
    reading = read(day(title))
    assert reading.taken == ()
    assert reading.unplaced[0].why.endswith(".")


def test_categories_speak_before_the_title():
    assert read(day("Bonfire night", more="CATEGORIES:School,Half Term")).taken[0].kind is Kind.HALF_TERM


def test_whole_days_end_the_day_before_dtend():
    entry = read(day("Half term", "20261026", "20261031")).taken[0]
    assert (entry.starts_on, entry.ends_on) == (D(2026, 10, 26), D(2026, 10, 30))


def test_a_term_is_made_from_the_days_that_begin_and_end_it():
    reading = read(day("Autumn term starts", "20260902"), day("Last day of term", "20261218"), day("Term begins", "20270104"))
    assert [(one.title, one.starts_on, one.ends_on) for one in reading.taken] == [
        ("Autumn term", D(2026, 9, 2), D(2026, 12, 18))
    ]
    assert [one.starts_on for one in reading.unplaced] == [D(2027, 1, 4)]


def test_a_term_of_a_day_is_no_term():
    assert read(day("Summer term")).unplaced[0].why == "A term lasts longer than that."


def test_times_are_read_in_their_zone_and_kept_in_the_schools():
    event = "UID:1\r\nSUMMARY:Exam\r\nLOCATION:Hall\r\nDTSTART;TZID=America/New_York:20260601T040000\r\nDURATION:PT90M"
    entry = read(event).taken[0]
    assert (entry.starts_on, entry.from_minute, entry.to_minute, entry.room) == (D(2026, 6, 1), 540, 630, "Hall")


def test_recurring_events_leave_out_and_move_days():
    weekly = "UID:1\r\nSUMMARY:INSET\r\nDTSTART;VALUE=DATE:20260907\r\nRRULE:FREQ=WEEKLY;COUNT=4\r\nEXDATE;VALUE=DATE:20260914"
    moved = "UID:1\r\nSUMMARY:INSET\r\nDTSTART;VALUE=DATE:20260923\r\nRECURRENCE-ID;VALUE=DATE:20260921"
    days = [one.starts_on.day for one in read(weekly, moved).taken]
    assert days == [7, 23, 28]
    assert len({one.uid for one in read(weekly, moved).taken}) == 3


def test_a_rule_without_an_end_stops_a_few_years_ahead():
    reading = read(day("Bank holiday", "20200101", more="RRULE:FREQ=YEARLY"))
    assert [reading.taken[0].starts_on.year, reading.taken[-1].starts_on.year] == [2025, 2031]


@pytest.mark.parametrize(
    "rule", ["FREQ=SECONDLY", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;BYHOUR=1", "FREQ=DAILY;BYEASTER=1", "FREQ=NEVER", "COUNT=3"]
)
def test_rules_made_to_run_for_ever_are_refused(rule):
    reading = read(day("INSET", more=f"RRULE:{rule}"))
    assert reading.taken == ()


def test_a_cancelled_event_is_not_taken_but_named_as_gone():
    reading = read(day("INSET", more="STATUS:CANCELLED"))
    assert (reading.taken, reading.cancelled) == ((), {"INSET@x"})


def test_part_of_a_day_shuts_no_school():
    event = "UID:1\r\nSUMMARY:School closed\r\nDTSTART:20260907T120000Z\r\nDTEND:20260907T140000Z"
    assert "part of a day" in read(event).unplaced[0].why


def test_one_damaged_event_does_not_cost_the_others():
    reading = read("UID:1\r\nSUMMARY:INSET\r\nDTSTART:yesterday", day("INSET"))
    assert (len(reading.taken), len(reading.unplaced)) == (1, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"%PDF-1.7",
        b"\xff\xfe\x00",
        b"BEGIN:VCALENDAR",
        b"BEGIN:VCALENDAR\r\nEND:VEVENT\r\n",
        b"BEGIN:VCALENDAR\r\n" + b"BEGIN:X\r\n" * 50_000,
        b"BEGIN:VCALENDAR\r\n" + b"x" * 1024 * 1024,
        ics(*[day("INSET")] * 2001),
    ],
)
def test_what_is_no_calendar_is_refused_in_words(content):
    with pytest.raises(CalendarError, match=r"^This "):
        files.read(content, LONDON, NOW.date())


def test_a_hostile_file_costs_little_time():
    zone = "BEGIN:VTIMEZONE\r\nTZID:Evil\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:+0100"
    zone += "\r\nRRULE:FREQ=SECONDLY\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    never = [day(f"INSET {n}", more="RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30") for n in range(150)]
    timed = "UID:1\r\nSUMMARY:Exam\r\nDTSTART;TZID=Evil:20260601T090000\r\nDURATION:PT1H"
    started = time.process_time()
    reading = files.read(ics(*never, timed).replace(b"PRODID:x\r\n", b"PRODID:x\r\n" + zone.encode()), LONDON, NOW.date())
    assert time.process_time() - started < 5
    assert [entry.from_minute for entry in reading.taken if entry.title == "Exam"] == [540]


@settings(max_examples=60)
@given(st.binary(max_size=300) | st.text("BEGINDVT:;=\r\n 0129RULE-X", max_size=300).map(str.encode))
def test_no_text_breaks_the_reader(junk):
    for content in (junk, b"BEGIN:VCALENDAR\r\n" + junk, ics(junk.decode(errors="ignore"))):
        with contextlib.suppress(CalendarError):
            files.read(content, LONDON, NOW.date())


_rules = st.builds(
    lambda freq, interval, days, months: f"FREQ={freq};INTERVAL={interval}{days}{months}",
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY;BYMONTH=5"]),
    st.integers(1, 4),
    st.sampled_from(["", ";BYDAY=MO,TH", ";BYMONTHDAY=5,-1", ";BYMONTHDAY=28"]),
    st.sampled_from(["", ";COUNT=7", ";UNTIL=20280101"]),
)


@settings(max_examples=80)
@given(_rules, st.dates(D(2026, 1, 1), D(2026, 12, 31)))
def test_recurring_days_are_those_of_a_general_reader(text, start):
    latest = D(2028, 6, 1)
    rule = recurrence.understood(icalendar.vRecur.from_ical(text))
    general = rrulestr(text, dtstart=dt.datetime.combine(start, dt.time())).between(
        dt.datetime.combine(start, dt.time()), dt.datetime.combine(latest, dt.time()), inc=True
    )
    expected = {moment.date() for moment in general}
    if "COUNT" in text and start not in expected:
        return  # whether a first day that does not fit counts is left open
    assert set(recurrence.days(rule, start, latest)[:400]) == ({start} | set(sorted({start} | expected)[:400]))


@pytest.mark.parametrize(
    ("text", "expected"), [("FREQ=MONTHLY;BYDAY=1MO", [2, 2, 6]), ("FREQ=MONTHLY;BYDAY=-1FR", [2, 27, 27])]
)
def test_the_first_and_the_last_weekday_of_a_month(text, expected):
    rule = recurrence.understood(icalendar.vRecur.from_ical(text))
    assert [day.day for day in recurrence.days(rule, D(2026, 2, 2), D(2026, 6, 1))][:3] == expected
