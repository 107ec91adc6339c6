"""Which routes take a message and when, as pure decisions."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from fettle_server.notify import rules, wording
from fettle_server.notify.rules import Digest, NoticeError, State, Told, Wanted, When
from hypothesis import given, settings
from hypothesis import strategies as st

LONDON = ZoneInfo("Europe/London")
MONDAY = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
SATURDAY = MONDAY + dt.timedelta(days=5)


class Office:
    """Weekdays from 8 to 17, in London."""

    zone = LONDON

    def is_working(self, at: dt.datetime) -> bool:
        local = at.astimezone(LONDON)
        return local.weekday() < 5 and 8 <= local.hour < 17


def told(kind="incident.opened", school=1, priority=2, is_test=False):
    return Told(kind, frozenset({school}), priority, is_test)


@pytest.mark.parametrize(
    ("wanted", "message", "now", "takes"),
    [
        (Wanted(), told(), MONDAY, True),
        (Wanted(schools=frozenset({2})), told(), MONDAY, False),
        (Wanted(schools=frozenset({1, 2})), told(), MONDAY, True),
        (Wanted(priorities=(1,)), told(), MONDAY, False),
        (Wanted(priorities=(1,)), told(is_test=True), MONDAY, True),
        (Wanted(tests=False), told(is_test=True), MONDAY, False),
        (Wanted(when=When.OUTSIDE), told(), MONDAY, False),
        (Wanted(when=When.OUTSIDE), told(), SATURDAY, True),
        (Wanted(problems=False), told("problem"), MONDAY, False),
    ],
)
def test_a_route_takes_what_it_wants(wanted, message, now, takes):
    found = rules.verdict(wanted, message, Office(), now)
    assert found.takes is takes
    assert takes or found.reason


def test_what_comes_at_once_waits_a_moment_for_company():
    assert rules.verdict(Wanted(), told(), Office(), MONDAY).at == MONDAY + rules.SETTLE


def test_a_test_waits_for_no_company():
    assert rules.verdict(Wanted(), told(is_test=True), Office(), MONDAY).at == MONDAY


def test_outside_working_hours_it_waits_for_the_next():
    found = rules.verdict(Wanted(when=When.WORKING), told(), Office(), SATURDAY)
    assert found.state is State.HELD
    assert found.at == dt.datetime(2026, 11, 30, 8, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("at", "until"),
    [("22:30", "24 07:00"), ("06:59", "23 07:00"), ("12:00", "")],
)
def test_quiet_hours_pass_midnight(at, until):
    hour, minute = map(int, at.split(":"))
    now = MONDAY.replace(hour=hour, minute=minute)
    wanted = Wanted(quiet_from_min=22 * 60, quiet_until_min=7 * 60)
    found = rules.verdict(wanted, told(), Office(), now)
    assert (f"{found.at:%d %H:%M}" if found.state is State.HELD else "") == until


@pytest.mark.parametrize(
    ("wanted", "at"),
    [
        (Wanted(digest=Digest.HOURLY), "2026-11-23 10:00"),
        (Wanted(digest=Digest.DAILY, digest_at_min=450), "2026-11-24 07:30"),
        (Wanted(digest=Digest.WEEKLY, digest_at_min=600, digest_day=4), "2026-11-27 10:00"),
        (Wanted(digest=Digest.WEEKLY, digest_at_min=540, digest_day=0), "2026-11-30 09:00"),
    ],
)
def test_digests_go_at_their_time(wanted, at):
    assert f"{rules.digest_at(wanted, LONDON, MONDAY):%Y-%m-%d %H:%M}" == at


def test_a_digest_keeps_local_time_when_the_clocks_change():
    before = dt.datetime(2026, 10, 24, 12, 0, tzinfo=dt.UTC)
    assert rules.next_local(before, LONDON, 450) == dt.datetime(2026, 10, 25, 7, 30, tzinfo=dt.UTC)


@settings(max_examples=60)
@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 14 * 1440), st.sampled_from(list(When)))
def test_what_is_held_goes_when_the_route_may_tell(first, last, offset, when):
    wanted = Wanted(when=when, quiet_from_min=first, quiet_until_min=last) if first != last else Wanted(when=when)
    now = MONDAY + dt.timedelta(minutes=offset)
    at = rules.free_from(wanted, Office(), now)
    assert at >= now
    assert at == now or rules.free_from(wanted, Office(), at) == at


@given(st.integers(1, 10_000), st.floats(0, 1))
@settings(max_examples=30)
def test_waits_grow_and_are_bounded(misses, chance):
    assert 7 <= rules.wait_s(misses, chance) <= rules.LONGEST_WAIT_S * 1.25
    assert rules.wait_s(misses, 0.5) <= rules.wait_s(misses + 1, 0.5)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(priorities=()),
        Wanted(priorities=(6,)),
        Wanted(schools=frozenset()),
        Wanted(quiet_from_min=5),
        Wanted(quiet_from_min=5, quiet_until_min=5),
        Wanted(digest_at_min=1440),
        Wanted(digest_day=7),
        Wanted(escalate_after_min=-1),
    ],
)
def test_routes_that_make_no_sense_are_refused(wanted):
    with pytest.raises(NoticeError):
        rules.check(wanted)


def test_a_route_comes_back_from_the_store_as_it_was():
    wanted = Wanted(frozenset({3, 1}), (1, 2), When.WORKING, Digest.WEEKLY, 600, 2, 1320, 420, True, False, False, False, 15)
    assert rules.from_json(rules.as_json(wanted)) == wanted


def test_a_route_reads_as_a_sentence():
    wanted = Wanted(priorities=(1, 2), when=When.WORKING)
    assert rules.sentence(wanted, {}, "by e-mail to desk@example.org") == (
        "Priority 1 and 2 of all schools, in working hours, by e-mail to desk@example.org."
    )
    rest = Wanted(schools=frozenset({1}), rest=True, digest=Digest.DAILY)
    assert rules.sentence(rest, {1: "Harbour"}, "in the console only") == (
        "The rest of Harbour, in a digest at 07:30, in the console only."
    )


def test_a_planned_change_reads_without_a_priority_and_routes_may_leave_changes_out():
    line = wording.Line("change.notice", "Change 7: Firefox", "On Tuesday.", "Hawthorn", 4, None, MONDAY, "http://x/changes/7")
    notice = wording.Notice("k", "opened", (line,), False, MONDAY, "http://x")
    assert wording.subject(notice) == "Planned: Hawthorn: Change 7: Firefox"
    assert "priority" not in wording.text(notice) + wording.as_html(notice)
    assert not rules.verdict(Wanted(changes=False), told(kind="change.notice"), Office(), MONDAY).takes
