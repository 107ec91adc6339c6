"""What truly goes wrong: the labelled causes of a year, each with its place, its time and its story.

Owns which causes there are and how often (RATES, a year). Knows nothing of how anybody would find them.
"""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from replay.world import terms
from replay.world.bends import SMALL_DISK_FREE, Bend, falling, flat, runs_out_at, trembling
from replay.world.estate import Estate, Kind, Pc
from replay.world.terms import DAY

PER_SCHOOL = {"power cut": 1.5, "dead switch": 2.0, "line cut": 3.0, "name server failed": 1.5}
PER_SERVER = {"server dead": 0.3}
PER_PC = {
    "pc dead": 0.04, "disk full": 0.03, "disk filling": 0.03, "disk failing": 0.015, "disk read-only": 0.008,
    "disk flapping": 0.01, "service crashed": 0.03, "overheating": 0.015, "memory exhausted": 0.03, "battery worn": 0.05,
    "sign-in slow": 0.015, "start slow": 0.01, "clock wrong": 0.015, "updates stuck": 0.015,
}  # fmt: skip
PER_ESTATE = {"bad update": 2.0}
"""How many a year: of each school, each server, each machine that can have it, and in all."""

QUIET_DAYS = 6
"""Two causes of one machine lie at least so many days apart: which of two troubles at once was found nobody could tell."""


@dataclass(slots=True)
class Cause:
    """One true cause. `felt_at` is when the first machine that was on felt it, `felt_s` for how long machines did, added up.

    `harms_from` is when it begins to hinder: a disk that fills by the day hinders nobody while there is room.
    """

    number: int
    kind: str
    school: int | None
    room: int | None
    pcs: frozenset[int]
    start: float
    end: float
    story: str
    harms_from: float
    felt_at: float | None = None
    felt_s: float = 0.0

    def feel(self, start: float, end: float) -> None:
        """A machine was on, or should have been, in that part of the cause's time."""
        self.felt_at = start if self.felt_at is None else min(self.felt_at, start)
        self.felt_s += end - start


@dataclass(slots=True)
class Script:
    """Everything that causes and noise do to machines. Spans are (start, end), seconds since the epoch.

    `dead`: the machine cannot be on. `unpowered`: all that hangs on the school's mains. `cut_off`: nothing of the place
    reaches the outside. `away`: nobody uses the trolley. Lists are by machine, school or room.
    """

    causes: list[Cause] = field(default_factory=list)
    bends: dict[int, list[Bend]] = field(default_factory=dict)
    dead: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    unpowered: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    school_cut_off: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    room_cut_off: dict[int, list[tuple[float, float]]] = field(default_factory=dict)

    def bend(self, pc: int, bend: Bend) -> None:
        """Add a bend to a machine."""
        self.bends.setdefault(pc, []).append(bend)


@dataclass(frozen=True, slots=True)
class Span:
    """The days on which new causes may begin."""

    first: dt.date
    days: int
    tail: int = 0

    @property
    def dates(self) -> list[dt.date]:
        """Every one of them."""
        return [self.first + n * DAY for n in range(self.days)]


def draw(estate: Estate, span: Span, seed: int, scale: float = 1.0) -> Script:
    """The causes of those days; `scale` multiplies all rates."""
    writer = _Writer(estate, span, random.Random(f"{seed}/causes"), scale)
    writer.schools()
    writer.servers()
    writer.estate_wide()
    writer.machines()
    writer.script.causes.sort(key=lambda cause: cause.start)
    return writer.script


