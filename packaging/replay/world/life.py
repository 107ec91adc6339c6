"""A machine's day: when it is on, how it came on and how it went off, as people, bells, timers and main switches have it.

Owns the habits. Causes (causes.py) cut into the outcome; readings are noise.py's.
"""

from __future__ import annotations

import datetime as dt
import random
from enum import StrEnum
from typing import NamedTuple

from replay.world import terms
from replay.world.estate import Culture, Estate, Kind, Pc, Room
from replay.world.terms import DAY


class Start(StrEnum):
    """How a machine came on. ALREADY: it was on when the day began."""

    BOOT = "boot"
    WAKE = "wake"
    ALREADY = "already"


class End(StrEnum):
    """How it went off. STAYS: it is still on when the day ends. CUT: at once, without a word."""

    SHUTDOWN = "shutdown"
    SLEEP = "sleep"
    RESTART = "restart"
    CUT = "cut"
    STAYS = "stays"


class On(NamedTuple):
    """One time of being on."""

    start: float
    end: float
    how: Start
    over: End


DAY_BEGINS = 4.0
"""Hour of the local day at which a played day begins: when least happens."""

_ILL, _PUPIL_POWERS_OFF, _LEFT_ON, _UPDATE_RESTART = 0.025, 0.004, 0.03, 0.02
_AWAY_A_YEAR = 3.0


class Lives:
    """Every machine's days, one after the other: what was left on overnight is remembered."""

    def __init__(self, estate: Estate, seed: int, first: dt.date, days: int) -> None:
        self._estate = estate
        self._seed = seed
        self._is_on: set[int] = {pc.place for pc in estate.pcs if pc.kind is Kind.SERVER}
        self._away = _absences(estate, seed, first, days)
        self._fitted: dict[int, list[tuple[dt.date, dt.date]]] = {}

    def day(self, date: dt.date) -> dict[int, list[On]]:
        """Each machine's times of being on, from DAY_BEGINS to the next day's; machines that stay off are left out."""
        begins, ends = terms.at(date, DAY_BEGINS), terms.at(date + DAY, DAY_BEGINS)
        rooms = {room.number: _plan(room, self._estate, date, self._seed) for room in self._estate.rooms}
        days: dict[int, list[On]] = {}
        for pc in self._estate.pcs:
            dice = random.Random((self._seed * 1_000_003 + pc.place) * 10_007 + date.toordinal())
            spans = self._spans(pc, date, rooms, dice)
            was_on = pc.place in self._is_on
            if spans or was_on:
                spans = _joined(spans, begins, ends) if was_on else spans
                days[pc.place] = spans
            self._remember(pc, days.get(pc.place), ends)
        return days

    def _remember(self, pc: Pc, spans: list[On] | None, ends: float) -> None:
        if spans and spans[-1].over is End.STAYS:
            self._is_on.add(pc.place)
        else:
            self._is_on.discard(pc.place)

    def turn_off(self, pc: int) -> None:
        """A cause took it off before the day was over."""
        self._is_on.discard(pc)

    def is_away(self, pc: Pc, date: dt.date) -> bool:
        """Nobody uses it for weeks: a trolley in a cupboard, a laptop at home with somebody on leave."""
        key = ("room", pc.room) if pc.kind is Kind.TROLLEY else ("pc", pc.place)
        return any(first <= date <= last for first, last in self._away.get(key, ()))

    def _spans(self, pc: Pc, date: dt.date, rooms: dict[int, _Plan], dice: random.Random) -> list[On]:
        year = self._estate.schools[pc.school].year
        if pc.kind is Kind.SERVER:
            return _server(date, dice)
        if pc.kind in (Kind.STAFF, Kind.LOAN):
            return [] if self.is_away(pc, date) else _staff(pc, date, dice, is_lessons=year.is_lesson_day(date))
        assert pc.room is not None
        plan = rooms[pc.room]
        if not plan.is_used or self.is_away(pc, date):
            return _imaging(pc, date, dice, plan)
        if pc.kind is Kind.TROLLEY:
            return _trolley(pc, date, dice, plan)
        return _suite(pc, date, dice, plan, is_left_on=pc.place in self._is_on)


class _Plan(NamedTuple):
    """What a room does on a day: whether it is used, from which lesson, until when, and how it is left."""

    is_used: bool
    lessons: tuple[float, ...]
    culture: Culture
    woken: bool
    is_imaged: bool


