"""SMART: what each disk says of its own health, by `smartctl -j` of smartmontools; no data where that is not installed.

A sleeping disk is left asleep. An exit status of smartctl is a set of bits: the two lowest mean that it could not ask, the
others are the disk's own complaints, which are in the JSON as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fettle_agent.collectors import Collected, CollectError, Reading, Setup, tools
from fettle_agent.collectors.documents import Row, at, number, parse, rows

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
    found = ((row.get("name"), row.get("type")) for row in rows(parse(text, TOOL).get("devices")))
    return tuple((name, kind) for name, kind in found if isinstance(name, str) and isinstance(kind, str))[:_MAX_DISKS]


def parse_disk(text: str, disk: str) -> tuple[Reading, ...]:
    """The readings in what `smartctl -j -a` printed of one disk; none where it could not be asked, or sleeps.

    Raises:
        CollectError: the text is not smartctl's JSON.
    """
    document = parse(text, TOOL)
    attributes = rows(at(document, "ata_smart_attributes", "table"))
    values: dict[str, Any] = {
        "disk.smart_temperature": at(document, "temperature", "current"),
        "disk.smart_reallocated": _raw(attributes, _REALLOCATED),
        "disk.smart_pending": _raw(attributes, _PENDING),
        "disk.smart_wear_percent": _wear(document, attributes),
    }
    passed = at(document, "smart_status", "passed")
    if isinstance(passed, bool):
        values["disk.smart_failing"] = int(not passed)
    known = ((key, number(value)) for key, value in values.items())
    return tuple(Reading(key, value, disk) for key, value in known if value is not None)


def _raw(attributes: list[Row], wanted: int) -> Any:
    return next((at(row, "raw", "value") for row in attributes if row.get("id") == wanted), None)


def _wear(document: Row, attributes: list[Row]) -> Any:
    """The share of life used: NVMe says it, newer smartctl says it for all, else the maker's attribute of life left."""
    for path in (("nvme_smart_health_information_log", "percentage_used"), ("endurance_used", "current_percent")):
        used = at(document, *path)
        if used is not None:
            return used
    left = [number(row.get("value")) for name in _LIFE_LEFT for row in attributes if row.get("name") == name]
    return 100 - left[0] if left and left[0] is not None and 0 <= left[0] <= 100 else None


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
