"""Following the journal: every entry once, also where ids appear out of order."""

from __future__ import annotations

import datetime as dt

import pytest
from fettle_server.estate.people.rules import Person, Role
from fettle_server.journal.queries import JournalRow
from fettle_web.live import CATCH_UP, GAP_PATIENCE_S, QUEUE_LENGTH, Follower, Page, topics

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def row(number: int, school_id: int | None = 1) -> JournalRow:
    return JournalRow(number, NOW, "incident.opened", "system", f"incident:{number}", school_id, {})


def ids(rows: list[JournalRow]) -> list[int]:
    return [one.id for one in rows]


def test_entry_that_appears_late_is_told_once() -> None:
    follower = Follower(10)
    assert ids(follower.fresh([row(11), row(13)], 0.0)) == [11, 13]
    assert follower.after == 11
    assert ids(follower.fresh([row(12), row(13), row(14)], 1.0)) == [12, 14]
    assert ids(follower.fresh([row(14)], 2.0)) == []


def test_rolled_back_entry_is_waited_for_only_so_long() -> None:
    follower = Follower(10)
    follower.fresh([row(12)], 0.0)
    follower.fresh([], GAP_PATIENCE_S + 1)
    assert follower.after == 12


def test_storm_is_not_held_up_by_a_gap() -> None:
    follower = Follower(0)
    follower.fresh([row(number) for number in range(2, CATCH_UP + 2)], 0.0)
    assert follower.after == CATCH_UP + 1


def test_page_hears_only_of_its_schools() -> None:
    page = Page(Person(1, "tom", Role.TECHNICIAN, frozenset({1})))
    for entry in (row(1, 1), row(2, 2), row(3, None)):
        page.offer(entry)
    assert page.waiting.qsize() == 1


def test_page_that_is_too_slow_asks_for_everything_again() -> None:
    page = Page(Person(1, "ada", Role.ADMINISTRATOR, None))
    for number in range(QUEUE_LENGTH + 1):
        page.offer(row(number, None))
    assert page.lost


@pytest.mark.parametrize(
    ("kind", "subject", "detail", "heard"),
    [
        ("endpoint.inventory", "endpoint:ab", {"section": "updates"}, True),
        ("endpoint.inventory", "endpoint:ab", {"section": "software"}, False),
        ("patch.excepted", "update:3", {}, True),
        ("rollout.started", "rollout:3", {}, False),
    ],
)
def test_lists_of_updates_hear_of_each_pc_that_looked_again_and_of_exceptions(
    kind: str, subject: str, detail: dict[str, str], heard: bool
) -> None:
    told = topics(JournalRow(1, NOW, kind, "system", subject, 1, detail))
    assert ("patch" in told) is heard
    assert told[:2] == [subject.partition(":")[0], subject]
