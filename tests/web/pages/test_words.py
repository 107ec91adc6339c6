"""Values as words."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from fettle_server.reactive.views import TimelineEntry
from fettle_web import words
from fettle_web.pages import inventory, stories
from fettle_web.pages.happenings import event_words
from fettle_web.pages.parts import sheet

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (3, "just now"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (7300, "2 hours ago"),
        (-90_000, "in 1 day"),
        (3e7, "11 months ago"),
    ],
)
def test_times_are_relative(seconds: float, expected: str) -> None:
    assert words.ago(NOW - dt.timedelta(seconds=seconds), NOW) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (2.345, "%", "2.3 %"), (100, "%", "100 %"), (17_179_869_184, "bytes", "17.2 GB"), (0.0, "yes/no", "no"),
        (1.0, "yes/no", "yes"),
        (4000, "s", "1 hour"), (12, "count", "12"), (1500, "bytes/s", "1.5 kB/s"), (220, "/h", "220 an hour"),
        (float("nan"), "", "no value"),
    ],
)  # fmt: skip
def test_readings_are_written_as_people_would(value: float, unit: str, expected: str) -> None:
    assert words.reading(value, unit) == expected


def test_spreadsheet_formulas_are_defused() -> None:
    body = sheet("pcs", ("name",), [("=HYPERLINK(1)",), ("plain",)]).get_data(as_text=True)
    assert body.splitlines()[1:] == ["'=HYPERLINK(1)", "plain"]


@pytest.mark.parametrize(
    ("kind", "actor", "detail", "expected"),
    [
        ("assigned", "user:morag", {"assignee": "morag"}, "took it"),
        ("assigned", "user:ada", {"assignee": "morag"}, "gave it to morag"),
        ("assigned", "user:ada", {"assignee": None}, "gave it back"),
        ("state", "user:ada", {"state": "waiting"}, "set it to waiting"),
        ("something new", "system", {}, "something new"),
    ],
)
def test_timeline_is_told_in_words(kind: str, actor: str, detail: dict[str, Any], expected: str) -> None:
    assert stories.entry_words(TimelineEntry(1, NOW, kind, actor, "", detail)) == expected


@pytest.mark.parametrize(
    ("kind", "detail", "expected"),
    [
        ("booted", {}, "Started"),
        ("inventory", {"section": "software"}, "Software changed"),
        ("collector failing", {"subject": "smart"}, "A collector fails: smart"),
        ("of a later agent", {}, "Of a later agent"),
    ],
)
def test_events_are_told_in_words(kind: str, detail: dict[str, Any], expected: str) -> None:
    assert event_words(kind, detail) == expected


def test_inventory_shows_what_it_is_given() -> None:
    body = {
        "cpu": {"cores": 4},
        "memory": {"bytes": 8_000_000_000, "modules": [{"slot": "A", "kind": None}]},
        "serial": None,
        "odd": [1, 2],
    }
    [section] = inventory.sections({"hardware": inventory.InventoryView("hardware", NOW, "", body)})
    assert section.facts == (("Processor cores", "4"), ("Memory size", "8 GB"), ("Odd", "1, 2"))
    assert [(grid.title, grid.head, grid.rows) for grid in section.grids] == [("Memory modules", ("Slot",), (("A",),))]