class _Writer:
    """Draws one kind after the other."""

    def __init__(self, estate: Estate, span: Span, dice: random.Random, scale: float) -> None:
        self._estate = estate
        self._dice = dice
        self._scale = scale
        self._years = span.days / 365
        self._dates = span.dates
        self._over = terms.at(span.first + (span.days + span.tail) * DAY, 0)
        self._lesson_dates = [[date for date in span.dates if school.year.is_lesson_day(date)] for school in estate.schools]
        self._taken: dict[int, list[tuple[float, float]]] = {}
        self._school_taken: dict[int, set[dt.date]] = {}
        self.script = Script()

    # ---- schools ----

    def schools(self) -> None:
        """Power, switches, the line out, and name servers."""
        makers: dict[str, Callable[[int, dt.date], None]] = {
            "power cut": self._power_cut, "dead switch": self._dead_switch, "line cut": self._line_cut,
            "name server failed": self._name_server,
        }  # fmt: skip
        for kind, rate in PER_SCHOOL.items():
            for _ in range(self._count(rate * len(self._estate.schools))):
                school = self._dice.randrange(len(self._estate.schools))
                date = self._free_date(school)
                if date is not None:
                    makers[kind](school, date)

    def _free_date(self, school: int) -> dt.date | None:
        """A lesson day on which the school has no such trouble yet, nor the day before or after."""
        taken = self._school_taken.setdefault(school, set())
        free = [date for date in self._lesson_dates[school] if not {date - DAY, date, date + DAY} & taken]
        if not free:
            return None
        date = self._dice.choice(free)
        taken.add(date)
        return date

    def _power_cut(self, school: int, date: dt.date) -> None:
        start = (
            terms.at(date, self._dice.uniform(9, 15)) if self._dice.random() < 0.8 else terms.at(date, self._dice.uniform(1, 5))
        )
        end = start + self._dice.uniform(600, 4 * 3600)
        pcs = self._estate.pcs_of_school(school)
        fixed = frozenset(pc.place for pc in pcs if pc.is_fixed)
        self._label("power cut", school, None, frozenset(pc.place for pc in pcs), start, end, "the street's power was cut")
        self.script.unpowered.setdefault(school, []).append((start, end))
        self._cut(pcs, (start, end), but=fixed, school=school)

    def _dead_switch(self, school: int, date: dt.date) -> None:
        suites = [room for room in self._estate.rooms if room.school == school and self._is_suite(room.number)]
        if not suites:
            return
        room = self._dice.choice(suites)
        start = terms.at(date, self._dice.uniform(9, 14.5))
        end = start + self._dice.choice((self._dice.uniform(2400, 4 * 3600), self._dice.uniform(18, 30) * 3600))
        pcs = self._estate.pcs_of_room(room.number)
        places = frozenset(pc.place for pc in pcs)
        self._label("dead switch", school, room.number, places, start, end, f"the switch of {room.name} died")
        self.script.room_cut_off.setdefault(room.number, []).append((start, end))
        self._cut(pcs, (start, end), but=frozenset(), school=None)

    def _is_suite(self, room: int) -> bool:
        return any(pc.kind is Kind.SUITE for pc in self._estate.pcs_of_room(room))

    def _line_cut(self, school: int, date: dt.date) -> None:
        start = terms.at(date, self._dice.uniform(0, 24) if self._dice.random() < 0.3 else self._dice.uniform(8.5, 15))
        end = start + self._dice.uniform(12 * 60, 6 * 3600)
        pcs = self._estate.pcs_of_school(school)
        self._label("line cut", school, None, frozenset(pc.place for pc in pcs), start, end, "a digger cut the school's line")
        self.script.school_cut_off.setdefault(school, []).append((start, end))
        if school % 2:
            for pc in pcs:
                if pc.is_fixed or pc.kind is Kind.TROLLEY:
                    self.script.bend(pc.place, flat("dns.working", "", start, end, 0.0))

    def _name_server(self, school: int, date: dt.date) -> None:
        start = terms.at(date, self._dice.uniform(9, 14.5))
        end = start + self._dice.uniform(900, 2 * 3600)
        pcs = [pc for pc in self._estate.pcs_of_school(school) if pc.is_fixed or pc.kind is Kind.TROLLEY]
        places = frozenset(pc.place for pc in pcs)
        self._label("name server failed", school, None, places, start, end, "the school's name server stopped answering")
        for pc in pcs:
            if pc.kind is not Kind.SERVER:
                self.script.bend(pc.place, flat("dns.working", "", start, end, 0.0))

    def _cut(self, pcs: Iterable[Pc], span: tuple[float, float], *, but: frozenset[int], school: int | None) -> None:
        """Machines that go on running reach neither gateway nor name server."""
        if school is not None:
            self.script.school_cut_off.setdefault(school, []).append(span)
        for pc in pcs:
            if pc.place not in but and pc.kind not in (Kind.STAFF, Kind.LOAN):
                self.script.bend(pc.place, flat("gateway.reachable", "", *span, 0.0))
                self.script.bend(pc.place, flat("dns.working", "", *span, 0.0))

    # ---- servers and all schools at once ----

    def servers(self) -> None:
        """The schools' own servers die by day and by night."""
        machines = [pc for pc in self._estate.pcs if pc.kind is Kind.SERVER]
        for _ in range(self._count(PER_SERVER["server dead"] * len(machines))):
            pc, date = self._dice.choice(machines), self._dice.choice(self._dates)
            start = terms.at(date, self._dice.uniform(0, 24))
            end = start + self._dice.uniform(3, 40) * 3600
            if self._take(pc.place, start, end):
                self._label(
                    "server dead", pc.school, None, frozenset({pc.place}), start, end, f"{pc.name} lost its power supply"
                )
                self.script.dead.setdefault(pc.place, []).append((start, end))

    def estate_wide(self) -> None:
        """An update that breaks one service on one build, wherever it stands."""
        for _ in range(self._count(PER_ESTATE["bad update"], at_least=1 if self._years > 0.5 else 0)):
            builds = sorted({pc.build for pc in self._estate.pcs if pc.kind is Kind.SUITE and pc.system == "windows"})
            school_days = self._lesson_dates[0]
            if not builds or not school_days:
                return
            build, date = self._dice.choice(builds), self._dice.choice(school_days)
            start, end = terms.at(date, 7.0), terms.at(self._later(0, date, 3), self._dice.uniform(9, 12))
            pcs = [pc for pc in self._estate.pcs if pc.build == build and self._take(pc.place, start, end)]
            story = f"an update broke the print spooler of {build}"
            self._label("bad update", None, None, frozenset(pc.place for pc in pcs), start, end, story)
            for pc in pcs:
                self.script.bend(pc.place, flat("service.running", "Spooler", start + self._dice.uniform(0, 7200), end, 0.0))

    # ---- single machines ----

    def machines(self) -> None:
        """Each kind of trouble of one machine, as often as its rate says."""
        for kind, rate in PER_PC.items():
            fitting = [pc for pc in self._estate.pcs if _can_have(pc, kind)]
            for _ in range(self._count(rate * len(fitting))):
                if fitting:
                    self._one(kind, self._dice.choice(fitting))

    def _one(self, kind: str, pc: Pc) -> None:
        dates = self._lesson_dates[pc.school]
        if not dates:
            return
        date = self._dice.choice(dates)
        hour = self._dice.uniform(9, 15)
        if kind == "pc dead" and self._dice.random() < 0.4:
            hour = self._dice.uniform(19, 28)
        start = terms.at(date, hour)
        lessons = round(self._dice.randint(*_LASTS[kind]) / self._estate.share_of_use(pc))
        end = terms.at(self._later(pc.school, date, lessons), self._dice.uniform(9, 14))
        if kind == "memory exhausted":
            end = start + self._dice.uniform(1500, 4 * 3600)
        end = max(end, start + 1500)
        if kind in _SLOW and end > self._over:
            return  # it would begin in the play and show itself after it
        if not self._take(pc.place, start, end):
            return
        self._label(kind, pc.school, pc.room, frozenset({pc.place}), start, end, f"{pc.name}: {_STORIES[kind]}")
        if kind == "disk filling":
            self.script.causes[-1].harms_from = runs_out_at(start, end, _fills(pc), HINDERS_FREE)
        if kind == "pc dead":
            self.script.dead.setdefault(pc.place, []).append((start, end))
        for bend in _bends(kind, pc, (start, end), self._dice):
            self.script.bend(pc.place, bend)

    # ---- shared ----

    def _count(self, rate: float, at_least: int = 0) -> int:
        """A Poisson number of that mean for the time and scale."""
        mean = rate * self._years * self._scale
        if mean > 50:
            return max(at_least, round(self._dice.gauss(mean, math.sqrt(mean))))
        limit, product, number = math.exp(-mean), self._dice.random(), 0
        while product > limit:
            product *= self._dice.random()
            number += 1
        return max(at_least, number)

    def _take(self, pc: int, start: float, end: float) -> bool:
        """Whether the machine is free of other causes around that time; from now on it is not."""
        quiet = QUIET_DAYS * 86_400
        taken = self._taken.setdefault(pc, [])
        if any(start - quiet < other_end and other_start < end + quiet for other_start, other_end in taken):
            return False
        taken.append((start, end))
        return True

    def _later(self, school: int, date: dt.date, lessons: int) -> dt.date:
        """So many lesson days later."""
        year = self._estate.schools[school].year
        for _ in range(lessons):
            date += DAY
            while not year.is_lesson_day(date) and date < dt.date(2026, 12, 1):
                date += DAY
        return date

    def _label(
        self, kind: str, school: int | None, room: int | None, pcs: frozenset[int], start: float, end: float, story: str
    ) -> None:
        self.script.causes.append(Cause(len(self.script.causes) + 1, kind, school, room, pcs, start, end, story, start))


