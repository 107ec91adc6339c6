"""Fields of a form become a reach and a span, by the school's own clock."""

from __future__ import annotations

import datetime as dt

import pytest
from fettle_server.proactive.stages.actions import Span
from fettle_server.proactive.stages.views import Reach, StagesError
from fettle_web.pages import ordering

NOW = dt.datetime(2026, 7, 1, 9, 0, tzinfo=dt.UTC)
TUESDAY = {"often": "weekly", "day": "2026-07-07", "from": "18:00", "to": "20:00"}


def test_window_every_week_is_by_the_wall_clock_of_the_school() -> None:
    span = ordering.window(None, TUESDAY, ["TU"], None)
    assert span == Span(dt.datetime(2026, 7, 7, 17, tzinfo=dt.UTC), None, "FREQ=WEEKLY;BYDAY=TU", dt.timedelta(hours=2))


def test_window_past_midnight_ends_the_next_day() -> None:
    span = ordering.window(None, TUESDAY | {"often": "once", "to": "02:00"}, [], None)
    assert span.ends_at == dt.datetime(2026, 7, 8, 1, tzinfo=dt.UTC)
    assert ordering.window(None, TUESDAY | {"to": "02:00"}, ["TU"], None).duration == dt.timedelta(hours=8)


@pytest.mark.parametrize(
    ("fields", "days"), [({}, []), ({"day": "soon"}, ["TU"]), ({"from": "six"}, ["TU"]), ({"last": "never"}, ["TU"])]
)
def test_field_that_cannot_be_read_is_said(fields: dict[str, str], days: list[str]) -> None:
    with pytest.raises(StagesError):
        ordering.window(None, TUESDAY | fields, days, None)


@pytest.mark.parametrize(
    ("where", "reach"),
    [
        ("", Reach(rule="disk-full")),
        ("school:3", Reach(school_id=3, rule="disk-full")),
        ("room:4", Reach(room_id=4, rule="disk-full")),
        ("pc:ab", Reach(endpoint_id="ab", rule="disk-full")),
    ],
)
def test_place_is_one_of_the_forms(where: str, reach: Reach) -> None:
    assert ordering.reach({"where": where, "rule": "disk-full"}) == reach


@pytest.mark.parametrize("where", ["school:x", "moon:1", "room:" + "9" * 20])
def test_other_places_are_refused(where: str) -> None:
    with pytest.raises(StagesError):
        ordering.reach({"where": where})


def test_silence_has_one_of_the_forms_ends() -> None:
    assert ordering.until({"hours": "24"}, NOW) == NOW + dt.timedelta(days=1)
    for hours in ("", "25", "-1", "²"):
        with pytest.raises(StagesError):
            ordering.until({"hours": hours}, NOW)
