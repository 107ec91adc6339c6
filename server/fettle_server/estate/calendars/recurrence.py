"""The days on which an event recurs, from an iCalendar rule. Pure, and bounded whatever the rule says.

Owns the few rules that calendars of schools use: every so many days, weeks, months or years, on weekdays, days or months.
A general reader of rules (dateutil's) looks for the day of an impossible rule, such as 30 February, until the year 9999.
Source: RFC 5545, 3.3.10.
"""

from __future__ import annotations

import calendar
import datetime as dt
from dataclasses import dataclass
from typing import Any

MAX_OCCURRENCES = 400
_PARTS = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "WKST"})
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was understood. A weekday has which one of the month it is: 1 the first, -1 the last, 0 each."""

    frequency: str
    interval: int = 1
    count: int = MAX_OCCURRENCES
    until: dt.date = dt.date.max
    weekdays: frozenset[tuple[int, int]] = frozenset()
    month_days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()


def understood(parts: Any) -> Rule | None:
    """The rule in an event's RRULE as icalendar parsed it; None where it is none that is read here."""
    try:
        return _understood(parts) if set(parts) <= _PARTS else None
    except (TypeError, ValueError, AttributeError, LookupError):
        return None


def days(rule: Rule, start: dt.date, latest: dt.date) -> list[dt.date]:
    """The days from `start` to `latest` on which an event of that first day recurs; at most 400."""
    found: list[dt.date] = []
    day, last = start, min(rule.until, latest)
    while day <= last and len(found) < min(rule.count, MAX_OCCURRENCES):
        if day == start or _fits(rule, start, day):
            found.append(day)
        day += _DAY
    return found


def _understood(parts: Any) -> Rule | None:
    frequency, interval = str(parts["FREQ"][0]), int(parts.get("INTERVAL", [1])[0])
    count = int(parts.get("COUNT", [MAX_OCCURRENCES])[0])
    if frequency not in _FREQUENCIES or interval < 1 or count < 1:
        return None
    until = parts.get("UNTIL", [dt.date.max])[0]
    return Rule(
        frequency,
        interval,
        count,
        until.date() if isinstance(until, dt.datetime) else until,
        frozenset((_WEEKDAYS.index(day.weekday), day.relative or 0) for day in parts.get("BYDAY", [])),
        frozenset(int(day) for day in parts.get("BYMONTHDAY", [])),
        frozenset(int(month) for month in parts.get("BYMONTH", [])),
    )


def _fits(rule: Rule, start: dt.date, day: dt.date) -> bool:
    if _periods(rule.frequency, start, day) % rule.interval or (rule.months and day.month not in rule.months):
        return False
    length = calendar.monthrange(day.year, day.month)[1]
    if rule.month_days and not rule.month_days & {day.day, day.day - length - 1}:
        return False
    if rule.weekdays:
        which = ((day.day - 1) // 7 + 1, -((length - day.day) // 7 + 1), 0)
        return any((day.weekday(), nth) in rule.weekdays for nth in which)
    return bool(rule.month_days) or _falls_alike(rule, start, day)


def _periods(frequency: str, start: dt.date, day: dt.date) -> int:
    """How many days, weeks (from Monday), months or years lie between."""
    if frequency == "DAILY":
        return (day - start).days
    if frequency == "WEEKLY":
        return ((day - start).days + start.weekday()) // 7
    years = day.year - start.year
    return years if frequency == "YEARLY" else years * 12 + day.month - start.month


def _falls_alike(rule: Rule, start: dt.date, day: dt.date) -> bool:
    """True where the day falls in its week, month or year as the first one did."""
    if rule.frequency == "DAILY":
        return True
    if rule.frequency == "WEEKLY":
        return day.weekday() == start.weekday()
    return day.day == start.day and (rule.frequency == "MONTHLY" or bool(rule.months) or day.month == start.month)
