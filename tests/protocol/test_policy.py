"""The policy's format: read back as written, and refused with the rule's name where it does not hold together."""

from __future__ import annotations

import zlib

import pytest
from fettle_protocol import policy
from fettle_protocol.policy import Policy, PolicyError
from hypothesis import given
from hypothesis import strategies as st

RULE = {
    "key": "disk-full",
    "reading": "disk.free_percent",
    "direction": "below",
    "raise_level": 4,
    "raise_for_s": 30,
    "clear_level": 6,
    "clear_for_s": 30,
    "severity": "ill",
    "impact": "user",
    "topic": "disk-space",
    "title": "Disk {instance} is full",
    "meaning": "It is full.",
    "first_step": "Empty it.",
}


def document(**changes):
    return {"version": 1, "rules": [RULE | changes], "services": {"linux": ["cups"]}}


def test_a_policy_comes_back_as_it_was():
    whole = policy.from_mapping(document(systems=["linux"], instances=["/data*"], source="ours"))
    assert policy.decode(policy.encode(whole)) == whole


def test_the_digest_tells_two_policies_apart():
    first, second = (policy.encode(policy.from_mapping(document(raise_level=level))) for level in (4, 5))
    assert policy.digest(first) != policy.digest(second)


def test_a_rule_judges_its_own_systems_and_instances_only():
    (rule,) = policy.from_mapping(document(systems=["linux"], instances=["/data*"])).rules
    assert rule.applies_to("linux", "/data/a")
    assert not rule.applies_to("linux", "/home")
    assert not rule.applies_to("windows", "/data/a")


def test_durations_become_milliseconds():
    assert policy.from_mapping(document(raise_for_s=0.25)).rules[0].levels.raise_for_ms == 250


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"reading": "disk.happiness"}, "no reading"),
        ({"clear_level": 3}, "clear level"),
        ({"direction": "sideways"}, "disk-full"),
        ({"severity": "dead"}, "disk-full"),
        ({"impact": "moon"}, "disk-full"),
        ({"raise_level": "4"}, "raise_level must be a number"),
        ({"raise_level": True}, "raise_level must be a number"),
        ({"raise_for_s": -1}, "disk-full"),
        ({"gap_s": 0}, "disk-full"),
        ({"title": " "}, "title must be text"),
        ({"systems": ["amiga"]}, "systems"),
        ({"colour": "red"}, "unknown field colour"),
    ],
)
def test_a_rule_that_does_not_hold_together_is_refused_by_name(changes, why):
    with pytest.raises(PolicyError, match=why):
        policy.from_mapping(document(**changes))


def test_two_rules_of_one_key_are_refused():
    with pytest.raises(PolicyError, match="share a key"):
        policy.from_mapping({"version": 1, "rules": [RULE, RULE]})


@pytest.mark.parametrize("services", [{"amiga": []}, {"linux": "cups"}, {"linux": [1]}, []])
def test_services_that_are_no_lists_of_names_are_refused(services):
    with pytest.raises(PolicyError, match="services"):
        policy.from_mapping({"version": 1, "services": services})


def test_a_bomb_is_refused():
    with pytest.raises(PolicyError, match="over"):
        policy.decode(zlib.compress(b" " * (policy.MAX_PLAIN_BYTES + 1)))


@given(st.binary(max_size=100))
def test_junk_is_refused_and_never_anything_worse(junk):
    for packed in (junk, zlib.compress(junk)):
        with pytest.raises(PolicyError):
            policy.decode(packed)


def test_an_empty_policy_is_one():
    assert policy.decode(policy.encode(Policy(version=3))) == Policy(version=3)
