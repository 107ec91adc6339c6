"""Keyset pages: a bounded list, and an opaque mark to go on from. Knows no table."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Key = tuple[str | int, ...]

LIMIT = 500
COUNT_CAP = 10_000
_MARK_LIMIT = 2000


class PageError(ValueError):
    """An `after` mark that no page of this list gave out."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a list. `after` gets the next ones (None: these were the last); `total` is None where it is over 10,000."""

    rows: tuple[T, ...]
    after: str | None = None
    total: int | None = None


def mark(key: Key) -> str:
    """The opaque mark of a row's sort key."""
    plain = json.dumps(key, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


def unmark(after: str, *shape: type) -> Key:
    """The sort key in a mark, of these types.

    Raises:
        PageError: no such mark was ever given out.
    """
    try:
        if len(after) > _MARK_LIMIT:
            raise PageError("the mark is too long")
        key = json.loads(base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise PageError("`after` is not a mark that this list gave out; begin again without it") from error
    fits = isinstance(key, list) and len(key) == len(shape) and all(type(k) is t for k, t in zip(key, shape, strict=True))
    if not fits or not all(_storable(part) for part in key):
        raise PageError("`after` is a mark of another list; begin again without it")
    return tuple(key)


def _storable(part: str | int) -> bool:
    if isinstance(part, int):
        return abs(part) < 2**63
    return "\0" not in part and not any("\ud800" <= letter <= "\udfff" for letter in part)


def bounded(limit: int) -> int:
    """A page size between 1 and the limit of all lists."""
    return max(1, min(limit, LIMIT))
