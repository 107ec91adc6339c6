"""A rollout as one look finds it: its row locked, its plan and reach read, its rings."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from fettle_server.change.rollouts.gate import Compared
from fettle_server.change.rollouts.opening import Openings
from fettle_server.change.rollouts.plans import Plan, plan_from
from fettle_server.change.rollouts.rules import RolloutState
from fettle_server.change.rollouts.tables import Rollout, RolloutRing
from fettle_server.change.rollouts.views import Reach
from fettle_server.db import from_ms, to_ms

_GATE_EVERY_MS = 15_000
_KEPT = ("counts_from_ms", "asked_from_ms")
"""What stands with a gate's arithmetic and is not reckoned anew."""


@dataclass(slots=True)
class Ring:
    """A ring's row while it is looked at."""

    number: int
    state: str
    released_at: dt.datetime | None
    deadline_at: dt.datetime | None
    settled_at: dt.datetime | None
    passed_at: dt.datetime | None
    gate: dict[str, Any]

    def counts_from(self, otherwise: dt.datetime) -> dt.datetime:
        """From when on what goes wrong counts."""
        kept = self.gate.get("counts_from_ms")
        return from_ms(kept) if kept else otherwise - dt.timedelta(days=1)

    @property
    def asked_from(self) -> dt.datetime | None:
        """Since when its PCs are asked: since it was let go, or since it last went on after a pause or a halt."""
        kept = self.gate.get("asked_from_ms")
        return from_ms(kept) if kept else self.released_at

    def compared(self) -> Compared:
        """The comparison as it was last written down."""
        return Compared(**{name: self.gate[name] for name in Compared.__dataclass_fields__ if name in self.gate})


@dataclass(slots=True)
class Look:
    """What one transaction knows of a rollout."""

    tx: sa.Connection
    now: dt.datetime
    rollout_id: int
    change_id: int
    state: RolloutState
    why: str
    ring: int
    manifest_id: int | None
    undoes_id: int | None
    looked_at: dt.datetime | None
    reach: Reach
    plan: Plan
    steps: tuple[dict[str, Any], ...]
    rings: list[Ring]
    _openings: Openings | None = field(default=None)

    @property
    def openings(self) -> Openings:
        """When places take changes."""
        if self._openings is None:
            since = min((ring.released_at for ring in self.rings if ring.released_at is not None), default=self.now)
            self._openings = Openings(self.tx, self.now, since)
        return self._openings

    def write_ring(self, ring: Ring, **values: Any) -> None:
        """Change the ring's row, here and in the store."""
        for name, value in values.items():
            setattr(ring, name, value)
        is_one = (RolloutRing.rollout_id == self.rollout_id, RolloutRing.number == ring.number)
        self.tx.execute(sa.update(RolloutRing).where(*is_one).values(values))

    def note_gate(self, ring: Ring, said: dict[str, Any], *, whole: bool = False) -> None:
        """Write the gate's arithmetic down where it says something new."""
        kept = {} if whole else {name: ring.gate[name] for name in _KEPT if name in ring.gate}
        fresh = kept | said
        old = {name: value for name, value in ring.gate.items() if name != "at_ms"}
        fresh.pop("at_ms", None)
        now_ms = to_ms(self.now)
        if _same(fresh, old) and now_ms - ring.gate.get("at_ms", 0) < _GATE_EVERY_MS:
            return
        self.write_ring(ring, gate=fresh | {"at_ms": now_ms})


def open_look(tx: sa.Connection, rollout_id: int, now: dt.datetime) -> Look | None:
    """The rollout, its row locked until the transaction ends; None where there is none."""
    row = tx.execute(sa.select(Rollout.__table__).where(Rollout.id == rollout_id).with_for_update()).one_or_none()
    if row is None:
        return None
    columns = (
        RolloutRing.number, RolloutRing.state, RolloutRing.released_at, RolloutRing.deadline_at, RolloutRing.settled_at,
        RolloutRing.passed_at, RolloutRing.gate,
    )  # fmt: skip
    rings = tx.execute(sa.select(*columns).where(RolloutRing.rollout_id == rollout_id).order_by(RolloutRing.number))
    return Look(
        tx=tx,
        now=now,
        rollout_id=rollout_id,
        change_id=row.change_id,
        state=RolloutState(row.state),
        why=row.why,
        ring=row.ring,
        manifest_id=row.manifest_id,
        undoes_id=row.undoes_id,
        looked_at=row.looked_at,
        reach=Reach(**{name: tuple(values) for name, values in row.reach.items()}),
        plan=plan_from(row.plan),
        steps=tuple(row.steps),
        rings=[Ring(*one) for one in rings],
    )


def _same(fresh: dict[str, Any], old: dict[str, Any]) -> bool:
    """True where only what creeps with time (likelihoods, expectations) is another number."""
    creeping = {"by_past", "by_control", "expected"}
    return {k: v for k, v in fresh.items() if k not in creeping} == {k: v for k, v in old.items() if k not in creeping}
