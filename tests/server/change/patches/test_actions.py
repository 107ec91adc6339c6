"""From looks, jobs and software to what is proven."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from fettle_server.change.patches import actions
from fettle_server.change.patches.actions import Told
from fettle_server.change.patches.rules import PatchState
from fettle_server.change.patches.tables import EndpointUpdate, PatchScan, Update

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def _tell(store, pk: int, state: PatchState, version: str = "1.1", hours: float = 1, words: str = "Setting up openssl") -> None:
    with store.begin() as tx:
        at = NOW + hours * HOUR
        actions.job_ended(tx, [Told(pk, at, 7, "apt", {"openssl": version}, state, words)], at)


def test_offered_update_is_lacking_and_its_clock_runs_from_the_vendors_release(store, look, offer, patch, recounted):
    pk = store.endpoint()
    look(pk, offer())
    row = patch(pk)
    assert (row.state, row.due_on, row.installed) == ("offered", dt.date(2026, 11, 30), "1.0")
    scan = store.rows(sa.select(PatchScan))[0]
    assert (scan.lacking, scan.due_on, scan.worked) == (1, dt.date(2026, 11, 30), True)
    recounted()


def test_installed_update_is_proven_by_the_next_look_only(store, look, offer, patch, recounted):
    pk = store.endpoint()
    look(pk, offer())
    _tell(store, pk, PatchState.INSTALLED)
    assert (patch(pk).state, patch(pk).change_id, patch(pk).words) == ("installed", 7, "Setting up openssl")
    look(pk, hours=2)
    assert (patch(pk).state, patch(pk).fixed_at) == ("proven", NOW + 2 * HOUR)
    recounted()


def test_look_that_failed_proves_nothing(store, look, offer, patch):
    pk = store.endpoint()
    look(pk, offer())
    _tell(store, pk, PatchState.INSTALLED)
    look(pk, hours=2, error="E: Could not get lock")
    assert patch(pk).state == "installed"


def test_pending_restart_is_not_fixed_until_a_look_after_it(store, look, offer, patch, recounted):
    pk = store.endpoint()
    look(pk, offer())
    _tell(store, pk, PatchState.INSTALLED)
    look(pk, hours=2, pending=True)
    assert (patch(pk).state, patch(pk).fixed_at, patch(pk).restart_due_at) == ("reboot pending", None, NOW + 2 * HOUR)
    recounted()
    look(pk, hours=3)
    assert (patch(pk).state, patch(pk).installed_at) == ("proven", NOW + HOUR)


def test_update_that_is_offered_still_after_its_installation_failed(store, look, offer, patch):
    pk = store.endpoint()
    look(pk, offer())
    _tell(store, pk, PatchState.INSTALLED)
    look(pk, offer(), hours=2)
    assert (patch(pk).state, patch(pk).words) == ("failed", "Still offered by a look after it was installed.")


def test_job_that_left_an_older_version_installed_nothing(store, look, offer, patch):
    pk = store.endpoint()
    look(pk, offer())
    _tell(store, pk, PatchState.INSTALLED, version="1.0")
    assert patch(pk).state == "offered"


def test_failed_job_keeps_the_tools_own_words(store, look, offer, patch):
    pk = store.endpoint()
    look(pk, offer())
    _tell(store, pk, PatchState.FAILED, words="dpkg: error processing package openssl (--configure)")
    assert (patch(pk).state, patch(pk).words[:11]) == ("failed", "dpkg: error")


def test_superseded_version_is_gone_and_its_clock_goes_on_in_the_next(store, look, offer, patch, recounted):
    pk = store.endpoint()
    look(pk, offer())
    look(pk, offer(version="1.2", released_on="2026-11-23"), hours=1)
    assert (patch(pk).state, patch(pk).words) == ("gone", "Superseded by 1.2.")
    assert patch(pk, version="1.2").due_on == dt.date(2026, 11, 30)
    assert store.value(sa.select(Update.due_on).where(Update.version == "1.2")) == dt.date(2026, 12, 7)
    recounted()


def test_version_that_a_newer_offer_shows_installed_is_proven(store, look, offer, patch):
    pk = store.endpoint()
    look(pk, offer())
    look(pk, offer(version="1.2", installed="1.1"), hours=1)
    assert (patch(pk).state, patch(pk).words) == ("proven", "Installed by other means than a job.")


def test_software_shows_what_was_installed_by_other_means(store, look, offer, patch, software, recounted):
    pk = store.endpoint()
    look(pk, offer())
    look(pk, hours=1)
    assert patch(pk).state == "gone"
    software(pk, openssl="1.1")
    with store.begin() as tx:
        assert actions.settle(tx, NOW + 2 * HOUR, 10) == 1
        assert actions.settle(tx, NOW + 2 * HOUR, 10) == 0
    assert (patch(pk).state, patch(pk).gone_at) == ("proven", None)
    recounted()


def test_what_no_software_shows_stays_gone_and_is_not_asked_for_ever(store, look, offer, patch, software):
    pk = store.endpoint()
    look(pk, offer())
    look(pk, hours=1)
    software(pk, openssl="1.0")
    for hours, asked in ((2, 1), (2, 0), (3, 1), (40, 1), (60, 0)):
        with store.begin() as tx:
            assert actions.settle(tx, NOW + hours * HOUR, 10) == asked
    assert patch(pk).state == "gone"


def test_proven_update_that_is_offered_again_begins_anew(store, look, offer, patch, recounted):
    pk = store.endpoint()
    look(pk, offer())
    _tell(store, pk, PatchState.INSTALLED)
    look(pk, hours=2)
    look(pk, offer(), hours=3)
    row = patch(pk)
    assert (row.state, row.offered_at, row.installed_at, row.fixed_at, row.change_id) == (
        "offered",
        NOW + 3 * HOUR,
        None,
        None,
        None,
    )
    recounted()


def test_word_of_one_pc_makes_an_update_worse_for_all_and_never_better(store, look, offer, patch, recounted):
    first, second = store.endpoint(), store.endpoint()
    look(first, offer(security=False, released_on=None))
    assert patch(first).due_on is None
    look(second, offer(severity="critical", released_on="2026-11-10"))
    assert patch(first).due_on == patch(second).due_on == dt.date(2026, 11, 24)
    assert store.value(sa.select(PatchScan.due_on).where(PatchScan.endpoint_pk == first)) == dt.date(2026, 11, 24)
    look(second, offer(security=False, severity="low", released_on="2026-11-20"), hours=1)
    assert patch(first).due_on == dt.date(2026, 11, 24)
    recounted()


def test_approval_moves_what_was_offered_and_names_the_change(store, look, offer, patch, recounted):
    pk, other = store.endpoint(), store.endpoint()
    look(pk, offer(), offer("bash"))
    look(other, offer())
    update_id = patch(pk).update_id
    with store.begin() as tx:
        assert actions.approve(tx, 7, [update_id], [pk], NOW + HOUR) == 1
    assert (patch(pk).state, patch(pk).change_id) == ("approved", 7)
    assert patch(pk, "bash").state == patch(other).state == "offered"
    recounted()


def test_malformed_part_is_left_out_and_said_and_the_rest_is_kept(store, look, offer, patch):
    pk = store.endpoint()
    look(pk, offer(), "rubbish", {"provider": "apt"}, offer("bash", security="yes"))
    assert patch(pk).state == "offered"
    reasons = ("offer 2: it is no object", "offer 3: its name cannot be", "offer 4: it does not say whether it is for security")
    assert store.value(sa.select(PatchScan.refused)) == f"Left out: {'; '.join(reasons)}."


def test_what_may_have_been_left_out_is_not_taken_as_installed(store, look, offer, patch):
    pk = store.endpoint()
    look(pk, offer())
    _tell(store, pk, PatchState.INSTALLED)
    look(pk, offer(version=3), hours=2)
    assert patch(pk).state == "installed"


def test_body_that_is_no_section_loses_nothing(store, look, offer, patch, packed):
    pk = store.endpoint()
    look(pk, offer())
    with store.begin() as tx:
        for body in (b"", b"rubbish", packed([]), packed({"offers": 3, "providers": {"a": 1}})):
            actions.take(tx, [(pk, NOW + HOUR, body)], NOW + HOUR)
    assert patch(pk).state == "offered"
    assert store.value(sa.select(PatchScan.worked)) is False


def test_revoked_endpoints_lack_nothing(store, look, offer, recounted):
    pk = store.endpoint()
    look(pk, offer())
    with store.begin() as tx:
        tx.execute(sa.text("UPDATE endpoints SET revoked_at = 1"))
        assert actions.forget_revoked(tx, NOW, 10) == 1
        assert actions.forget_revoked(tx, NOW, 10) == 0
    assert store.value(sa.select(EndpointUpdate.state)) == "gone"
    recounted()
