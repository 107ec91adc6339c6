"""What changes of updates: endpoints' looks at them, what jobs told, what a change approved. Never commits.

The hot path is `take`: it runs in the writer's transaction, for many endpoints at a time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from fettle_server.change.patches.rules import PatchState


class Told(NamedTuple):
    """What a job's step that touched packages told of one endpoint.

    `packages` maps the names that the step was about to the version that is there now ("" where the tool does not say);
    `state` is DOWNLOADED, INSTALLED, REBOOT_PENDING or FAILED; `words` the operating system's own.
    """

    endpoint_pk: int
    at: dt.datetime
    change_id: int | None
    provider: str
    packages: dict[str, str]
    state: PatchState
    words: str = ""


def take(tx: sa.Connection, looks: Sequence[tuple[int, dt.datetime, bytes]], now: dt.datetime) -> None:
    """Take in "updates" sections as they came (endpoint pk, time, zlib-compressed JSON); the last of an endpoint counts.

    Never raises for what a section holds: what is malformed is left out, and said in the endpoint's look.
    """
    raise NotImplementedError


def job_progress(tx: sa.Connection, told: Sequence[Told], now: dt.datetime) -> None:
    """Note that packages were downloaded, where that is further than what is known."""
    raise NotImplementedError


def job_ended(tx: sa.Connection, told: Sequence[Told], now: dt.datetime) -> None:
    """Note what ended steps did: installed, waiting for a restart, or failed. Proven is only what a later look shows."""
    raise NotImplementedError


def approve(tx: sa.Connection, change_id: int, updates: Collection[int], endpoints: Collection[int], now: dt.datetime) -> int:
    """Note that a change approved these updates (ids) for these endpoints (pks); returns how many rows that moved."""
    raise NotImplementedError
