"""The policy that ships, and the numbers of those in force."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa
from fettle_protocol import catalogue, policy
from fettle_protocol.policy import PolicyError
from fettle_server.journal.tables import Entry
from fettle_server.proactive.actions import publish, publish_shipped
from fettle_server.proactive.policies import newest, newest_version, shipped
from fettle_server.proactive.rules import SERVER_RULES, standing


@pytest.mark.parametrize("rule", shipped().rules, ids=lambda rule: rule.key)
def test_each_rule_is_written_for_people(rule):
    spec = catalogue.BY_KEY[rule.reading]
    assert rule.meaning.endswith(".")
    assert rule.first_step.endswith(".")
    assert rule.source
    assert ("{instance}" in rule.title) <= bool(spec.instance)
    assert spec.low <= rule.raise_level <= spec.high
    assert spec.low <= rule.clear_level <= spec.high
    assert rule.key not in SERVER_RULES


@pytest.mark.parametrize("rule", shipped().rules, ids=lambda rule: rule.key)
def test_a_rule_can_clear_and_tell_noise_from_recovery(rule):
    assert rule.raise_level != rule.clear_level


@pytest.mark.parametrize("system", policy.SYSTEMS)
def test_every_system_has_at_least_fifteen_rules_and_services(system):
    whole = shipped()
    assert sum(system in rule.systems for rule in whole.rules) >= 15
    assert whole.services[system]


@pytest.mark.parametrize("key", ["dns-lost", "gateway-lost", "disk-full", "service-stopped", "disk-read-only", "too-hot"])
def test_what_a_lesson_feels_is_raised_within_a_minute(key):
    assert shipped().rule(key).raise_for_s <= 60


def test_a_long_duration_outlasts_a_weekend_without_readings():
    for rule in shipped().rules:
        if rule.raise_for_s >= 86_400:
            assert rule.gap_s >= 3 * 86_400


def test_the_shipped_policy_is_in_force_once(store, now):
    with store.begin() as tx:
        assert publish_shipped(tx, now) == 1
        assert newest_version(tx) == 1
        assert newest(tx).policy == shipped(1)


def test_an_older_shipped_policy_gives_way(store, now):
    older = dataclasses.replace(shipped(), rules=shipped().rules[:3])
    with store.begin() as tx:
        publish(tx, older, "system", now)
        assert publish_shipped(tx, now) == 3
        assert newest(tx).policy == shipped(3)


def test_a_policy_that_people_made_stays(store, now):
    own = dataclasses.replace(shipped(), rules=shipped().rules[:3])
    with store.begin() as tx:
        assert publish(tx, own, "user:ada", now) == 2
        assert publish_shipped(tx, now) == 2
        assert len(newest(tx).policy.rules) == 3
    assert store.value(sa.select(Entry.actor).order_by(Entry.id.desc()).limit(1)) == "user:ada"


def test_a_policy_that_does_not_hold_together_is_not_published(store, now):
    rule = shipped().rules[0]
    with store.begin() as tx:
        with pytest.raises(PolicyError, match="share a key"):
            publish(tx, dataclasses.replace(shipped(), rules=(rule, rule)), "user:ada", now)
        assert newest_version(tx) == 1


def test_a_fault_of_an_unknown_rule_still_has_a_title():
    assert standing(None, "odd", "", "pc").title == "odd"
    assert standing(shipped(), "disk-full", "C:", "pc").topic == "disk-space"
