"""The whole world, a day at a time: who is on when, what each feels, what reaches the outside, and what is truly wrong.

Puts estate, lives, causes and noise together. Owns how a cause cuts into a day (a dead machine is off, mains power ends it).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from replay.world import causes, estate, life, noise, terms
from replay.world.bends import Bend
from replay.world.causes import Cause
from replay.world.estate import Kind, Pc
from replay.world.life import End, On, Start
from replay.world.terms import DAY

Span = tuple[float, float]


@dataclass(slots=True)
class PcDay:
    """One machine's day: when it is on, how readings leave the ordinary, and when it reaches nobody outside."""

    on: list[On]
    bends: list[Bend] = field(default_factory=list)
    cut_off: list[Span] = field(default_factory=list)
    is_imaged: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The world's parameters. `lead` days of life come before new causes begin, `tail` days without new ones after."""

    seed: int
    schools: int
    pcs: int
    days: int
    lead: int
    tail: int
    scale: float = 1.0
    first: dt.date = dt.date(2025, 9, 1)

    @property
    def causes_from(self) -> dt.date:
        """The first day on which a cause may begin."""
        return self.first + self.lead * DAY

    @property
    def total_days(self) -> int:
        """All days that are played."""
        return self.lead + self.days + self.tail


class World:
    """A played world; `day` must be called for one day after the other."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.estate = estate.draw(plan.seed, plan.schools, plan.pcs)
        span = causes.Span(plan.causes_from, plan.days, plan.tail)
        self.script = causes.draw(self.estate, span, plan.seed, plan.scale)
        self.outages = noise.draw_outages(plan.seed, plan.first, plan.total_days)
        self.blips = noise.draw_blips(self.estate, plan.seed, plan.first, plan.total_days)
        self._lives = life.Lives(self.estate, plan.seed, plan.first, plan.total_days)
        self._causes_of: dict[int, list[Cause]] = {}
        for cause in self.script.causes:
            for pc in cause.pcs:
                self._causes_of.setdefault(pc, []).append(cause)

    @property
    def causes(self) -> list[Cause]:
        """Every cause, felt or not."""
        return self.script.causes

    def dates(self) -> list[dt.date]:
        """Every day of the play."""
        return [self.plan.first + n * DAY for n in range(self.plan.total_days)]

    def day(self, date: dt.date) -> dict[int, PcDay]:
        """What each machine lives through that day; machines that stay off and would have are left out."""
        begins, ends = terms.at(date, life.DAY_BEGINS), terms.at(date + DAY, life.DAY_BEGINS)
        lives = self._lives.day(date)
        days: dict[int, PcDay] = {}
        for pc in self.estate.pcs:
            meant = lives.get(pc.place)
            if not meant:
                continue
            spans = self._barred(pc, meant, begins, ends)
            self._feel(pc, meant, spans)
            if spans:
                days[pc.place] = self._felt_day(pc, spans, date, (begins, ends))
            if meant[-1].over is End.STAYS and (not spans or spans[-1].over is not End.STAYS):
                self._stay_off(pc)
        return days

    def _stay_off(self, pc: Pc) -> None:
        if pc.kind is not Kind.SERVER:
            self._lives.turn_off(pc.place)

    def _barred(self, pc: Pc, spans: list[On], begins: float, ends: float) -> list[On]:
        """The times of being on that are left where the machine is dead or has no power."""
        bars = list(self.script.dead.get(pc.place, ()))
        if pc.is_fixed:
            bars += self.script.unpowered.get(pc.school, ())
        for start, end in sorted(bars):
            if start < ends and end > begins:
                spans = [piece for on in spans for piece in _clipped(on, start, end, pc)]
        return spans

    def _feel(self, pc: Pc, meant: list[On], spans: list[On]) -> None:
        """Note which causes the machine felt, in the times when it was on or would have been."""
        for cause in self._causes_of.get(pc.place, ()):
            for on in meant:
                if cause.kind == "start slow" and (on.how is not Start.BOOT or on.start < cause.start):
                    continue  # who finds it on does not wait
                start, end = max(cause.harms_from, on.start), min(cause.end, on.end)
                if start < end:
                    cause.feel(start, end)

    def _felt_day(self, pc: Pc, spans: list[On], date: dt.date, day: Span) -> PcDay:
        begins, ends = day
        bends = noise.of_day(pc, spans, date, self.plan.seed)
        bends += [bend for bend in self.script.bends.get(pc.place, ()) if bend.start < ends and bend.end > begins]
        cut_off = [span for span in self._outside(pc) if span[0] < ends and span[1] > begins]
        return PcDay(spans, bends, _united(cut_off), life.is_imaged(self.estate, pc, date))

    def _outside(self, pc: Pc) -> list[Span]:
        spans = [*self.outages.cut_off]
        if pc.kind not in (Kind.STAFF, Kind.LOAN):  # those find a way of their own: a telephone, or home
            spans += self.script.school_cut_off.get(pc.school, ())
            spans += self.blips.get(pc.school, ())
        if pc.room is not None:
            spans += self.script.room_cut_off.get(pc.room, ())
        return spans

    def what_happened(self, pc: int | None, school: int | None, moment: float) -> str:
        """The world's side of the story around a moment: the day's kind, and what was wrong near it."""
        date = dt.datetime.fromtimestamp(moment, terms.LONDON).date()
        words = [self.estate.schools[school].year.kind(date) if school is not None else ""]
        for name, spans in (("Fettle's server was off", self.outages.down), ("its line was cut", self.outages.cut_off)):
            words += [name for start, end in spans if start - 600 < moment < end + 7200]
        words += ["its clock was wrong" for start, _ in self.outages.steps if start - 600 < moment < start + 40 * 3600]
        if school is not None:
            words += [
                "the school's line blinked" for start, end in self.blips.get(school, ()) if start - 60 < moment < end + 3600
            ]
        if pc is not None:
            words += [
                f"cause {c.number} {c.kind}" for c in self._causes_of.get(pc, ()) if c.start - 600 < moment < c.end + 5 * 86400
            ]
        return "; ".join(word for word in words if word)


def _clipped(on: On, start: float, end: float, pc: Pc) -> list[On]:
    """What is left of a time of being on around a bar; after it somebody turns the machine on again, if it is worth it."""
    if on.end <= start or on.start >= end:
        return [on]
    pieces = []
    if on.start < start:
        pieces.append(On(on.start, start, on.how, End.CUT))
    back = end + (60 + pc.place % 180 if pc.kind is Kind.SERVER else 60 + pc.place * 37 % 840)
    if back < on.end - 300:
        pieces.append(On(back, on.end, Start.BOOT, on.over))
    return pieces


def _united(spans: list[Span]) -> list[Span]:
    """Overlapping spans made one, in order."""
    united: list[Span] = []
    for start, end in sorted(spans):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united
