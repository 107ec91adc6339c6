"""The bank holidays of England, worked out for any year. Pure; owns no table: they need not be entered by anybody."""

from __future__ import annotations

import datetime as dt
import functools

import holidays


def bank_holiday(date: dt.date) -> str:
    """The bank holiday's name, or nothing. Source: the package holidays, United Kingdom, England."""
    return bank_holidays(date.year).get(date, "")


@functools.lru_cache(maxsize=64)
def bank_holidays(year: int) -> dict[dt.date, str]:
    """The bank holidays of a year, in order. One that falls on a weekend stands beside the weekday that is given for it."""
    found = holidays.country_holidays("GB", subdiv="ENG", years=year)
    return dict(sorted(found.items()))
