"""An endpoint's software inventory, as names and versions. Bounded; what cannot be read is nothing."""

from __future__ import annotations

import json
import zlib
from typing import Any

import sqlalchemy as sa

from fettle_server.estate.tables import Inventory

_MOST_PLAIN_BYTES = 4 * 1024 * 1024


def versions(tx: sa.Connection, endpoint_pk: int) -> dict[str, str]:
    """The installed packages' versions by name; nothing where the endpoint never told."""
    which = (Inventory.endpoint_pk == endpoint_pk, Inventory.section == "software")
    body = tx.scalar(sa.select(Inventory.body).where(*which))
    return dict(packages(body)) if body is not None else {}


def packages(body: bytes) -> list[tuple[str, str]]:
    """The (name, version) of each package in a software section."""
    try:
        document: Any = json.loads(zlib.decompressobj().decompress(body, _MOST_PLAIN_BYTES))
    except (zlib.error, ValueError, RecursionError):
        return []
    rows = document.get("packages") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        return []
    pairs = ((row.get("name"), row.get("version")) for row in rows if isinstance(row, dict))
    return [(name, version if isinstance(version, str) else "") for name, version in pairs if isinstance(name, str)]
