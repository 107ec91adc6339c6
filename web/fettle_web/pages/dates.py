"""Days and times of the day as calendars' pages show them and their forms send them."""

from __future__ import annotations

import calendar as months_of
import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass

from fettle_server.estate.calendars.rules import Calendar, CalendarError, DayKind

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAY_WORDS = {
    DayKind.SCHOOL_DAY: "school day",
    DayKind.WEEKEND: "weekend",
    DayKind.HOLIDAY: "holiday",
    DayKind.HALF_TERM: "half term",
    DayKind.INSET: "INSET day",
    DayKind.BANK_HOLIDAY: "bank holiday",
    DayKind.CLOSURE: "closure",
}
_TIME = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class DayCell:
    """A day of the strip: its kind, whether exams are sat, and what it is called."""

    date: dt.date
    kind: DayKind
    is_exam: bool
    is_today: bool
    title: str


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the strip: its days after `blanks` empty places, and its days in words."""

    name: str
    blanks: int
    days: tuple[DayCell, ...]
    words: str


def months(calendar: Calendar, year: int, today: dt.date) -> list[Month]:
    """The twelve months of the school year that begins in September of `year`."""
    return [_month(calendar, year + (number > 12), (number - 1) % 12 + 1, today) for number in range(9, 21)]


def _month(calendar: Calendar, year: int, month: int, today: dt.date) -> Month:
    first, length = dt.date(year, month, 1), months_of.monthrange(year, month)[1]
    days = tuple(_cell(calendar, first + dt.timedelta(days=number), today) for number in range(length))
    counts = Counter(DAY_WORDS[cell.kind] for cell in days if cell.kind is not DayKind.WEEKEND)
    told = ", ".join(f"{count} {word}{'s' if count != 1 and word != 'half term' else ''}" for word, count in counts.items())
    exams = sum(cell.is_exam for cell in days)
    return Month(f"{first:%B} {year}", first.weekday(), days, told + (f"; exams on {exams} days" if exams else ""))


def _cell(calendar: Calendar, date: dt.date, today: dt.date) -> DayCell:
    day = calendar.day(date)
    exam = next((one for one in calendar.exams_on(date)), None)
    title = f"{date:%A} {date.day} {date:%B}: {day.title}" + (f"; {exam.title}" if exam else "")
    return DayCell(date, day.kind, exam is not None, date == today, title)


def clock_text(minute: int | None) -> str:
    """A minute of the day as a clock shows it; nothing for none."""
    return "" if minute is None else f"{minute // 60:02}:{minute % 60:02}"


def read_minute(text: str) -> int | None:
    """The minute of the day that a form's time says; None for an empty field.

    Raises:
        CalendarError: no time.
    """
    if not text.strip():
        return None
    match = _TIME.fullmatch(text.strip()[:5])
    if match is None:
        raise CalendarError(f"{text.strip()[:20]} is not a time such as 09:30.")
    return int(match[1]) * 60 + int(match[2])


def read_date(text: str) -> dt.date:
    """The day that a form says.

    Raises:
        CalendarError: no day.
    """
    try:
        return dt.date.fromisoformat(text.strip())
    except ValueError as error:
        raise CalendarError("Give the first day, such as 2026-10-26.") from error
