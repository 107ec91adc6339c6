"""When a maintenance window that repeats is on: which recurrence rules will do, and their spans. Pure.

Only rules by the day, week, month and year are taken: a window within an hour would be a fault's way of life, and finer rules
could cost any amount of counting.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

LONGEST = dt.timedelta(days=14)
LIMIT = 300
_PARTS = frozenset({"FREQ", "INTERVAL", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYSETPOS", "WKST"})
_FREQUENCIES = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
_NOTHING_WITHIN = dt.timedelta(days=800)
_DAY = dt.timedelta(days=1)
_Span = tuple[dt.datetime, dt.datetime]


class RecurrenceError(ValueError):
    """A recurrence rule that will not do; the message says why."""


def check(text: str, starts_at: dt.datetime, duration: dt.timedelta, zone: ZoneInfo) -> str:
    """The rule as it is kept.

    Raises:
        RecurrenceError: not a rule, one that never comes, or a duration that cannot be.
    """
    text = text.strip().upper().removeprefix("RRULE:")
    parts = dict(part.partition("=")[::2] for part in text.split(";"))
    if len(text) > LIMIT or not set(parts) <= _PARTS or parts.get("FREQ") not in _FREQUENCIES:
        raise RecurrenceError("A repetition is like FREQ=WEEKLY;BYDAY=TU: by the day, week, month or year.")
    every = parts.get("INTERVAL", "1")
    if not (every.isascii() and every.isdigit() and len(every) <= 3 and int(every)):  # of 0 dateutil counts for ever
        raise RecurrenceError("The interval of a repetition is a number from 1 to 999.")
    if not dt.timedelta(minutes=1) <= duration <= LONGEST:
        raise RecurrenceError(f"A window that repeats lasts from one minute to {LONGEST.days} days.")
    try:
        found = spans(text, starts_at, duration, zone, between=(starts_at, starts_at + _NOTHING_WITHIN))
    except (ValueError, TypeError, OverflowError) as error:
        raise RecurrenceError(f"That repetition cannot be read: {error}.") from error
    if not found:
        raise RecurrenceError("That repetition never comes.")
    return text


@lru_cache(maxsize=8192)
def of_days(text: str, starts_at: dt.datetime, duration: dt.timedelta, zone: ZoneInfo, day: dt.date) -> tuple[_Span, ...]:
    """The spans that touch that day (UTC) and the two after it: detection asks every few seconds, for each window anew."""
    begin = dt.datetime.combine(day, dt.time(), dt.UTC)
    return spans(text, starts_at, duration, zone, between=(begin, begin + 3 * _DAY))


def spans(text: str, starts_at: dt.datetime, duration: dt.timedelta, zone: ZoneInfo, *, between: _Span) -> tuple[_Span, ...]:
    """The spans that touch the time between two moments, in UTC. The wall clock counts: 17:00 stays 17:00 in summer."""
    first = starts_at.astimezone(zone).replace(tzinfo=None)
    begin, end = (moment.astimezone(zone).replace(tzinfo=None) for moment in between)
    rule = rrulestr(f"{text};UNTIL={end:%Y%m%dT%H%M%S}", dtstart=first)
    found = (start.replace(tzinfo=zone).astimezone(dt.UTC) for start in rule.between(begin - duration, end, inc=True))
    return tuple((start, start + duration) for start in found if start + duration > between[0])
