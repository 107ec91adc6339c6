"""What a manifest must be told, and which serial and floor it gets. Pure: no store, no clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fettle_protocol.manifests import Hours, Needs, People, Target


class SigningError(Exception):
    """A key, a manifest or a signature that will not do; the message tells a person what to do."""


class Purpose(StrEnum):
    """What a manifest is for."""

    FORWARD = "forward"
    BACK_OUT = "back out"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A manifest of work that is to be made; it gets its uid, serial and floor when it is."""

    purpose: Purpose
    change_id: int
    rollout_id: int
    title: str
    target: Target
    steps: tuple[dict[str, Any], ...]
    not_before: dt.datetime
    expires: dt.datetime
    people: People = field(default_factory=People)
    needs: Needs = field(default_factory=Needs)
    hours: tuple[Hours, ...] = ()
    attempts: int = 3


def next_floor(serial: int, floor: int, live: Iterable[int]) -> int:
    """The floor of the manifest with that serial: the smallest serial that is still wanted, and never less than before.

    So what was withdrawn is refused as soon as nothing older than it is wanted any more, and no live work is refused with it.
    """
    return max(floor, min([serial, *live]))
