"""Who is expected when, and when silence is a fault. Pure: no store, no clock; every time is passed in.

Three things decide. What the endpoint is: a server always runs, a PC of a fixed suite runs while its room is used, and
trolleys, laptops and loans come and go. How it went: a PC that said goodbye is only missed when it is not there again as
usual. And whether the server itself could hear: silence counts only while it was listened to.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from fettle_protocol.policy import EndpointClass

STALE_MS = 30_000
"""A mark older than this says that nobody hears the agents just now."""
JUMP_MS = 30_000
"""A wall clock that moved so far against the count of seconds has jumped."""
GRACE_MINUTES = 5
"""How long agents have to come back after the server began to hear, where the settings say nothing."""
PATIENCE = dt.timedelta(minutes=6)
"""How long a machine is missed before its absence counts as one of several that may have one cause.

A school's router takes up to five minutes to start again, and its line blinks more often than it breaks.
"""
SERVER_MINUTES = 8.0
"""How long an always-on machine is missed before its own absence is told, where the rule book says nothing."""
HELD = dt.timedelta(days=200)
"""How long one PC's sudden silence waits for company or for a missed day: a pupil who pulls a plug is no fault, not even one
before the summer holidays."""
RESTART_SLACK = dt.timedelta(minutes=10)
RESTART_USUAL = dt.timedelta(minutes=15)
RESTART_HELD = dt.timedelta(minutes=30)
BACK_FOR = dt.timedelta(seconds=60)
"""How long an endpoint must be connected until its absence is over, so that a flapping link does not flap here."""
SCHOOL_AFTER = dt.timedelta(hours=1)
ROOM_AFTER = dt.timedelta(hours=2)
"""How long after opening a school's and a room's silence says something about the day."""
BEFORE_OPENING = dt.timedelta(minutes=90)
"""Who is heard so shortly before the bell is there that day."""
CLOSED_FOR = dt.timedelta(minutes=15)
"""The day is counted so long after closing."""

CLEAN_LIMIT, ABRUPT_LIMIT, ROOM_LIMIT, SCHOOL_LIMIT = 5e-6, 2e-3, 1e-5, 1e-6
"""How improbable a run of missed days must be, by its own habit, before it is a fault. A room's or school's run is seen by far
fewer eyes, so it may be likelier; one that was lost suddenly has shown already that something happened."""
LOOK_LIMIT, LOOK_FROM = 0.01, 3
"""The same for a task that asks somebody to look, and the fewest days missed: a wrong task costs but a walk."""
KEPT = 0.977
"""What is left of each counted day at the next one: half after 30 days."""
SOME_ENDPOINTS = 5
"""A school with fewer fixed PCs and servers says nothing by its silence."""


class Expectation(StrEnum):
    """When an endpoint is expected to be connected."""

    ALWAYS = "always"
    LESSONS = "in school hours, as usual"
    NEVER = "never"


_EXPECTED = {EndpointClass.SERVER: Expectation.ALWAYS, EndpointClass.FIXED: Expectation.LESSONS}


def expectation(endpoint_class: str) -> Expectation:
    """When that class of endpoint is expected; a class that is not known is not."""
    return next((when for known, when in _EXPECTED.items() if known == endpoint_class), Expectation.NEVER)


@dataclass(frozen=True, slots=True)
class Watch:
    """The server's own hearing: without a gap since `since_ms`, last noted at `alive_ms`.

    `offset_ms` is the wall clock less the count of seconds at `since_ms`.
    """

    since_ms: int
    alive_ms: int
    offset_ms: int


def begin(now_ms: int, monotonic_s: float) -> Watch:
    """A watch that starts now."""
    return Watch(now_ms, now_ms, now_ms - round(monotonic_s * 1000))


def beat(watch: Watch, now_ms: int, monotonic_s: float) -> Watch:
    """The watch a moment later: it begins anew where the wall clock has jumped since it began."""
    new = begin(now_ms, monotonic_s)
    return new if abs(new.offset_ms - watch.offset_ms) > JUMP_MS else replace(watch, alive_ms=now_ms)


def is_heard(watch: Watch, now_ms: int) -> bool:
    """True where agents are being heard at that moment, as far as the mark tells."""
    return abs(now_ms - watch.alive_ms) <= STALE_MS


def silence_due(left: dt.datetime, patience: dt.timedelta, ready: dt.datetime, now: dt.datetime) -> dt.datetime:
    """When silence since `left` has lasted for `patience` of watched time; `ready` is when agents had had time to return.

    A time that lies ahead was told by a clock that has since been put back: it counts from `ready` too.
    """
    return (ready if left > now else max(left, ready)) + patience


@dataclass(frozen=True, slots=True)
class Turnout:
    """How often something was there on the days that count; `missed` is the present run of such days without it."""

    in_use: float = 0.0
    present: float = 0.0
    missed: int = 0

    @property
    def habit(self) -> float:
        """The probability that it is there on such a day; 95 % before anything is known."""
        return (self.present + 9.5) / (self.in_use + 10)

    def chance(self, more: int = 0) -> float:
        """The probability of the present run, and so many days more, by its own habit.

        The habit itself is only known from the days counted, so little is improbable of a PC that is hardly known. Source: the
        predictive distribution of a beta-binomial with a prior of two days at 95 %.
        """
        there, away, chance = self.present + 1.9, self.in_use - self.present + 0.1, 1.0
        for day in range(self.missed + more):
            chance *= (away + day) / (there + away + day)
        return chance


def counted(turnout: Turnout, *, is_there: bool) -> Turnout:
    """The turnout after one more day that counts.

    A run of missed days is only taken into the habit when it is over, so that a long absence does not excuse itself.
    """
    if not is_there:
        return replace(turnout, missed=turnout.missed + 1)
    in_use, present = turnout.in_use, turnout.present
    for _ in range(min(turnout.missed, 100)):
        in_use, present = in_use * KEPT + 1, present * KEPT
    return Turnout(in_use * KEPT + 1, present * KEPT + 1)


def is_no_show(turnout: Turnout, leave: str, *, today: bool) -> bool:
    """True where a PC's missing is a fault. `today`: its room is in use today too, and it is not there."""
    limit = ABRUPT_LIMIT if leave in ("abrupt", "restarting") else CLEAN_LIMIT
    return turnout.missed >= 1 and turnout.chance(int(today)) <= limit


