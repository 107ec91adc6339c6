"""Jobs: made, let go, reported, cancelled and expired; what agents are owed; and what no report may ever do."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_protocol import signing
from fettle_server.change.jobs import actions, keys, queries
from fettle_server.change.jobs.rules import (
    BEGUN,
    ENDS,
    FINAL,
    NOT_BEGUN,
    JobError,
    JobState,
    Report,
    Told,
    follow,
    says_anything,
)
from fettle_server.change.jobs.tables import Job, JobEntry
from fettle_server.change.manifests import actions as manifests
from fettle_server.change.manifests import queries as manifest_queries
from fettle_server.change.patches import actions as patches
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role
from hypothesis import given
from hypothesis import strategies as st

from tests.server.change.rivals import meanwhile
from tests.server.change.test_manifests import DAY, NOW, change_of, key_of, wanted

HOUR = dt.timedelta(hours=1)


class Scene:
    """Endpoints with a signed manifest, and jobs for them."""

    def __init__(self, store: Any, endpoints: int = 1) -> None:
        self.store = store
        self.pks = [store.endpoint() for _ in range(endpoints)]
        self.school = store.school()
        with store.begin() as tx:
            key = key_of(tx)
            self.manifest = manifests.prepare(tx, wanted(change_of(tx)), NOW)
            signature = signing.sign(key, manifest_queries.body_of(tx, self.manifest))
            manifests.bring_signature(tx, SYSTEM, self.manifest, signature, NOW)
            made = actions.create(tx, self.manifest, [(pk, self.school) for pk in self.pks], 4, NOW + DAY, False, NOW)
        self.ids = [made[pk] for pk in self.pks]
        self.uids = [store.value(sa.select(Job.uid).where(Job.id == number)) for number in self.ids]

    def release(self, now: dt.datetime = NOW) -> list[int]:
        with self.store.begin() as tx:
            return actions.release(tx, self.ids, now, now + HOUR, False, now)

    def tell(self, *told: Told | Report, pk: int | None = None, at: dt.datetime = NOW) -> None:
        said = [one if isinstance(one, Report) else Report(self.uids[0], one) for one in told]
        with self.store.begin() as tx:
            actions.report(tx, [(pk or self.pks[0], at, one) for one in said], at)

    def row(self) -> Any:
        return self.store.rows(sa.select(Job.__table__).where(Job.id == self.ids[0]))[0]

    def owed(self) -> tuple[list[str], list[str]]:
        with self.store.begin() as tx:
            handouts, cancels = queries.for_endpoints(tx, self.pks)
        return [one.uid for one in handouts], [one.uid for one in cancels]


def test_a_job_goes_its_way_and_every_step_stays_on_its_record(store: Any) -> None:
    scene = Scene(store)
    assert scene.row().why == "It waits for its turn."
    scene.release()
    assert scene.owed() == (scene.uids, [])
    scene.tell(Told.RECEIVED)
    assert scene.owed() == ([], [])
    words = Report(scene.uids[0], Told.STEP_DONE, step=1, kind="upgrade", words="Setting up nano (7.2-1) ...", percent=90)
    scene.tell(Told.STARTED, words, Report(scene.uids[0], Told.DONE, result={"packages": {"nano": ["6", "7.2-1"]}}))
    row = scene.row()
    assert (row.state, row.percent, row.result, row.ended_at) == ("done", 100, {"packages": {"nano": ["6", "7.2-1"]}}, NOW)
    with store.begin() as tx:
        view = queries.job(tx, SYSTEM, scene.uids[0])
    assert view is not None
    assert [entry.state for entry in view.entries] == ["received", "started", "step done", "done"]
    assert view.entries[2].words == "Setting up nano (7.2-1) ..."
    assert (view.row.title, view.row.steps) == ("Editors", 1)


def test_a_waiting_job_always_says_why(store: Any) -> None:
    scene = Scene(store)
    with store.begin() as tx:
        actions.say_why(tx, [(scene.ids[0], "Its school's window opens at 18:00.")])
    assert scene.row().why == "Its school's window opens at 18:00."
    scene.release()
    scene.tell(Told.RECEIVED)
    assert scene.row().why == "It is on the PC, and begins within its window."
    scene.tell(Report(scene.uids[0], Told.WAITING, why="The battery is at 12 %."))
    with store.begin() as tx:
        actions.say_why(tx, [(scene.ids[0], "something older")])
    assert scene.row().why == "The battery is at 12 %."


def test_the_same_wait_told_again_is_one_line(store: Any) -> None:
    scene = Scene(store)
    scene.release()
    scene.tell(Told.RECEIVED, *[Report(scene.uids[0], Told.WAITING, why="No power.")] * 5)
    assert store.value(sa.select(sa.func.count()).select_from(JobEntry)) == 2


def test_a_flood_of_reports_fills_no_disk(store: Any) -> None:
    scene = Scene(store)
    scene.release()
    for turn in range(2):
        scene.tell(*[Report(scene.uids[0], Told.STEP_DONE, step=1, why=f"{turn} {number}") for number in range(250)])
    assert store.value(sa.select(sa.func.count()).select_from(JobEntry)) == 300


def test_a_report_of_another_endpoint_or_of_no_job_changes_nothing(store: Any) -> None:
    scene = Scene(store, endpoints=2)
    scene.release()
    scene.tell(Told.DONE, Report("f" * 32, Told.DONE), pk=scene.pks[1])
    assert scene.row().state == "released"


def test_a_cancel_reaches_those_that_have_not_begun_and_only_them(store: Any) -> None:
    scene = Scene(store, endpoints=3)
    scene.release()
    scene.tell(Told.RECEIVED, Told.STARTED)
    with store.begin() as tx:
        assert actions.cancel(tx, scene.ids, "The ring was halted.", NOW) == scene.ids[1:]
        assert [(one.number, one.uid, one.reason) for one in queries.cancelled_after(tx, 0)] == [
            (1, scene.uids[1], "The ring was halted."),
            (2, scene.uids[2], "The ring was halted."),
        ]
        assert queries.released_after(tx, 0) == []
        assert queries.marks(tx) == (3, 2)


def test_a_job_that_was_never_handed_out_is_cancelled_without_a_word(store: Any) -> None:
    scene = Scene(store)
    with store.begin() as tx:
        actions.cancel(tx, scene.ids, "Withdrawn.", NOW)
    assert scene.owed() == ([], [])


def test_a_cancel_is_said_until_the_pc_confirms_it(store: Any) -> None:
    scene = Scene(store)
    scene.release()
    with store.begin() as tx:
        actions.cancel(tx, scene.ids, "Withdrawn.", NOW)
    assert scene.owed() == ([], scene.uids)
    scene.tell(Report(scene.uids[0], Told.CANCELLED, why="Withdrawn."))
    assert scene.owed() == ([], [])
    assert scene.row().why == "Withdrawn."


def test_what_happened_to_a_pc_is_never_hidden_by_a_cancel(store: Any) -> None:
    scene = Scene(store)
    scene.release()
    with store.begin() as tx:
        actions.cancel(tx, scene.ids, "Halted.", NOW)
    scene.tell(Told.RECEIVED)
    assert scene.row().state == "cancelled"
    scene.tell(Told.STARTED, at=NOW + HOUR)
    assert (scene.row().state, scene.row().ended_at) == ("running", None)
    scene.tell(Told.DONE, at=NOW + HOUR)
    assert scene.row().state == "done"


def test_a_later_window_hands_a_job_out_again(store: Any) -> None:
    scene = Scene(store)
    scene.release()
    scene.tell(Told.RECEIVED)
    scene.release(NOW + DAY)
    with store.begin() as tx:
        again = queries.released_after(tx, 1)
    assert [(one.number, one.uid) for one in again] == [(2, scene.uids[0])]
    assert scene.row().start_at == NOW + DAY


@pytest.mark.parametrize(("told", "words"), [((), "never fetched it"), ((Told.RECEIVED,), "before the PC could begin")])
def test_a_job_whose_time_passed_says_where_it_stood(store: Any, told: tuple[Told, ...], words: str) -> None:
    scene = Scene(store)
    scene.release()
    scene.tell(*told)
    with store.begin() as tx:
        assert actions.expire(tx, NOW + DAY - HOUR) == []
        assert actions.expire(tx, NOW + DAY) == scene.ids
    assert scene.row().state == "expired"
    assert words in scene.row().why


def test_a_job_that_began_is_waited_for_until_it_was_silent_for_a_day(store: Any) -> None:
    scene = Scene(store)
    scene.release()
    scene.tell(Told.RECEIVED, Told.STARTED, at=NOW + DAY - HOUR)
    with store.begin() as tx:
        assert actions.expire(tx, NOW + DAY + HOUR) == []
        assert actions.expire(tx, NOW + 2 * DAY) == scene.ids
    assert "nothing was heard of it since" in scene.row().why


def test_a_person_cancels_by_hand_only_where_they_may(store: Any) -> None:
    scene = Scene(store)
    with store.begin() as tx:
        with pytest.raises(JobError, match="no such job"):
            actions.cancel_by_hand(tx, Person(1, "kim", Role.TECHNICIAN, frozenset({99})), scene.uids[0], "x", NOW)
        with pytest.raises(Forbidden):
            actions.cancel_by_hand(tx, Person(1, "kim", Role.VIEWER, None), scene.uids[0], "x", NOW)
        actions.cancel_by_hand(tx, Person(1, "kim", Role.TECHNICIAN, None), scene.uids[0], "broken keyboard", NOW)
        with pytest.raises(JobError, match="is cancelled"):
            actions.cancel_by_hand(tx, SYSTEM, scene.uids[0], "again", NOW)
    assert scene.row().why == "broken keyboard"


def test_making_jobs_again_makes_none_twice(store: Any) -> None:
    scene = Scene(store, endpoints=2)
    late = store.endpoint()
    with store.begin() as tx:
        places = [(pk, scene.school) for pk in (*scene.pks, late)]
        made = actions.create(tx, scene.manifest, places, 4, NOW + DAY, False, NOW)
    assert [made[pk] for pk in scene.pks] == scene.ids
    assert store.value(sa.select(sa.func.count()).select_from(Job)) == 3


def test_a_withdrawn_or_unsigned_manifest_is_not_handed_out(store: Any) -> None:
    scene = Scene(store)
    with store.begin() as tx:
        assert set(queries.signed(tx, [scene.manifest])) == {scene.manifest}
        unsigned = manifests.prepare(tx, wanted(), NOW)
        manifests.withdraw(tx, scene.manifest, NOW)
        assert queries.signed(tx, [scene.manifest, unsigned]) == {}


def test_a_change_of_keys_goes_to_every_pc_that_may_trust_the_signer_once(store: Any) -> None:
    before, revoked = store.endpoint(), store.endpoint(revoked_at=NOW)
    with store.begin() as tx:
        old, new = key_of(tx, "old"), key_of(tx, "new")
        ids = [signing.key_id(signing.public_bytes(key)) for key in (old, new)]
        number = manifests.rotate(tx, SYSTEM, (ids[1],), (ids[0],), NOW)
        assert keys.hand_out_keys(tx, NOW) == 0
        manifests.bring_signature(tx, SYSTEM, number, signing.sign(old, manifest_queries.body_of(tx, number)), NOW)
        assert keys.hand_out_keys(tx, NOW) == 1
        manifests.retire_key(tx, SYSTEM, ids[0], "rotated", NOW)
    late = store.endpoint(enrolled_at=NOW + HOUR)
    with store.begin() as tx:
        assert keys.hand_out_keys(tx, NOW + 2 * HOUR) == 0
        assert [one.endpoint_pk for one in queries.released_after(tx, 0)] == [before]
    assert revoked not in (before, late)


def test_an_ended_package_step_is_told_to_the_patches(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(patches, "job_ended", lambda tx, told, now: heard.extend(told))
    scene = Scene(store)
    scene.release()
    scene.tell(Told.STARTED, Report(scene.uids[0], Told.STEP_FAILED, step=1, words="E: held broken packages"))
    scene.tell(Report(scene.uids[0], Told.STEP_DONE, step=7))
    after = [{"provider": "apt", "name": "nano", "after": "7.2-2"}, {"provider": "apt", "name": ["x"]}, 7]
    scene.tell(Report(scene.uids[0], Told.STEP_DONE, step=1, result={"packages": after}))
    assert [(one.provider, one.packages, one.state, one.words) for one in heard] == [
        ("apt", {"nano": "7.2-1"}, "failed", "E: held broken packages"),
        ("apt", {"nano": "7.2-2"}, "installed", ""),
    ]


def test_wakes_are_clean_bounded_and_young(store: Any) -> None:
    macs = [f"AA-BB-CC-00-00-{number:02x}" for number in range(70)]
    with store.begin() as tx:
        actions.ask_wake(tx, [(7, [*macs, "nonsense", macs[0]])], NOW)
        told = queries.wakes_since(tx, 0, NOW)
        assert [(pk, len(addresses)) for _, pk, addresses in told] == [(7, 64), (7, 6)]
        assert told[0][2][0] == "aa:bb:cc:00:00:00"
        assert queries.wakes_since(tx, told[-1][0], NOW) == []
        assert queries.wakes_since(tx, 0, NOW + HOUR) == []


@given(st.sampled_from(JobState), st.lists(st.sampled_from(Told), max_size=12))
def test_no_reports_undo_what_a_pc_said_it_did(state: JobState, reports: list[Told]) -> None:
    for told in reports:
        after = follow(state, told)
        assert state not in FINAL or after is state
        assert state not in ENDS or after not in NOT_BEGUN
        assert state not in BEGUN or after not in NOT_BEGUN | {JobState.CANCELLED, JobState.REFUSED, JobState.EXPIRED}
        assert after is state or says_anything(state, told)
        state = after


def test_what_a_pc_says_under_a_jobs_former_name_counts_and_its_cancel_still_goes_out(store: Any) -> None:
    scene = Scene(store)
    old = scene.uids[0]
    scene.release()
    with store.begin() as tx:
        actions.cancel(tx, scene.ids, "A freeze.", NOW)
        assert actions.renew(tx, scene.ids, NOW) == scene.ids
    new = scene.row().uid
    assert new != old
    assert scene.owed() == ([], [old])
    with store.begin() as tx:
        assert [one.uid for one in queries.cancelled_after(tx, 0)] == [old]
    scene.tell(Told.RECEIVED, Told.REFUSED)  # of the old one, late: nothing of it keeps the new one from going out
    assert scene.row().state == JobState.WAITING
    scene.tell(Told.CANCELLED)
    assert scene.owed() == ([], [])
    assert scene.row().state == JobState.WAITING

    scene.release()
    assert scene.owed() == ([new], [])
    scene.tell(Told.STARTED, Told.DONE)  # it had begun the first one all the same
    assert scene.row().state == JobState.DONE
    scene.tell(Report(new, Told.REFUSED, why="Done already."))
    assert scene.row().state == JobState.DONE
    entries = store.rows(sa.select(JobEntry.state).where(JobEntry.job_id == scene.ids[0]))
    assert [entry.state for entry in entries] == ["started", "done"]


def test_a_failure_under_a_former_name_ends_no_job_that_may_still_go_well(store: Any) -> None:
    scene = Scene(store)
    old = scene.uids[0]
    scene.release()
    with store.begin() as tx:
        actions.cancel(tx, scene.ids, "The ring was halted.", NOW)
        actions.renew(tx, scene.ids, NOW)
    new = scene.row().uid
    failed = Report(old, Told.FAILED, why="dpkg was interrupted.")
    scene.tell(Told.STARTED, failed)
    row = scene.row()
    assert (row.state, row.ended_at) == (JobState.WAITING, None)
    assert row.why == "An earlier try failed, and it comes again. dpkg was interrupted."
    scene.release()
    scene.tell(Told.STARTED)
    assert scene.row().state == JobState.RUNNING
    scene.tell(failed)
    assert scene.owed() == ([new], [old])
    scene.tell(Report(new, Told.STARTED), Report(new, Told.DONE))
    assert scene.row().state == JobState.DONE


def test_what_a_pc_says_while_its_job_gets_another_name_is_not_lost(store: Any) -> None:
    scene = Scene(store)
    scene.release()

    def rename(tx: sa.Connection) -> None:
        actions.cancel(tx, scene.ids, "The ring was halted.", NOW)
        actions.renew(tx, scene.ids, NOW)

    said = [(scene.pks[0], NOW, Report(scene.uids[0], Told.DONE))]
    meanwhile(store, rename, lambda tx: actions.report(tx, said, NOW))
    assert scene.row().state == JobState.DONE


def test_nobody_speaks_under_another_pcs_former_name(store: Any) -> None:
    scene = Scene(store, 2)
    scene.release()
    with store.begin() as tx:
        actions.cancel(tx, scene.ids, "A freeze.", NOW)
        actions.renew(tx, scene.ids, NOW)
    scene.tell(Told.STARTED, Told.DONE, Told.CANCELLED, pk=scene.pks[1])
    assert scene.row().state == JobState.WAITING
    assert scene.uids[0] in scene.owed()[1]
