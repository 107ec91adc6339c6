"""Which of the waiting faults have one cause, and when each of them is next to be looked at. Reads only."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from fettle_protocol.policy import Policy, Spread

from fettle_server.proactive.causes import cases
from fettle_server.proactive.causes.cases import Waiting
from fettle_server.proactive.causes.families import CONNECTION, NAMES, family_of, spread_of
from fettle_server.proactive.causes.kinds import CALM as KIND_CALM
from fettle_server.proactive.causes.kinds import LEAST_OF_SCHOOL, Kind, kinds
from fettle_server.proactive.causes.rules import STORM_LONGEST, Group, calm_moments, least_of, places
from fettle_server.proactive.rules import ABSENT, SERVER_RULES, standing
from fettle_server.proactive.stages.rules import Stage

SLACK = dt.timedelta(seconds=60)
"""How long after a storm became calm it is still looked at for its causes: many turns of the worker, should one be held up."""


class Storm(NamedTuple):
    """Waiting faults that may have one cause: of one school and family, or of one rule and instance."""

    spread: Spread
    school_id: int
    family: str
    instance: str


def storms(policy: Policy, waiting: Iterable[Waiting]) -> dict[Storm, list[Waiting]]:
    """The faults that are looked around for, by what they may share. Those whose rule does not spread stand alone."""
    found: dict[Storm, list[Waiting]] = defaultdict(list)
    for one in waiting:
        if one.stage != Stage.GATHERING:
            continue
        spread = spread_of(policy, one.rule)
        if spread is Spread.KIND:
            found[Storm(spread, 0, one.rule, one.instance)].append(one)
        elif spread is Spread.PLACE:
            found[Storm(spread, one.school_id, family_of(policy, one.rule), "")].append(one)
        else:
            found[Storm(spread, 0, str(one.id), "")].append(one)
    return found


def calm_of(storm: Storm, faults: Sequence[Waiting]) -> list[dt.datetime]:
    """When the causes of the storm are looked for, in order; empty: it is none."""
    if storm.spread is Spread.PLACE:
        return calm_moments(one.case for one in faults)
    return [max(one.joined for one in faults) + KIND_CALM] if storm.spread is Spread.KIND else []


def due_of(storm: Storm, fault: Waiting, calm: Sequence[dt.datetime]) -> dt.datetime:
    """When the fault has waited enough; a storm that still grows keeps it a little longer."""
    until = fault.held_until or fault.joined
    if storm.spread is not Spread.PLACE or not calm:
        return until
    return max(until, min(calm[-1], fault.joined + STORM_LONGEST))


def find(tx: sa.Connection, policy: Policy, waiting: Sequence[Waiting], now: dt.datetime) -> tuple[list[Group], list[Waiting]]:
    """The causes that can be told now, and the faults that have waited enough and have none."""
    groups: list[Group] = []
    due = [one for one in waiting if one.stage != Stage.GATHERING]
    for storm, faults in storms(policy, waiting).items():
        calm = calm_of(storm, faults)
        ready = [one for one in faults if due_of(storm, one, calm) <= now]
        found = _causes(tx, policy, storm, faults, now) if ready or _is_fresh(calm, now) else []
        groups += found
        taken = {case.fault_id for group in found for case in group.members}
        due += [one for one in ready if one.id not in taken]
    return groups, due


def _is_fresh(calm: Sequence[dt.datetime], now: dt.datetime) -> bool:
    return any(now - SLACK < moment <= now for moment in calm)


def moments(policy: Policy, waiting: Sequence[Waiting], now: dt.datetime) -> list[dt.datetime]:
    """The times at which the waiting faults are to be looked at again: those that are over, or to come."""
    found = [one.held_until for one in waiting if one.stage != Stage.GATHERING and one.held_until is not None]
    for storm, faults in storms(policy, waiting).items():
        calm = calm_of(storm, faults)
        found += [due_of(storm, one, calm) for one in faults]
        found += [moment for moment in calm if moment > now]
    return found


def _causes(tx: sa.Connection, policy: Policy, storm: Storm, faults: Sequence[Waiting], now: dt.datetime) -> list[Group]:
    own = [one.case for one in faults]
    if storm.spread is Spread.PLACE:
        alike = SERVER_RULES | {rule.key for rule in policy.rules}
        rules = {rule for rule in alike if family_of(policy, rule) == storm.family and spread_of(policy, rule) is Spread.PLACE}
        everyone = own + cases.told_in_schools(tx, [storm.school_id], rules, now)
        if storm.family == NAMES:
            cut_off = cases.cut_off(tx, storm.school_id, [rule for rule in alike if family_of(policy, rule) == CONNECTION])
            everyone = [case for case in everyone if case.endpoint_pk not in cut_off]
        if len({case.endpoint_pk for case in everyone}) < least_of(everyone):
            return []
        what = standing(policy, faults[0].rule, "", "").title
        school = cases.premises(tx, storm.school_id)
        here = frozenset().union(*school.connected.values())
        missed = [case for case in everyone if case.rule != ABSENT or case.endpoint_pk not in here]  # some may be back already
        return places(storm.family, school, missed, what)
    if storm.spread is Spread.KIND:
        everyone = own + cases.told_of_kind(tx, storm.family, storm.instance, now)
        if len({case.endpoint_pk for case in everyone}) < LEAST_OF_SCHOOL:
            return []
        means = standing(policy, storm.family, storm.instance, "")
        kind = Kind(storm.family, storm.instance, means.title, means.impact)
        return kinds(kind, everyone, cases.estate(tx, storm.family, storm.instance, now))
    return []
