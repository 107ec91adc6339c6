"""The policy that ships, and the numbers of those in force."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa
from fettle_protocol import catalogue, policy
from fettle_protocol.policy import EndpointClass, Judge, PolicyError, Spread
from fettle_server.journal.tables import Entry
from fettle_server.proactive.actions import publish, publish_shipped
from fettle_server.proactive.policies import newest, newest_version, shipped
from fettle_server.proactive.rules import CLASH, SERVER_RULES, standing


@pytest.mark.parametrize("rule", shipped().rules, ids=lambda rule: rule.key)
def test_each_rule_is_written_for_people(rule):
    spec = catalogue.BY_KEY[rule.reading]
    assert rule.meaning.endswith(".")
    assert rule.first_step.endswith(".")
    assert rule.source
    assert ("{instance}" in rule.title) <= bool(spec.instance)
    assert spec.low <= rule.raise_level <= spec.high
    assert spec.low <= rule.clear_level <= spec.high
    is_servers = rule.judge is Judge.SERVER
    assert is_servers == (spec.number >= catalogue.FIRST_OF_SERVER) == (rule.key in SERVER_RULES)


@pytest.mark.parametrize("rule", shipped().rules, ids=lambda rule: rule.key)
def test_a_rule_can_clear_and_tell_noise_from_recovery(rule):
    assert rule.raise_level != rule.clear_level


@pytest.mark.parametrize("system", policy.SYSTEMS)
def test_every_system_has_at_least_fifteen_rules_and_services(system):
    whole = shipped()
    assert sum(system in rule.systems for rule in whole.rules) >= 15
    assert whole.services[system]


@pytest.mark.parametrize("key", ["dns-lost", "gateway-lost", "disk-full", "service-stopped", "disk-read-only"])
def test_what_a_lesson_feels_is_raised_within_a_minute(key):
    assert shipped().rule(key).raise_for_s <= 60


def test_a_long_duration_outlasts_a_weekend_without_readings():
    for rule in shipped().rules:
        if rule.raise_for_s >= 2 * 86_400:
            assert rule.gap_s >= 3 * 86_400


def test_no_duration_of_an_agents_rule_runs_on_across_a_half_term():
    assert all(rule.gap_s < 7 * 86_400 for rule in shipped().rules if rule.judge is Judge.AGENT)


def test_at_least_forty_rules_are_on_and_one_for_each_thing_that_the_server_judges():
    rules = shipped().rules
    assert sum(rule.enabled for rule in rules) >= 40
    assert {rule.key for rule in rules if rule.judge is Judge.SERVER} == SERVER_RULES - {CLASH}


@pytest.mark.parametrize("key", ["gateway-lost", "dns-lost", "wifi-weak", "absent"])
def test_what_a_place_has_in_common_is_looked_around_for(key):
    rule = shipped().rule(key)
    assert (rule.spread, rule.gather_s) == (Spread.PLACE, 90)


def test_a_laptop_away_from_school_is_asked_neither_for_its_network_nor_for_its_presence():
    topics = {"network", "dns", "wifi", "presence"}
    for name in (EndpointClass.STAFF_LAPTOP, EndpointClass.LOAN):
        theirs = (rule for rule in shipped().rules if name in (rule.classes or (name,)))
        assert not {rule.topic for rule in theirs} & topics


@pytest.mark.parametrize("name", policy.CLASSES)
def test_what_agents_get_says_nothing_of_the_servers_business(name):
    part = policy.for_agents(shipped(), name)
    assert all(row.keys().isdisjoint(policy.SERVER_FIELDS) for row in policy.to_mapping(part)["rules"])
    assert ("battery-worn" in {rule.key for rule in part.rules}) == (name not in (EndpointClass.FIXED, EndpointClass.SERVER))


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
