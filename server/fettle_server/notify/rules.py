"""Who is told what, and when: which routes match a message, what waits for when, what is taken together, when to try again.

Pure. Owns no message's wording (wording.py) and no receiver (channels). A school's working hours are passed in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

SETTLE = dt.timedelta(seconds=60)
"""Incidents that open at one school within so long of the first are one message."""
GIVE_UP = dt.timedelta(hours=48)
"""A receiver that is down is tried for so long."""
FIRST_WAIT_S = 10.0
LONGEST_WAIT_S = 1800.0
_MINUTE = dt.timedelta(minutes=1)
_STEP = dt.timedelta(minutes=15)
_LOOK_AHEAD = dt.timedelta(days=21)
_DAY_MINUTES = 24 * 60
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PRIORITIES = (1, 2, 3, 4, 5)


class NoticeError(ValueError):
    """A channel or route that cannot be as it was asked for; the message is for the person who asked."""


class When(StrEnum):
    """At which times a route tells."""

    ANY = "any time"
    WORKING = "working hours"
    """What comes outside of them waits for the next."""
    OUTSIDE = "outside working hours"
    """For those on call: what comes in working hours is not theirs."""


class Digest(StrEnum):
    """How a route gathers."""

    NONE = "at once"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"


class State(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    HELD = "held"
    """Quiet hours, outside working hours, or a digest: `next_at` is when it goes."""
    SENT = "sent"
    FAILED = "failed"
    """The receiver refused it until there was no more time."""
    EXPIRED = "expired"
    """The receiver could not be reached until there was no more time."""
    CANCELLED = "cancelled"
    """All of it was over before it was told."""


class Hours(Protocol):
    """A school's calendar, as far as notices need it (estate.calendars.rules.Calendar is one)."""

    @property
    def zone(self) -> dt.tzinfo:
        """The zone of its clocks."""
        ...

    def is_working(self, at: dt.datetime) -> bool:
        """Whether the service works for it then."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a route takes. `schools` None: all. Minutes are since local midnight; quiet hours may pass midnight.

    `rest`: only what no other route takes. `escalate_after_min` 0: nobody has to acknowledge.
    """

    schools: frozenset[int] | None = None
    priorities: tuple[int, ...] = PRIORITIES
    when: When = When.ANY
    digest: Digest = Digest.NONE
    digest_at_min: int = 450
    digest_day: int = 0
    quiet_from_min: int | None = None
    quiet_until_min: int | None = None
    rest: bool = False
    resolved: bool = True
    tests: bool = True
    problems: bool = True
    changes: bool = True
    escalate_after_min: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """A message, as routes look at it; `schools` are all that it touches."""

    kind: str
    schools: frozenset[int]
    priority: int
    is_test: bool

    @property
    def is_resolved(self) -> bool:
        """Whether it says that something is over."""
        return self.kind == "incident.resolved"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a route does with a message: `state` None: it does not take it; `at` is when it goes; `reason` a sentence."""

    state: State | None
    at: dt.datetime
    reason: str

    @property
    def takes(self) -> bool:
        """Whether the route takes the message."""
        return self.state is not None


def check(wanted: Wanted) -> Wanted:
    """The same, where it makes sense.

    Raises:
        NoticeError: it does not; the message says why.
    """
    if not wanted.priorities or not set(wanted.priorities) <= set(PRIORITIES):
        raise NoticeError("Choose at least one priority from 1 to 5.")
    if wanted.schools is not None and not wanted.schools:
        raise NoticeError("Choose at least one school, or all schools.")
    if (wanted.quiet_from_min is None) != (wanted.quiet_until_min is None):
        raise NoticeError("Quiet hours need both a beginning and an end.")
    minutes = [m for m in (wanted.digest_at_min, wanted.quiet_from_min, wanted.quiet_until_min) if m is not None]
    if any(not 0 <= minute < _DAY_MINUTES for minute in minutes):
        raise NoticeError("A time of day is written as 07:30.")
    if wanted.quiet_from_min is not None and wanted.quiet_from_min == wanted.quiet_until_min:
        raise NoticeError("Quiet hours that begin when they end never let anything through.")
    if not 0 <= wanted.digest_day < len(DAYS):
        raise NoticeError("Choose a day of the week.")
    if not 0 <= wanted.escalate_after_min <= _DAY_MINUTES:
        raise NoticeError("Minutes until somebody must have acknowledged are 1 to 1440, or 0 for never.")
    return wanted


def verdict(wanted: Wanted, told: Told, hours: Hours, now: dt.datetime) -> Verdict:
    """What the route does with the message, but for `rest`, which depends on the other routes."""
    refusal = _refusal(wanted, told, hours, now)
    return Verdict(None, now, refusal) if refusal else timing(wanted, hours, now, is_test=told.is_test)


def timing(wanted: Wanted, hours: Hours, now: dt.datetime, *, is_test: bool) -> Verdict:
    """When the route tells what it takes: at once (once it is settled), after quiet hours, or with its digest."""
    if wanted.digest is not Digest.NONE:
        at = digest_at(wanted, hours.zone, now)
        return Verdict(State.HELD, at, f"in the {wanted.digest} digest of {clock_words(at, hours.zone)}")
    free = free_from(wanted, hours, now)
    if free > now:
        why = "quiet hours" if _is_quiet(wanted, hours.zone, now) else "outside working hours"
        return Verdict(State.HELD, free, f"{why}: waits until {clock_words(free, hours.zone)}")
    return Verdict(State.PENDING, now + (dt.timedelta() if is_test else SETTLE), "")


def _refusal(wanted: Wanted, told: Told, hours: Hours, now: dt.datetime) -> str:
    if told.kind == "problem" and not wanted.problems:
        return "the route tells nothing of problems"
    if told.kind.startswith("change.") and not wanted.changes:
        return "the route tells nothing of changes"
    if wanted.schools is not None and not wanted.schools & told.schools:
        return "the route is for other schools"
    if told.is_test:
        return "" if wanted.tests else "the route takes no tests"
    if told.priority not in wanted.priorities:
        return f"the route is for {priority_words(wanted.priorities)}, this is priority {told.priority}"
    if wanted.when is When.OUTSIDE and hours.is_working(now):
        return "the route is for outside working hours"
    return ""


def free_from(wanted: Wanted, hours: Hours, now: dt.datetime) -> dt.datetime:
    """The first moment from now on at which the route may tell; now, where it may tell now or never could."""
    at, end = now, now + _LOOK_AHEAD
    while at < end:
        if _is_quiet(wanted, hours.zone, at):
            at = next_local(at, hours.zone, wanted.quiet_until_min or 0)
        elif wanted.when is When.WORKING and not hours.is_working(at):
            at = _floor(at) + _STEP
        else:
            return at
    return now


def _floor(at: dt.datetime) -> dt.datetime:
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)


def _is_quiet(wanted: Wanted, zone: dt.tzinfo, at: dt.datetime) -> bool:
    first, last = wanted.quiet_from_min, wanted.quiet_until_min
    if first is None or last is None:
        return False
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    return first <= minute < last if first < last else minute >= first or minute < last


def digest_at(wanted: Wanted, zone: dt.tzinfo, now: dt.datetime) -> dt.datetime:
    """When the digest goes that takes what comes now."""
    if wanted.digest is Digest.HOURLY:
        return now.replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    at = next_local(now, zone, wanted.digest_at_min)
    while wanted.digest is Digest.WEEKLY and at.astimezone(zone).weekday() != wanted.digest_day:
        at = next_local(at, zone, wanted.digest_at_min)
    return at


def next_local(now: dt.datetime, zone: dt.tzinfo, minute: int) -> dt.datetime:
    """The next moment, after now, at which the local clocks show that minute of the day."""
    local = now.astimezone(zone)
    for days in range(3):
        at = dt.datetime.combine(local.date() + dt.timedelta(days=days), dt.time(minute // 60, minute % 60), zone)
        if (moment := at.astimezone(dt.UTC)) > now:
            return moment
    return now + dt.timedelta(days=1)


def wait_s(misses: int, chance: float) -> float:
    """Seconds until a receiver that failed so many times in a row is tried again.

    `chance` is 0 to 1: it spreads the tries, so that not all come at once.
    """
    return float(min(FIRST_WAIT_S * 2 ** min(max(misses - 1, 0), 12), LONGEST_WAIT_S) * (0.75 + 0.5 * chance))


def as_json(wanted: Wanted) -> dict[str, Any]:
    """What the store keeps of it."""
    kept = {name: getattr(wanted, name) for name in Wanted.__dataclass_fields__}
    return kept | {
        "schools": None if wanted.schools is None else sorted(wanted.schools),
        "priorities": list(wanted.priorities),
    }


def from_json(kept: Mapping[str, Any]) -> Wanted:
    """What the store kept; fields that an older program did not know have their defaults.

    Raises:
        NoticeError: a word or a number that no route has.
    """
    given = {name: value for name, value in kept.items() if name in Wanted.__dataclass_fields__}
    schools = given.get("schools")
    try:
        given |= {
            "schools": None if schools is None else frozenset(int(school) for school in schools),
            "priorities": tuple(sorted({int(one) for one in given.get("priorities", PRIORITIES)})),
            "when": When(given.get("when", When.ANY)),
            "digest": Digest(given.get("digest", Digest.NONE)),
        }
    except (TypeError, ValueError) as error:
        raise NoticeError("A route's times and digests are words of the list.") from error
    return check(Wanted(**given))


def minute_of(text: str) -> int:
    """Minutes since midnight of "07:30".

    Raises:
        NoticeError: not a time of day.
    """
    hour, colon, minute = text.strip().partition(":")
    if not (colon and hour.isascii() and hour.isdigit() and minute.isascii() and minute.isdigit() and len(minute) == 2):
        raise NoticeError("A time of day is written as 07:30.")
    if int(hour) > 23 or int(minute) > 59:
        raise NoticeError("A time of day is written as 07:30.")
    return int(hour) * 60 + int(minute)


def time_words(minute: int) -> str:
    """07:30 of 450."""
    return f"{minute // 60:02}:{minute % 60:02}"


def clock_words(at: dt.datetime, zone: dt.tzinfo) -> str:
    """A moment as people say it: Tue 24 Nov 07:30."""
    return at.astimezone(zone).strftime("%a %-d %b %H:%M")


def priority_words(priorities: tuple[int, ...]) -> str:
    """Priority 1 and 2."""
    numbers = [str(one) for one in priorities]
    return "priority " + (" and ".join((", ".join(numbers[:-1]), numbers[-1])) if len(numbers) > 1 else numbers[0])


def sentence(wanted: Wanted, schools: Mapping[int, str], channel: str) -> str:
    """The route in one sentence; `schools` are the names that the reader may see, `channel` such as "by e-mail to desk@…"."""
    what = "The rest" if wanted.rest else _what(wanted.priorities)
    where = "of all schools" if wanted.schools is None else f"of {_names(wanted.schools, schools)}"
    parts = [f"{what} {where}", *_times(wanted), channel]
    text = ", ".join(parts)
    extras = [*([] if wanted.resolved else ["not when it is over"]), *([] if wanted.tests else ["without tests"])]
    if wanted.escalate_after_min:
        extras.append(f"and further where nobody acknowledges within {wanted.escalate_after_min} minutes")
    return ", ".join([text, *extras]) + "."


def _what(priorities: tuple[int, ...]) -> str:
    return "Everything" if priorities == PRIORITIES else priority_words(priorities).capitalize()


def _names(wanted: frozenset[int], schools: Mapping[int, str]) -> str:
    known = sorted(schools[school] for school in wanted if school in schools)
    more = len(wanted) - len(known[:3])
    return ", ".join(known[:3]) + (f"{' and ' if known else ''}{more} more" if more else "")


def _times(wanted: Wanted) -> list[str]:
    parts = [] if wanted.when is When.ANY else [f"{'in ' if wanted.when is When.WORKING else ''}{wanted.when}"]
    if wanted.quiet_from_min is not None and wanted.quiet_until_min is not None:
        parts.append(f"quiet from {time_words(wanted.quiet_from_min)} to {time_words(wanted.quiet_until_min)}")
    if wanted.digest is Digest.HOURLY:
        parts.append("in a digest every hour")
    elif wanted.digest is Digest.DAILY:
        parts.append(f"in a digest at {time_words(wanted.digest_at_min)}")
    elif wanted.digest is Digest.WEEKLY:
        parts.append(f"in a digest on {DAYS[wanted.digest_day]} at {time_words(wanted.digest_at_min)}")
    return parts
