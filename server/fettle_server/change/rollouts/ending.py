"""What was signed ends with what it was signed for: no order of a rollout or change that is over stays live unwanted."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from fettle_server.change import record
from fettle_server.change.jobs.tables import Job, JobFormerUid
from fettle_server.change.manifests import actions as manifests
from fettle_server.change.manifests.tables import Manifest
from fettle_server.change.rollouts.rules import UNBEGUN, RolloutState
from fettle_server.change.rollouts.tables import Rollout
from fettle_server.change.rollouts.telling import WHY_LIMIT
from fettle_server.change.rules import ChangeState

LAPSED = "Its manifest ended before anybody started it: propose it again."
_SIGNED = (Rollout.manifest_id, Rollout.back_out_manifest_id)


def lock(tx: sa.Connection, change_id: int) -> None:
    """Hold the change's rollouts. Before the change itself, as a look at a rollout does: so neither waits for ever."""
    tx.execute(sa.select(Rollout.id).where(Rollout.change_id == change_id).order_by(Rollout.id).with_for_update()).all()


def withdraw_signed(tx: sa.Connection, rollout_id: int, now: dt.datetime) -> None:
    """Withdraw a cancelled rollout's manifest; its back-out's too where no PC was ever handed a job of it.

    Of a back-out nothing is withdrawn: its manifest is the undone rollout's, which may be backed out again.
    """
    row = tx.execute(sa.select(*_SIGNED, Rollout.undoes_id).where(Rollout.id == rollout_id)).one()
    if row.undoes_id is not None:
        return
    undo = None if _was_handed_out(tx, rollout_id) else row.back_out_manifest_id
    _withdraw(tx, (row.manifest_id, undo), now)


def drop(tx: sa.Connection, change_id: int, why: str, now: dt.datetime) -> None:
    """The change will not be: its rollouts that never began are cancelled, and what was signed for them is withdrawn."""
    _drop(tx, (Rollout.change_id == change_id,), why, now)


def close(tx: sa.Connection, change_id: int, now: dt.datetime) -> None:
    """The change is closed and can be backed out no more: what was signed for that is withdrawn, where nobody carries it out.

    What finished stays signed until its time is over: PCs that were silent still take it.
    """
    drop(tx, change_id, "The change was closed.", now)
    mine = Rollout.change_id == change_id
    done = sa.select(Rollout.manifest_id).where(mine, Rollout.undoes_id.is_not(None), Rollout.state == RolloutState.FINISHED)
    undone = set(tx.scalars(done))
    backed = sa.select(Rollout.back_out_manifest_id).where(mine).order_by(Rollout.id)
    _withdraw(tx, [number for number in tx.scalars(backed) if number not in undone], now)


def lapse(tx: sa.Connection, now: dt.datetime) -> list[int]:
    """Cancel rollouts that nobody started while their manifest stood, and withdraw what was signed to undo them; returns which.

    An approved change of which nothing else is left is withdrawn with them.
    """
    over = sa.select(Manifest.id).where(Manifest.id == Rollout.manifest_id, Manifest.expires_at <= now).exists()
    due = sa.select(Rollout.change_id).where(Rollout.state.in_(UNBEGUN), over).distinct()
    lapsed: list[int] = []
    for change_id in sorted(tx.scalars(due)):
        lock(tx, change_id)
        lapsed += _drop(tx, (Rollout.change_id == change_id, over), LAPSED, now)
        others = sa.select(Rollout.id).where(Rollout.change_id == change_id, Rollout.state != RolloutState.CANCELLED)
        if record.state_of(tx, change_id) is ChangeState.APPROVED and tx.scalar(others.limit(1)) is None:
            record.set_state(tx, change_id, ChangeState.WITHDRAWN, now, text=LAPSED)
    return lapsed


def _drop(tx: sa.Connection, which: Any, why: str, now: dt.datetime) -> list[int]:
    unbegun = sa.select(Rollout.id, *_SIGNED).where(*which, Rollout.state.in_(UNBEGUN)).order_by(Rollout.id)
    rows = tx.execute(unbegun.with_for_update()).all()
    values = {"state": RolloutState.CANCELLED.value, "ended_at": now, "why": why[:WHY_LIMIT]}
    for row in rows:
        _withdraw(tx, (row.manifest_id, row.back_out_manifest_id), now)
        tx.execute(sa.update(Rollout).where(Rollout.id == row.id).values(values))
    return [row.id for row in rows]


def _withdraw(tx: sa.Connection, numbers: Any, now: dt.datetime) -> None:
    for number in numbers:
        if number is not None:
            manifests.withdraw(tx, number, now)


def _was_handed_out(tx: sa.Connection, rollout_id: int) -> bool:
    """True where an agent ever got a job of the rollout, under whatever name: it may have begun it without our knowing."""
    former = sa.select(JobFormerUid.uid).where(JobFormerUid.job_id == Job.id).exists()
    handed = sa.select(Job.id).where(Job.rollout_id == rollout_id, sa.or_(Job.released_number > 0, former))
    return tx.scalar(handed.limit(1)) is not None
