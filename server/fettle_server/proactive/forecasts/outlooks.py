"""What a forecast says: a value for its rule, how sure it is, and a sentence. Pure.

A value of None is an honest "cannot say": it neither raises nor clears anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from fettle_server.proactive.forecasts.days import Day, Reading

NEVER = 10_000.0
"""Days or months of what does not come within any that matter: the catalogue's upper end for days."""

Days = list[tuple[int, Day]]
"""An endpoint's days, oldest first: (days since the epoch, its readings)."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one rule says of one instance. `value`, `low` and `high` are in the unit of the rule's reading.

    `due_in_days` is when it comes to pass; `past` the days it was told from, as (day, value) in `unit`; `target` is where
    the line leads, for the chart.
    """

    rule: str
    instance: str
    value: float | None
    sentence: str
    low: float | None = None
    high: float | None = None
    sure_percent: int | None = None
    due_in_days: float | None = None
    past: tuple[tuple[int, float], ...] = ()
    unit: str = ""
    target: float | None = None


def series(days: Days, number: int, instance: str, part: str) -> list[tuple[int, float]]:
    """One reading's days: `part` is a field of Reading ("low", "mean", "high", "last")."""
    at = Reading._fields.index(part)
    key = (number, instance)
    return [(day, float(readings[key][at])) for day, readings in days if key in readings]


def instances(days: Days, number: int) -> list[str]:
    """The instances of a reading that the newest of the days still had, in their order."""
    newest = next((readings for _, readings in reversed(days) if any(key[0] == number for key in readings)), {})
    return sorted(instance for key, instance in newest if key == number)


def span(points: list[tuple[int, float]]) -> int:
    """Days from the first to the last."""
    return points[-1][0] - points[0][0] if points else 0


def many(count: float, what: str) -> str:
    """So many of them: "1 day", "9 days"."""
    return f"{count:.0f} {what}" if round(count) == 1 else f"{count:.0f} {what}s"
