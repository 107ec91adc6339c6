"""What must never happen to an update, whatever the evidence; which version is newer; how the clock stands."""

from __future__ import annotations

import datetime as dt

import pytest
from fettle_server.change.patches import stepping
from fettle_server.change.patches.reading import read
from fettle_server.change.patches.rules import Grade, PatchState, Standing, counts, due_on, standing
from fettle_server.change.patches.stepping import Had, Seen
from fettle_server.change.patches.versions import at_least
from hypothesis import given
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
HAD = st.builds(Had, st.sampled_from(PatchState), st.text(max_size=3), st.none() | st.integers(0, 20))
SEEN = st.builds(Seen, st.integers(0, 20), st.booleans(), st.none() | st.booleans())
VERSION = st.sampled_from(["1.0", "1.1", "1.2"])
PROVIDER = st.sampled_from(["apt", "dnf", "windows", "winget"])
NEWER = st.none() | st.tuples(VERSION, VERSION | st.just(""))


@given(HAD, PROVIDER, VERSION, NEWER, SEEN)
def test_nothing_is_proven_by_a_bad_look_or_before_the_installation_or_under_a_pending_restart(
    had, provider, version, newer, seen
):
    step = stepping.absent(had, provider, version, newer, seen)
    if step is None or step.state is not PatchState.PROVEN:
        return
    assert seen.worked
    assert seen.reboot_pending is not True
    assert not (seen.reboot_pending is None and provider == "windows")
    installed_before = had.installed_ms is not None and had.installed_ms < seen.at_ms
    assert installed_before or (newer is not None and newer[1] >= version)


@given(st.none() | HAD, st.sampled_from(PatchState), SEEN)
def test_what_is_offered_is_never_proven(had, state, seen):
    step = stepping.offered(had, state, "", seen)
    assert step is None or step.state is not PatchState.PROVEN or state is PatchState.PROVEN


@given(
    HAD, st.sampled_from([PatchState.DOWNLOADED, PatchState.INSTALLED, PatchState.REBOOT_PENDING, PatchState.FAILED]), VERSION
)
def test_no_job_proves_anything(had, state, found):
    step = stepping.told(had, state, "", provider="apt", version="1.1", found=found)
    assert step is None or step.state is state
    if state in (PatchState.INSTALLED, PatchState.REBOOT_PENDING):
        assert (step is None) == (found < "1.1")


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(body):
    assert read(body).whole is False


@pytest.mark.parametrize(
    ("provider", "older", "newer"),
    [
        ("apt", "1.0-1", "1.0-2"),
        ("apt", "1.0~rc1", "1.0"),
        ("apt", "2.36-9+deb12u9", "2.36-9+deb12u10"),
        ("apt", "9:1.0", "10:0.1"),
        ("apt", "1.0", "1.0a"),
        ("apt", "1.0a", "1.0+b"),
        ("dnf", "5.14.0-70.el9", "5.14.0-362.el9"),
        ("dnf", "1.0~beta-1", "1.0-1"),
        ("dnf", "1.0-1", "1.0^git1-1"),
        ("dnf", "1:1.0-1", "2:0.9-1"),
        ("dnf", "1.a-1", "1.1-1"),
        ("winget", "121.0.6167.85", "121.0.6167.140"),
    ],
)
def test_newer_version_by_the_package_managers_own_rules(provider, older, newer):
    assert at_least(provider, newer, older)
    assert not at_least(provider, older, newer)


@pytest.mark.parametrize(("inventory", "offered"), [("3.0.7-27.el9", "1:3.0.7-27.el9"), ("3.0.7-28.el9", "1:3.0.7-27.el9")])
def test_inventory_that_leaves_the_epoch_out_still_compares(inventory, offered):
    assert at_least("dnf", inventory, offered)


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_two_versions_can_be_ordered(one, other):
    for provider in ("apt", "dnf"):
        assert at_least(provider, one, other) or at_least(provider, other, one) or not one or not other


@pytest.mark.parametrize(
    ("grade", "runs"),
    [
        (Grade(False, "critical", 9.8), False),
        (Grade(True), True),
        (Grade(True, "critical"), True),
        (Grade(True, "important"), True),
        (Grade(True, "moderate"), False),
        (Grade(True, "low", 7.0), True),
        (Grade(True, "", 6.9), False),
        (Grade(True, "important", 5.0), True),
    ],
)
def test_clock_runs_for_critical_high_and_unstated(grade, runs):
    assert counts(grade) is runs


def test_fourteenth_day_is_in_time_and_the_next_is_not():
    day = due_on(Grade(True), dt.date(2026, 11, 9), dt.date(2026, 11, 20))
    assert day == dt.date(2026, 11, 23)
    assert _standing(day) is Standing.SOON
    assert _standing(day - dt.timedelta(days=1)) is Standing.OVERDUE


def test_stale_or_failed_evidence_is_unknown_and_never_well():
    assert _standing(None, seen_at=NOW - dt.timedelta(days=8)) is Standing.UNKNOWN
    assert _standing(None, seen_at=None) is Standing.UNKNOWN
    assert _standing(None, looked=False) is Standing.UNKNOWN
    assert _standing(None) is Standing.ON_TIME


def _standing(due: dt.date | None, *, looked: bool = True, seen_at: dt.datetime | None = NOW) -> Standing:
    return standing(due=due, excepted=False, looked=looked, seen_at=seen_at, now=NOW)
