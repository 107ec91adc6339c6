"""One rule's fault on machines that share no place: when so many are no chance, and what they have in common. Pure."""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fettle_protocol.policy import Impact

from fettle_server.proactive.causes.families import school_kind, shared_by
from fettle_server.proactive.causes.rules import Case, Group
from fettle_server.reactive.rules import Scope

WINDOWS = (dt.timedelta(minutes=10), dt.timedelta(hours=1), dt.timedelta(hours=24))
MONTH = dt.timedelta(days=30)
CHANCE = 1e-7
PC_MONTHS_EACH = 300
"""What is assumed of a rule of which nothing is known yet: one fault in so many PC-months."""
LEAST_OF_SCHOOL, LEAST_OF_ESTATE = 3, 4
ABOVE_BEFORE = 2
"""Faults have their hours (every morning at the bell): a burst is more than twice what any window of the month saw."""
FORERUNNER = dt.timedelta(hours=1)
ELSEWHERE_CHANCE = 0.01
"""So improbable must those be that are outside the school that has most of them, until the cause is no school's own."""
_IN_COMMON = 0.9
_BY_CHANCE = 1e-3
SCARCE = 0.6
"""What more than so many machines are is no news about those that are ill."""
CALM = dt.timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Kind:
    """A rule on an instance: its title, and how many it hinders."""

    rule: str
    instance: str
    title: str
    impact: str


@dataclass(frozen=True, slots=True)
class Estate:
    """What the cases are compared with: how many machines each school, model and build has, and how schools are called.

    `before` are the last 30 days' openings of the same fault that were no burst: (when, school).
    """

    schools: Mapping[int, int]
    names: Mapping[int, str]
    models: Mapping[str, int]
    builds: Mapping[str, int]
    before: Sequence[tuple[dt.datetime, int]]


def kinds(kind: Kind, cases: Sequence[Case], estate: Estate) -> list[Group]:
    """The causes among the cases of one rule and instance: one for several schools, or one for each school that has one."""
    alike = [case for case in cases if not case.split_from]
    wide = _of_estate(kind, alike, estate)
    if wide is not None:
        return [wide]
    groups = (_of_school(kind, school_id, alike, estate) for school_id in sorted({case.school_id for case in alike}))
    return [group for group in groups if group is not None and any(case.is_held for case in group.members)]


def tail(count: int, expected: float) -> float:
    """The chance of `count` or more where so many are expected (Poisson). Source: its series, summed from the tail's side."""
    if count <= 0:
        return 1.0
    if expected <= 0:
        return 0.0
    term = math.exp(count * math.log(expected) - expected - math.lgamma(count + 1))
    if count <= expected:
        below = sum(math.exp(k * math.log(expected) - expected - math.lgamma(k + 1)) for k in range(count))
        return max(0.0, 1.0 - below)
    total, k = 0.0, count
    while term > total * 1e-12:
        total += term
        k += 1
        term *= expected / k
    return total


def burst(began: Sequence[dt.datetime], before: Sequence[dt.datetime], window: dt.timedelta, machines: int) -> bool:
    """True where so many machines at a time (`began`, all within the window) are no chance."""
    expected = (len(before) + machines / PC_MONTHS_EACH) * (window / MONTH)
    return tail(len(began), expected) < CHANCE and len(began) > ABOVE_BEFORE * _most_within(before, window)


def _most_within(moments: Sequence[dt.datetime], window: dt.timedelta) -> int:
    ordered = sorted(moments)
    return max((bisect_left(ordered, moment + window) - place for place, moment in enumerate(ordered)), default=0)


def _together(cases: Sequence[Case], before: Sequence[dt.datetime], machines: int, least: int) -> list[Case]:
    """The cases of the shortest window up to the newest one that is a burst; none where none is."""
    if not cases:
        return []
    newest = max(case.since for case in cases)
    for window in WINDOWS:
        within = _one_each([case for case in cases if newest - case.since <= window])
        earlier = [moment for moment in before if moment < newest - window]
        if len(within) >= least and burst([case.since for case in within], earlier, window, machines):
            return _with_forerunners(cases, within)
    return []


