"""Reads of keys and manifests."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fettle_server.change.manifests.views import KeyRow, ManifestRow


def keys(tx: sa.Connection) -> list[KeyRow]:
    """Every approver's key, active ones first, the newest first."""
    raise NotImplementedError


def active_keys(tx: sa.Connection) -> list[bytes]:
    """The public bytes of the keys that machines are to trust at enrolment, the newest first."""
    raise NotImplementedError


def manifest(tx: sa.Connection, manifest_id: int) -> ManifestRow | None:
    """One manifest by its number."""
    raise NotImplementedError


def of_change(tx: sa.Connection, change_id: int) -> list[ManifestRow]:
    """The manifests of a change that were not withdrawn, oldest first."""
    raise NotImplementedError


def of_rollout(tx: sa.Connection, rollout_id: int) -> list[ManifestRow]:
    """The manifests of a rollout that were not withdrawn, oldest first."""
    raise NotImplementedError


def unsigned(tx: sa.Connection, now: dt.datetime, limit: int = 100) -> list[ManifestRow]:
    """Manifests that wait for a signature, oldest first."""
    raise NotImplementedError


def body_of(tx: sa.Connection, manifest_id: int) -> bytes:
    """The bytes that are to be signed. Raises SigningError where there is no such manifest."""
    raise NotImplementedError


def why_not_ready(tx: sa.Connection, manifest_id: int | None, now: dt.datetime) -> str:
    """Why jobs of this manifest cannot be handed out (unmade, unsigned, expired, withdrawn), as a sentence; "": they can."""
    raise NotImplementedError
