"""What may be changed of a rule, in words, and how an update of Fettle meets what people changed."""

from __future__ import annotations

import dataclasses

import pytest
from fettle_protocol import policy
from fettle_protocol.policy import Policy
from fettle_server.proactive.policies import shipped
from fettle_server.proactive.rulebook import rules, words
from fettle_server.proactive.rulebook.rules import RuleBookError

FULL = shipped().rule("disk-full")
OWN = policy.to_mapping(Policy(1, (dataclasses.replace(FULL, key="own-disk"),)))["rules"][0]


def change(key, **changes):
    whole = shipped()
    return rules.replaced(whole, dataclasses.replace(whole.rule(key), **changes))


@pytest.mark.parametrize("rule", shipped().rules, ids=lambda rule: rule.key)
def test_every_shipped_rule_would_pass_as_an_edit_and_reads_well(rule):
    assert rules.edited(rule, {"raise_level": rule.raise_level}) == rule
    said = f"{words.raises(rule)}; {words.clears(rule)}; {words.whom(rule)}"
    assert "_" not in said


def test_levels_and_durations_are_said_as_people_say_them():
    assert words.raises(FULL) == "at or below 4 % for 30 seconds"
    assert words.clears(FULL) == "at or above 6 % for 30 seconds"
    assert words.raises(shipped().rule("gateway-lost")) == "when the answer is no for 20 seconds"
    assert words.duration(90_000) == "1 day 1 hour"
    assert words.duration(0) == "at once"


@pytest.mark.parametrize(
    ("changes", "field", "word"),
    [
        ({"clear_level": 140}, "clear_level", "from 0 % to 100 %"),
        ({"clear_level": 2}, "clear_level", "above the raise level"),
        ({"clear_level": 4}, "clear_level", "differ"),
        ({"raise_for_s": -1}, "", "durations"),
        ({"raise_for_s": 10**9}, "raise_for_s", "60 days"),
        ({"raise_level": "four"}, "raise_level", "a number"),
        ({"gap_s": 5}, "gap_s", "minute"),
        ({"title": " "}, "title", "empty"),
        ({"title": "x" * 201}, "title", "200"),
        ({"source": ""}, "source", "where the numbers come from"),
        ({"systems": ()}, "systems", "at least one system"),
        ({"classes": ("balloon",)}, "", "balloon"),
        ({"reading": "cpu.busy_percent"}, "reading", "cannot be changed"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_in_a_sentence(changes, field, word):
    with pytest.raises(RuleBookError) as refusal:
        rules.edited(FULL, changes)
    assert word in refusal.value.problems[field]


def test_an_instance_in_the_title_of_a_single_reading_is_refused():
    with pytest.raises(RuleBookError, match="only one of this reading"):
        rules.edited(shipped().rule("memory-exhausted"), {"title": "Memory {instance}"})


def test_a_rule_of_ones_own_may_look_at_anything_of_an_agent():
    assert rules.added(shipped(), OWN).key == "own-disk"
    with pytest.raises(RuleBookError, match="agent's reading"):
        rules.added(shipped(), OWN | {"reading": "presence.days_unheard", "title": "x"})
    with pytest.raises(RuleBookError, match="own-"):
        rules.added(shipped(), OWN | {"key": "disk"})
    with pytest.raises(RuleBookError, match="already"):
        rules.added(rules.replaced(shipped(), rules.made(OWN)), OWN)


def test_a_difference_is_told_in_words():
    after = rules.without(change("disk-full", raise_level=3, enabled=False), "disk-low")
    first, second = rules.diff(shipped(), after)
    assert (first.key, first.kind) == ("disk-full", "changed")
    assert first.words == ("It is switched off.", "The raise level is 3 % (it was 4 %).")
    assert (second.key, second.kind) == ("disk-low", "removed")


def test_a_reason_is_asked_for():
    assert rules.reason("  too   loud ") == "too loud"
    with pytest.raises(RuleBookError, match="why"):
        rules.reason(" ")


def test_an_update_leaves_what_people_changed_and_brings_the_rest():
    theirs = rules.without(change("disk-full", raise_level=3), "zombies")
    theirs = rules.replaced(theirs, rules.made(OWN))
    own = frozenset(rules.owned(theirs, shipped()))
    newer = rules.without(change("disk-low", raise_level=12, clear_level=14), "hot")
    merged = rules.merged(theirs, own, newer)
    assert own == {"disk-full", "zombies", "own-disk"}
    assert merged.rule("disk-full").raise_level == 3
    assert merged.rule("disk-low").raise_level == 12
    assert merged.rule("own-disk")
    assert merged.rule("zombies") is None
    assert merged.rule("hot") is None


def test_an_update_that_brings_nothing_changes_nothing():
    theirs = rules.replaced(change("disk-full", raise_level=3), rules.made(OWN))
    assert rules.merged(theirs, frozenset(rules.owned(theirs, shipped())), shipped()) == theirs


def test_an_exported_book_comes_back_as_it_was_and_keeps_the_servers_rules():
    document = policy.to_mapping(shipped())
    assert rules.taken_over(document, shipped(1)) == shipped(1)
    document["rules"] = [row for row in document["rules"] if row["key"] != "absent"]
    assert rules.taken_over(document, shipped(1)).rule("absent")


@pytest.mark.parametrize("document", [{}, [], {"rules": 7}, {"rules": [{"key": "x"}]}])
def test_what_is_no_rule_book_is_refused(document):
    with pytest.raises(RuleBookError):
        rules.taken_over(document, shipped())