_LASTS = {
    "pc dead": (8, 25), "disk full": (1, 4), "disk filling": (12, 25), "disk failing": (2, 8), "disk read-only": (1, 3),
    "disk flapping": (1, 3), "service crashed": (1, 3), "overheating": (2, 10), "memory exhausted": (0, 0),
    "battery worn": (30, 60), "sign-in slow": (5, 15), "start slow": (5, 15), "clock wrong": (2, 8), "updates stuck": (25, 35),
}  # fmt: skip
"""Days on which somebody wants to use the machine until it is mended, from and to: those who sit before it say so, and a power
supply has to be ordered. What stands where nobody sits stays broken for longer."""

_SLOW = ("pc dead", "disk filling", "updates stuck", "start slow", "sign-in slow", "battery worn")
"""Kinds that show by what happens day after day: they are only drawn where the play lasts until they are mended."""

HINDERS_FREE = 5.0
"""Percent of a disk: with less, updates and programs begin to fail."""

_STORIES = {
    "pc dead": "its power supply is dead", "disk full": "somebody filled the disk", "disk filling": "its disk fills by the day",
    "disk failing": "its disk says that it fails", "disk read-only": "its disk went read-only",
    "disk flapping": "a program fills the disk and gives it back, over and over", "service crashed": "a service crashed",
    "overheating": "dust chokes its fan", "memory exhausted": "a program holds all memory",
    "battery worn": "its battery is old",
    "sign-in slow": "a huge profile makes every sign-in slow", "start slow": "every start takes minutes",
    "clock wrong": "its CMOS battery is empty", "updates stuck": "its updates fail again and again",
}  # fmt: skip


