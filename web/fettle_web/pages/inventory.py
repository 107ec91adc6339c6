"""A PC's inventory as agents send it (JSON), turned into facts and lists that a page can show. Pure.

Shows whatever it is given, cut to sane sizes: a section that a later agent adds appears by itself.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fettle_server.estate.endpoints.views import InventoryView

MOST_ROWS = 2000
_LONGEST = 300
_ORDER = ("hardware", "software")
_SPELLING = {
    "os": "system",
    "cpu": "processor",
    "tpm": "TPM",
    "uefi": "UEFI",
    "bytes": "size",
    "mhz": "MHz",
    "mts": "MT/s",
    "mac": "MAC",
}
_SPELT = re.compile(rf"\b(?:{'|'.join(_SPELLING)})\b")


@dataclass(frozen=True, slots=True)
class Grid:
    """A list of alike things: column names and rows."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One inventory section: single facts, and grids."""

    name: str
    at: dt.datetime
    facts: tuple[tuple[str, str], ...]
    grids: tuple[Grid, ...]


def sections(inventory: Mapping[str, InventoryView]) -> list[Section]:
    """The sections, hardware first."""
    names = sorted(inventory, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return [_section(inventory[name]) for name in names]


def _section(view: InventoryView) -> Section:
    facts: list[tuple[str, str]] = []
    grids: list[Grid] = []
    for key, value in view.body.items():
        for name, item in ({key: value} if not isinstance(value, dict) else _flat(key, value)).items():
            if isinstance(item, list) and item and all(isinstance(row, dict) for row in item):
                grids.append(_grid(_words(name), item))
            elif text := _text(name, item):
                facts.append((_words(name), text))
    return Section(view.section, view.at, tuple(facts), tuple(grids))


def _flat(key: str, value: dict[str, Any]) -> dict[str, Any]:
    """An object's fields under names of their own: memory and its modules become "memory size" and "memory modules"."""
    return {f"{key} {inner}": item for inner, item in value.items()}


def _grid(title: str, items: list[dict[str, Any]]) -> Grid:
    keys = list(dict.fromkeys(key for item in items[:MOST_ROWS] for key in item))
    rows = tuple(tuple(_text(key, item.get(key)) for key in keys) for item in items[:MOST_ROWS])
    shown = [i for i in range(len(keys)) if any(row[i] for row in rows)]
    return Grid(title, tuple(_words(keys[i]) for i in shown), tuple(tuple(row[i] for i in shown) for row in rows))


def _words(key: Any) -> str:
    text = _SPELT.sub(lambda match: _SPELLING[match[0]], str(key).replace("_", " ").strip()[:_LONGEST])
    return text[:1].upper() + text[1:]


def _text(key: Any, value: Any) -> str:
    if value is None or value == "" or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and str(key).endswith("bytes"):
        return _size(value)
    if isinstance(value, list):
        return ", ".join(_text("", item) for item in value[:50])[:_LONGEST]
    if isinstance(value, dict):
        return ", ".join(f"{_words(inner).lower()} {_text(inner, item)}" for inner, item in list(value.items())[:20])[:_LONGEST]
    return str(value)[:_LONGEST]


def _size(size_bytes: int) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size_bytes >= size:
            return f"{size_bytes / size:.4g} {unit}"
    return f"{size_bytes:,} bytes"
