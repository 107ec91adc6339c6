"""How what comes from outside is made harmless: text that can be seen, packed JSON that every page can show. Pure."""

from __future__ import annotations

import json
import zlib
from typing import Any

DEPTH = 20
VALUES = 250_000


class OutOfBounds(ValueError):
    """Something that will never be taken; the message is a sentence for the agent's log."""


def text(value: str, limit: int) -> str:
    """The text without what cannot be seen (control characters, direction marks), at most so long."""
    if not value.isprintable():
        value = "".join(letter if letter.isprintable() else " " if letter.isspace() else "" for letter in value)
    return value if len(value) <= limit else value[:limit]


def inflated(packed: bytes, what: str, packed_limit: int, plain_limit: int) -> bytes:
    """What was packed, which is never unpacked beyond its limit.

    Raises:
        OutOfBounds: too large, cut short, or not packed at all.
    """
    if len(packed) > packed_limit:
        raise OutOfBounds(f"{what} is over {packed_limit} bytes.")
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(packed, plain_limit + 1)
    except zlib.error as error:
        raise OutOfBounds(f"{what} cannot be unpacked.") from error
    if len(plain) > plain_limit:
        raise OutOfBounds(f"{what} is over {plain_limit} bytes unpacked.")
    if not inflater.eof:
        raise OutOfBounds(f"{what} is cut short.")
    return plain


def plain_object(plain: bytes, what: str) -> dict[str, Any]:
    """The JSON object, of which every page can show every part.

    Raises:
        OutOfBounds: no such thing.
    """
    if plain.count(b",") > VALUES:
        raise OutOfBounds(f"{what} has over {VALUES} values.")
    try:
        content = json.loads(plain)
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()  # no half characters, no NaN
    except (ValueError, RecursionError) as error:
        raise OutOfBounds(f"{what} is not JSON.") from error
    if not isinstance(content, dict):
        raise OutOfBounds(f"{what} is not a JSON object.")
    if not _can_be_shown(content, DEPTH):
        raise OutOfBounds(f"{what} is nested too deeply, or has a number of more than 64 bits.")
    return content


def _can_be_shown(value: Any, depth: int) -> bool:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(_can_be_shown(item, depth - 1) for item in inner)
    return not isinstance(value, int) or abs(value) < 2**63
