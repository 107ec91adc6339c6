"""How the console says times, sizes and counts: Jinja filters that turn values into words.

Owns wording only. Sentences about faults come from the policy and the wings; times are refined in the browser by time.js.
"""

from __future__ import annotations

import datetime as dt
import math

from fettle_server import clock
from flask import Flask
from markupsafe import Markup

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_SIZES = ("bytes", "kB", "MB", "GB", "TB", "PB")
_SIZE_STEP = 1000
_YES = 0.5


def install(app: Flask) -> None:
    """Give the templates these filters."""
    for word in (ago, exact, moment, lasting, clocktime, hour, span, number, reading, plural, capital, day, dated):
        app.jinja_env.filters[word.__name__] = word


def ago(time: dt.datetime | None, now: dt.datetime | None = None) -> str:
    """The distance to a time in words: "just now", "4 minutes ago", "in 3 days"."""
    if time is None:
        return "never"
    seconds = ((now or clock.utc_now()) - time).total_seconds()
    if abs(seconds) < 10:
        return "just now"
    words = span(abs(seconds))
    return f"{words} ago" if seconds > 0 else f"in {words}"


def span(seconds: float) -> str:
    """A duration in its largest whole unit: "40 seconds", "3 hours", "12 days"."""
    for size, unit in ((365 * _DAY, "year"), (30 * _DAY, "month"), (_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= size:
            return plural(int(seconds // size), unit)
    return plural(int(seconds), "second")


def exact(time: dt.datetime | None) -> str:
    """The time to the second, for the hover: "Mon 23 Nov 2026, 13:48:25 UTC"."""
    return "never" if time is None else f"{time:%a} {time.day} {time:%b %Y, %H:%M:%S} UTC"


def moment(time: dt.datetime | None) -> Markup:
    """A <time> element: relative in words, exact on hover; the browser keeps it true and turns it into local time."""
    if time is None:
        return Markup("<span>never</span>")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(time.isoformat(), exact(time), ago(time))


def lasting(time: dt.datetime) -> Markup:
    """A <time> element that shows how long something has lasted since: "for 3 hours"."""
    words = span(max(0.0, (clock.utc_now() - time).total_seconds()))
    return Markup('<time datetime="{}" title="{}" data-span>{}</time>').format(time.isoformat(), exact(time), words)


def clocktime(time: dt.datetime) -> Markup:
    """A <time> element that shows the exact time instead of the distance: for tables of readings."""
    return Markup('<time datetime="{}" data-exact>{}</time>').format(time.isoformat(), exact(time))


def hour(time: dt.datetime) -> Markup:
    """A <time> element that shows the time of day, for the ends of an axis."""
    return Markup('<time datetime="{}" title="{}" data-hour>{}</time>').format(time.isoformat(), exact(time), f"{time:%H:%M}")


def day(date: dt.date) -> str:
    """A day as people say it: "Mon 23 Nov"."""
    return f"{date:%a} {date.day} {date:%b}"


def dated(date: dt.date) -> str:
    """A day with its year: "Mon 23 Nov 2026"."""
    return f"{day(date)} {date.year}"


def number(value: float) -> str:
    """A number with as many decimals as matter, thousands parted: "1,204", "7.3", "0.04"."""
    if not math.isfinite(value):
        return "no value"
    size = abs(value)
    decimals = 0 if size >= 100 or value == int(value) else 1 if size >= 1 else 2
    return f"{value:,.{decimals}f}"


def reading(value: float, unit: str) -> str:
    """A reading's value with its unit, as a person would write it."""
    if unit == "yes/no":
        return "yes" if value >= _YES else "no"
    if unit in ("bytes", "bytes/s"):
        return _size(value) + ("/s" if unit == "bytes/s" else "")
    if unit == "s" and abs(value) >= 2 * _MINUTE:
        return span(abs(value))
    if unit in ("count", ""):
        return number(value)
    return f"{number(value)} {unit}" if unit != "/h" else f"{number(value)} an hour"


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """A count with its noun: "1 PC", "3 PCs"."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def capital(text: str) -> str:
    """The text with its first letter capital and the rest left alone."""
    return text[:1].upper() + text[1:]


def _size(value: float) -> str:
    step = 0
    while abs(value) >= _SIZE_STEP and step < len(_SIZES) - 1:
        value, step = value / _SIZE_STEP, step + 1
    return f"{number(value)} {_SIZES[step]}"


def stamp(time: dt.datetime | None) -> str:
    """The time as files and scripts take it: RFC 3339 in UTC; empty for none."""
    return "" if time is None else f"{time:%Y-%m-%dT%H:%M:%SZ}"
