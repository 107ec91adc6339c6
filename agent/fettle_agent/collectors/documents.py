"""Reads the JSON that a tool printed, and takes what may be there or not out of it.

Owns the words for output that is not JSON. Tools leave fields out, and give one object where they have only one of a list.
"""

from __future__ import annotations

import json
from typing import Any

from fettle_agent.collectors import CollectError

Row = dict[str, Any]


def parse(text: str, tool: str) -> Row:
    """The JSON object in the text; a byte order mark before it does not hurt.

    Raises:
        CollectError: the text is not one JSON object.
    """
    try:
        document = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise CollectError(f"{tool} did not print JSON")
    return document


def at(document: Any, *path: str) -> Any:
    """The value at the end of the path, None where the path is not there."""
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


def rows(value: Any) -> list[Row]:
    """The objects in a list, or the one object that stands for a list of one."""
    if isinstance(value, dict):
        return [value]
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def number(value: Any) -> float | None:
    """A number that is one, None for anything else; true and false are no numbers, nor is JSON's NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= 1e300 else None