def is_worth_a_look(turnout: Turnout) -> bool:
    """True where a PC stays away for longer than its habit makes likely, though not for so long that it is a fault."""
    return turnout.missed >= LOOK_FROM and turnout.chance() <= LOOK_LIMIT


def is_room_silent(turnout: Turnout, *, today: bool) -> bool:
    """True where the silence of a whole room in a school that is in use is a fault."""
    return turnout.missed >= 1 and turnout.chance(int(today)) <= ROOM_LIMIT


def is_school_silent(turnout: Turnout, *, today: bool, has_server: bool, server_is_absent: bool) -> bool:
    """True where the silence of a whole school is a fault.

    A server that is heard says that the line and the power are there, so the school is only closed; one that is silent too
    says the contrary at once.
    """
    if has_server:
        return server_is_absent and turnout.present >= 1
    return turnout.present >= 1 and turnout.chance(int(today)) <= SCHOOL_LIMIT


def is_school_in_use(heard: int, known: int) -> bool:
    """True for a day on which at least a tenth of a school's fixed PCs was heard."""
    return heard >= 1 and heard * 10 >= known


def is_room_in_use(heard: int, known: int) -> bool:
    """True for a day on which at least half of a room's fixed PCs, and at least two, were heard."""
    return heard >= 2 and heard * 2 >= known


def is_cut_off(lost: int, schools: int, connected: int) -> bool:
    """True where so much went at once, in so many schools, that the server's own line is the likeliest cause."""
    if schools >= 2 and lost >= 3 and lost > 20 * connected:
        return True  # nearly everything that was heard, in several places at once
    return lost >= 20 and schools >= 3 and lost > connected


_DAY_HOURS = 24
_FULL = 250
_LEARNED_OVER = 6
USUAL = 0.5
_WEEK = bytes(7 * _DAY_HOURS + 7)


def learn(hours: bytes | None, weekday: int, seen: Iterable[int]) -> bytes:
    """Learned hours after one more such day (0: Monday) with the hours in which it was seen.

    168 bytes hold how often it was there at that hour of the week (250: always), over about six weeks; 7 more count the days.
    """
    table = bytearray(hours if hours and len(hours) == len(_WEEK) else _WEEK)
    days = min(table[7 * _DAY_HOURS + weekday] + 1, _LEARNED_OVER)
    table[7 * _DAY_HOURS + weekday] = days
    there = frozenset(seen)
    for hour in range(_DAY_HOURS):
        place = weekday * _DAY_HOURS + hour
        table[place] = round(table[place] + ((_FULL if hour in there else 0) - table[place]) / days)
    return bytes(table)


def share(hours: bytes | None, weekday: int, hour: int) -> float:
    """How often it was there at that hour of that day of the week: 0 to 1."""
    return hours[weekday * _DAY_HOURS + hour] / _FULL if hours and len(hours) == len(_WEEK) else 0.0


def usual(hours: bytes | None, weekday: int) -> tuple[int, int] | None:
    """The first hour at which it is usually on, and the hour by which it is off again; None where it usually is not."""
    there = [hour for hour in range(_DAY_HOURS) if share(hours, weekday, hour) >= USUAL]
    return (there[0], there[-1] + 1) if there else None


def usual_words(hours: bytes | None) -> str:
    """The hours of school days in words: "usually on 08-16 on weekdays"; empty where nothing is known."""
    spans = [span for span in (usual(hours, weekday) for weekday in range(5)) if span]
    if not spans:
        return ""
    first, last = sorted(span[0] for span in spans)[len(spans) // 2], sorted(span[1] for span in spans)[len(spans) // 2]
    always = first == 0 and last == _DAY_HOURS and usual(hours, 6) == (0, _DAY_HOURS)
    return "usually always on" if always else f"usually on {first:02}-{last:02} on weekdays"


def hours_of(stays: Iterable[tuple[dt.datetime, dt.datetime]]) -> frozenset[int]:
    """The hours of the day that those stays touch; their times are local, of one day (the end may be the next midnight)."""
    touched: set[int] = set()
    for came, went in stays:
        last = _DAY_HOURS - 1 if went.date() > came.date() else went.hour
        touched.update(range(came.hour, last + 1))
    return frozenset(touched)


_HOW = {
    "clean": "It had been shut down",
    "sleeping": "It had gone to sleep",
    "stopped": "Its agent had been stopped",
    "restarting": "It said that it was restarting",
    "abrupt": "It went without a word",
    "with others": "It went with others, whose incident is over",
    "server away": "It was last there before the server was away",
}


def how_it_left(leave: str) -> str:
    """How it went, in words."""
    return _HOW.get(leave, "It is not known how it went")
