"""A change's record: its lines, its state, and the incidents that stand with it. The one writer of these three.

Who may do it is asked by whoever calls; the journal is written here, so that no act of a change misses it.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from fettle_server.change.rules import ChangeError, ChangeState, Linked, may_move
from fettle_server.change.tables import Change, ChangeEntry, ChangeIncident
from fettle_server.db import Utc
from fettle_server.journal.actions import Line, record_all
from fettle_server.reactive.actions import note
from fettle_server.reactive.reach import for_each_school

TEXT_LIMIT = 10_000
_WHY_LIMIT = 300


def say(tx: sa.Connection, change_id: int, kind: str, actor: str, text: str, detail: dict[str, Any], now: dt.datetime) -> None:
    """Add a line to the change's record, and "change.<kind>" to the journal."""
    line = {
        "change_id": change_id,
        "at": now,
        "kind": kind[:30],
        "actor": actor[:120],
        "text": text[:TEXT_LIMIT],
        "detail": detail,
    }
    tx.execute(sa.insert(ChangeEntry).values(line))
    told = {**detail, "text": text[:500]} if text else detail
    written = Line(
        at=now, kind=f"change.{kind.replace(' ', '_')}", actor=actor, subject=f"change:{change_id}", school_id=None, detail=told
    )
    schools = tx.scalar(sa.select(Change.schools).where(Change.id == change_id)) or ()
    record_all(tx, for_each_school(written, schools))


def state_of(tx: sa.Connection, change_id: int) -> ChangeState:
    """The change's state, its row locked until the transaction ends.

    Raises:
        ChangeError: there is no such change.
    """
    present = tx.scalar(sa.select(Change.state).where(Change.id == change_id).with_for_update())
    if present is None:
        raise ChangeError(f"There is no change {change_id}.")
    return ChangeState(present)


def set_state(
    tx: sa.Connection, change_id: int, state: ChangeState, now: dt.datetime, actor: str = "system", text: str = ""
) -> bool:
    """Bring the change into that state, with a line that says so; False where it is in it already.

    The first RUNNING is when it began, the newest REVIEW when it ended.

    Raises:
        ChangeError: there is no such change, or no way from its present state to this one.
    """
    present = state_of(tx, change_id)
    if present is state:
        return False
    if not may_move(present, state):
        raise ChangeError(f"Change {change_id} is {present}: it cannot become {state}.")
    values: dict[str, Any] = {"state": state.value, "updated_at": now}
    if state is ChangeState.RUNNING:
        values["begun_at"] = sa.func.coalesce(Change.begun_at, sa.literal(now, Utc))
    elif state is ChangeState.REVIEW:
        values["ended_at"] = now
    tx.execute(sa.update(Change).where(Change.id == change_id).values(values))
    say(tx, change_id, state.value, actor, text, {"from": present.value}, now)
    return True


def link_incident(tx: sa.Connection, change_id: int, number: int, how: str, why: str, actor: str, now: dt.datetime) -> bool:
    """Put an incident beside the change, on both records; False where it stands there, or a person took it away.

    What a person unlinked comes back by a person's hand only.
    """
    is_one = sa.and_(ChangeIncident.change_id == change_id, ChangeIncident.incident_number == number)
    there = tx.execute(sa.select(ChangeIncident.unlinked_at).where(is_one)).one_or_none()
    if there is not None and (there.unlinked_at is None or how not in (Linked.BY_HAND, Linked.MENDS)):
        return False
    values = {"how": Linked(how).value, "why": why[:_WHY_LIMIT], "linked_by": actor, "linked_at": now, "unlinked_at": None}
    if there is None:
        tx.execute(sa.insert(ChangeIncident).values(change_id=change_id, incident_number=number, **values))
    else:
        tx.execute(sa.update(ChangeIncident).where(is_one).values(values))
    say(tx, change_id, "incident linked", actor, why, {"incident": number, "how": how}, now)
    note(tx, number, "change", actor, why, {"change": change_id, "how": how}, now)
    return True


def unlink_incident(tx: sa.Connection, change_id: int, number: int, why: str, actor: str, now: dt.datetime) -> None:
    """Take an incident away from the change; nothing links it again by itself.

    Raises:
        ChangeError: it does not stand with this change.
    """
    stands = sa.and_(
        ChangeIncident.change_id == change_id, ChangeIncident.incident_number == number, ChangeIncident.unlinked_at.is_(None)
    )
    if not tx.execute(sa.update(ChangeIncident).where(stands).values(unlinked_at=now)).rowcount:
        raise ChangeError(f"Incident {number} does not stand with change {change_id}.")
    say(tx, change_id, "incident unlinked", actor, why, {"incident": number}, now)
    note(tx, number, "change", actor, why, {"change": change_id, "how": "unlinked"}, now)
