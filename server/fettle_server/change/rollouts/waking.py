"""Waking PCs that are off when their window opens, by a neighbour of their room that is on."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from fettle_server.change.jobs import actions as jobs
from fettle_server.change.jobs.rules import JobState
from fettle_server.change.jobs.tables import Job
from fettle_server.change.rollouts.looks import Look
from fettle_server.change.rollouts.rules import TargetState
from fettle_server.change.rollouts.tables import RolloutTarget
from fettle_server.change.rollouts.windows import Opening, Place
from fettle_server.estate.tables import Endpoint, Inventory

PIECE = 300
AGAIN = dt.timedelta(hours=1)
"""A PC that did not wake is asked for again so much later, while its window is open: switches learn, and sockets are put on."""
_MOST_BYTES = 4_000_000


def wake(look: Look, openings: Mapping[Place, Opening]) -> int:
    """Ask neighbours to wake the PCs that wait and are off; returns how many were asked for. Bounded."""
    sleepers = [row for row in _sleepers(look, openings) if _place(row) in openings]
    neighbours = _neighbours(look.tx, {row.room_id for row in sleepers})
    asked = [row for row in sleepers if row.room_id in neighbours]
    macs = macs_of(look.tx, [row.pk for row in asked])
    asked = [row for row in asked if macs.get(row.pk)]
    jobs.ask_wake(look.tx, [(neighbours[row.room_id], macs[row.pk]) for row in asked], look.now)
    if asked:
        is_one = (RolloutTarget.rollout_id == look.rollout_id, RolloutTarget.endpoint_pk.in_([row.pk for row in asked]))
        look.tx.execute(sa.update(RolloutTarget).where(*is_one).values(woken_at=look.now))
    return len(asked)


def macs_of(tx: sa.Connection, pks: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """The MAC addresses of the wired network cards that those PCs told of."""
    bodies = sa.select(Inventory.endpoint_pk, Inventory.body)
    rows = tx.execute(bodies.where(Inventory.endpoint_pk.in_(list(pks)), Inventory.section == "hardware"))
    return {pk: _macs(body) for pk, body in rows}


def _sleepers(look: Look, openings: Mapping[Place, Opening]) -> list[Any]:
    if not openings:
        return []
    columns = (Endpoint.pk, Endpoint.school_id, Endpoint.room_id, Endpoint.endpoint_class)
    found = (
        sa.select(*columns)
        .join(RolloutTarget, RolloutTarget.endpoint_pk == Endpoint.pk)
        .join(Job, Job.id == RolloutTarget.job_id)
        .where(
            RolloutTarget.rollout_id == look.rollout_id,
            RolloutTarget.ring <= look.ring,
            RolloutTarget.state.in_((TargetState.WAITING, TargetState.SILENT)),
            Job.state == JobState.WAITING,
            Endpoint.connected.is_(False),
            Endpoint.room_id.in_({place.room_id for place in openings if place.room_id is not None}),
            sa.or_(RolloutTarget.woken_at.is_(None), RolloutTarget.woken_at <= look.now - AGAIN),
        )
    )
    return list(look.tx.execute(found.order_by(RolloutTarget.woken_at.is_not(None), Endpoint.pk).limit(PIECE)).all())


def _place(row: Any) -> Place:
    return Place(row.school_id, row.room_id, row.endpoint_class)


def _neighbours(tx: sa.Connection, room_ids: set[Any]) -> dict[int, int]:
    """A connected PC of each room."""
    on = sa.select(Endpoint.room_id, sa.func.min(Endpoint.pk)).where(
        Endpoint.room_id.in_(room_ids), Endpoint.connected.is_(True), Endpoint.revoked_at.is_(None)
    )
    return {row[0]: row[1] for row in tx.execute(on.group_by(Endpoint.room_id)) if row[0] is not None}


def _macs(body: bytes) -> tuple[str, ...]:
    try:
        document = json.loads(zlib.decompressobj().decompress(body, _MOST_BYTES))
    except (zlib.error, ValueError):
        return ()
    cards = document.get("network") if isinstance(document, dict) else None
    cards = cards if isinstance(cards, list) else []
    found = [card.get("mac") for card in cards if isinstance(card, dict) and card.get("kind") != "wireless"]
    return tuple(mac for mac in found if isinstance(mac, str) and mac)
