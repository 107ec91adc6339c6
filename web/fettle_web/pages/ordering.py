"""What a form orders to be held back: where, when and how often, out of its fields; and an order's repetition in words.

Owns the reading of fields. What may be ordered is the stages' to decide (proactive.stages).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from fettle_server.db import Connection
from fettle_server.estate.calendars import queries as calendars
from fettle_server.proactive.stages.actions import Span
from fettle_server.proactive.stages.views import Reach, StagesError, SuppressionRow

LASTS = {1: "an hour", 4: "4 hours", 24: "a day", 72: "3 days", 168: "a week", 720: "30 days"}
"""For how many hours silence may be asked for."""
DAYS = {"MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday", "SA": "Saturday", "SU": "Sunday"}
_ONCE, _WEEKLY = "once", "weekly"

Fields = Mapping[str, str]


def until(fields: Fields, now: dt.datetime) -> dt.datetime:
    """When silence ends.

    Raises:
        StagesError: none of the lengths that the form has.
    """
    text = fields.get("hours", "")
    if not text.isascii() or not text.isdigit() or int(text) not in LASTS:
        raise StagesError("Choose for how long it is to be silent.")
    return now + dt.timedelta(hours=int(text))


def reach(fields: Fields) -> Reach:
    """Where: "school:1", "room:3", "pc:<id>", or empty for everywhere; and of which rule.

    Raises:
        StagesError: a place that the form does not have.
    """
    kind, _, name = fields.get("where", "").partition(":")
    rule = fields.get("rule") or None
    if not kind:
        return Reach(rule=rule)
    if kind == "pc":
        return Reach(endpoint_id=name, rule=rule)
    if kind not in ("school", "room") or not name.isascii() or not name.isdigit() or len(name) > 9:
        raise StagesError("Choose a place from the list.")
    return Reach(school_id=int(name), rule=rule) if kind == "school" else Reach(room_id=int(name), rule=rule)


def window(tx: Connection, fields: Fields, days: list[str], school_id: int | None) -> Span:
    """When a window is on, by the school's own clock: once, or every week on those days.

    Raises:
        StagesError: a day or an hour that cannot be read, or no day of the week.
    """
    calendar = calendars.calendar_of(tx, school_id) if school_id is not None else None
    zone = calendar.zone if calendar is not None else calendars.HOME
    day, begin, end = _day(fields.get("day", "")), _hour(fields.get("from", "")), _hour(fields.get("to", ""))
    starts = dt.datetime.combine(day, begin, zone)
    ends = dt.datetime.combine(day if end > begin else day + dt.timedelta(days=1), end, zone)
    if fields.get("often") != _WEEKLY:
        last = _day(fields["last"]) if fields.get("last") else None
        return Span(_utc(starts), _utc(ends if last is None else dt.datetime.combine(last, end, zone)))
    chosen = [name for name in DAYS if name in days]
    if not chosen:
        raise StagesError("Choose the days of the week on which the window is.")
    until_at = dt.datetime.combine(_day(fields["last"]), dt.time(23, 59), zone) if fields.get("last") else None
    rule = f"FREQ=WEEKLY;BYDAY={','.join(chosen)}"
    naive = dt.datetime.combine(day if end > begin else day + dt.timedelta(days=1), end) - dt.datetime.combine(day, begin)
    return Span(_utc(starts), _utc(until_at) if until_at else None, rule, naive)


def repeats(order: SuppressionRow) -> str:
    """How often an order is on: "every Tuesday, for 2 hours"; the rule itself where it is none of the form's."""
    if not order.rrule:
        return ""
    parts = dict(part.partition("=")[::2] for part in order.rrule.split(";"))
    days = [DAYS[day] for day in parts.get("BYDAY", "").split(",") if day in DAYS]
    if set(parts) == {"FREQ", "BYDAY"} and parts["FREQ"] == "WEEKLY" and days:
        first = ", ".join(days[:-1])
        return f"every {first} and {days[-1]}" if first else f"every {days[-1]}"
    return f"repeats by {order.rrule}"


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise StagesError("Give the day like 2026-11-24.") from error


def _hour(text: str) -> dt.time:
    try:
        return dt.time.fromisoformat(text)
    except ValueError as error:
        raise StagesError("Give the hours like 18:00.") from error
