"""What the forecasts decide: the outlooks of one endpoint, what becomes of each rule's state, and when it may be told. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from fettle_protocol.policy import Judge, Policy, Rule

from fettle_server.estate.calendars.rules import Calendar, DayKind
from fettle_server.proactive.forecasts import disks, slower, wear
from fettle_server.proactive.forecasts.outlooks import Days, Outlook, many
from fettle_server.proactive.forecasts.slower import Peers

WARRANTY = "warranty-ending"
CERTIFICATE = "certificate-ending"
TASKS: Mapping[str, str] = {wear.BATTERY: "battery", wear.SSD: "disk", WARRANTY: "warranty"}
"""Forecasts that make a maintenance task, of that kind, instead of an incident."""
RULES = (
    disks.FILLS, disks.SECTORS, wear.BATTERY, wear.SSD, slower.LEAK, slower.SIGN_IN, slower.BOOT, slower.HEAT, WARRANTY,
    CERTIFICATE,
)  # fmt: skip
HISTORY_DAYS = 60
TAIL_DAYS = 13
TAIL_REACH_DAYS = 390
STALE = dt.timedelta(days=7)
"""Of a PC that has not been heard of for so long nothing new is told."""
LONG_OVER_DAYS = 60
"""A warranty that ended so long ago is no news."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual among an endpoint's peers; None where they are too few."""

    sign_in: Peers | None = None
    boot: Peers | None = None
    rise: Peers | None = None


def outlooks(days: Days, usual: Usual) -> list[Outlook]:
    """Everything that an endpoint's days tell, the newest day being the last."""
    if not days:
        return []
    return [
        *disks.fills(days),
        *disks.sectors(days),
        *wear.battery(days),
        *wear.ssd(days),
        *slower.leak(days),
        *slower.slower(days, slower.SIGN_IN, usual.sign_in),
        *slower.slower(days, slower.BOOT, usual.boot),
        *slower.heat(days, usual.rise),
    ]


def warranty(ends_on: dt.date, today: dt.date) -> Outlook:
    """The days until the warranty ends; a value of None once that is long over."""
    left = (ends_on - today).days
    if left < -LONG_OVER_DAYS:
        return Outlook(WARRANTY, "", None, f"The warranty ended on {day_words(ends_on)}")
    words = f"in {many(left, 'day')}, on" if left > 0 else "on"
    verb = "ends" if left >= 0 else "ended"
    return Outlook(WARRANTY, "", float(left), f"The warranty {verb} {words} {day_words(ends_on)}", due_in_days=float(left))


def certificate(not_after: dt.datetime, now: dt.datetime) -> Outlook:
    """The days until the agent's certificate ends: it renews it by itself long before, so something keeps it from that."""
    left = (not_after - now).total_seconds() / 86_400
    sentence = f"The agent's certificate ends in {many(max(left, 0), 'day')}, and it was not renewed"
    return Outlook(CERTIFICATE, "", left, sentence, due_in_days=max(left, 0.0))


def day_words(day: dt.date) -> str:
    """A day as people write it: "3 January 2027"."""
    return f"{day.day} {day:%B %Y}"


def rule_for(policy: Policy, outlook: Outlook, system: str, endpoint_class: str) -> Rule | None:
    """The rule that judges the outlook on such an endpoint; None where there is none, or it is off."""
    rule = policy.rule(outlook.rule)
    if rule is None or not rule.enabled or rule.judge is not Judge.SERVER:
        return None
    applies = rule.applies_to(system, outlook.instance) and (not rule.classes or endpoint_class in rule.classes)
    return rule if applies else None


def may_tell(calendar: Calendar, now: dt.datetime, due_at: dt.datetime | None) -> bool:
    """True in the service's hours on the school's working days; on its days off only where the next one would be too late."""
    if not calendar.is_working(now):
        return False
    day = calendar.day(now.astimezone(calendar.zone).date())
    if day.kind in (DayKind.SCHOOL_DAY, DayKind.INSET):
        return True
    opens = calendar.next_open(now)
    return due_at is not None and (opens is None or due_at <= opens + dt.timedelta(days=1))


def in_days(rule: str, value: float | None) -> float | None:
    """A forecast's value as days, where it is a time; None where it is something else."""
    if value is None or rule not in _TIMES:
        return None
    return value * _TIMES[rule]


_TIMES = {disks.FILLS: 1.0, wear.BATTERY: wear.MONTH, wear.SSD: wear.MONTH, WARRANTY: 1.0, CERTIFICATE: 1.0}
