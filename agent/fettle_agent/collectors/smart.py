"""SMART: what each disk says of its own health, by `smartctl -j` of smartmontools; no data where that is not installed.

A sleeping disk is left asleep. An exit status of smartctl is a set of bits: the two lowest mean that it could not ask, the
others are the disk's own complaints, which are in the JSON as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from fettle_agent.collectors import Collected, CollectError, Reading, Setup, tools

TOOL = "smartctl"
_REALLOCATED, _PENDING = 5, 197
_LIFE_LEFT = (
    "SSD_Life_Left",
    "Wear_Leveling_Count",
    "Media_Wearout_Indicator",
    "Percent_Lifetime_Remain",
    "Remaining_Lifetime_Perc",
)
_MAX_DISKS = 24


def parse_scan(text: str) -> tuple[tuple[str, str], ...]:
    """The disks that `smartctl -j --scan` found, each with the type by which to ask it.

    Raises:
        CollectError: the text is not smartctl's JSON.
    """
    devices = _document(text).get("devices")
    rows = devices if isinstance(devices, list) else []
    found = ((row.get("name"), row.get("type")) for row in rows if isinstance(row, dict))
    return tuple((name, kind) for name, kind in found if isinstance(name, str) and isinstance(kind, str))[:_MAX_DISKS]


def parse_disk(text: str, disk: str) -> tuple[Reading, ...]:
    """The readings in what `smartctl -j -a` printed of one disk; none where it could not be asked, or sleeps.

    Raises:
        CollectError: the text is not smartctl's JSON.
    """
    return tuple(_disk(_document(text), disk))


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise CollectError("smartctl did not print JSON: version 7.0 or later is needed")
    return document


def _disk(document: dict[str, Any], disk: str) -> Iterator[Reading]:
    passed = _at(document, "smart_status", "passed")
    if isinstance(passed, bool):
        yield Reading("disk.smart_failing", float(not passed), disk)
    yield from _if_number("disk.smart_temperature", _at(document, "temperature", "current"), disk)
    table = _at(document, "ata_smart_attributes", "table")
    rows = [row for row in table if isinstance(row, dict)] if isinstance(table, list) else []
    for row in rows:
        if row.get("id") == _REALLOCATED:
            yield from _if_number("disk.smart_reallocated", _at(row, "raw", "value"), disk)
        elif row.get("id") == _PENDING:
            yield from _if_number("disk.smart_pending", _at(row, "raw", "value"), disk)
    yield from _if_number("disk.smart_wear_percent", _wear(document, rows), disk)


def _wear(document: dict[str, Any], rows: list[dict[str, Any]]) -> Any:
    """The share of life used: NVMe says it, newer smartctl says it for all, else the maker's attribute of life left."""
    for path in (("nvme_smart_health_information_log", "percentage_used"), ("endurance_used", "current_percent")):
        used = _at(document, *path)
        if used is not None:
            return used
    left = [row.get("value") for name in _LIFE_LEFT for row in rows if row.get("name") == name]
    return 100 - left[0] if left and isinstance(left[0], int) and 0 <= left[0] <= 100 else None


def _at(document: Any, *path: str) -> Any:
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


def _if_number(key: str, value: Any, disk: str) -> Iterator[Reading]:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        yield Reading(key, value, disk)


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of disk.smart_*."""

    def collect() -> Collected:
        if tools.find(TOOL) is None:
            return Collected()
        disks = parse_scan(tools.run(TOOL, "-j", "--scan", timeout_s=30))
        return Collected(tuple(reading for name, kind in disks for reading in _ask(name, kind)))

    return collect


def _ask(name: str, kind: str) -> tuple[Reading, ...]:
    """One disk's readings; a disk that does not answer costs only its own."""
    try:
        output = tools.run(TOOL, "-j", "-a", "-n", "standby", "-d", kind, name, timeout_s=30, accept=None)
        return parse_disk(output, name.removeprefix("/dev/"))
    except CollectError:
        return ()
