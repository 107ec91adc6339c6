"""How what the server told compares with what was truly wrong, and the same for the usual practice.

Owns which kinds of fault speak of which kinds of cause, and when. An incident belongs to a cause where its place, its kind
and its time fit; one that fits none is false, whatever our reasons were. An incident that was taken over by a wider one counts
as part of that one; one that was reopened is not new.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from replay.agents import Alert
from replay.drive import Outcome, Told
from replay.world import terms
from replay.world.causes import Cause
from replay.world.world import World

_LOST = ("absent", "gateway-", "dns-")
SPEAKS_OF: dict[str, tuple[str, ...]] = {
    "power cut": _LOST, "dead switch": _LOST, "line cut": _LOST, "name server failed": ("dns-",), "server dead": ("absent",),
    "pc dead": ("absent",), "disk full": ("disk-full", "disk-low", "disk-will-fill", "server-disk"),
    "disk filling": ("disk-full", "disk-low", "disk-will-fill", "server-disk"),
    "disk failing": ("disk-failing", "disk-sectors"),
    "disk read-only": ("disk-read-only",), "disk flapping": ("disk-full", "disk-low", "disk-will-fill", "server-disk"),
    "service crashed": ("service-", "print-", "security-", "firewall-", "malware-"), "bad update": ("service-", "print-"),
    "overheating": ("too-hot", "hot", "fan-", "temperature-"), "memory exhausted": ("memory-", "program-takes-memory"),
    "battery worn": ("battery-",), "sign-in slow": ("sign-in-",), "start slow": ("boot-",), "clock wrong": ("clock-",),
    "updates stuck": ("security-updates", "server-security-updates", "updates-", "restart-"),
}  # fmt: skip
"""For each kind of cause, how the keys of rules begin that speak of it."""

_BASELINE_LOST = ("offline", "gateway-", "dns-")
AFTER_S = 3600.0
BEFORE_S = 60.0
FELT_AT_LEAST_S = 600.0
"""A cause that machines felt for less than ten minutes in all hindered nobody: it is not counted, nor held against anybody."""


@dataclass(slots=True)
class Figures:
    """What one way of judging came to."""

    causes: int
    found: int = 0
    missed: list[Cause] = field(default_factory=list)
    incidents: int = 0
    per_cause: Counter[int] = field(default_factory=Counter)
    false: int = 0
    seconds: list[float] = field(default_factory=list)
    seconds_seen: list[float] = field(default_factory=list)
    notices: int = 0

    def percentile(self, share: float, *, seen: bool = False) -> float | None:
        """Seconds to find that this share of the found causes stays below."""
        ordered = sorted(self.seconds_seen if seen else self.seconds)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None

    def as_json(self, pc_days: int) -> dict[str, Any]:
        """The figures under the names that the issue gives them."""
        return {
            "pc_days": pc_days, "causes": self.causes, "found": self.found, "missed": len(self.missed),
            "incidents": self.incidents, "incidents_per_cause_max": max(self.per_cause.values(), default=0),
            "false_incidents": self.false, "seconds_to_find_p50": self.percentile(0.5),
            "seconds_to_find_p99": self.percentile(0.99), "notices": self.notices,
        }  # fmt: skip


@dataclass(slots=True)
class Score:
    """Ours and the baseline's figures, and the stories behind ours."""

    ours: Figures
    baseline: Figures
    false_told: list[Told]
    of_cause: dict[int, list[Told]]
    unfelt: int
    reopened: int


def score(outcome: Outcome) -> Score:
    """Compare."""
    counted = [cause for cause in outcome.causes if cause.felt_at is not None and cause.felt_s >= FELT_AT_LEAST_S]
    told = [one for one in outcome.told if one.merged_into is None]
    of_cause: dict[int, list[Told]] = {}
    false_told = []
    for one in told:
        cause = _cause_of(one, outcome.causes)
        if cause is None:
            false_told.append(one)
        else:
            of_cause.setdefault(cause.number, []).append(one)
    ours = Figures(len(counted), incidents=len(told), false=len(false_told), notices=outcome.notices)
    for cause in counted:
        found = of_cause.get(cause.number)
        if not found:
            ours.missed.append(cause)
            continue
        ours.found += 1
        _time(ours, cause, min(one.opened for one in found))
    for number, found in of_cause.items():
        ours.per_cause[number] = len(found)
    reopened = sum(one.reopened for one in told)
    return Score(ours, _baseline(outcome, counted), false_told, of_cause, len(outcome.causes) - len(counted), reopened)