def _with_forerunners(cases: Sequence[Case], burst: Sequence[Case]) -> list[Case]:
    """The burst with those before it, as long as each came within an hour of the next: it began with the first of them."""
    found = sorted(burst, key=lambda one: one.since)
    for case in sorted(cases, key=lambda one: one.since, reverse=True):
        if case.since < found[0].since and found[0].since - case.since <= FORERUNNER:
            found.insert(0, case)
    return _one_each(found)


def _one_each(cases: Sequence[Case]) -> list[Case]:
    return list({case.endpoint_pk: case for case in sorted(cases, key=lambda one: one.since)}.values())


def _of_school(kind: Kind, school_id: int, cases: Sequence[Case], estate: Estate) -> Group | None:
    own = [case for case in cases if case.school_id == school_id]
    before = [moment for moment, school in estate.before if school == school_id]
    members = _together(own, before, estate.schools.get(school_id, 0), LEAST_OF_SCHOOL)
    if not members:
        return None
    title = f"{kind.title} on {len(members)} PCs of {estate.names.get(school_id, '?')}"
    key = school_kind(school_id, kind.rule, kind.instance)
    return Group(key, Scope.SERVICE, school_id, None, title[:300], _at_least_room(kind.impact), tuple(members))


def _of_estate(kind: Kind, cases: Sequence[Case], estate: Estate) -> Group | None:
    before = [moment for moment, _ in estate.before]
    members = _together(cases, before, sum(estate.schools.values()), LEAST_OF_ESTATE)
    schools = Counter(case.school_id for case in members)
    if len(schools) < 2 or not any(case.is_held for case in members):
        return None
    if not _is_elsewhere(members, schools, before, estate):
        return None
    scope, value, share = _in_common(members, estate)
    title = f"{kind.title} on {len(members)} PCs of {len(schools)} schools"
    if value:
        all_of_them = "all" if share >= 1 else "nearly all"
        title += f": {all_of_them} {'run' if scope is Scope.BUILD else 'are'} {value}"
    key = shared_by(scope.value, value, kind.rule, kind.instance)
    return Group(key, scope, None, None, title[:300], Impact.SCHOOL, tuple(members))


def _is_elsewhere(members: Sequence[Case], schools: Counter[int], before: Sequence[dt.datetime], estate: Estate) -> bool:
    """True where those outside the school that has most of them are too many to be there by chance in its time."""
    most, count = schools.most_common(1)[0]
    began = [case.since for case in members]
    lasted = max(began) - min(began) + FORERUNNER
    machines = sum(count for school, count in estate.schools.items() if school != most)
    earlier = sum(1 for moment in before if moment < min(began))
    expected = (earlier + machines / PC_MONTHS_EACH) * (lasted / MONTH)
    return tail(len(members) - count, expected) < ELSEWHERE_CHANCE


def _in_common(members: Sequence[Case], estate: Estate) -> tuple[Scope, str, float]:
    """The model or build that nearly all share and few others have; of both the rarer one; else the service itself."""
    found: list[tuple[float, Scope, str, float]] = []
    for scope, of_case, population in (
        (Scope.MODEL, [case.model for case in members], estate.models),
        (Scope.BUILD, [case.build for case in members], estate.builds),
    ):
        value, count = Counter(of_case).most_common(1)[0]
        usual = population.get(value, 0) / max(1, sum(population.values()))
        if (
            value
            and count >= _IN_COMMON * len(members)
            and usual > 0
            and usual ** len(members) < _BY_CHANCE
            and usual <= SCARCE
        ):
            found.append((usual, scope, value, count / len(members)))
    if not found:
        return Scope.SERVICE, "", 0.0
    _, scope, value, share = min(found)
    return scope, value, share


def _at_least_room(impact: str) -> str:
    return Impact.ROOM if impact == Impact.USER else impact
