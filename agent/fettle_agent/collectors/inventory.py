"""The shape of the inventory that all systems' readers fill, and what counts as a word in it.

Owns these sections' shapes, their order and the list of junk that makers leave in serial numbers. Nothing here changes from
one hour to the next on a machine that nobody touched (no free space, no clock speed of the moment, no uptime), because a
section travels only when its digest changed. Nothing here is about people: no user, owner, registered name or host name.

"hardware" is an object; a word or number that is not known is null, a list may be empty:
    maker, model, serial, chassis         the machine; chassis is a word ("laptop", "desktop", "virtual machine")
    os        {name, version, build, architecture}
    firmware  {maker, version, date, uefi, secure_boot}     the last two are true, false or null
    board     {maker, model, serial}
    cpu       {model, sockets, cores, threads, max_mhz}
    memory    {bytes, modules: [{slot, bytes, kind, speed_mts, maker, part, serial}]}
    disks     [{name, model, serial, bytes, kind, bus}]     kind is "hdd", "ssd" or null
    network   [{name, model, mac, kind}]                    kind is "wired", "wireless" or null
    monitors  [{maker, model, serial, year}]
    tpm       {present, version}                            present is true, false or null
"software" is {packages: [{name, version, maker, source}]}, sorted by name; source says whose list it was on ("dpkg").
"updates" is made in updates.py: {reboot_pending, providers: [{provider, error}], offers: [the fields of packages.Offer]}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Row = dict[str, Any]
MAX_WORD = 200
MAX_PACKAGES = 20_000

CHASSIS = {
    3: "desktop", 4: "desktop", 5: "desktop", 6: "desktop", 7: "desktop", 8: "laptop", 9: "laptop", 10: "laptop", 11: "tablet",
    13: "all in one", 14: "laptop", 15: "desktop", 16: "desktop", 17: "server", 23: "server", 28: "server", 30: "tablet",
    31: "laptop", 32: "laptop", 35: "desktop", 36: "desktop",
}  # fmt: skip
"""The words for the chassis codes. Source: DMTF DSP0134 (SMBIOS), System Enclosure or Chassis Types."""

_JUNK = frozenset(
    """
    default string|to be filled by o.e.m|to be filled by oem|filled by oem|o.e.m|oem|default|string|none|null|n/a|na|empty
    invalid|not specified|not available|not applicable|not present|unknown|undefined|no dimm|no module installed
    system serial number|system product name|system manufacturer|system version|chassis serial number|base board serial number
    type1productconfigid|type1sku0|serial number|serialnumber|sernum|123456789|1234567890|0123456789
    01234567890123456789|bsn12345678901234567
    """.strip()
    .replace("\n    ", "|")
    .split("|")
)
_FILLER = re.compile(r"^[0\s.\-:_]+$|^(.)\1{3,}$|^(?:ff|FF)+$")
_SPACES = re.compile(r"\s+")

_SHAPES: dict[str, tuple[str, ...]] = {
    "os": ("name", "version", "build", "architecture"),
    "firmware": ("maker", "version", "date", "uefi", "secure_boot"),
    "board": ("maker", "model", "serial"),
    "cpu": ("model", "sockets", "cores", "threads", "max_mhz"),
    "tpm": ("present", "version"),
}
_LISTS: dict[str, tuple[str, ...]] = {
    "disks": ("name", "model", "serial", "bytes", "kind", "bus"),
    "network": ("name", "model", "mac", "kind"),
    "monitors": ("maker", "model", "serial", "year"),
}
_MODULE = ("slot", "bytes", "kind", "speed_mts", "maker", "part", "serial")


def word(value: Any) -> str | None:
    """The text as people would read it, None where it is empty or what a maker left in place of a value."""
    if not isinstance(value, str):
        return None
    plain = _SPACES.sub(" ", "".join(letter if letter.isprintable() else " " for letter in value)).strip()[:MAX_WORD].strip()
    return None if not plain or plain.lower().strip(" .") in _JUNK or _FILLER.match(plain) else plain


def number(value: Any) -> int | None:
    """A count above 0, None for anything else; digits in a text count too."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    if isinstance(value, float):
        value = round(value) if abs(value) < 1e18 else None
    return value if isinstance(value, int) and 0 < value < 2**63 else None


def hardware(facts: Mapping[str, Any]) -> Row:
    """The "hardware" section of those facts: every key of the shape, cleaned words, lists in a fixed order."""
    section: Row = {name: word(facts.get(name)) for name in ("maker", "model", "serial", "chassis")}
    for name, keys in _SHAPES.items():
        section[name] = _row(facts.get(name), keys)
    memory = facts.get("memory") or {}
    section["memory"] = {"bytes": number(memory.get("bytes")), "modules": _rows(memory.get("modules"), _MODULE)}
    for name, keys in _LISTS.items():
        section[name] = _rows(facts.get(name), keys)
    return section


def software(packages: Iterable[Mapping[str, Any]]) -> Row:
    """The "software" section: each name and version once, sorted, bounded; packages without a name are left out."""
    rows = {}
    for package in packages:
        name = word(package.get("name"))
        if name is not None:
            row = {
                "name": name,
                "version": word(package.get("version")),
                "maker": word(package.get("maker")),
                "source": package.get("source"),
            }
            rows[name.lower(), row["version"] or "", row["maker"] or ""] = row
    return {"packages": [rows[key] for key in sorted(rows)][:MAX_PACKAGES]}


def _rows(values: Any, keys: tuple[str, ...]) -> list[Row]:
    rows = [_row(value, keys) for value in values or () if isinstance(value, Mapping)]
    known = [row for row in rows if any(value is not None for value in row.values())]
    return sorted(known, key=lambda row: tuple(str(value or "") for value in row.values()))


def _row(value: Any, keys: tuple[str, ...]) -> Row:
    source = value if isinstance(value, Mapping) else {}
    return {key: _value(source.get(key)) for key in keys}


def _value(value: Any) -> str | int | bool | None:
    if isinstance(value, bool):
        return value
    return word(value) if isinstance(value, str) else number(value)
