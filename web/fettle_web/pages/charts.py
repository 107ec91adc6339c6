"""A PC's readings over time, gathered for its charts: which readings stand together, and how many points are drawn.

Owns the groups, the ranges and the bins. Does not read the store (estate.endpoints.queries.chart does) nor draw (charts.js).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fettle_protocol.policy import Policy
from fettle_server.estate.endpoints.views import SeriesView

RANGES = {
    "1h": (dt.timedelta(hours=1), dt.timedelta(minutes=1), "1 hour"),
    "24h": (dt.timedelta(hours=24), dt.timedelta(minutes=4), "24 hours"),
    "7d": (dt.timedelta(days=7), dt.timedelta(hours=1), "7 days"),
    "30d": (dt.timedelta(days=30), dt.timedelta(hours=2), "30 days"),
}
DEFAULT_RANGE = "24h"
LINES = 4

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Processor", ("cpu.busy_percent",)),
    ("Memory", ("memory.used_percent", "swap.used_percent")),
    ("Free disk space", ("disk.free_percent",)),
    ("Disk work", ("disk.busy_percent",)),
    ("Temperature", ("temperature.celsius",)),
    ("Answer times", ("gateway.latency_ms", "dns.latency_ms")),
    ("Network traffic", ("network.received_bytes_per_second", "network.sent_bytes_per_second")),
    ("Wi-Fi signal", ("wifi.signal_dbm",)),
    ("Battery", ("battery.charge_percent",)),
)
SHORT = {
    "cpu.busy_percent": "Busy",
    "memory.used_percent": "In use",
    "swap.used_percent": "Swap",
    "gateway.latency_ms": "Gateway",
    "dns.latency_ms": "Name server",
    "network.received_bytes_per_second": "Received",
    "network.sent_bytes_per_second": "Sent",
    "wifi.signal_dbm": "Signal",
    "battery.charge_percent": "Charge",
}
KEYS = tuple(key for _, keys in GROUPS for key in keys)


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, and how long a bin is."""

    name: str
    start: dt.datetime
    end: dt.datetime
    step: dt.timedelta

    @property
    def bins(self) -> int:
        """How many points a line has at most."""
        return max(1, round((self.end - self.start) / self.step))


def window(name: str, now: dt.datetime) -> Window:
    """The range of that name up to now; an unknown name is the default."""
    name = name if name in RANGES else DEFAULT_RANGE
    length, step, _ = RANGES[name]
    return Window(name, now - length, now, step)


def gather(series: Iterable[SeriesView], wanted: Window, policy: Policy) -> list[dict[str, Any]]:
    """The charts that have something to show, as JSON values: a title, a unit, levels, and lines of binned points."""
    by_key: dict[str, list[SeriesView]] = {}
    for one in series:
        if one.times_ms:
            by_key.setdefault(one.key, []).append(one)
    charts = []
    for title, keys in GROUPS:
        present = [one for key in keys for one in by_key.get(key, ())]
        if present:
            charts.append(_chart(title, keys, sorted(present, key=_weight)[:LINES], wanted, policy))
    return charts


def _weight(one: SeriesView) -> tuple[float, str]:
    """Busiest first, so that the lines that are drawn are those that say something; free space: the fullest first."""
    newest = one.mean[-1]
    return (newest if "free" in one.key else -newest, one.instance)


def _chart(title: str, keys: Sequence[str], series: Sequence[SeriesView], wanted: Window, policy: Policy) -> dict[str, Any]:
    return {
        "title": title,
        "unit": series[0].unit,
        "levels": levels(policy, keys),
        "lines": [{"name": _name(one, len(keys) > 1), **binned(one, wanted)} for one in series],
    }


def levels(policy: Policy, keys: Iterable[str]) -> list[dict[str, Any]]:
    """The raise levels of the rules that judge these readings."""
    wanted = set(keys)
    found = {(rule.severity.value, rule.raise_level) for rule in policy.rules if rule.reading in wanted}
    return [{"kind": kind, "value": value} for kind, value in sorted(found)]


def _name(one: SeriesView, several: bool) -> str:
    short = SHORT.get(one.key, one.sentence)
    if one.instance:
        return f"{short} {one.instance}" if several else one.instance
    return short


def binned(one: SeriesView, wanted: Window) -> dict[str, list[float | None]]:
    """Lowest, mean and highest of each bin, None where there was no reading."""
    start, step, bins = wanted.start.timestamp() * 1000, wanted.step.total_seconds() * 1000, wanted.bins
    low: list[float | None] = [None] * bins
    high: list[float | None] = [None] * bins
    total, count = [0.0] * bins, [0] * bins
    for at, bottom, mean, top in zip(one.times_ms, one.low, one.mean, one.high, strict=True):
        i = min(int((at - start) // step), bins - 1)
        if i < 0:
            continue
        lowest, highest = low[i], high[i]
        low[i] = bottom if lowest is None else min(lowest, bottom)
        high[i] = top if highest is None else max(highest, top)
        total[i] += mean
        count[i] += 1
    mean_of = [_short(total[i] / count[i]) if count[i] else None for i in range(bins)]
    return {"mean": mean_of, "low": [_short(value) for value in low], "high": [_short(value) for value in high]}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def summary(charts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table behind the charts: lowest, mean, highest and newest of each line."""
    rows = []
    for chart in charts:
        for line in chart["lines"]:
            means = [value for value in line["mean"] if value is not None]
            if not means:
                continue
            rows.append(
                {
                    "chart": chart["title"],
                    "name": line["name"],
                    "unit": chart["unit"],
                    "low": min(value for value in line["low"] if value is not None),
                    "mean": sum(means) / len(means),
                    "high": max(value for value in line["high"] if value is not None),
                    "newest": means[-1],
                }
            )
    return rows
