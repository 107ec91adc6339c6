"""The school year 2025/26 in England as the played schools live it: terms, holidays, INSET days, exams, and a day of snow.

Owns which days are school days. The snow day is in no calendar that anybody enters: it is part of the noise.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
DAY = dt.timedelta(days=1)
OPENS, CLOSES = 8.5, 15.5
"""Hours of the day between which a school keeps its doors open to pupils."""

LESSONS = (8.9, 9.9, 11.2, 12.2, 13.6, 14.5)
"""When lessons begin, in hours of the local day; the last one ends at CLOSES."""

TERMS = (
    (dt.date(2025, 9, 1), dt.date(2025, 12, 19)),
    (dt.date(2026, 1, 5), dt.date(2026, 3, 27)),
    (dt.date(2026, 4, 13), dt.date(2026, 7, 21)),
    (dt.date(2026, 9, 2), dt.date(2026, 12, 18)),
)
HALF_TERMS = (
    (dt.date(2025, 10, 27), dt.date(2025, 10, 31)),
    (dt.date(2026, 2, 16), dt.date(2026, 2, 20)),
    (dt.date(2026, 5, 25), dt.date(2026, 5, 29)),
    (dt.date(2026, 10, 26), dt.date(2026, 10, 30)),
)
BANK_HOLIDAYS = (dt.date(2026, 5, 4),)
"""Only those that fall on a weekday of a term."""

EXAMS = ((dt.date(2026, 5, 11), dt.date(2026, 5, 22)), (dt.date(2026, 6, 1), dt.date(2026, 6, 19)))
SUMMER_WORK = (dt.date(2026, 7, 27), dt.date(2026, 8, 14))
"""When rooms are imaged anew."""

_INSET_CANDIDATES = (
    dt.date(2025, 10, 24), dt.date(2025, 11, 28), dt.date(2026, 1, 5), dt.date(2026, 2, 13), dt.date(2026, 4, 13),
    dt.date(2026, 6, 26), dt.date(2026, 7, 20), dt.date(2026, 9, 2),
)  # fmt: skip
_SNOW_DAYS = tuple(dt.date(2026, 1, 12) + n * DAY for n in range(26))


@dataclass(frozen=True, slots=True)
class Year:
    """One school's year. `snow` closes it without a line in any calendar."""

    insets: frozenset[dt.date]
    snow: frozenset[dt.date]

    def in_term(self, date: dt.date) -> bool:
        """A weekday on which the school should be open, INSET days included."""
        if date.weekday() >= 5 or date in BANK_HOLIDAYS:
            return False
        return _within(date, TERMS) and not _within(date, HALF_TERMS)

    def is_lesson_day(self, date: dt.date) -> bool:
        """Pupils are there."""
        return self.in_term(date) and date not in self.insets and date not in self.snow

    def kind(self, date: dt.date) -> str:
        """What the day is, in a word."""
        if date in self.snow:
            return "snow day"
        if date.weekday() >= 5:
            return "weekend"
        if _within(date, HALF_TERMS):
            return "half-term"
        if not self.in_term(date):
            return "holiday"
        return "INSET day" if date in self.insets else "lessons"


def draw_year(dice: random.Random, snow: frozenset[dt.date]) -> Year:
    """A school's year with its own INSET days, and the borough's snow."""
    return Year(frozenset(dice.sample(_INSET_CANDIDATES, 5)), snow)


def draw_snow(dice: random.Random) -> frozenset[dt.date]:
    """One day on which it snows so much that every school stays shut."""
    return frozenset({dice.choice([date for date in _SNOW_DAYS if date.weekday() < 5])})


def at(date: dt.date, hour: float) -> float:
    """Seconds since the epoch of that hour of the local day (26.5: half past two in the night after)."""
    return _noon(date) + (hour - 12) * 3600


@lru_cache(maxsize=2000)
def _noon(date: dt.date) -> float:
    return dt.datetime.combine(date, dt.time(12), LONDON).timestamp()


def _within(date: dt.date, spans: tuple[tuple[dt.date, dt.date], ...]) -> bool:
    return any(first <= date <= last for first, last in spans)
