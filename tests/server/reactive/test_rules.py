"""The incident's state machine, its priorities, and when a fault that is back reopens it."""

from __future__ import annotations

import datetime as dt

import pytest
from fettle_server.reactive import rules
from fettle_server.reactive.rules import DEFAULT_PRIORITIES, IMPACTS, OPEN_STATES, URGENCIES, Deed, IncidentState, Refused

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)

ALLOWED = {
    IncidentState.NEW: {"acknowledge", "assign", "start", "wait", "resolve", "comment", "grade"},
    IncidentState.ASSIGNED: {"acknowledge", "assign", "start", "wait", "resolve", "comment", "grade"},
    IncidentState.IN_PROGRESS: {"acknowledge", "assign", "wait", "resolve", "comment", "grade"},
    IncidentState.WAITING: {"acknowledge", "assign", "start", "resolve", "comment", "grade"},
    IncidentState.RESOLVED: {"close", "reopen", "comment"},
    IncidentState.CLOSED: {"reopen", "comment"},
}


@pytest.mark.parametrize("state", IncidentState)
def test_each_state_allows_exactly_these_deeds(state):
    assert rules.allowed(state, acknowledged=False) == ALLOWED[state]


@pytest.mark.parametrize("state", IncidentState)
@pytest.mark.parametrize("deed", Deed)
def test_every_refusal_is_a_sentence(state, deed):
    reason = rules.refusal(deed, state, acknowledged=True)
    assert reason is None or (reason[0].isupper() and reason.endswith("."))


def test_nothing_is_acknowledged_twice():
    assert "already" in rules.refusal(Deed.ACKNOWLEDGE, IncidentState.NEW, acknowledged=True)


@pytest.mark.parametrize(
    ("deed", "state", "has_assignee", "after"),
    [
        (Deed.ASSIGN, IncidentState.NEW, True, IncidentState.ASSIGNED),
        (Deed.ASSIGN, IncidentState.IN_PROGRESS, True, IncidentState.IN_PROGRESS),
        (Deed.ASSIGN, IncidentState.ASSIGNED, False, IncidentState.NEW),
        (Deed.START, IncidentState.WAITING, True, IncidentState.IN_PROGRESS),
        (Deed.WAIT, IncidentState.NEW, False, IncidentState.WAITING),
        (Deed.RESOLVE, IncidentState.WAITING, False, IncidentState.RESOLVED),
        (Deed.CLOSE, IncidentState.RESOLVED, False, IncidentState.CLOSED),
        (Deed.REOPEN, IncidentState.CLOSED, True, IncidentState.ASSIGNED),
        (Deed.REOPEN, IncidentState.RESOLVED, False, IncidentState.NEW),
        (Deed.COMMENT, IncidentState.CLOSED, False, IncidentState.CLOSED),
    ],
)
def test_a_deed_leads_to_its_state(deed, state, has_assignee, after):
    assert rules.next_state(deed, state, has_assignee=has_assignee) is after


def test_reopened_is_always_open():
    for state in (IncidentState.RESOLVED, IncidentState.CLOSED):
        for has_assignee in (True, False):
            assert rules.next_state(Deed.REOPEN, state, has_assignee=has_assignee) in OPEN_STATES


@pytest.mark.parametrize(
    ("state", "again_after", "returns"),
    [
        (IncidentState.RESOLVED, HOUR, True),
        (IncidentState.RESOLVED, HOUR + dt.timedelta(milliseconds=1), False),
        (IncidentState.RESOLVED, -HOUR, True),
        (IncidentState.CLOSED, dt.timedelta(0), False),
        (IncidentState.NEW, dt.timedelta(0), False),
    ],
)
def test_a_fault_that_is_back_reopens_only_a_freshly_resolved_incident(state, again_after, returns):
    assert rules.returns(state, NOW, NOW + again_after, HOUR) is returns


@pytest.mark.parametrize(
    ("has_been_back", "is_shared", "hours"),
    [(False, False, 24), (True, False, 96), (False, True, 1), (True, True, 24)],
)
def test_one_pcs_trouble_is_the_same_for_longer_than_that_of_many(has_been_back, is_shared, hours):
    within = rules.again_within(24 * HOUR, has_been_back=has_been_back, is_shared=is_shared)
    assert within == dt.timedelta(hours=hours)


def test_the_default_table_has_every_cell_and_more_harm_never_comes_later():
    assert set(DEFAULT_PRIORITIES) == {(impact, urgency) for impact in IMPACTS for urgency in URGENCIES}
    for impact in IMPACTS:
        row = [DEFAULT_PRIORITIES[impact, urgency] for urgency in URGENCIES]
        assert row == sorted(row, reverse=True)


def test_a_missing_cell_falls_back_to_the_default():
    assert rules.priority_of({}, "school", "high") == 1
    assert rules.priority_of({("school", "high"): 4}, "school", "high") == 4


@pytest.mark.parametrize("text", ["", "   ", "x" * 4001])
def test_a_text_that_says_nothing_or_too_much_is_refused(text):
    with pytest.raises(Refused):
        rules.check_text(text, "a comment")
