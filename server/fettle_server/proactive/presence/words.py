"""What presence says of one endpoint to people: whether it is expected, why its silence is a fault or not. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from fettle_server.estate.calendars.rules import Calendar, DayKind
from fettle_server.proactive.presence import rules
from fettle_server.proactive.presence.rules import Expectation, Turnout
from fettle_server.proactive.sentences import ago


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one endpoint's presence; `ready` is from when on the server may judge silence."""

    endpoint_class: str
    connected: bool
    last_seen: dt.datetime | None
    leave: str
    left_at: dt.datetime | None
    back_by: dt.datetime | None
    absent_since: dt.datetime | None
    turnout: Turnout
    hours: bytes | None


def sentence(known: Known, calendar: Calendar, now: dt.datetime) -> str:
    """Whether it is expected now, and what its silence means, in one sentence."""
    if known.last_seen is None:
        return "Not expected: it was never heard."
    when = rules.expectation(known.endpoint_class)
    if when is Expectation.NEVER:
        name = known.endpoint_class.capitalize()
        return f"{name}: absence is no fault; {_heard(known, now)}."
    if known.connected:
        return "Expected always, and heard." if when is Expectation.ALWAYS else _there(calendar, now)
    if known.absent_since is not None:
        return _missed(known, calendar, now)
    if known.leave == "restarting" and known.back_by is not None and now < known.back_by + rules.RESTART_SLACK:
        since, back_by = (_time(at, calendar, now) for at in (known.left_at or now, known.back_by))
        return f"Restarting since {since}: expected back by {back_by}."
    if when is Expectation.ALWAYS:
        return f"Expected always; not heard of since {_time(known.left_at or known.last_seen, calendar, now)}."
    return _off(known, calendar, now)


def _there(calendar: Calendar, now: dt.datetime) -> str:
    return "Expected while the school is open, and heard." if calendar.is_open(now) else "Heard, though nobody expects it now."


def _missed(known: Known, calendar: Calendar, now: dt.datetime) -> str:
    since = _time(known.absent_since or now, calendar, now)
    run = known.turnout.missed
    days = f": {_nth(run + 1)} day in use without it" if run else ""
    return f"Expected since {since} and not heard of{days}. {rules.how_it_left(known.leave)}."


def _off(known: Known, calendar: Calendar, now: dt.datetime) -> str:
    local = now.astimezone(calendar.zone)
    day = calendar.day(local.date())
    if day.kind is not DayKind.SCHOOL_DAY:
        return f"Not expected: {_closed(day.kind, day.title)}{_until(calendar, now)}."
    since = f"Off since {_time(known.left_at or known.last_seen or now, calendar, now)}"
    if known.turnout.missed:
        share = f"{known.turnout.habit:.0%}"
        return f"{since}; missed {_many(known.turnout.missed, 'day')} in use so far, and is usually there on {share} of them."
    if not calendar.is_open(now) or rules.share(known.hours, local.weekday(), local.hour) < rules.USUAL:
        return f"{since}, as usual."
    return f"{since}; it is usually on at this time, and one absence is no fault yet."


_CLOSED = {
    DayKind.WEEKEND: "weekend",
    DayKind.HOLIDAY: "school holiday",
    DayKind.HALF_TERM: "half-term",
    DayKind.INSET: "INSET day",
    DayKind.BANK_HOLIDAY: "bank holiday",
    DayKind.CLOSURE: "the school is closed",
}


def _closed(kind: DayKind, title: str) -> str:
    word = _CLOSED.get(kind, "no school")
    return f"{word} ({title})" if kind in (DayKind.BANK_HOLIDAY, DayKind.CLOSURE) and title else word


def _until(calendar: Calendar, now: dt.datetime) -> str:
    opens = calendar.next_open(now)
    if opens is None:
        return ""
    local = opens.astimezone(calendar.zone)
    return f" until {local.day} {local:%B}"


def _heard(known: Known, now: dt.datetime) -> str:
    if known.connected or known.last_seen is None:
        return "it is heard now"
    return f"last heard {ago(now - known.last_seen)}"


def _time(at: dt.datetime, calendar: Calendar, now: dt.datetime) -> str:
    """The school's wall time; with the day where it is another one."""
    local = at.astimezone(calendar.zone)
    return f"{local:%H:%M}" if local.date() == now.astimezone(calendar.zone).date() else f"{local.day} {local:%B} {local:%H:%M}"


def _nth(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
