"""Bins, groups and the table behind the charts."""

from __future__ import annotations

import datetime as dt

from fettle_protocol.policy import Policy
from fettle_server.estate.endpoints.views import SeriesView
from fettle_web.pages import charts

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
START_MS = round((NOW - dt.timedelta(hours=1)).timestamp() * 1000)


def series(key: str, points: dict[int, float], instance: str = "") -> SeriesView:
    """One reading with values by minute of the last hour."""
    values = tuple(points.values())
    return SeriesView(
        key, instance, "%", "A reading", tuple(START_MS + minute * 60_000 for minute in points), values, values, values
    )


def test_unknown_range_is_the_default() -> None:
    assert charts.window("a year", NOW).name == charts.DEFAULT_RANGE


def test_bins_keep_lowest_mean_and_highest_and_gaps_stay_gaps() -> None:
    window = charts.Window("test", NOW - dt.timedelta(hours=1), NOW, dt.timedelta(minutes=20))
    binned = charts.binned(series("cpu.busy_percent", {0: 10.0, 10: 30.0, 45: 7.0}), window)
    assert binned == {"mean": [20.0, None, 7.0], "low": [10.0, None, 7.0], "high": [30.0, None, 7.0]}


def test_fullest_volumes_are_drawn_first_and_at_most_four() -> None:
    volumes = [
        series("disk.free_percent", {0: free}, name) for name, free in zip("CDEFG", (50.0, 3.0, 90.0, 20.0, 70.0), strict=True)
    ]
    [chart] = charts.gather(volumes, charts.window("1h", NOW), Policy(version=1))
    assert [line["name"] for line in chart["lines"]] == ["D", "F", "C", "G"]


def test_table_says_what_the_charts_draw() -> None:
    drawn = charts.gather([series("cpu.busy_percent", {0: 10.0, 30: 40.0})], charts.window("1h", NOW), Policy(version=1))
    [row] = charts.summary(drawn)
    assert (row["chart"], row["low"], row["mean"], row["high"], row["newest"]) == ("Processor", 10.0, 25.0, 40.0, 40.0)
