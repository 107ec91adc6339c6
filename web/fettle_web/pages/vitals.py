"""The strip of small charts on a PC's page: which readings it shows, over the last hour, with the rules' levels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fettle_protocol.policy import Policy, Rule
from fettle_server.estate.endpoints.views import ReadingView, SeriesView

from fettle_web.pages.drawing import Drawing, draw

USUAL = (
    ("cpu.busy_percent", "Processor"),
    ("memory.used_percent", "Memory"),
    ("disk.free_percent", "Free space"),
    ("temperature.celsius", "Temperature"),
    ("gateway.latency_ms", "Gateway"),
    ("dns.latency_ms", "Name server"),
    ("battery.charge_percent", "Battery"),
)
KEYS = tuple(key for key, _ in USUAL)
MOST = 8
HOUR_MS = 3_600_000
_LOW_IS_WORSE = ("disk.free_percent",)


@dataclass(frozen=True, slots=True)
class Vital:
    """One tile: a reading's newest value and its last hour. `state` is the worst open fault about it."""

    key: str
    instance: str
    title: str
    value: float
    unit: str
    state: str
    drawing: Drawing | None
    levels: tuple[tuple[str, float], ...]


def chosen(readings: Sequence[ReadingView], policy: Policy, faults: Iterable[tuple[str, str, str]]) -> list[ReadingView]:
    """The readings of the strip: those with an open fault (rule, instance, severity) first, then the usual ones that exist."""
    faulty = {(rule.reading, instance) for key, instance, _ in faults if (rule := policy.rule(key)) is not None}
    picked = [one for one in readings if (one.key, one.instance) in faulty]
    for key in KEYS:
        same = [one for one in readings if one.key == key]
        if same and not any(one.key == key for one in picked):
            picked.append(min(same, key=_badness))
    return picked[:MOST]


def _badness(one: ReadingView) -> float:
    return one.value if one.key in _LOW_IS_WORSE else -one.value


def strip(
    picked: Iterable[ReadingView],
    series: Iterable[SeriesView],
    rules: Sequence[Rule],
    faults: Iterable[tuple[str, str, str]],
    *,
    end_ms: int,
) -> list[Vital]:
    """The tiles for the hour up to `end_ms`, in the order in which they were picked; `rules` judge this PC's system."""
    hours = {(one.key, one.instance): one for one in series}
    kept = list(faults)
    return [_vital(one, hours.get((one.key, one.instance)), rules, kept, end_ms) for one in picked]


def _vital(
    one: ReadingView, hour: SeriesView | None, rules: Sequence[Rule], faults: Sequence[tuple[str, str, str]], end_ms: int
) -> Vital:
    judging = [rule for rule in rules if rule.reading == one.key]
    levels = tuple(sorted({(rule.severity.value, rule.raise_level) for rule in judging}))
    keys = {rule.key for rule in judging}
    severities = {severity for key, instance, severity in faults if key in keys and instance == one.instance}
    points = [(float(at), value) for at, value in zip(hour.times_ms, hour.mean, strict=True)] if hour else []
    drawing = draw(points or [(float(end_ms), one.value)], levels, one.unit, span=(float(end_ms - HOUR_MS), float(end_ms)))
    state = "ill" if "ill" in severities else "watch" if severities else ""
    return Vital(one.key, one.instance, _title(one), one.value, one.unit, state, drawing, levels)


def _title(one: ReadingView) -> str:
    word = dict(USUAL).get(one.key, one.sentence)
    return f"{word} {one.instance}" if one.instance else word
