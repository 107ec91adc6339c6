"""When a place takes changes: its windows in the school's own time, less its lessons, exams and freezes. Pure.

Owns the usual windows too. Who set others is in settings.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fettle_server.change.rollouts.plans import When
from fettle_server.estate.calendars.rules import DAY_MINUTES, Calendar, DayKind

HORIZON_DAYS = 90
"""How far ahead a window is looked for: longer than any summer holiday, or any sensible freeze."""
LEAST = dt.timedelta(minutes=10)
"""What is left of a window must be as long as this for anything to begin in it."""
MARGIN = dt.timedelta(minutes=30)
"""So long before lessons, an exam or a freeze nothing begins any more, so that it is over by then."""
LONGEST = dt.timedelta(hours=36)
_DAY = dt.timedelta(days=1)
_TERM = frozenset({DayKind.SCHOOL_DAY, DayKind.WEEKEND})
Piece = tuple[dt.datetime, dt.datetime]


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the week (0: Monday) and minutes of the day, over midnight where the end is not after the beginning.

    `when` is "term" (its weekends too), "holiday" (half-terms, INSET days, bank holidays and closures too) or "" (both).
    """

    days: tuple[int, ...]
    from_minute: int
    to_minute: int
    when: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a PC stands, as far as windows go by it."""

    school_id: int
    room_id: int | None
    endpoint_class: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A window and the place that it is for; None: all of them."""

    school_id: int | None
    room_id: int | None
    endpoint_class: str | None
    window: Window


@dataclass(frozen=True, slots=True)
class Frozen:
    """No change begins at a place (None: anywhere) between those times."""

    school_id: int | None
    room_id: int | None
    title: str
    starts: dt.datetime
    ends: dt.datetime


@dataclass(frozen=True, slots=True)
class Opening:
    """A time in which a place takes changes. `begins` is the window's own beginning, `start` not before the moment asked."""

    begins: dt.datetime
    start: dt.datetime
    end: dt.datetime


USUAL = (
    Window((0, 1, 2, 3, 4), 16 * 60 + 30, 21 * 60, "term"),
    Window((0, 1, 2, 3, 4), 8 * 60, 18 * 60, "holiday"),
)
"""Where nobody set a window. In term after lessons and clubs, and never in the morning: what goes wrong then meets the first
lesson before anybody can undo it. On weekdays of holidays by day, since PCs are on then if they are on at all."""
WHOLE_DAYS = (Window((0, 1, 2, 3, 4, 5, 6), 0, DAY_MINUTES),)


def windows_of(placed: Iterable[Placed], place: Place) -> tuple[Window, ...]:
    """The windows of the narrowest place that has any (a room, then a class of a school, then a school); else the usual."""
    fitting = [one for one in placed if _fits(one, place)]
    narrowest = max(map(_narrowness, fitting), default=0)
    return tuple(one.window for one in fitting if _narrowness(one) == narrowest) or USUAL


def freezes_of(freezes: Iterable[Frozen], place: Place) -> tuple[Frozen, ...]:
    """The freezes that count for the place."""
    return tuple(one for one in freezes if one.school_id in (None, place.school_id) and one.room_id in (None, place.room_id))


def end_of_patience(freezes: Iterable[Frozen], start: dt.datetime, patience: dt.timedelta) -> dt.datetime:
    """So long after the start, where the time of freezes is not counted."""
    end, counted = start + patience, start
    for one in sorted(freezes, key=lambda freeze: freeze.starts):
        if one.starts >= end:
            break
        if one.ends > counted:
            end += one.ends - max(one.starts, counted)
            counted = one.ends
    return end


def next_window(
    windows: Sequence[Window],
    calendar: Calendar,
    freezes: Sequence[Frozen],
    room_id: int | None,
    now: dt.datetime,
    *,
    when: When = When.WINDOWS,
) -> Opening | None:
    """The window that is open now, or the next one; None where there is none within the horizon.

    No part of it lies in a freeze, in an exam of the school or the room, or (but for ANY_TIME) between the bells of a school
    day, nor within half an hour before one of these.
    """
    for begins, end in openings(windows, calendar, freezes, room_id, now, when=when):
        start = max(begins, now)
        if end - start >= LEAST:
            return Opening(begins, start, end)
    return None


def openings(
    windows: Sequence[Window],
    calendar: Calendar,
    freezes: Sequence[Frozen],
    room_id: int | None,
    now: dt.datetime,
    *,
    when: When = When.WINDOWS,
) -> Iterator[Piece]:
    """The times from the day of `now` on in which the place takes changes, in order."""
    own = windows if when is When.WINDOWS else WHOLE_DAYS
    today = now.astimezone(calendar.zone).date()
    held: Piece | None = None
    for days in range(-1, HORIZON_DAYS):
        date = today + days * _DAY
        blocked = list(_blocked(calendar, freezes, room_id, date, when))
        for begins, end in _cut(_merged(_of_day(own, calendar, date)), blocked):
            if held is not None and begins <= held[1] and end - held[0] <= LONGEST:
                held = (held[0], max(held[1], end))
                continue
            if held is not None:
                yield held
            held = (begins, end)
    if held is not None:
        yield held


def _of_day(windows: Sequence[Window], calendar: Calendar, date: dt.date) -> list[Piece]:
    """The windows' pieces on that day, those over midnight from the evening before too."""
    found: list[Piece] = []
    for window in windows:
        over = window.to_minute <= window.from_minute
        if _counts(window, calendar, date):
            found += calendar.moments(date, window.from_minute, DAY_MINUTES if over else window.to_minute)
        if over and _counts(window, calendar, date - _DAY):
            found += calendar.moments(date, 0, window.to_minute)
    return found


def _counts(window: Window, calendar: Calendar, date: dt.date) -> bool:
    if date.weekday() not in window.days:
        return False
    return not window.when or (window.when == "term") == (calendar.day(date).kind in _TERM)


def _blocked(calendar: Calendar, freezes: Sequence[Frozen], room_id: int | None, date: dt.date, when: When) -> Iterator[Piece]:
    """What keeps changes out on that day and at the beginning of the next one, each with its margin before it."""
    for one in freezes:
        yield one.starts - MARGIN, one.ends
    for near in (date, date + _DAY):
        day = calendar.day(near)
        if when is When.WINDOWS and day.opens is not None and day.closes is not None:
            yield day.opens - MARGIN, day.closes
        for exam in calendar.exams_on(near):
            if exam.room_id in (None, room_id):
                ends = DAY_MINUTES if exam.to_minute is None else exam.to_minute
                for start, end in calendar.moments(near, exam.from_minute or 0, ends):
                    yield start - MARGIN, end


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    found: list[Piece] = []
    for begins, end in sorted(pieces):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begins, end))
    return found


def _cut(pieces: Iterable[Piece], blocked: Sequence[Piece]) -> list[Piece]:
    left = list(pieces)
    for from_, until in blocked:
        left = [
            part for begins, end in left for part in ((begins, min(end, from_)), (max(begins, until), end)) if part[0] < part[1]
        ]
    return sorted(left)


def _fits(one: Placed, place: Place) -> bool:
    return (
        one.school_id in (None, place.school_id)
        and one.room_id in (None, place.room_id)
        and one.endpoint_class in (None, place.endpoint_class)
    )


def _narrowness(one: Placed) -> int:
    return 1 + 4 * (one.room_id is not None) + 2 * (one.school_id is not None) + (one.endpoint_class is not None)
