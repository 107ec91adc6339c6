"""A forecast as a small drawing: the days that were, the likely line ahead, and the band in which it may run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fettle_web.pages.drawing import Point, bounds

WIDTH, HEIGHT = 240, 64
_LONGEST = 3.0
"""The future takes at most so many times the room of the past, so that a year ahead does not squeeze sixty days to a dot."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is drawn: SVG paths in a box of `width` x `height`; the target's and today's places, None where there are none."""

    width: int
    height: int
    past: str
    likely: str
    band: str
    target_y: float | None
    now_x: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Landing:
    """When the line comes to `target`: days since the epoch, most likely and at the earliest and latest."""

    target: float
    likely: float
    earliest: float | None
    latest: float | None


def ahead(past: Sequence[tuple[int, float]], landing: Landing | None, unit: str = "") -> Ahead | None:
    """The drawing; None where there are no two days to draw. Without a landing only the past is drawn."""
    if len(past) < 2:
        return None
    first, last, value = past[0][0], past[-1][0], past[-1][1]
    end = float(last)
    if landing is not None:
        end = min(max(landing.likely, landing.latest or 0, last + 1), last + _LONGEST * max(last - first, 7))
    low, high = bounds([y for _, y in past], [landing.target] if landing else [], unit)

    def place(x: float, y: float) -> Point:
        return round((x - first) / (end - first) * WIDTH, 2), round(HEIGHT - (y - low) / (high - low) * HEIGHT, 2)

    def to(day: float) -> Point:
        """Where the line to that landing leaves the box or comes down."""
        assert landing is not None
        if day <= end:
            return place(day, landing.target)
        return place(end, value + (landing.target - value) * (end - last) / (day - last))

    line = "M" + "L".join(f"{x:g} {y:g}" for x, y in (place(day, y) for day, y in past))
    if landing is None:
        return Ahead(WIDTH, HEIGHT, line, "", "", None, None, low, high)
    start, likely = place(last, value), to(max(landing.likely, last + 0.5))
    return Ahead(
        WIDTH,
        HEIGHT,
        line,
        f"M{start[0]:g} {start[1]:g}L{likely[0]:g} {likely[1]:g}",
        _band(start, landing, to, last),
        place(last, landing.target)[1],
        start[0],
        low,
        high,
    )


def _band(start: Point, landing: Landing, to: Callable[[float], Point], last: float) -> str:
    if landing.earliest is None or landing.latest is None:
        return ""
    early, late = to(max(landing.earliest, last + 0.5)), to(max(landing.latest, last + 0.5))
    corner = f"L{early[0]:g} {early[1]:g}L{late[0]:g} {late[1]:g}"
    return f"M{start[0]:g} {start[1]:g}{corner}Z"
