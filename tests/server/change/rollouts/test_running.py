"""Rollouts on the real store: rings, gates, halts, back-outs, windows, turns, waking, late joiners, silence."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from fettle_server.change.jobs.rules import Told
from fettle_server.change.jobs.tables import Job, Wake
from fettle_server.change.rollouts import actions, handing
from fettle_server.change.rollouts.plans import Gate, RolloutError, When
from fettle_server.change.rollouts.tables import Freeze, Rollout
from fettle_server.change.rollouts.views import Reach
from fettle_server.change.tables import Change, ChangeIncident, SchoolChange
from fettle_server.notify.tables import Outbox
from fettle_server.reactive.tables import Incident

from tests.server.change.rollouts.conftest import DAY, EVENING, HOUR, MINUTE, NOON, two_rings


def test_a_good_update_goes_through_its_rings_and_ends_in_review(stored_scene):
    scene = stored_scene
    scene.pcs(10)
    scene.rollout()
    scene.tick()
    bench = scene.in_ring(0)
    assert scene.jobs("released") == bench
    assert len(bench) == 1
    assert scene.change_state() == "running"
    scene.take(bench)
    scene.tick(MINUTE)
    assert scene.state() == ("running", 0)  # it soaks
    scene.tick(11 * MINUTE)
    assert scene.state() == ("running", 1)
    assert len(scene.jobs("released")) == 9
    scene.take(scene.in_ring(1))
    scene.tick(MINUTE, 12)
    assert scene.state()[0] == "finished"
    assert scene.change_state() == "review"
    assert set(scene.targets().values()) == {"changed"}


def test_a_success_with_a_sick_pc_halts_at_the_first_ring_and_is_backed_out(stored_scene):
    scene = stored_scene
    scene.pcs(10)
    scene.rollout()
    scene.tick()
    bench = scene.in_ring(0)
    scene.take(bench)
    scene.tick(MINUTE)
    scene.fall_ill(bench)
    scene.tick(MINUTE)
    assert scene.state() == ("halted", 0)
    assert "1 of 1 is sick after the update, limit 0" in scene.why
    assert "Halted at 17:02" in scene.why
    assert scene.change_state() == "halted"
    linked = scene.store.rows(sa.select(ChangeIncident.how, Incident.cause).join(Incident))
    assert [tuple(row) for row in linked] == [("halted", f"rollout:{scene.id}")]
    scene.tick(DAY)
    assert scene.state() == ("halted", 0)
    undone = scene.id
    number = scene.act(actions.back_out, "it broke the service")
    scene.id = number
    assert scene.targets() == {bench[0]: "waiting"}
    scene.tick()
    scene.take(bench)
    scene.tick(MINUTE, 2)
    assert scene.state()[0] == "finished"
    assert scene.store.value(sa.select(Incident.state).where(Incident.cause == f"rollout:{undone}")) == "resolved"
    assert scene.change_state() == "review"


def test_a_failure_takes_back_what_has_not_begun_and_a_resume_with_a_reason_brings_it_out_again(scene):
    pks = scene.pcs(10)
    scene.rollout(two_rings(gate=Gate(0, 0, seen_s=0, seen_percent=0)))
    scene.tick()
    scene.take(scene.in_ring(0))
    scene.tick(MINUTE, 12)
    rest = scene.in_ring(1)
    scene.take(rest[:1], Told.FAILED, why="dpkg was interrupted")
    scene.take(rest[1:2])
    scene.report(rest[2:3], Told.RECEIVED, Told.STARTED)
    scene.tick(MINUTE)
    assert scene.state()[0] == "halted"
    assert sorted(scene.jobs("cancelled")) == sorted(rest[3:])
    assert scene.targets()[rest[2]] == "running"
    told = scene.store.rows(sa.select(Outbox.school_id, Outbox.change_id).where(Outbox.kind == "change.halted"))
    assert told == [(scene.school, scene.change)]
    with pytest.raises(RolloutError, match="Say why"):
        scene.act(actions.resume, " ")
    scene.act(actions.resume, "that PC's disk was full")
    scene.tick()
    assert scene.state()[0] == "running"
    assert sorted(scene.jobs("released")) == sorted(rest[3:])
    scene.take(rest[2:], Told.DONE)
    scene.tick(MINUTE, 12)
    assert scene.state()[0] == "finished"
    assert len(scene.jobs("done")) == len(pks) - 1


def test_nothing_is_handed_out_before_the_window_and_the_why_says_when(scene):
    scene.now = NOON
    pks = scene.pcs(3)
    scene.rollout(two_rings(when=When.WINDOWS))
    scene.tick(MINUTE)
    assert scene.jobs("released") == []
    why = scene.store.value(sa.select(Job.why).where(Job.endpoint_pk == scene.in_ring(0)[0]))
    assert why == "Its next change window opens on today at 16:30."
    assert scene.change_state() == "scheduled"
    scene.now = EVENING
    scene.tick()
    assert scene.jobs("released") == scene.in_ring(0)
    assert scene.change_state() == "running"
    assert len(pks) == 3


def test_a_missed_window_is_booked_anew(scene):
    scene.pcs(1)
    scene.rollout(two_rings(when=When.WINDOWS, deadline_s=3 * 86_400))
    scene.tick()
    first = scene.store.rows(sa.select(Job.until_at))[0].until_at
    scene.tick(5 * HOUR)
    scene.tick(HOUR, 19)
    again = scene.store.rows(sa.select(Job.start_at, Job.until_at, Job.state))[0]
    assert again.until_at == first + DAY
    assert again.state == "released"
    assert scene.state() == ("running", 0)


def test_a_freeze_that_comes_in_between_takes_jobs_out_of_it(scene):
    scene.pcs(2)
    scene.rollout()
    scene.tick()
    assert len(scene.jobs("released")) == 1
    with scene.store.begin() as tx:
        values = {"title": "Exams", "starts_at": scene.now, "ends_at": scene.now + 3 * HOUR, "created_by": "user:kim"}
        tx.execute(sa.insert(Freeze).values(values))
    scene.tick(MINUTE)
    row = scene.store.rows(sa.select(Job.start_at).where(Job.state == "released"))[0]
    assert row.start_at == EVENING + 3 * HOUR


def test_a_thin_line_takes_turns(scene):
    scene.pcs(10)
    with scene.store.begin() as tx:
        tx.execute(sa.insert(SchoolChange).values(school_id=scene.school, at_once=3))
    scene.rollout(two_rings(gate=Gate(seen_s=0)))
    scene.tick()
    scene.take(scene.in_ring(0))
    scene.tick(MINUTE, 12)
    first = scene.jobs("released")
    assert len(first) == 3
    waiting = scene.store.rows(sa.select(Job.why).where(Job.state == "waiting"))
    assert {row.why for row in waiting} == {"It waits its turn: at most 3 PCs of its school download at the same time."}
    scene.take(first[:2])
    scene.tick(MINUTE)
    assert len(scene.jobs("released")) == 3
    assert len(scene.jobs("done")) == 3


def test_a_pc_that_is_off_is_woken_by_a_neighbour_of_its_room_once_an_hour(scene):
    room = scene.room()
    (on,) = scene.pcs(1, room_id=room)
    (off,) = scene.pcs(1, room_id=room, connected=False)
    scene.hardware(off, "aa:bb:cc:dd:ee:ff")
    scene.rollout(two_rings(rings=two_rings().rings[1:]))
    scene.tick(MINUTE, 3)
    asked = scene.store.rows(sa.select(Wake.endpoint_pk, Wake.macs))
    assert [tuple(row) for row in asked] == [(on, ["aa:bb:cc:dd:ee:ff"])]
    why = scene.store.value(sa.select(Job.why).where(Job.endpoint_pk == off))
    assert "asked to wake it at 17:0" in why


def test_late_joiners_enter_the_current_ring_and_who_left_is_gone(scene):
    pks = scene.pcs(6)
    scene.rollout(two_rings(gate=Gate(seen_s=0)))
    scene.tick()
    scene.take(scene.in_ring(0))
    scene.tick(MINUTE, 12)
    assert scene.state() == ("running", 1)
    (new,) = scene.pcs(1)
    gone = scene.in_ring(1)[0]
    scene.set([gone], revoked_at=scene.now)
    scene.tick(MINUTE)
    assert new in scene.in_ring(1)
    assert new in scene.jobs("released")
    assert scene.targets()[gone] == "gone"
    assert gone in scene.jobs("cancelled")
    assert len(pks) == 6


def test_silence_past_the_deadline_fails_the_ring_and_a_late_word_is_still_taken(scene):
    scene.pcs(4, connected=False)
    scene.rollout()
    scene.tick()
    bench = scene.in_ring(0)
    scene.tick(HOUR, 3)
    assert scene.state() == ("halted", 0)
    assert "1 of 1 said nothing until the deadline" in scene.why
    assert scene.targets()[bench[0]] == "silent"
    scene.act(actions.resume, "it is being repaired")
    scene.tick()
    scene.set(bench, connected=True, connected_since=scene.now)
    scene.tick(MINUTE)
    assert scene.jobs("released") == bench
    scene.take(bench)
    scene.tick(MINUTE)
    assert scene.targets()[bench[0]] == "changed"


def test_a_pc_that_was_not_seen_since_its_change_is_no_evidence(scene):
    scene.pcs(4)
    scene.rollout(two_rings(gate=Gate(seen_s=300)))
    scene.tick()
    bench = scene.in_ring(0)
    scene.take(bench)
    scene.set(bench, connected=False, last_seen=scene.now)
    scene.tick(HOUR, 5)
    assert scene.state() == ("running", 0)
    assert "0 of 1 changed PCs were online long enough" in scene.why
    scene.set(bench, connected=True, connected_since=scene.now)
    scene.tick(6 * MINUTE)
    assert scene.state() == ("running", 1)


def test_a_fault_that_a_pc_had_all_along_does_not_count(scene):
    scene.pcs(4)
    scene.rollout(start=False)
    bench = scene.in_ring(0)
    scene.set(bench, enrolled_at=EVENING - 60 * DAY)
    for days in range(1, 28):
        scene.fall_ill(bench, "disk-low", EVENING - days * DAY, EVENING - days * DAY + HOUR)
    scene.act(actions.start)
    scene.tick()
    scene.take(bench)
    scene.tick(MINUTE)
    scene.fall_ill(bench, "disk-low")
    scene.tick(2 * HOUR)
    scene.tick(MINUTE)
    assert scene.targets()[bench[0]] == "changed"


def test_what_halts_a_pc_in_an_earlier_ring_later_still_halts(scene):
    scene.pcs(6)
    scene.rollout()
    scene.tick()
    bench = scene.in_ring(0)
    scene.take(bench)
    scene.tick(MINUTE, 12)
    assert scene.state() == ("running", 1)
    scene.fall_ill(bench)
    scene.tick(MINUTE)
    assert scene.state()[0] == "halted"
    assert "In the ring bench, which had passed" in scene.why


def test_a_rollout_needs_its_approval_and_its_signature(scene):
    scene.pcs(2)
    scene.rollout(start=False)
    with scene.store.begin() as tx:
        tx.execute(sa.update(Change).values(state="proposed"))
    with pytest.raises(RolloutError, match="is proposed"):
        scene.act(actions.start)
    with scene.store.begin() as tx:
        tx.execute(sa.update(Change).values(state="approved"))
        actions.prepare(tx, scene.id, scene.now)
    with pytest.raises(RolloutError, match="not signed"):
        scene.act(actions.start)


def test_a_pause_begins_nothing_and_a_cancel_is_for_good(scene):
    scene.pcs(5)
    scene.rollout()
    scene.tick()
    scene.act(actions.pause, "lunch")
    scene.tick(HOUR)
    assert scene.jobs("released", "waiting") == []
    scene.act(actions.resume, "")
    scene.tick()
    assert len(scene.jobs("released")) == 1
    scene.act(actions.cancel, "not wanted any more")
    scene.tick(HOUR)
    assert scene.jobs("released", "waiting") == []
    assert set(scene.targets().values()) == {"withdrawn"}
    assert scene.store.value(sa.select(Rollout.state)) == "cancelled"
    with pytest.raises(RolloutError, match="is cancelled"):
        scene.act(actions.resume, "why not")


def test_a_thin_line_with_many_pcs_holds_no_other_school_up(scene, monkeypatch):
    monkeypatch.setattr(handing, "HAND_PIECE", 4)
    thin = scene.pcs(6)
    wide = scene.pcs(3, school="Elm Park")
    other = scene.store.school("Elm Park")
    with scene.store.begin() as tx:
        tx.execute(sa.insert(SchoolChange).values(school_id=scene.school, at_once=1))
    scene.rollout(two_rings(rings=two_rings().rings[1:]), reach=Reach(schools=(scene.school, other)))
    scene.tick()
    scene.tick(MINUTE)
    handed = scene.jobs("released")
    assert set(wide) <= set(handed)
    assert len(set(thin) & set(handed)) == 1
    waiting = scene.store.rows(sa.select(Job.why).where(Job.state == "waiting"))
    assert {row.why for row in waiting} == {"It waits its turn: at most 1 PCs of its school download at the same time."}
