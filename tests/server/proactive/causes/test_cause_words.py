"""What is said of a wider cause is about the cause, not about one machine."""

from __future__ import annotations

import pytest
from fettle_server.proactive.causes.words import advice
from fettle_server.proactive.policies import shipped


def test_one_machines_incident_has_its_rules_own_words():
    rule = shipped().rule("absent")
    assert advice(rule, "endpoint") is rule
    assert advice(None, "room") is None
    assert advice(None, "school", "rollout-halted").first_step


@pytest.mark.parametrize(
    ("key", "scope", "word"),
    [
        ("absent", "room", "switch"),
        ("absent", "school", "Ring"),
        ("dns-lost", "school", "name server"),
        ("service-stopped", "build", "changed"),
    ],
)
def test_a_wider_cause_is_looked_for_where_it_is(key: str, scope: str, word: str):
    found = advice(shipped().rule(key), scope)
    assert found is not None
    assert word in found.first_step
