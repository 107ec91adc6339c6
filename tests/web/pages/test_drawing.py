"""The geometry of small drawings."""

from __future__ import annotations

import pytest
from fettle_web.pages.drawing import bounds, columns, dots, draw


def test_nothing_is_drawn_without_points() -> None:
    assert draw([], [("ill", 4.0)], "%") is None


def test_line_runs_from_edge_to_edge() -> None:
    drawing = draw([(100, 0.0), (200, 50.0), (300, 100.0)], [], "%", size=(120, 40))
    assert drawing is not None
    assert drawing.line == "M0 40L60 20L120 0"


def test_crossing_lies_on_the_nearest_point() -> None:
    drawing = draw([(0, 0.0), (10, 50.0), (20, 100.0)], [], "%", size=(100, 100), crossing=11)
    assert drawing is not None
    assert drawing.crossing == (50.0, 50.0)


@pytest.mark.parametrize(
    ("values", "levels", "unit", "expected"),
    [
        ([0, 1], [], "yes/no", (-0.15, 1.15)),
        ([5, 60], [], "%", (0.0, 100.0)),
        ([2.0, 3.0], [4.0], "ms", (1.76, 4.24)),
        ([7.0, 7.0], [], "ms", (6.0, 8.0)),
    ],
)
def test_bounds_hold_all_that_is_drawn(
    values: list[float], levels: list[float], unit: str, expected: tuple[float, float]
) -> None:
    assert bounds(values, levels, unit) == pytest.approx(expected)


def test_every_pc_is_a_dot_and_no_state_vanishes() -> None:
    drawn = dots([("ill", 1), ("watch", 0), ("well", 3)], columns=2)
    assert [(state, path.count("M")) for state, path in drawn.paths] == [("ill", 1), ("well", 3)]
    many = dots([("ill", 1), ("well", 1999)], columns=40)
    assert many.each == 7
    assert dict(many.paths)["ill"].count("M") == 1


def test_columns_are_scaled_to_the_highest_day() -> None:
    first, second = columns([(8, 2), (0, 0)], width=100, height=80)
    assert (first.opened, first.resolved, second.opened) == (80.0, 20.0, 0.0)


def test_vital_sign_keeps_its_place_in_the_hour_and_its_natural_scale() -> None:
    drawing = draw([(50, 90.0), (100, 90.0)], [("watch", 95.0)], "%", size=(100, 100), span=(0, 100))
    assert drawing is not None
    assert (drawing.low, drawing.high) == (0.0, 100.0)
    assert drawing.line == "M50 10L100 10"
