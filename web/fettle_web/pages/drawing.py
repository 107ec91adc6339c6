"""Small drawings as SVG geometry: sparklines, the evidence around a crossing, the trend's columns. Pure.

Owns shapes and scales only; templates give them classes, so that colours follow the system's choice of light or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MARGIN = 0.12
SMALL_SHARE = 40

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line: a rule's raise or clear level. `kind` is "ill", "watch" or "clear"; `y` in the drawing's own units."""

    kind: str
    value: float
    y: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """A line in a box of `width` x `height`; `low` and `high` are the values at its bottom and top."""

    width: int
    height: int
    low: float
    high: float
    line: str
    area: str
    levels: tuple[Level, ...]
    end: Point | None
    crossing: Point | None = None


def bounds(values: Sequence[float], levels: Sequence[float], unit: str) -> tuple[float, float]:
    """The values at bottom and top: all that is drawn with some air; per cents and yes/no keep their natural ends."""
    if unit == "yes/no":
        return -0.15, 1.15
    low, high = min((*values, *levels)), max((*values, *levels))
    if unit == "%" and high - low > 40:
        return 0.0, 100.0
    air = (high - low) * _MARGIN or max(abs(high) * _MARGIN, 1.0)
    floor = 0.0 if low >= 0 else low - air
    return (max(low - air, floor), high + air)


def natural(values: Sequence[float], levels: Sequence[float], unit: str) -> tuple[float, float]:
    """The same for a vital sign: what cannot fall below nothing begins there, and a share that is not small ends at 100."""
    low, high = bounds(values, levels, unit)
    if unit == "%":
        return 0.0, 100.0 if max((*values, *levels)) > SMALL_SHARE else high
    return (0.0, high) if unit in ("ms", "bytes/s") else (low, high)


def draw(
    points: Sequence[Point],
    levels: Sequence[tuple[str, float]],
    unit: str,
    *,
    size: tuple[int, int] = (120, 40),
    crossing: float | None = None,
    span: Point | None = None,
) -> Drawing | None:
    """The points (x ascending, any unit) as a line; None where there is none.

    `crossing` is the x to mark on the line. `span` is the first and last x of the box where it is wider than the points: a
    vital sign then keeps its natural scale too, so that a calm reading looks calm.
    """
    if not points:
        return None
    width, height = size
    values, lines = [y for _, y in points], [value for _, value in levels]
    low, high = bounds(values, lines, unit) if span is None else natural(values, lines, unit)
    first, last = span or (points[0][0], points[-1][0])

    def place(point: Point) -> Point:
        x = (point[0] - first) / (last - first) * width if last > first else float(width)
        return round(x, 2), round(height - (point[1] - low) / (high - low) * height, 2)

    placed = [place(point) for point in points]
    if len(placed) == 1:
        placed = [*placed, *placed]  # a line without length and with round ends is a dot
    line = "M" + "L".join(f"{x:g} {y:g}" for x, y in placed)
    return Drawing(
        width,
        height,
        low,
        high,
        line,
        f"{line}L{placed[-1][0]:g} {height}L{placed[0][0]:g} {height}Z",
        tuple(Level(kind, value, place((last, value))[1]) for kind, value in levels),
        placed[-1],
        _at(points, placed, crossing) if crossing is not None else None,
    )


def _at(points: Sequence[Point], placed: Sequence[Point], x: float) -> Point:
    """The drawn point that lies nearest to x."""
    index = min(range(len(points)), key=lambda i: abs(points[i][0] - x))
    return placed[min(index, len(placed) - 1)]


DOT, PITCH = 5, 7


@dataclass(frozen=True, slots=True)
class Dots:
    """A school's PCs as dots, in paths by state; each dot stands for `each` PCs."""

    width: int
    height: int
    each: int
    paths: tuple[tuple[str, str], ...]


def dots(counts: Sequence[tuple[str, int]], columns: int, most: int = 320) -> Dots:
    """The counts by state, in order, as rows of dots; of more than `most` PCs several share a dot, and no state vanishes."""
    each = -(-sum(count for _, count in counts) // most) or 1
    paths: list[tuple[str, str]] = []
    at = 0
    for state, count in counts:
        number = -(-count // each)
        places = [((at + i) % columns * PITCH, (at + i) // columns * PITCH) for i in range(number)]
        if places:
            paths.append((state, "".join(f"M{x} {y}h{DOT}v{DOT}h-{DOT}z" for x, y in places)))
        at += number
    return Dots(columns * PITCH - PITCH + DOT, max(1, -(-at // columns)) * PITCH - PITCH + DOT, each, tuple(paths))


@dataclass(frozen=True, slots=True)
class Column:
    """One day's two columns in a chart 100 high."""

    x: float
    width: float
    opened: float
    resolved: float


def columns(days: Sequence[tuple[int, int]], width: int = 280, height: int = 72) -> list[Column]:
    """Pairs of columns (opened, resolved), scaled to the highest; a day without any keeps its place."""
    top = max([4, *(max(pair) for pair in days)])
    step = width / max(len(days), 1)
    return [
        Column(round(i * step, 2), round(step * 0.36, 2), round(opened / top * height, 2), round(resolved / top * height, 2))
        for i, (opened, resolved) in enumerate(days)
    ]
