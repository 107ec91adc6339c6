"""Inventory sections on their way out: sent whole, and only when their content changed."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

from fettle_protocol.v1 import link_pb2

SECTIONS = ("hardware", "software", "updates")
"""Each is what the collector of that name gives."""

MAX_PACKED_BYTES = 256 * 1024
MAX_PLAIN_BYTES = 4 * 1024 * 1024


class TooLarge(ValueError):
    """A section over the bounds that the server takes."""


def mark_name(section: str) -> str:
    """Under which the spool remembers the digest of what was last recorded."""
    return f"inventory:{section}"


def event(section: str, content: dict[str, Any], last_digest: str) -> link_pb2.Event | None:
    """The event for this section, None where it is what was recorded last.

    Raises:
        TooLarge: the section is over its bounds.
    """
    plain = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    digest = hashlib.sha256(plain).hexdigest()
    if digest == last_digest:
        return None
    packed = zlib.compress(plain, 6)
    if len(packed) > MAX_PACKED_BYTES or len(plain) > MAX_PLAIN_BYTES:
        raise TooLarge(
            f"the {section} inventory takes {len(packed)} bytes packed, over the {MAX_PACKED_BYTES} that the server takes"
        )
    return link_pb2.Event(inventory=link_pb2.Inventory(section=section, digest=digest, json=packed))