def _plan(room: Room, estate: Estate, date: dt.date, seed: int) -> _Plan:
    dice = random.Random(f"{seed}/room/{room.number}/{date.toordinal()}")
    year = estate.schools[room.school].year
    staff_only = year.in_term(date) and date in year.insets
    used = year.is_lesson_day(date) and room.free_weekday != date.weekday() and dice.random() < room.use
    lessons = tuple(lesson for lesson in terms.LESSONS if dice.random() < 0.75) or (terms.LESSONS[1],)
    if room.is_trolley:
        lessons = tuple(lesson for lesson in terms.LESSONS if dice.random() < 0.3) or (terms.LESSONS[3],)
    first, last = terms.SUMMER_WORK
    turn = (last - first).days
    is_imaged = not room.is_trolley and date == first + DAY * (room.number * 7 % turn) and (first <= date <= last)
    return _Plan(used and not staff_only, lessons, room.culture, room.woken, is_imaged)


def is_imaged(estate: Estate, pc: Pc, date: dt.date) -> bool:
    """Whether the machine gets its new image on that day of the summer."""
    if pc.room is None or pc.kind not in (Kind.SUITE, Kind.TEACHER):
        return False
    return _plan(estate.rooms[pc.room], estate, date, 0).is_imaged


def _imaging(pc: Pc, date: dt.date, dice: random.Random, plan: _Plan) -> list[On]:
    if not plan.is_imaged or not pc.is_fixed:
        return []
    start = terms.at(date, dice.uniform(9, 11))
    return [On(start, start + dice.uniform(2400, 5400), Start.BOOT, End.SHUTDOWN)]


def _suite(pc: Pc, date: dt.date, dice: random.Random, plan: _Plan, *, is_left_on: bool) -> list[On]:
    """A fixed machine: started at the bell or together in the morning, off after lessons in its room's way."""
    if pc.kind is Kind.TEACHER:
        if dice.random() < _ILL:
            return []
        start, last = terms.at(date, dice.uniform(7.8, 8.75)), terms.at(date, dice.uniform(15.6, 17.3))
    else:
        if dice.random() > pc.keen and not is_left_on:
            return []
        first = 7.75 + dice.uniform(0, 0.05) if plan.woken else _first_lesson(plan, dice)
        start, last = terms.at(date, first), terms.at(date, max(plan.lessons) + 0.9 + dice.uniform(-0.05, 0.25))
    end, over = _evening(plan, date, last, dice)
    if is_left_on:
        start = min(start, end - 3600)
    spans = [On(start, end, Start.BOOT, over)]
    draw = dice.random()
    if draw < _PUPIL_POWERS_OFF:
        return _powered_off(spans[0], dice)
    if draw < _PUPIL_POWERS_OFF + _UPDATE_RESTART:
        return _restarted(spans[0], dice)
    return spans


def _first_lesson(plan: _Plan, dice: random.Random) -> float:
    """The lesson at which a pupil sits down at it: usually the room's first."""
    lesson = plan.lessons[0] if dice.random() < 0.9 else dice.choice(plan.lessons)
    return lesson + dice.uniform(0, 0.1)


def _evening(plan: _Plan, date: dt.date, last: float, dice: random.Random) -> tuple[float, End]:
    if dice.random() < 0.8:
        return last, End.SHUTDOWN
    if plan.culture is Culture.SWEPT:
        return terms.at(date, 17.5) + dice.random(), End.CUT
    if plan.culture is Culture.AUTOMATIC:
        return terms.at(date, 18.5) + dice.uniform(0, 120), End.SHUTDOWN
    if dice.random() < _LEFT_ON * 5:
        return terms.at(date + DAY, DAY_BEGINS), End.STAYS
    return last + dice.uniform(0, 3600), End.SHUTDOWN


def _powered_off(on: On, dice: random.Random) -> list[On]:
    """A pupil holds the button down: on again in a minute, in the next lesson, or not today."""
    moment = on.start + (on.end - on.start) * dice.uniform(0.05, 0.9)
    spans = [On(on.start, moment, on.how, End.CUT)]
    draw = dice.random()
    if draw < 0.85:
        back = moment + (dice.uniform(40, 300) if draw < 0.6 else dice.uniform(3000, 5400))
        if back < on.end - 600:
            spans.append(On(back, on.end, Start.BOOT, on.over))
    return spans


