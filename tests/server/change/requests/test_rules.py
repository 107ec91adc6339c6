"""What makes a change risky, who decides on it and in which order, and what must never happen however it is decided."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from fettle_protocol.steps import StepKind
from fettle_server.change.requests.rules import (
    AFTER,
    Came,
    Changed,
    Decided,
    Facts,
    Limits,
    Proceeding,
    after_it,
    is_approved,
    limits_from,
    needed,
    next_steps,
    refusal,
    risk_of,
    template_refusals,
)
from fettle_server.change.rules import ChangeError, ChangeKind, ChangeState, RiskLevel, Step
from hypothesis import given
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
UPGRADE = {"kind": "upgrade", "provider": "apt", "packages": [{"name": "firefox", "version": "1"}]}
FEW = Facts(pcs=3, servers=0, schools=1, steps=(UPGRADE,), proven_on=20)
PEOPLE = ("user:ann", "user:bob", "user:cat", "user:dan")


@pytest.mark.parametrize(
    ("facts", "level", "says"),
    [
        (FEW, RiskLevel.LOW, "It can be backed out"),
        (replace(FEW, pcs=600, schools=20), RiskLevel.MEDIUM, "It reaches 600 PCs in 20 schools."),
        (replace(FEW, servers=1), RiskLevel.MEDIUM, "1 server among them"),
        (replace(FEW, servers=1, any_time=True), RiskLevel.HIGH, "It may happen during lessons."),
        (replace(FEW, proven_on=0, steps=(UPGRADE, {"kind": "reboot"})), RiskLevel.MEDIUM, "It has not been proven here."),
        (replace(FEW, steps=({"kind": "script", "sha256": "0"},)), RiskLevel.MEDIUM, "Not all of it can be undone by itself."),
        (replace(FEW, exam="Mathematics, 24 November"), RiskLevel.LOW, "Exams are near: Mathematics, 24 November."),
        (replace(FEW, severity="critical"), RiskLevel.LOW, "to wait is a risk too"),
    ],
)
def test_the_risk_says_its_reasons(facts, level, says):
    found = risk_of(facts)
    assert found.level is level
    assert any(says in reason for reason in found.reasons)


_KINDS = st.lists(
    st.sampled_from(["upgrade", "reboot", "script", "remove", "message", "restart service"]), min_size=1, max_size=4
)


def _facts(kinds, pcs, servers, proven, any_time, exam):
    return Facts(pcs, servers, 1, tuple({"kind": kind} for kind in kinds), proven, "", any_time, exam)


@given(_KINDS, st.integers(1, 5000), st.integers(0, 5), st.integers(0, 50), st.booleans(), st.sampled_from(["", "Maths"]))
def test_more_danger_never_makes_less_risk(kinds, pcs, servers, proven, any_time, exam):
    calm = _facts(kinds, pcs, servers, proven, any_time, exam)
    worse = [
        _facts([*kinds, "reboot"], pcs, servers, proven, any_time, exam),
        _facts(kinds, pcs * 20, servers, proven, any_time, exam),
        _facts(kinds, pcs, servers + 1, proven, any_time, exam),
        _facts(kinds, pcs, servers, 0, any_time, exam),
        _facts(kinds, pcs, servers, proven, True, "Maths"),
    ]
    assert all(risk_of(one).points >= risk_of(calm).points for one in worse)


def test_which_decisions_a_change_needs():
    def steps(kind, risk, finals=()):
        return [one.step for one in needed(kind, risk, finals)]

    assert steps(ChangeKind.STANDARD, RiskLevel.HIGH) == []
    assert steps(ChangeKind.NORMAL, RiskLevel.LOW) == [Step.PEER_REVIEW, Step.IMPLEMENT]
    assert steps(ChangeKind.NORMAL, RiskLevel.MEDIUM, (1, 2)) == [
        Step.PROCEED, Step.PEER_REVIEW, Step.IMPLEMENT, Step.FINAL, Step.FINAL,
    ]  # fmt: skip
    assert steps(ChangeKind.EMERGENCY, RiskLevel.HIGH) == [Step.IMPLEMENT, Step.PEER_REVIEW]


def _decided(change: Proceeding, place: int, who: str, approved: bool) -> Proceeding:
    decisions = list(change.decisions)
    decisions[place] = replace(decisions[place], by=who, approved=approved)
    return replace(change, decisions=tuple(decisions))


@given(
    st.sampled_from([ChangeKind.NORMAL, ChangeKind.EMERGENCY]),
    st.sampled_from(list(RiskLevel)),
    st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(list(Step)), st.sampled_from([None, 1, 2])), max_size=60),
)
def test_whatever_is_tried_duties_stay_apart_and_no_step_is_skipped(kind, risk, tries):
    change = Proceeding(kind, ChangeState.PROPOSED, risk, PEOPLE[0], needed(kind, risk, (1, 2) if kind == "normal" else ()))
    for who, step, school in tries:
        if refusal(change, step, who, school) is None:
            place = next(
                i for i, one in enumerate(change.decisions) if (one.step, one.school_id, one.approved) == (step, school, None)
            )
            change = _decided(change, place, who, approved=True)
            if is_approved(change):
                change = replace(change, state=ChangeState.APPROVED)
    by = {one.step: one.by for one in change.decisions if one.by}
    assert PEOPLE[0] not in [one.by for one in change.decisions]
    assert Step.PEER_REVIEW not in by or by.get(Step.IMPLEMENT) != by[Step.PEER_REVIEW]
    if risk is RiskLevel.HIGH:
        assert Step.PROCEED not in by or by.get(Step.IMPLEMENT) != by[Step.PROCEED]
    made = [one.approved is not None for one in change.decisions if one.step is not Step.FINAL]
    assert made == sorted(made, reverse=True)
    if change.state is ChangeState.APPROVED:
        assert Step.IMPLEMENT in by
        assert kind is ChangeKind.EMERGENCY or all(one.approved for one in change.decisions)


def test_an_emergency_is_reviewed_by_a_peer_only_after_it_was_approved_and_until_it_is_closed():
    change = Proceeding(
        ChangeKind.EMERGENCY, ChangeState.PROPOSED, RiskLevel.LOW, PEOPLE[0], needed(ChangeKind.EMERGENCY, RiskLevel.LOW, ())
    )
    assert "First comes the approval to implement" in (refusal(change, Step.PEER_REVIEW, PEOPLE[1]) or "")
    late = replace(_decided(change, 0, PEOPLE[1], approved=True), state=ChangeState.REVIEW)
    assert [one.step for one in next_steps(late)] == [Step.PEER_REVIEW]
    assert refusal(late, Step.PEER_REVIEW, PEOPLE[2]) is None
    assert next_steps(replace(late, state=ChangeState.CLOSED)) == ()


@pytest.mark.parametrize(
    ("limits", "facts", "refused"),
    [
        (Limits(pcs=5, providers=("apt",), packages=("fire*",), kinds=("upgrade",)), FEW, ""),
        (Limits(pcs=2), FEW, "It reaches 3 PCs; the template allows 2."),
        (Limits(providers=("dnf",)), FEW, "The template is not for apt."),
        (Limits(packages=("chrom*",)), FEW, "The template is not for the package firefox."),
        (Limits(kinds=("install",)), FEW, "The template has no step “upgrade”."),
        (Limits(), replace(FEW, steps=(UPGRADE, {"kind": "reboot"})), "It restarts the PCs"),
        (Limits(kinds=("upgrade",), reboot=True), replace(FEW, steps=(UPGRADE, {"kind": "reboot"})), ""),
        (Limits(), replace(FEW, servers=1), "Servers are among them"),
        (Limits(), replace(FEW, any_time=True), "outside the schools' change windows"),
    ],
)
def test_a_standard_change_stays_within_its_template(limits, facts, refused):
    found = template_refusals(limits, facts)
    assert (found == ()) if not refused else any(refused in one for one in found)


@pytest.mark.parametrize(
    "kept", [{"pcs": "5"}, {"pcs": -1}, {"packages": "fire*"}, {"reboot": 1}, {"kinds": ["boom"]}, {"more": 1}]
)
def test_limits_that_no_template_has_are_refused(kept):
    with pytest.raises(ChangeError):
        limits_from(kept)


def test_an_incident_after_a_change_is_of_its_pc_its_room_or_a_school_that_it_had_reached():
    hour = dt.timedelta(hours=1)
    reached = [Changed(1, "pc-1", 7, 3, NOW), Changed(2, "pc-2", 8, 3, NOW + hour)]
    on_pc = Came(NOW + 3 * hour, 1, None, "", frozenset({3}))
    assert after_it(on_pc, reached, {3: 100}) == "Opened 3 hours after the change was done on pc-1."
    assert after_it(replace(on_pc, at=NOW), reached, {3: 100}) is None
    assert after_it(replace(on_pc, at=NOW + AFTER + hour), reached, {3: 100}) is None
    assert after_it(replace(on_pc, endpoint_pk=9), reached, {3: 100}) is None
    in_room = Came(NOW + 2 * hour, None, 7, "Room 3", frozenset({3}))
    assert after_it(in_room, reached, {3: 100}) == "Opened 2 hours after the change had reached 1 PC of Room 3."
    at_school = Came(NOW + 2 * hour, None, None, "", frozenset({3}))
    assert after_it(at_school, reached, {3: 100}) is None
    assert "2 PCs of its school" in (after_it(at_school, reached, {3: 8}) or "")


def test_every_step_of_a_job_has_a_risk():
    for kind in StepKind:
        assert risk_of(replace(FEW, steps=({"kind": kind.value},))).reasons
    assert Decided(Step.FINAL).approved is None