def _can_have(pc: Pc, kind: str) -> bool:
    if kind in ("pc dead", "clock wrong", "overheating", "sign-in slow", "start slow"):
        return pc.kind in (Kind.SUITE, Kind.TEACHER)
    if kind == "battery worn":
        return pc.is_laptop
    return pc.kind is not Kind.LOAN


def _fills(pc: Pc) -> tuple[float, float]:
    """From how much free space to how much a disk that fills goes."""
    return SMALL_DISK_FREE if pc.small_disk else 30.0, 0.6


def _bends(kind: str, pc: Pc, span: tuple[float, float], dice: random.Random) -> list[Bend]:
    """What the machine's own readings show of it."""
    start, end = span
    volume = pc.volume
    service = dice.choice(("Spooler", "LanmanWorkstation", "WinDefend")) if pc.system == "windows" else "cups"
    if kind == "disk filling":
        return [falling("disk.free_percent", volume, start, end, _fills(pc))]
    if kind == "disk flapping":
        return [trembling(dice, "disk.free_percent", volume, start, end)]
    if kind == "overheating":
        hot = dice.uniform(97, 103)
        readings = (("temperature.celsius", "cpu", hot), ("temperature.headroom", "cpu", 103 - hot))
        return [flat(reading, instance, start, end, value) for reading, instance, value in readings]
    plain: dict[str, tuple[str, str, float]] = {
        "disk full": ("disk.free_percent", volume, dice.uniform(0.2, 2.5)),
        "disk failing": ("disk.smart_failing", "disk0", 1.0),
        "disk read-only": ("disk.read_only", volume, 1.0),
        "service crashed": ("service.running", service, 0.0),
        "memory exhausted": ("memory.used_percent", "", dice.uniform(97.5, 99.8)),
        "battery worn": ("battery.health_percent", "", dice.uniform(20, 42)),
        "sign-in slow": ("logon.duration_seconds", "", dice.uniform(150, 300)),
        "start slow": ("boot.duration_seconds", "", dice.uniform(300, 700)),
        "clock wrong": ("clock.offset_seconds", "", dice.choice((-1, 1)) * dice.uniform(900, 5e6)),
        "updates stuck": ("updates.security_pending", "", float(dice.randint(1, 6))),
    }
    if kind not in plain:
        return []
    reading, instance, value = plain[kind]
    return [flat(reading, instance, start, end, value)]
