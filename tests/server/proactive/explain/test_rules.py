"""An explanation's words: each rule's standing with its reason, and each link of a fault's way."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest
from fettle_protocol.policy import EndpointClass, Impact, Judge, Rule, Severity
from fettle_protocol.rules import Direction
from fettle_server.proactive.explain import rules
from fettle_server.proactive.explain.rules import Case, Machine, Told, Value, Way
from fettle_server.proactive.explain.views import Kind, Standing

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
FULL = Rule(
    key="disk-full", reading="disk.free_percent", direction=Direction.BELOW, raise_level=5, raise_for_s=180, clear_level=8,
    clear_for_s=40, severity=Severity.ILL, impact=Impact.USER, topic="disk", title="Disk {instance} is full", meaning="It is.",
    first_step="Empty it.",
)  # fmt: skip
LINUX = Machine("linux", EndpointClass.TROLLEY)
NAMES = {"window": "maintenance window", "gathering": "looking around"}


def line(rule: Rule = FULL, machine: Machine = LINUX, value: float | None = 50, **more: Any) -> Any:
    values = {rule.reading: [Value("/", value)]} if value is not None else {}
    (found,) = rules.lines([rule], machine, values, more.get("countdowns", {}), more.get("raised", frozenset()))
    return found


@pytest.mark.parametrize(
    ("changes", "machine", "standing", "says"),
    [
        ({"enabled": False}, LINUX, Standing.OFF, "switched off"),
        ({"systems": ("windows", "macos")}, LINUX, Standing.OTHER_SYSTEM, "for Windows and macOS; this PC runs Linux"),
        ({"classes": ("server",)}, LINUX, Standing.OTHER_CLASS, "class server; this PC's is trolley"),
        ({"instances": ("C:",)}, LINUX, Standing.NO_READING, "does not give that reading"),
        ({"instances": ("C:",)}, Machine("linux", "", ("disks",)), Standing.NO_READING, "these fail: disks"),
        ({"instances": ("C:",), "judge": Judge.SERVER}, LINUX, Standing.QUIET, "The server judges it"),
        ({}, LINUX, Standing.QUIET, "It reads 50 % now. It is a fault from 5 % for 3 minutes."),
    ],
)
def test_rule_that_is_quiet_says_why(changes: dict[str, Any], machine: Machine, standing: Standing, says: str) -> None:
    found = line(dataclasses.replace(FULL, **changes), machine)
    assert found.standing is standing
    assert says in found.text


def test_distance_is_what_is_left_to_the_level_on_either_side() -> None:
    assert (line().distance, line(value=2).distance) == (45, -3)
    above = dataclasses.replace(FULL, direction=Direction.ABOVE, raise_level=90, clear_level=80)
    assert line(above).distance == 40


def test_open_fault_stands_first_though_its_rule_was_switched_off_since() -> None:
    off = dataclasses.replace(FULL, enabled=False)
    assert line(off, raised=frozenset({("disk-full", "/")})).standing is Standing.RAISED


@pytest.mark.parametrize(
    ("clearing", "ends_s", "condition"), [(False, 180, "it stays below 5 %"), (True, 40, "it stays above 8 %")]
)
def test_countdown_says_when_and_on_what_condition(clearing: bool, ends_s: int, condition: str) -> None:
    one = rules.countdown(FULL, "/", NOW, clearing=clearing)
    assert (one.title, one.ends_at, one.condition) == ("Disk / is full", NOW + dt.timedelta(seconds=ends_s), condition)
    pending = line(value=4, countdowns={("disk-full", "/"): one})
    assert (pending.standing, pending.countdown) == (Standing.PENDING, one)
    assert condition in pending.text


def test_countdown_is_no_longer_shown_when_nothing_was_heard_or_its_end_is_long_past() -> None:
    one = rules.countdown(FULL, "/", NOW, clearing=False)
    assert rules.counts_down(one, NOW, NOW + 4 * MINUTE)
    assert not rules.counts_down(one, NOW, NOW + 5 * MINUTE)
    assert not rules.counts_down(one, NOW - 20 * MINUTE, NOW)


def way(**changes: Any) -> Way:
    fields: dict[str, Any] = {
        "title": "Disk / is full", "rule": FULL, "key": "disk-full", "instance": "/", "severity": "ill", "value": 3.0,
        "since_at": NOW - 5 * MINUTE, "raised_at": NOW - 2 * MINUTE, "cleared_at": None, "stage": "", "stage_reason": "",
        "held_until": None, "trail": (), "incident": None,
    }  # fmt: skip
    return Way(**(fields | changes))


def case(**changes: Any) -> Case:
    fields: dict[str, Any] = {
        "number": 7, "title": "Disk / is full", "state": "new", "priority": 3, "scope": "endpoint", "opened_at": NOW,
        "acknowledged_at": None, "resolved_at": None, "assignee": "", "merged_into": None, "quiet_until": None,
        "is_test": False,
    }  # fmt: skip
    return Case(**(fields | changes))


def test_chain_goes_from_the_reading_to_who_has_it() -> None:
    chain = rules.chain(way(incident=case(assignee="tom")), NAMES, NOW)
    kinds = [step.kind for step in chain.steps]
    assert kinds == [Kind.READING, Kind.RULE, Kind.FAULT, Kind.STAGE, Kind.INCIDENT, Kind.PERSON]
    assert (chain.steps[-1].text, chain.incident) == ("tom has it.", 7)
    assert "3 % when the fault was raised" in chain.steps[0].text
    assert "a fault from 5 % for 3 minutes, and well again from 8 % for 40 seconds" in chain.steps[1].text


def test_stages_are_told_with_their_reasons() -> None:
    begun = int(NOW.timestamp() * 1000)
    trail = [{"stage": "gathering", "reason": "alone?", "from_ms": begun - 60_000, "to_ms": begun}]
    trail += [{"stage": "duplicate", "reason": "same disk", "from_ms": begun, "to_ms": begun}]
    held = way(trail=trail, stage="window", stage_reason="Summer work", held_until=NOW + 60 * MINUTE)
    texts = [step.text for step in rules.chain(held, NAMES, NOW).steps if step.kind is Kind.STAGE]
    assert texts == [
        "It was held back for 1 minute. Looking around: alone?.",
        "It joined what people know already. Duplicate: same disk.",
        "It is held back, for 1 hour more at most. Maintenance window: Summer work.",
    ]


@pytest.mark.parametrize(
    ("changes", "told", "configured", "says"),
    [
        ({"stage": "window", "stage_reason": "Summer"}, [], True, "Maintenance window: Summer"),
        ({"incident": case()}, [], False, "No route is set up"),
        ({"incident": case()}, [], True, "no notice was written"),
        ({"incident": case(merged_into=9)}, [], True, "incident 9 speaks for it"),
        (
            {"incident": case()},
            [Told(NOW, "incident.opened", "duty phone", "skipped", "priority 5 is below")],
            True,
            "Notice “incident opened” to duty phone: priority 5 is below.",
        ),
        ({}, [], True, "no incident, so there was nothing to tell"),
    ],
)
def test_who_was_told_or_why_nobody(changes: dict[str, Any], told: list[Told], configured: bool, says: str) -> None:
    chain = rules.messages(way(**changes), told, NAMES, NOW, is_configured=configured)
    assert any(says in step.text for step in chain.steps)
