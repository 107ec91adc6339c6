"""Requests for change on the real store: proposed, decided, told, linked, reviewed, counted."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import icalendar
import pytest
import sqlalchemy as sa
from fettle_server.change import record
from fettle_server.change.manifests.tables import Manifest
from fettle_server.change.requests import actions, linking, queries, settings, telling, templates
from fettle_server.change.requests.queries import ChangeFilter
from fettle_server.change.requests.schedule import as_ics, schedule
from fettle_server.change.requests.statistics import statistics
from fettle_server.change.requests.views import Proposal
from fettle_server.change.rollouts.tables import Freeze, Rollout, RolloutTarget
from fettle_server.change.rules import ChangeError, ChangeKind, ChangeState, Outcome, RiskLevel, Step
from fettle_server.change.tables import Change
from fettle_server.estate.people.rules import SYSTEM, Forbidden
from fettle_server.notify.tables import Outbox
from fettle_server.reactive.tables import Incident, IncidentEntry

from tests.server.change.requests.conftest import UPGRADE
from tests.server.conftest import NOW

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def _needs_final(office, school="Harbour School", user=None):
    with office.store.begin() as tx:
        found = settings.settings_of(tx, office.staff["ada"], office.store_school(tx, school))
        wanted = replace(found, needs_final=True, final_user_id=user and office.staff[user].id)
        settings.set_school(tx, office.staff["ada"], wanted, NOW)
    return found.school_id


def _approved(office, **wanted):
    number = office.propose(**wanted)
    if office.change(number).row.risk != "low":
        office.decide("abe", number, Step.PROCEED)
    office.decide("tina", number, Step.PEER_REVIEW)
    office.decide("ada", number, Step.IMPLEMENT)
    return number


def _told(office, kind):
    rows = office.store.rows(sa.select(Outbox).where(Outbox.kind == kind).order_by(Outbox.id))
    return [(row.change_id, row.school_id, row.title) for row in rows]


def _ran(office, number, until="review"):
    """As rollouts do: every PC of it is done, and the change is to be reviewed."""
    with office.store.begin() as tx:
        record.set_state(tx, number, ChangeState.RUNNING, NOW)
        rollouts = sa.select(Rollout.id).where(Rollout.change_id == number)
        done = sa.update(RolloutTarget).where(RolloutTarget.rollout_id.in_(rollouts))
        tx.execute(done.values(state="changed", changed_at=NOW))
        if until == "review":
            record.set_state(tx, number, ChangeState.REVIEW, NOW + HOUR)


def test_a_proposal_brings_its_risk_its_decisions_and_the_draft_of_its_rollout(office):
    number = office.propose()
    found = office.change(number)
    assert found.row.state is ChangeState.PROPOSED
    assert (found.row.reach, found.row.risk) == ("3 PCs of Harbour School", "low")
    assert [one.step for one in found.approvals] == [Step.PEER_REVIEW, Step.IMPLEMENT]
    assert [(line.direction, line.pcs) for line in found.rollouts] == [("forward", 3)]
    assert "puts back" in found.back_out_plan
    assert _told(office, "change.approval") == [
        (number, office.store.school(), "Change 1 waits for the peer review: Update tree")
    ]


def test_the_last_approval_prepares_what_is_to_be_signed(office):
    number = _approved(office)
    assert office.change(number).row.state is ChangeState.APPROVED
    assert office.store.value(sa.select(Rollout.manifest_id).where(Rollout.change_id == number)) is not None


def test_a_person_with_a_token_is_still_the_person_who_proposed(office):
    number = office.propose("ada")
    office.staff["ada"] = replace(office.staff["ada"], token="script")
    with pytest.raises(ChangeError, match="You proposed this change"):
        office.decide("ada", number, Step.PEER_REVIEW)
    with office.store.begin() as tx, pytest.raises(ChangeError, match="--as NAME"):
        actions.decide(tx, SYSTEM, number, Step.PEER_REVIEW, True, "", NOW)


def test_a_no_needs_a_reason_and_ends_the_change(office):
    number = office.propose()
    with pytest.raises(ChangeError, match="Please write why not"):
        office.decide("tina", number, Step.PEER_REVIEW, approved=False, why=" ")
    assert (
        office.decide("tina", number, Step.PEER_REVIEW, approved=False, why="The plan forgets the labs") is ChangeState.REJECTED
    )
    with pytest.raises(ChangeError, match="Nothing of this change waits"):
        office.decide("ada", number, Step.IMPLEMENT)


def test_a_school_that_says_so_has_the_last_word_and_nobody_of_ict_gives_it(office):
    school = _needs_final(office)
    number = _approved(office)
    assert office.change(number).row.state is ChangeState.PROPOSED
    for who in ("ada", "hilda"):
        with pytest.raises(Forbidden):
            office.decide(who, number, Step.FINAL, school_id=school)
    with office.store.begin() as tx:
        assert [row.id for row in queries.waiting(tx, office.staff["hal"])] == [number]
        assert queries.waiting(tx, office.staff["hilda"]) == ()
    assert office.decide("hal", number, Step.FINAL, school_id=school) is ChangeState.APPROVED


def test_the_named_final_approver_alone_has_the_last_word(office):
    office.hire("deputy", office.staff["hal"].role, "Harbour School")
    school = _needs_final(office, user="deputy")
    number = _approved(office)
    with pytest.raises(Forbidden, match="the last word is deputy's"):
        office.decide("hal", number, Step.FINAL, school_id=school)
    assert office.decide("deputy", number, Step.FINAL, school_id=school) is ChangeState.APPROVED


def test_who_acts_in_one_school_proposes_decides_and_sees_there_only(office):
    with pytest.raises(Forbidden):
        office.propose("otto")
    with pytest.raises(Forbidden):
        office.propose("otto", reach={})
    number = office.propose()
    assert office.change(number, "otto") is None
    with pytest.raises(Forbidden):
        office.decide("otto", number, Step.PEER_REVIEW)
    with office.store.begin() as tx:
        assert queries.changes(tx, office.staff["otto"], ChangeFilter()).rows == ()
        assert [row.id for row in queries.changes(tx, office.staff["hal"], ChangeFilter()).rows] == [number]


def test_a_standard_change_needs_nobody_within_its_template_and_is_refused_beyond_it(office):
    with office.store.begin() as tx:
        template = templates.add_template(
            tx,
            office.staff["ada"],
            "Monthly",
            "Routine",
            "Rings",
            "Put back",
            {"pcs": 3, "kinds": ["upgrade"]},
            NOW + 30 * DAY,
            NOW,
        )
    number = office.propose(kind=ChangeKind.STANDARD, template_id=template, why="")
    assert (office.change(number).row.state, office.change(number).approvals) == (ChangeState.APPROVED, ())
    with pytest.raises(ChangeError, match="the template allows 3"):
        office.propose(kind=ChangeKind.STANDARD, template_id=template, reach={})
    office.now = NOW + 31 * DAY
    with pytest.raises(ChangeError, match="ended on 23 December 2026"):
        office.propose(kind=ChangeKind.STANDARD, template_id=template)
    with office.store.begin() as tx:
        templates.withdraw_template(tx, office.staff["ada"], template, "No more", NOW)
    office.now = NOW
    with pytest.raises(ChangeError, match="was withdrawn"):
        office.propose(kind=ChangeKind.STANDARD, template_id=template)


def test_an_emergency_goes_at_once_and_is_not_closed_before_a_peer_reviewed_it(office):
    number = office.propose(kind=ChangeKind.EMERGENCY)
    assert office.decide("ada", number, Step.IMPLEMENT) is ChangeState.APPROVED
    _ran(office, number)
    with office.store.begin() as tx, pytest.raises(ChangeError, match="a peer reviews it first"):
        actions.review(tx, office.staff["tom"], number, Outcome.SUCCESSFUL, "Mended", "", NOW)
    office.decide("tina", number, Step.PEER_REVIEW)
    with office.store.begin() as tx:
        actions.review(tx, office.staff["tom"], number, Outcome.SUCCESSFUL, "Mended", "Patch sooner", NOW)
    assert office.change(number).row.state is ChangeState.CLOSED
    assert "Patch sooner" in office.change(number).review


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"steps": ({"kind": "shell", "words": "rm -rf /"},)}, "none of the steps"),
        ({"reach": {"schools": [99]}}, "There is no school 99"),
        ({"reach": {"planets": [1]}}, "A reach names"),
        ({"steps": (UPGRADE, UPGRADE | {"provider": "winget"})}, "it is for Linux and Windows"),
        ({"title": "x" * 201}, "too long"),
        ({"why": "a\0b"}, "cannot be kept"),
        ({"steps": ({"kind": "clean temporary files"},)}, "how it is undone"),
        ({"planned_until": NOW - DAY}, "end before it begins"),
        ({"kind": ChangeKind.STANDARD}, "choose one"),
        ({"rollout": {"rings": []}}, "1 to 8 rings"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence_and_leaves_nothing(office, wrong, says):
    with pytest.raises(ValueError, match=says):
        office.propose(**wrong)
    assert office.store.rows(sa.select(Change.id)) == []


def test_a_change_is_withdrawn_by_its_proposer_before_it_began_only(office):
    number, other = _approved(office), office.propose()
    with office.store.begin() as tx:
        with pytest.raises(Forbidden):
            actions.withdraw(tx, office.staff["tina"], other, "Not mine", NOW)
        actions.withdraw(tx, office.staff["tom"], other, "Not needed", NOW)
    _ran(office, number, until="running")
    with office.store.begin() as tx, pytest.raises(ChangeError, match="halt its rollout"):
        actions.withdraw(tx, office.staff["tom"], number, "Too late", NOW)


def test_schools_are_told_before_and_again_shortly_before_each_once(office):
    number = _approved(office, planned_from=NOW + 2 * DAY, notice_hours=24, reach={})
    for hours, notices, reminders in ((1, 0, 0), (25, 2, 0), (26, 2, 0), (47, 2, 2), (47.5, 2, 2), (60, 2, 2)):
        with office.store.begin() as tx:
            telling.tell_schools(tx, NOW + hours * HOUR)
        assert (len(_told(office, "change.notice")), len(_told(office, "change.reminder"))) == (notices, reminders), hours
    assert {change for change, _, _ in _told(office, "change.notice")} == {number}


def test_a_decision_that_waits_for_a_day_is_asked_for_again(office):
    number = office.propose()
    with office.store.begin() as tx:
        assert telling.ask_again(tx, NOW + 23 * HOUR) == 0
        assert telling.ask_again(tx, NOW + 25 * HOUR) == 1
        assert telling.ask_again(tx, NOW + 26 * HOUR) == 0
    assert _told(office, "change.approval")[-1][2] == f"Change {number} still waits for the peer review: Update tree"


def _incident(office, **columns):
    values = {
        "cause": "x", "impact": "user", "urgency": "low", "priority": 3, "title": "The disk is full",
        "school_id": office.store.school(),
        "opened_at": NOW + 2 * HOUR, "updated_at": NOW,
    }  # fmt: skip
    with office.store.begin() as tx:
        return tx.execute(sa.insert(Incident).values(values | columns).returning(Incident.number)).scalar_one()


def test_incidents_on_its_pcs_soon_after_stand_with_the_change_until_a_person_takes_them_away(office):
    number = _approved(office)
    _ran(office, number)
    pk = office.store.value(sa.select(sa.func.min(RolloutTarget.endpoint_pk)))
    mine, before = _incident(office, endpoint_pk=pk), _incident(office, endpoint_pk=pk, cause="y", opened_at=NOW - HOUR)
    other = _incident(office, cause="z", endpoint_pk=office.store.endpoint(school="Hilltop College"))
    for _ in range(2):
        with office.store.begin() as tx:
            linking.link_incidents(tx, NOW + 3 * HOUR)
    found = office.change(number).incidents
    assert [(one.number, one.how) for one in found] == [(mine, "after it")]
    assert not {before, other} & {one.number for one in found}
    assert office.store.value(sa.select(IncidentEntry.text).where(IncidentEntry.kind == "change")).startswith(
        "Opened 2 hours after"
    )
    with office.store.begin() as tx:
        actions.unlink(tx, office.staff["tom"], number, mine, "A dead fan", NOW + 3 * HOUR)
        assert linking.link_incidents(tx, NOW + 4 * HOUR) == 0


def test_statistics_come_from_the_record(office):
    done, rejected, open_one = _approved(office), office.propose(), office.propose(kind=ChangeKind.EMERGENCY)
    office.decide("tina", rejected, Step.PEER_REVIEW, approved=False)
    _ran(office, done)
    halted, mended = _incident(office), _incident(office, cause="m")
    with office.store.begin() as tx:
        actions.review(tx, office.staff["tom"], done, Outcome.BACKED_OUT, "It hurt", "", NOW)
        record.link_incident(tx, done, halted, "halted", "Sick", "system", NOW)
        record.link_incident(tx, open_one, mended, "mends", "To mend", "system", NOW)
        total, harbour = statistics(tx, office.staff["ada"], NOW - DAY, NOW + DAY)
        seen = statistics(tx, office.staff["otto"], NOW - DAY, NOW + DAY)
    assert (total.requests, total.approved, total.rejected, total.waiting, total.emergency) == (3, 1, 1, 1, 1)
    assert (total.reviewed, total.successful, total.backed_out, total.incidents) == (1, 0, 1, 1)
    assert (harbour.school, harbour.requests, total.success_percent) == ("Harbour School", 3, 0.0)
    assert [one.requests for one in seen] == [0]


def test_the_forward_schedule_reads_back_from_its_icalendar_file(office):
    number = _approved(
        office, planned_from=NOW + DAY, planned_until=NOW + DAY + 2 * HOUR, title="Update; tree, \\n BEGIN:VEVENT"
    )
    with office.store.begin() as tx:
        frozen = {"title": "Reports", "starts_at": NOW, "ends_at": NOW + DAY, "created_by": "x"}
        tx.execute(sa.insert(Freeze).values(school_id=office.store_school(tx, "Hilltop College"), **frozen))
        items = schedule(tx, office.staff["ada"], NOW, NOW + 7 * DAY)
        seen = schedule(tx, office.staff["otto"], NOW, NOW + 7 * DAY)
    assert [(one.kind, one.school) for one in items] == [("freeze", "Hilltop College"), ("change", "Harbour School")]
    assert [one.kind for one in seen] == ["freeze"]
    events = list(icalendar.Calendar.from_ical(as_ics(items, "Changes", "https://x", NOW)).walk("VEVENT"))
    assert str(events[1]["summary"]) == f"Change {number}: Update; tree, \\n BEGIN:VEVENT"
    assert (events[1].start, events[1].end) == (NOW + DAY, NOW + DAY + 2 * HOUR)


def test_a_proposal_can_be_seen_before_it_is_made(office):
    with office.store.begin() as tx:
        wanted = Proposal(ChangeKind.NORMAL, "All", "Because", {}, (UPGRADE, {"kind": "reboot"}), any_time=True)
        found = actions.preview(tx, office.staff["tom"], wanted, NOW)
    assert (found.risk, found.pcs, len(found.schools)) == (RiskLevel.HIGH, 4, 2)
    assert found.steps == (Step.PROCEED, Step.PEER_REVIEW, Step.IMPLEMENT)
    assert office.store.rows(sa.select(Change.id)) == []


def test_only_who_approves_says_who_has_the_last_word_at_a_school(office):
    with office.store.begin() as tx:
        found = settings.settings_of(tx, office.staff["otto"], office.store_school(tx, "Hilltop College"))
        settings.set_school(tx, office.staff["otto"], replace(found, at_once=5, cache_url="http://cache:3142"), NOW)
        with pytest.raises(Forbidden):
            settings.set_school(tx, office.staff["otto"], replace(found, needs_final=True), NOW)
        with pytest.raises(ChangeError, match="role approver"):
            settings.set_school(tx, office.staff["ada"], replace(found, final_user_id=office.staff["hal"].id), NOW)
        with pytest.raises(ChangeError, match="is written like"):
            settings.set_school(tx, office.staff["ada"], replace(found, cache_url="http://x/;rm"), NOW)
        kept = settings.settings_of(tx, office.staff["hilda"], found.school_id)
    assert (kept.at_once, kept.cache_url, kept.needs_final) == (5, "http://cache:3142", False)


def test_what_was_signed_for_a_withdrawn_change_is_withdrawn_with_it(office):
    number = office.propose(kind=ChangeKind.EMERGENCY)
    office.decide("ada", number, Step.IMPLEMENT)
    prepared = office.store.rows(sa.select(Manifest.withdrawn_at).where(Manifest.change_id == number))
    assert prepared == [(None,), (None,)]
    with office.store.begin() as tx:
        actions.withdraw(tx, office.staff["tom"], number, "Not needed", NOW)
    kept = office.store.rows(sa.select(Manifest.withdrawn_at).where(Manifest.change_id == number))
    assert kept == [(NOW,), (NOW,)]
    assert office.store.rows(sa.select(Rollout.state).where(Rollout.change_id == number)) == [("cancelled",)]
