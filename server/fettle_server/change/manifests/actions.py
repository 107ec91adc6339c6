"""What is done with keys and manifests: add and retire keys, make manifests, hand out what to sign, take signatures back."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fettle_server.change.manifests.rules import Wanted
from fettle_server.estate.people.rules import Person


def add_key(tx: sa.Connection, person: Person, name: str, public_pem: bytes, now: dt.datetime) -> str:
    """Trust an approver's key from now on (Act.MANAGE_KEYS); returns its id. Raises SigningError, Forbidden."""
    raise NotImplementedError


def retire_key(tx: sa.Connection, person: Person, key_id: str, why: str, now: dt.datetime) -> None:
    """Take no more signatures of a key and tell no new machine to trust it; machines that trust it need `rotate`."""
    raise NotImplementedError


def rotate(tx: sa.Connection, person: Person, add: tuple[str, ...], retire: tuple[str, ...], now: dt.datetime) -> int:
    """Make the manifest of kind KEYS by which agents pin the keys `add` and drop the keys `retire` (ids); returns its number.

    It needs a signature of a key that the agents trust already; then the worker hands it to every endpoint.
    """
    raise NotImplementedError


def prepare(tx: sa.Connection, wanted: Wanted, now: dt.datetime) -> int:
    """Make a manifest with its uid, serial and floor, to be signed with any active key; returns its number.

    Needs no key yet. Raises SigningError where the manifest would be out of bounds (too many endpoints named, too long a life).
    """
    raise NotImplementedError


def withdraw(tx: sa.Connection, manifest_id: int, now: dt.datetime) -> None:
    """No job of it is handed out any more, and later manifests carry the higher floor that this allows."""
    raise NotImplementedError


def signing_file(tx: sa.Connection, person: Person, change_id: int, now: dt.datetime) -> str:
    """Commands for an approver's own machine that sign every unsigned manifest of a change (Act.APPROVE_CHANGE)."""
    raise NotImplementedError


def signing_file_of(tx: sa.Connection, person: Person, manifest_ids: list[int], now: dt.datetime) -> str:
    """The same for the manifests named (those of a rollout, or of a rotation of keys)."""
    raise NotImplementedError


def bring_signature(tx: sa.Connection, person: Person, manifest_id: int, signature: bytes, now: dt.datetime) -> str:
    """Check and keep the signature (64 bytes, or their base64 as text) of any active key; returns the key's id.

    Raises SigningError where it is no active key's signature over this manifest's bytes, or the manifest is over.
    """
    raise NotImplementedError


def bring_signatures(tx: sa.Connection, person: Person, pasted: str, now: dt.datetime) -> list[int]:
    """Take what the signing file printed: lines of "<manifest uid> <base64>". Returns the manifests' numbers; all or none."""
    raise NotImplementedError
