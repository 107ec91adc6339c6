"""The rule book's pages: reading it, changing a rule with a reason, what it would have raised, and two editors at once."""

from __future__ import annotations

import pytest
from fettle_protocol.policy import Severity
from fettle_server.estate.people.rules import Role
from fettle_server.proactive.policies import newest, shipped
from fettle_web.pages import ruleforms
from werkzeug.datastructures import MultiDict

PATH = "/proactive/rules/disk-full"


@pytest.fixture
def ada(console):
    """An administrator's browser."""
    console.person("ada", Role.ADMINISTRATOR)
    return console.client("ada")


def form(**changes):
    """The form of disk-full as it ships, with some of it changed."""
    return sent(ruleforms.shown(shipped().rule("disk-full"))) | {"why": "too loud", "deed": "save"} | changes


def sent(fields):
    """Fields as a browser sends them."""
    return {name: list(value) if isinstance(value, tuple) else str(value) for name, value in fields.items()}


def in_force(console, key="disk-full"):
    with console.begin() as tx:
        return newest(tx).policy.rule(key)


@pytest.mark.parametrize("rule", shipped().rules, ids=lambda rule: rule.key)
def test_a_form_that_nobody_touched_changes_nothing(rule):
    fields = ruleforms.shown(rule)
    given = MultiDict([(name, value) for name, several in fields.items() for value in _each(several)])
    if not rule.enabled:
        given.pop("enabled")
    assert ruleforms.changes(ruleforms.entered(given), rule) == {}


def _each(several):
    return several if isinstance(several, tuple) else [str(several)]


def test_the_book_is_searched_and_narrowed(ada):
    assert "Disk … is full" in ada.get("/proactive/rules").text
    found = ada.get("/proactive/rules?q=name+server").text
    assert "No name server answers" in found
    assert "Disk … is full" not in found
    assert "link-not-gigabit" in ada.get("/proactive/rules?show=off").text


def test_a_saved_rule_is_in_force_and_marked(ada, console):
    assert ada.post(PATH, form(raise_level="3")).status_code == 303
    assert in_force(console).raise_level == 3
    page = ada.get(PATH).text
    assert "The raise level is 3 % (it was 4 %)." in page
    assert "too loud" in page
    assert "disk-full" in ada.get("/proactive/rules?show=own").text


def test_what_cannot_be_is_refused_beside_its_field_and_kept(ada, console):
    answer = ada.post(PATH, form(clear_level="1", meaning="Mine."))
    assert answer.status_code == 400
    assert "above the raise level" in answer.text
    assert "Mine." in answer.text
    assert ada.post(PATH, form(raise_level="three")).status_code == 400
    assert in_force(console).raise_level == 4


def test_a_preview_keeps_nothing_and_says_how_much_was_looked_at(ada, console):
    answer = ada.post(PATH, form(raise_level="3", deed="preview"))
    assert answer.status_code == 200
    assert "What it would have raised in the last 30 days" in answer.text
    assert "The raise level is 3 % (it was 4 %)." in answer.text
    assert in_force(console).raise_level == 4


def test_the_past_of_a_rule_of_the_servers_is_not_pretended(ada):
    given = sent(ruleforms.shown(shipped().rule("absent"))) | {"deed": "preview"}
    assert "cannot be replayed" in ada.post("/proactive/rules/absent", given).text


def test_the_second_editor_is_told_what_the_first_did(ada, console):
    ada.post(PATH, form(raise_level="3", seen_version="1"))
    answer = ada.post(PATH, form(raise_level="2", seen_version="1"))
    assert answer.status_code == 409
    assert "Somebody changed this rule meanwhile" in answer.text
    assert in_force(console).raise_level == 3


def test_a_rule_of_ones_own_is_added_and_removed(ada, console):
    answer = ada.post(PATH + "/copy", form(key="own-tiny", raise_level="1"))
    assert answer.headers["Location"].endswith("/proactive/rules/own-tiny")
    assert in_force(console, "own-tiny").severity is Severity.ILL
    ada.post("/proactive/rules/own-tiny", {"deed": "remove", "why": "not needed"})
    assert in_force(console, "own-tiny") is None


def test_a_roll_back_brings_the_old_rules_back(ada, console):
    ada.post(PATH, form(raise_level="3"))
    ada.post("/proactive/rules/versions/1/roll-back", {"why": "too quiet", "seen_version": "2"})
    assert in_force(console).raise_level == 4
    page = ada.get("/proactive/rules/versions").text
    assert "Version 3" in page
    assert "to version 1: too quiet" in page
    assert "Who has version 3" in page


def test_hostile_words_are_shown_as_text(ada):
    ada.post(PATH, form(title="<b>x</b> {instance}", why="<script>1</script>"))
    for path in (PATH, "/proactive/rules", "/proactive/rules/versions"):
        page = ada.get(path).text
        assert "<b>x" not in page
        assert "<script>1" not in page


def test_the_api_changes_a_rule_and_tells_the_past(console):
    console.person("ada", Role.ADMINISTRATOR)
    client, token = console.client(), console.token("ada")
    body = {"why": "too loud", "rule": {"raise_level": 3}}
    changed = client.flask.put("/api/v1/rules/disk-full", json=body, headers=token)
    assert changed.get_json()["rule"]["raise_level"] == 3
    past = client.flask.post(
        "/api/v1/rules/disk-full/backtest", json={"rule": {"raise_level": 9, "clear_level": 10}}, headers=token
    )
    assert past.get_json()["days"] == 30
    wrong = client.flask.put("/api/v1/rules/disk-full", json={"why": "x y z", "rule": {"clear_level": 0}}, headers=token)
    assert (wrong.status_code, "above the raise level" in wrong.get_json()["detail"]) == (400, True)
    late = client.flask.put(
        "/api/v1/rules/disk-full", json=body | {"seen_version": 1, "rule": {"raise_level": 2}}, headers=token
    )
    assert late.status_code == 409
    assert client.flask.get("/api/v1/rule-versions/holders", headers=token).get_json()["version"] == 2
