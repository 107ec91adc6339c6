"""What presence says of an endpoint to people."""

from __future__ import annotations

import dataclasses
import datetime as dt
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from fettle_server.estate.calendars.rules import Calendar, Entry, Kind
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.presence import rules, words
from fettle_server.proactive.presence.queries import presence_of
from fettle_server.proactive.presence.rules import Turnout
from fettle_server.proactive.presence.tables import Attendance
from fettle_server.proactive.presence.words import Known

NOW = dt.datetime(2026, 11, 23, 10, 0, tzinfo=dt.UTC)
CLOSED = Entry(Kind.HOLIDAY, "Christmas", dt.date(2026, 11, 21), dt.date(2027, 1, 3))
USUAL = Turnout(43, 43)
MORNINGS = rules.learn(None, 0, range(8, 12))
ALL_DAY = rules.learn(None, 0, range(8, 16))


def off(**columns: object) -> Known:
    left = NOW - dt.timedelta(hours=1)
    plain = Known("fixed suite", False, left, "clean", left, None, None, USUAL, ALL_DAY)
    return dataclasses.replace(plain, **columns)


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (off(connected=True), "Expected while the school is open, and heard."),
        (off(last_seen=None), "Not expected: it was never heard."),
        (
            off(endpoint_class="trolley", last_seen=NOW - dt.timedelta(days=12)),
            "Trolley: absence is no fault; last heard 12 days ago.",
        ),
        (off(endpoint_class="server"), "Expected always; not heard of since 09:00."),
        (off(), "Off since 09:00; it is usually on at this time, and one absence is no fault yet."),
        (off(turnout=Turnout(43, 43, 2)), "Off since 09:00; missed 2 days in use so far, and is usually there on 99% of them."),
        (
            off(absent_since=NOW - dt.timedelta(minutes=90), leave="abrupt"),
            "Expected since 08:30 and not heard of. It went without a word.",
        ),
        (
            off(leave="restarting", back_by=NOW + dt.timedelta(minutes=5)),
            "Restarting since 09:00: expected back by 10:05.",
        ),
    ],
)
def test_silence_is_told_with_its_meaning(known: Known, text: str):
    assert words.sentence(known, Calendar(ZoneInfo("Europe/London")), NOW) == text


def test_pc_that_is_off_when_it_usually_is_off_is_as_usual():
    later = NOW.replace(hour=14)
    known = off(hours=MORNINGS)
    assert words.sentence(known, Calendar(ZoneInfo("Europe/London")), later) == "Off since 09:00, as usual."


def test_holiday_says_until_when():
    calendar = Calendar(ZoneInfo("Europe/London"), (CLOSED,))
    assert words.sentence(off(), calendar, NOW) == "Not expected: school holiday until 4 January."


def test_presence_of_an_endpoint_is_gathered(store):
    pk = store.endpoint(last_seen=NOW, left_at=NOW, leave="clean")
    with store.begin() as tx:
        tx.execute(sa.insert(Attendance).values(endpoint_pk=pk, in_use=43, present=43, missed=1, hours=ALL_DAY, asked=False))
        endpoint_id = tx.scalar(sa.select(Endpoint.id).where(Endpoint.pk == pk))
        view = presence_of(tx, SYSTEM, endpoint_id, NOW)
    assert view is not None
    assert view.expectation == "in school hours, as usual"
    assert (view.missed, view.absent_since, view.how_it_left) == (1, None, "It had been shut down.")
    assert view.hours[0][9] == 1


def test_presence_of_nothing_is_none(store):
    with store.begin() as tx:
        assert presence_of(tx, SYSTEM, "f" * 32, NOW) is None
