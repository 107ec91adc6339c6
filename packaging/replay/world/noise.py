"""What looks like trouble and is none: busy mornings, updates, film exports, installers, the server's own restarts, clocks.

Owns ordinary bends of readings and what happens to Fettle's own server. None of it is anybody's incident.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass

from replay.world import terms
from replay.world.bends import Bend, flat
from replay.world.estate import Estate, Kind, Pc
from replay.world.life import On, Start
from replay.world.terms import DAY

_EXPORT, _INSTALLER, _SLOW_ANSWERS, _MEMORY, _SLOW_SIGN_IN, _SLOW_START, _SERVICE = 0.002, 0.004, 0.01, 0.01, 0.01, 0.006, 0.02
"""Chances of each, for one time of being on."""


@dataclass(frozen=True, slots=True)
class Outages:
    """Fettle's own server: what happens to it, in seconds since the epoch.

    `down`: it is restarted or off. `cut_off`: it runs, but its line is cut. `steps`: its clock is so wrong from then on.
    """

    down: tuple[tuple[float, float], ...]
    cut_off: tuple[tuple[float, float], ...]
    steps: tuple[tuple[float, float], ...]

    def clock_error(self, moment: float) -> float:
        """Seconds that the server's clock is wrong by then."""
        error = 0.0
        for begins, seconds in self.steps:
            if begins <= moment:
                error = seconds
        return error


def draw_outages(seed: int, first: dt.date, days: int) -> Outages:
    """Restarts of seconds to hours, cuts of its line, and steps of its clock, by day and by night."""
    dice = random.Random(f"{seed}/outages")
    down: list[tuple[float, float]] = []
    cut: list[tuple[float, float]] = []
    steps: list[tuple[float, float]] = []
    for number in range(days):
        date = first + number * DAY
        draw = dice.random()
        start = terms.at(date, dice.uniform(8, 17) if dice.random() < 0.6 else dice.uniform(0, 24))
        if draw < 0.07:
            length = dice.uniform(20, 300) if dice.random() < 0.75 else dice.uniform(600, 3 * 3600)
            down.append((start, start + length))
        elif draw < 0.08:
            cut.append((start, start + dice.uniform(180, 3600)))
        elif draw < 0.085:
            steps += [(start, dice.choice((-1, 1)) * dice.uniform(30, 900)), (start + dice.uniform(2, 30) * 3600, 0.0)]
    return Outages(tuple(down), tuple(cut), tuple(sorted(steps)))


def draw_blips(estate: Estate, seed: int, first: dt.date, days: int) -> dict[int, list[tuple[float, float]]]:
    """Schools' lines that blink for a minute or a few, eight times a year each."""
    dice = random.Random(f"{seed}/blips")
    blips: dict[int, list[tuple[float, float]]] = {}
    for school in estate.schools:
        for number in range(days):
            if dice.random() < 8 / 365:
                start = terms.at(first + number * DAY, dice.uniform(7, 18))
                blips.setdefault(school.number, []).append((start, start + dice.uniform(20, 330)))
    return blips


def of_day(pc: Pc, spans: list[On], date: dt.date, seed: int) -> list[Bend]:
    """A machine's ordinary bends of a day."""
    dice = random.Random((seed * 1_000_033 + pc.place) * 10_009 + date.toordinal())
    bends: list[Bend] = []
    for on in spans:
        if on.how is Start.BOOT:
            bends.append(flat("cpu.busy_percent", "", on.start, min(on.end, on.start + dice.uniform(60, 420)), 100.0))
            if dice.random() < _SLOW_START:
                bends.append(flat("boot.duration_seconds", "", on.start, on.end, dice.uniform(190, 480)))
            if dice.random() < _SLOW_SIGN_IN:
                bends.append(flat("logon.duration_seconds", "", on.start, min(on.end, on.start + 3000), dice.uniform(95, 200)))
        if on.end - on.start > 1800 and dice.random() < 0.06:
            bends += _busy_hour(pc, on, dice)
    return bends + _updates(pc, spans, date, dice)


def _busy_hour(pc: Pc, on: On, dice: random.Random) -> list[Bend]:
    start = dice.uniform(on.start + 400, on.end - 600)
    draw = dice.random() * 0.052

    def until(low: float, high: float) -> float:
        return min(on.end, start + dice.uniform(low, high))

    if draw < _EXPORT:
        end = until(600, 2700)
        return [flat("cpu.busy_percent", "", start, end, 99.0), flat("process.largest_cpu_percent", "", start, end, 100.0)]
    if draw < _EXPORT + _INSTALLER:
        free = dice.uniform(5, 9) if pc.small_disk else dice.uniform(15, 30)
        return [flat("disk.free_percent", pc.volume, start, until(120, 2400), free)]
    if draw < _EXPORT + _INSTALLER + _SLOW_ANSWERS:
        return [flat("dns.latency_ms", "", start, until(20, 200), dice.uniform(800, 4000))]
    if draw < _EXPORT + _INSTALLER + _SLOW_ANSWERS + _MEMORY:
        return [flat("memory.used_percent", "", start, until(20, 100), dice.uniform(94, 99))]
    if draw < _EXPORT + _INSTALLER + _SLOW_ANSWERS + _MEMORY + _SERVICE:
        name = "Spooler" if pc.system == "windows" else "cups"
        return [flat("service.running", name, start, until(5, 45), 0.0)]
    return [flat("process.largest_cpu_percent", "", start, until(30, 400), 100.0)]


def _updates(pc: Pc, spans: list[On], date: dt.date, dice: random.Random) -> list[Bend]:
    """Updates come out on the second Tuesday; each machine fetches them within days."""
    if not spans or pc.kind is Kind.SERVER:
        return []
    tuesday = _second_tuesday(date)
    age = (date - tuesday).days
    if not 0 <= age <= 3:
        return []
    bends = []
    if random.Random(pc.place * 31 + tuesday.toordinal()).randrange(4) == age:
        start = dice.uniform(spans[0].start, spans[-1].end)
        bends.append(
            flat("cpu.busy_percent", "", start, min(spans[-1].end, start + dice.uniform(180, 780)), dice.uniform(90, 100))
        )
        bends.append(flat("updates.reboot_pending", "", start, spans[-1].end, 1.0))
        bends.append(flat("updates.security_pending", "", start, spans[-1].end, 2.0))
    return bends


def _second_tuesday(date: dt.date) -> dt.date:
    first = date.replace(day=1)
    return first + DAY * ((1 - first.weekday()) % 7 + 7)