def _time(figures: Figures, cause: Cause, opened: float) -> None:
    assert cause.felt_at is not None
    figures.seconds.append(max(0.0, opened - cause.start))
    figures.seconds_seen.append(max(0.0, opened - cause.felt_at))


def _cause_of(one: Told, causes: Iterable[Cause]) -> Cause | None:
    """The cause that the incident speaks of: of several the one with the fewest machines, and of those the latest."""
    fitting = [
        cause for cause in causes if _fits_kind(one.rules, cause.kind) and _fits_place(one, cause) and _fits_time(one, cause)
    ]
    return min(fitting, key=lambda cause: (_width(one, cause), -cause.start), default=None)


def _width(one: Told, cause: Cause) -> int:
    """A wider incident speaks of a wider cause."""
    return len(cause.pcs) if one.scope == "endpoint" else -len(cause.pcs & one.pcs)


def _fits_kind(rules: Iterable[str], kind: str) -> bool:
    return any(rule.startswith(SPEAKS_OF[kind]) for rule in rules)


def _fits_place(one: Told, cause: Cause) -> bool:
    if one.pcs:
        return len(one.pcs & cause.pcs) * 2 >= len(one.pcs)
    if one.room is not None and cause.room is not None:
        return one.room == cause.room
    return one.school is not None and one.school == cause.school


def _fits_time(one: Told, cause: Cause) -> bool:
    if cause.start - BEFORE_S <= one.opened <= cause.end + AFTER_S:
        return True
    return any(cause.start - BEFORE_S <= begun <= cause.end + AFTER_S for begun in one.begun) and one.opened >= cause.start


def _baseline(outcome: Outcome, counted: list[Cause]) -> Figures:
    """Every alert of the usual practice is an incident and a notice of its own, and its end a notice too."""
    figures = Figures(len(counted), incidents=len(outcome.alerts), notices=2 * len(outcome.alerts))
    of_pc: dict[int, list[Cause]] = {}
    for cause in outcome.causes:
        for pc in cause.pcs:
            of_pc.setdefault(pc, []).append(cause)
    first: dict[int, float] = {}
    for alert in outcome.alerts:
        known = _cause_of_alert(alert, of_pc.get(alert.pc, ()))
        if known is None:
            figures.false += 1
            continue
        figures.per_cause[known.number] += 1
        first[known.number] = min(first.get(known.number, alert.at), alert.at)
    for cause in counted:
        if cause.number in first:
            figures.found += 1
            _time(figures, cause, first[cause.number])
        else:
            figures.missed.append(cause)
    return figures


def _cause_of_alert(alert: Alert, causes: Iterable[Cause]) -> Cause | None:
    for cause in causes:
        speaks = tuple("offline" if key == "absent" else key for key in SPEAKS_OF[cause.kind])
        if alert.rule.startswith(speaks) and cause.start <= alert.at <= cause.end + AFTER_S:
            return cause
    return None


NOISES = ("holidays", "trolleys", "restarts", "re-imaging", "clocks", "snow")


def noise_of(one: Told, world: World) -> list[str]:
    """Which of the kinds of noise were about when a false incident was opened: any of them may have made it."""
    moments = (one.opened, *one.begun[:1])
    pcs = [world.estate.pcs[place] for place in one.pcs]
    schools = {one.school} - {None} or {pc.school for pc in pcs}
    kinds = {
        world.estate.schools[school].year.kind(_date(moment)) for school in schools if school is not None for moment in moments
    }
    noises = []
    if kinds & {"holiday", "half-term", "INSET day", "weekend"}:
        noises.append("holidays")
    if any(pc.is_laptop for pc in pcs):
        noises.append("trolleys")
    outages = (*world.outages.down, *world.outages.cut_off)
    if any(start - 600 < moment < end + 7200 for start, end in outages for moment in moments):
        noises.append("restarts")
    if any(terms.SUMMER_WORK[0] <= _date(moment) <= terms.SUMMER_WORK[1] + 3 * terms.DAY for moment in moments):
        noises.append("re-imaging")
    if any(abs(moment - at) < 7200 for at, _ in world.outages.steps for moment in moments):
        noises.append("clocks")
    return noises + (["snow"] if "snow day" in kinds else [])


def _date(moment: float) -> dt.date:
    return dt.datetime.fromtimestamp(moment, terms.LONDON).date()
