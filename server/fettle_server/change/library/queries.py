"""Reads about the library, its licences, builds, and endpoints that drifted from theirs. Bounded.

For others of the wing: `script_step` and `package_hashes` (what a manifest carries).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from fettle_server.change.library.views import ItemView
from fettle_server.estate.people.rules import Person


def items(
    tx: sa.Connection, person: Person, *, kind: str = "", search: str = "", withdrawn: bool = False
) -> tuple[ItemView, ...]:
    """The items of the library, by kind, name and version, the newest version first."""
    raise NotImplementedError


def item(tx: sa.Connection, person: Person, item_id: int) -> ItemView | None:
    """One item."""
    raise NotImplementedError


def script_step(tx: sa.Connection, item_id: int) -> dict[str, Any]:
    """The step of a job (fettle_protocol.steps) that runs this script. Raises LibraryError: none, or withdrawn."""
    raise NotImplementedError


def package_hashes(tx: sa.Connection, provider: str, names: Collection[str]) -> dict[tuple[str, str], str]:
    """The sha256 of those packages by (name, version), where the library has one that is not withdrawn."""
    raise NotImplementedError
