"""A PC's state as one sentence that explains itself. Pure: facts in, words out.

Times are told as how long ago, since the server does not know where its reader's clock stands.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from fettle_protocol.catalogue import Unit

from fettle_server.estate.endpoints.rules import Health, health


@dataclass(frozen=True, slots=True)
class Trouble:
    """An open fault in words: its title, what was read, and since when."""

    severity: str
    title: str
    measured: str
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class Condition:
    """What the sentence is made of. `troubles` holds the open faults, the worst and oldest first; `coming`: what will be."""

    state: Health
    connected: bool
    last_seen: dt.datetime | None
    enrolled_at: dt.datetime
    revoked_at: dt.datetime | None
    rules: int
    troubles: tuple[Trouble, ...]
    coming: tuple[str, ...] = ()


def explain(condition: Condition, now: dt.datetime) -> str:
    """The state in one plain sentence."""
    if condition.revoked_at is not None:
        return f"Revoked {ago(now - condition.revoked_at)}: this PC may no longer connect."
    if condition.last_seen is None:
        return f"Unknown: enrolled {ago(now - condition.enrolled_at)}, and not heard of yet."
    if condition.state is Health.UNKNOWN:
        return f"Unknown: not heard of for {length(now - condition.last_seen)}; {_as_it_was(condition.troubles)}."
    if condition.troubles:
        return _ailing(condition, now)
    heard = f"last heard {ago(now - condition.last_seen)}"
    if condition.coming:
        more = f", and {_many(len(condition.coming) - 1, 'more thing')} to come" if len(condition.coming) > 1 else ""
        return f"Well, but {_inside(condition.coming[0])}{more}; {heard}."
    if condition.rules == 0:
        return f"Well: no rule watches it yet; {heard}."
    quiet = "the one rule is" if condition.rules == 1 else f"all {condition.rules} rules are"
    return f"Well: {quiet} quiet, {heard}."


def measured(value: float, unit: Unit) -> str:
    """A reading for people: "3 %", "1.5 GB", "12 ms"; empty for yes and no, which the title says already."""
    if unit is Unit.YES_NO:
        return ""
    if unit in (Unit.BYTES, Unit.BYTES_PER_SECOND):
        return _bytes(value) + ("/s" if unit is Unit.BYTES_PER_SECOND else "")
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}".removesuffix(".0")
    if unit is Unit.COUNT:
        return number
    return f"{number} an hour" if unit is Unit.PER_HOUR else f"{number} {unit.value}"


def length(duration: dt.timedelta) -> str:
    """A duration in its largest whole unit: "20 seconds", "1 hour", "3 days"."""
    seconds = max(0, int(duration.total_seconds()))
    for name, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            return _many(seconds // size, name)
    return _many(seconds, "second")


def ago(duration: dt.timedelta) -> str:
    """How long ago: "just now", "20 seconds ago"."""
    return "just now" if duration < dt.timedelta(seconds=2) else f"{length(duration)} ago"


def _ailing(condition: Condition, now: dt.datetime) -> str:
    first, *others = condition.troubles
    figure = f" ({first.measured})" if first.measured else ""
    more = f", and {_many(len(others), 'more fault')}" if others else ""
    heard = "" if condition.connected or condition.last_seen is None else f"; last heard {ago(now - condition.last_seen)}"
    state = condition.state.capitalize()
    return f"{state}: {first.title}{figure}, for {length(now - first.since)} now{more}{heard}."


_PLAIN_BEGINNINGS = ("Disk", "The", "Its", "In", "Memory")


def _inside(sentence: str) -> str:
    """The sentence as a part of another; a name that it begins with stays as it is."""
    is_plain = sentence.split(" ", maxsplit=1)[0] in _PLAIN_BEGINNINGS
    return sentence[:1].lower() + sentence[1:] if is_plain else sentence


def _as_it_was(troubles: tuple[Trouble, ...]) -> str:
    if not troubles:
        return "it was well then"
    ill = sum(one.severity == "ill" for one in troubles)
    state = health(len(troubles) - ill, ill)
    more = f" and {_many(len(troubles) - 1, 'more fault')}" if len(troubles) > 1 else ""
    word = "on watch" if state is Health.WATCH else str(state)
    return f"it was {word} then ({troubles[0].title}{more})"


def _bytes(value: float) -> str:
    for name, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.1f}".removesuffix(".0") + f" {name}"
    return f"{value:.0f} bytes"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
