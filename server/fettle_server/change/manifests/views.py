"""What queries of keys and manifests give: plain values for pages, API and commands."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from fettle_protocol.manifests import Manifest


@dataclass(frozen=True, slots=True)
class KeyRow:
    """The public half of an approver's key; retired ones sign nothing any more."""

    id: str
    name: str
    public: bytes
    added_by: str
    added_at: dt.datetime
    retired_at: dt.datetime | None

    @property
    def is_active(self) -> bool:
        """Whether its signatures are taken, and machines that enrol are told to trust it."""
        return self.retired_at is None


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A manifest and how far it is. `said` is its content, `sha256` that of its bytes, `key_id` whose signature it has."""

    id: int
    uid: str
    purpose: str
    change_id: int | None
    rollout_id: int | None
    serial: int
    said: Manifest
    sha256: str
    size_bytes: int
    key_id: str | None
    created_at: dt.datetime
    expires_at: dt.datetime
    signed_at: dt.datetime | None
    signature_brought_by: str
    withdrawn_at: dt.datetime | None

    @property
    def is_signed(self) -> bool:
        """Whether a signature was brought."""
        return self.signed_at is not None