def _restarted(on: On, dice: random.Random) -> list[On]:
    """An update restarts it: most come back in minutes."""
    moment = on.start + (on.end - on.start) * dice.uniform(0.1, 0.8)
    back = moment + dice.uniform(60, 420)
    if back > on.end - 300:
        return [on]
    return [On(on.start, moment, on.how, End.RESTART), On(back, on.end, Start.BOOT, on.over)]


def _trolley(pc: Pc, date: dt.date, dice: random.Random, plan: _Plan) -> list[On]:
    """Opened for single lessons, closed at their end; now and then one is shut down or runs out of charge."""
    spans = []
    for number, lesson in enumerate(plan.lessons):
        if dice.random() < pc.keen:
            start = terms.at(date, lesson + dice.uniform(0.03, 0.15))
            end = terms.at(date, lesson + dice.uniform(0.7, 0.85))
            over = dice.choices((End.SLEEP, End.SHUTDOWN, End.CUT), (85, 12, 3))[0]
            spans.append(On(start, end, Start.WAKE if number else Start.BOOT, over))
    return spans


def _staff(pc: Pc, date: dt.date, dice: random.Random, *, is_lessons: bool) -> list[On]:
    """Open at school by day and at home in some evenings, at weekends and in holidays."""
    spans: list[On] = []
    if pc.kind is Kind.LOAN and dice.random() < 0.5:
        return spans
    if is_lessons and dice.random() < 0.93:
        morning, noon = dice.uniform(7.7, 8.8), dice.uniform(11.8, 12.8)
        spans.append(On(terms.at(date, morning), terms.at(date, noon), Start.BOOT, _lid(dice)))
        spans.append(
            On(terms.at(date, noon + dice.uniform(0.3, 1)), terms.at(date, dice.uniform(15.5, 16.8)), Start.WAKE, _lid(dice))
        )
    if dice.random() < (0.4 if is_lessons else 0.2):
        evening = dice.uniform(17.5, 20.5)
        spans.append(On(terms.at(date, evening), terms.at(date, evening + dice.uniform(0.3, 2.5)), Start.WAKE, _lid(dice)))
    return spans


def _lid(dice: random.Random) -> End:
    return dice.choices((End.SLEEP, End.SHUTDOWN, End.CUT), (75, 23, 2))[0]


def _server(date: dt.date, dice: random.Random) -> list[On]:
    """On day and night; restarted for updates on the second Sunday of a month, in the early morning."""
    begins, ends = terms.at(date, DAY_BEGINS), terms.at(date + DAY, DAY_BEGINS)
    if date.weekday() == 6 and 8 <= date.day <= 14:
        moment = terms.at(date, 5 + dice.uniform(0, 0.5))
        back = moment + dice.uniform(240, 900)
        return [On(begins, moment, Start.ALREADY, End.RESTART), On(back, ends, Start.BOOT, End.STAYS)]
    return [On(begins, ends, Start.ALREADY, End.STAYS)]


def _joined(spans: list[On], begins: float, ends: float) -> list[On]:
    """The day of a machine that was left on: on from the day's begin into its first time, or until somebody turns it off."""
    if not spans:
        return [On(begins, ends, Start.ALREADY, End.STAYS)]
    first = spans[0]
    return [On(begins, first.end, Start.ALREADY, first.over), *spans[1:]]


def _absences(
    estate: Estate, seed: int, first: dt.date, days: int
) -> dict[tuple[str, int | None], list[tuple[dt.date, dt.date]]]:
    """Weeks in which a trolley or a laptop is used by nobody."""
    dice = random.Random(f"{seed}/away")
    keys: list[tuple[str, int | None]] = [("room", room.number) for room in estate.rooms if room.is_trolley]
    keys += [("pc", pc.place) for pc in estate.pcs if pc.kind in (Kind.STAFF, Kind.LOAN)]
    away: dict[tuple[str, int | None], list[tuple[dt.date, dt.date]]] = {}
    for key in keys:
        often = _AWAY_A_YEAR if key[0] == "room" else 0.3
        for _ in range(sum(dice.random() < often * days / 365 / 4 for _ in range(4))):
            begin = first + DAY * dice.randrange(days)
            away.setdefault(key, []).append((begin, begin + DAY * dice.randint(14, 50)))
    return away
