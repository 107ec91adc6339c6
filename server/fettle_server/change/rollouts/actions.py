"""What people do with rollouts: draft, prepare, start, pause, resume, halt, cancel, back out. The worker's is ticking.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from fettle_protocol.manifests import Target
from fettle_protocol.steps import StepError, StepKind, check_steps

from fettle_server.change import record
from fettle_server.change.jobs import actions as jobs
from fettle_server.change.manifests import actions as manifests
from fettle_server.change.manifests.queries import is_live, manifest, why_not_ready
from fettle_server.change.manifests.rules import Purpose, Wanted
from fettle_server.change.rollouts import ending, following, places, plans, reaching, stopping
from fettle_server.change.rollouts.looks import Look, open_look
from fettle_server.change.rollouts.opening import Openings
from fettle_server.change.rollouts.rules import (
    LIVE,
    UNBEGUN,
    Direction,
    RingState,
    RolloutError,
    RolloutState,
    TargetState,
)
from fettle_server.change.rollouts.tables import Rollout, RolloutRing, RolloutTarget
from fettle_server.change.rollouts.telling import tell
from fettle_server.change.rollouts.ticking import counts_from_now, live, tick
from fettle_server.change.rollouts.views import Draft, Reach
from fettle_server.change.rollouts.windows import Place
from fettle_server.change.rules import ChangeState
from fettle_server.change.tables import Change
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import Endpoint, School

__all__ = ["back_out", "cancel", "draft", "halt", "live", "pause", "prepare", "resume", "start", "tick"]

NAMED_IN_MANIFEST = 1000
"""So many endpoints are named one by one in what is signed; of more, their schools are."""
BACK_OUT_LONGER = dt.timedelta(days=30)
_UNDOABLE = frozenset({StepKind.INSTALL, StepKind.UPGRADE, StepKind.REMOVE, StepKind.HOLD, StepKind.UNHOLD})
_APPROVED = frozenset({ChangeState.APPROVED, ChangeState.SCHEDULED, ChangeState.RUNNING})
_UNDOING = _APPROVED | {ChangeState.HALTED, ChangeState.REVIEW}


def draft(tx: sa.Connection, person: Person, wanted: Draft, now: dt.datetime) -> int:
    """A rollout with its targets in their rings; nothing is done to any PC. Returns its number.

    In one transaction, however many they are: who may propose, approve and run it is asked of all its targets' schools, so
    that a part of them must never be seen.

    Raises:
        RolloutError: the reach, the steps or the plan cannot be, or reach nobody. Forbidden: the person may not there.
    """
    reaching.check(wanted.reach)
    plans.check(wanted.plan)
    try:
        check_steps(list(wanted.steps))
    except StepError as error:
        raise RolloutError(str(error)) from error
    found = reaching.candidates(tx, wanted.reach)
    schools = {one.school_id for one in found} | reaching.places_schools(tx, wanted.reach)
    reaching.demand_all(person, Act.PROPOSE_CHANGE, sorted(schools))
    if not found:
        raise RolloutError("This reaches no PC that is here: are they enrolled, and of the classes and systems said?")
    rollout_id = _insert(tx, person, wanted, None, now)
    rings = places.assign(wanted.plan.rings, found, reaching.placed_by_hand(tx, found))
    reaching.add(tx, rollout_id, ((one, rings[one.pk]) for one in found), now)
    return rollout_id


def prepare(tx: sa.Connection, rollout_id: int, now: dt.datetime) -> None:
    """Make its manifest and the back-out's beside it, to be signed; the rollout is ready.

    Its life counts from when the change is planned for, as far as a manifest may live at all.

    Raises:
        RolloutError: it is past that. SigningError: it cannot be put into one manifest.
    """
    look = _open(tx, rollout_id, now)
    if look.state not in UNBEGUN:
        raise RolloutError(f"Rollout {rollout_id} is {look.state}: its manifest was made before it started.")
    title, planned = tx.execute(sa.select(Change.title, Change.planned_from).where(Change.id == look.change_id)).one()
    expires = max(now, planned or now) + dt.timedelta(days=look.plan.life_days)
    expires = min(expires, now + dt.timedelta(days=plans.MOST_LIFE_DAYS))
    forward = manifests.prepare(tx, _wanted(look, Purpose.FORWARD, title, look.steps, expires), now)
    made = manifest(tx, forward)
    undo = None
    if made is not None and can_be_undone(look.steps):
        steps: tuple[dict[str, Any], ...] = ({"kind": StepKind.RESTORE.value, "manifest": made.uid},)
        undo = manifests.prepare(tx, _wanted(look, Purpose.BACK_OUT, title, steps, expires + BACK_OUT_LONGER), now)
    for old in tx.execute(sa.select(Rollout.manifest_id, Rollout.back_out_manifest_id).where(Rollout.id == rollout_id)).one():
        if old is not None:
            manifests.withdraw(tx, old, now)
    values = {"state": RolloutState.READY.value, "manifest_id": forward, "back_out_manifest_id": undo, "why": ""}
    _update(tx, rollout_id, **values)


def can_be_undone(steps: Iterable[dict[str, Any]]) -> bool:
    """True where some of the steps changed packages, which agents can bring back."""
    return any(StepKind(step["kind"]) in _UNDOABLE for step in steps)


def start(tx: sa.Connection, person: Person, rollout_id: int, now: dt.datetime) -> None:
    """Let it run.

    Raises:
        RolloutError: the change is not approved, the manifest not signed, or it has started. Forbidden: the person may not.
    """
    look = _mine(tx, person, rollout_id, now)
    _demand_state(look, "started", RolloutState.READY, RolloutState.DRAFT)
    present = record.state_of(tx, look.change_id)
    if present not in (_APPROVED if look.undoes_id is None else _UNDOING):
        raise RolloutError(f"Change {look.change_id} is {present}: its rollout starts once it is approved.")
    not_ready = why_not_ready(tx, look.manifest_id, now)
    if not_ready:
        raise RolloutError(not_ready)
    _update(tx, rollout_id, state=RolloutState.RUNNING.value, started_at=now, looked_at=None, why="It begins.")
    tell(tx, rollout_id, look.change_id, "started", person.actor, "", now)
    _set_begun(tx, look, person, now)


def pause(tx: sa.Connection, person: Person, rollout_id: int, why: str, now: dt.datetime) -> None:
    """Begin nothing new for now: what was handed out and has not begun is taken back, what has begun goes on."""
    look = _mine(tx, person, rollout_id, now)
    _demand_state(look, "paused", RolloutState.RUNNING)
    stopping.stop(look, RolloutState.PAUSED, f"Paused by {person.name}. {why}".strip())
    tell(tx, rollout_id, look.change_id, "paused", person.actor, why, now)


def resume(tx: sa.Connection, person: Person, rollout_id: int, why: str, now: dt.datetime) -> None:
    """Go on after a pause, or (with a reason) after a halt: then the gates count anew from now.

    All that was taken back waits again in this one transaction: a ring is judged by who waits in it, from the first look on.

    Raises:
        RolloutError: it is neither, or no reason was given. Forbidden: the person may not.
    """
    look = _mine(tx, person, rollout_id, now)
    _demand_state(look, "resumed", RolloutState.PAUSED, RolloutState.HALTED)
    if look.state is RolloutState.HALTED:
        _demand_why(why, "It was halted. Say why it may go on: what was unwell until now counts no more.")
        counts_from_now(look)
        ring = look.rings[look.ring]
        state = RingState.RELEASED if ring.settled_at is None else RingState.SOAKING
        look.write_ring(ring, state=state.value)
    _bring_back(look)
    following.ask_anew(look)
    _update(tx, rollout_id, state=RolloutState.RUNNING.value, halted_at=None, looked_at=None, why="It goes on.")
    tell(tx, rollout_id, look.change_id, "resumed", person.actor, why, now)
    if record.state_of(tx, look.change_id) is ChangeState.HALTED:
        record.set_state(tx, look.change_id, ChangeState.RUNNING, now, person.actor, why)


def halt(tx: sa.Connection, person: Person, rollout_id: int, why: str, now: dt.datetime) -> None:
    """Stop it as its gate would: take back what has not begun, open an incident."""
    look = _mine(tx, person, rollout_id, now)
    _demand_state(look, "halted", RolloutState.RUNNING, RolloutState.PAUSED)
    _demand_why(why, "Say why it is halted.")
    stopping.halt(look, person.actor, f"{person.name}: {why.strip()}")


def cancel(tx: sa.Connection, person: Person, rollout_id: int, why: str, now: dt.datetime) -> None:
    """Give it up for good: take back what has not begun, withdraw its manifest. What was changed stays changed.

    Its back-out stays signed only where a PC was handed a job of it, and so may have to be undone.
    """
    look = _mine(tx, person, rollout_id, now)
    over = (RolloutState.FINISHED, RolloutState.CANCELLED)
    _demand_state(look, "cancelled", *(state for state in RolloutState if state not in over))
    _demand_why(why, "Say why it is cancelled.")
    was_live = look.state in LIVE
    taken = stopping.stop(look, RolloutState.CANCELLED, why, ended_at=now)
    ending.withdraw_signed(tx, rollout_id, now)
    tell(tx, rollout_id, look.change_id, "cancelled", person.actor, why, now, taken_back=taken)
    if was_live and not stopping.others_live(tx, look.change_id, rollout_id):
        record.set_state(tx, look.change_id, ChangeState.REVIEW, now, person.actor, why)


def back_out(
    tx: sa.Connection, person: Person, rollout_id: int, why: str, now: dt.datetime, *, at_any_time: bool = False
) -> int:
    """A rollout that brings back what was there before, for the PCs that were touched; returns its number.

    It starts at once where its manifest is signed; else it is ready, and waits for the signature and a start. What the undone
    rollout has not begun is taken back first.

    Raises:
        RolloutError: nothing was done yet, nothing of it can be undone, or it is being undone. Forbidden: the person may not.
    """
    look = _mine(tx, person, rollout_id, now)
    _demand_why(why, "Say why it is backed out.")
    undo = _undo_of(tx, look, now)
    if look.state in (RolloutState.RUNNING, RolloutState.PAUSED):
        stopping.halt(look, person.actor, f"{person.name} backs it out: {why.strip()}")
    touched = reaching.touched(tx, rollout_id)
    if not touched:
        raise RolloutError("No PC has taken it yet: cancel the rollout instead.")
    steps = tuple(undo.said.steps)
    plan = plans.back_out_plan(look.plan, at_any_time=at_any_time)
    reach = Reach(endpoints=tuple(one.id for one in touched))
    number = _insert(tx, person, Draft(look.change_id, reach, steps, plan, Direction.BACK_OUT), rollout_id, now)
    reaching.add(tx, number, ((one, 0) for one in touched), now)
    _update(tx, number, state=RolloutState.READY.value, manifest_id=undo.id)
    tell(tx, rollout_id, look.change_id, "backed out", person.actor, why, now, by=number)
    _end_undone(look, number)
    if not why_not_ready(tx, undo.id, now):
        start(tx, person, number, now)
    return number


def _end_undone(look: Look, by: int) -> None:
    """What is undone does not go on meanwhile; one that had finished stays so, and its silent PCs get it no more."""
    why = f"It is undone by rollout {by}."
    if look.manifest_id is not None:
        manifests.withdraw(look.tx, look.manifest_id, look.now)
    if look.state is RolloutState.FINISHED:
        look.why = why
        while stopping.take_back(look):
            pass
    elif look.state is not RolloutState.CANCELLED:
        stopping.stop(look, RolloutState.CANCELLED, why, ended_at=look.now)


def _open(tx: sa.Connection, rollout_id: int, now: dt.datetime) -> Look:
    look = open_look(tx, rollout_id, now)
    if look is None:
        raise RolloutError(f"There is no rollout {rollout_id}.")
    return look


def _mine(tx: sa.Connection, person: Person, rollout_id: int, now: dt.datetime) -> Look:
    """The rollout, where the person may run it in all of its schools."""
    demand(person, Act.RUN_ROLLOUT)
    look = _open(tx, rollout_id, now)
    reaching.demand_all(person, Act.RUN_ROLLOUT, reaching.schools_of(tx, rollout_id))
    return look


def _demand_state(look: Look, what: str, *states: RolloutState) -> None:
    if look.state not in states:
        raise RolloutError(f"Rollout {look.rollout_id} is {look.state}: it cannot be {what}.")


def _demand_why(why: str, text: str) -> None:
    if not why.strip():
        raise RolloutError(text)
    if "\0" in why or any("\ud800" <= letter <= "\udfff" for letter in why):
        raise RolloutError("There is a character in the reason that cannot be kept.")


def _update(tx: sa.Connection, rollout_id: int, **values: Any) -> None:
    tx.execute(sa.update(Rollout).where(Rollout.id == rollout_id).values(values))


def _insert(tx: sa.Connection, person: Person, wanted: Draft, undoes_id: int | None, now: dt.datetime) -> int:
    values = {
        "change_id": wanted.change_id, "direction": wanted.direction.value, "undoes_id": undoes_id,
        "state": RolloutState.DRAFT.value, "reach": asdict(wanted.reach), "steps": list(wanted.steps),
        "plan": plans.as_json(wanted.plan), "created_by": person.actor, "created_at": now,
    }  # fmt: skip
    rollout_id = int(tx.execute(sa.insert(Rollout).values(values).returning(Rollout.id)).scalar_one())
    rings = [
        {"rollout_id": rollout_id, "number": number, "name": ring.name, "state": RingState.WAITING.value, "gate": {}}
        for number, ring in enumerate(wanted.plan.rings)
    ]
    tx.execute(sa.insert(RolloutRing), rings)
    return rollout_id


def _wanted(look: Look, purpose: Purpose, title: str, steps: tuple[dict[str, Any], ...], expires: dt.datetime) -> Wanted:
    undo = "Back out " if purpose is Purpose.BACK_OUT else ""
    return Wanted(
        purpose=purpose,
        change_id=look.change_id,
        rollout_id=look.rollout_id,
        title=f"{undo}change {look.change_id}: {title}"[:300],
        target=_target(look),
        steps=steps,
        not_before=look.now,
        expires=expires,
        people=look.plan.people,
        needs=look.plan.needs,
        attempts=look.plan.attempts,
    )


def _target(look: Look) -> Target:
    """Whom an agent may be: those named, and the schools of places, since more may join there."""
    reach = look.reach
    schools = reaching.places_schools(look.tx, reach)
    endpoints = reach.endpoints
    if len(endpoints) > NAMED_IN_MANIFEST:
        schools |= set(reaching.schools_of(look.tx, look.rollout_id))
        endpoints = ()
    names = look.tx.scalars(sa.select(School.name).where(School.id.in_(schools)).order_by(School.name)).all() if schools else ()
    return Target(endpoints=endpoints, schools=tuple(names), systems=() if reach.endpoints else reach.systems)


def _set_begun(tx: sa.Connection, look: Look, person: Person, now: dt.datetime) -> None:
    """The change is running where a window of the first ring is open, else scheduled; a back-out runs at once."""
    present = record.state_of(tx, look.change_id)
    if present is ChangeState.RUNNING:
        return
    if look.undoes_id is not None or present is ChangeState.SCHEDULED or _opens_now(tx, look, now):
        record.set_state(tx, look.change_id, ChangeState.RUNNING, now, person.actor)
    else:
        record.set_state(tx, look.change_id, ChangeState.SCHEDULED, now, person.actor)


def _opens_now(tx: sa.Connection, look: Look, now: dt.datetime) -> bool:
    columns = (Endpoint.school_id, Endpoint.room_id, Endpoint.endpoint_class)
    first = sa.select(sa.func.min(RolloutTarget.ring)).where(RolloutTarget.rollout_id == look.rollout_id).scalar_subquery()
    of_first = sa.select(*columns).join(RolloutTarget, RolloutTarget.endpoint_pk == Endpoint.pk)
    rows = tx.execute(of_first.where(RolloutTarget.rollout_id == look.rollout_id, RolloutTarget.ring == first).distinct()).all()
    openings = Openings(tx, now)
    found = (openings.at(Place(*row), look.plan.when) for row in rows)
    return any(opening is not None and opening.start <= now for opening in found)


def _bring_back(look: Look) -> None:
    """What was taken back waits again."""
    taken = sa.select(RolloutTarget.job_id).where(
        RolloutTarget.rollout_id == look.rollout_id,
        RolloutTarget.state == TargetState.WITHDRAWN,
        RolloutTarget.job_id.is_not(None),
    )
    ids = jobs.renew(look.tx, [job_id for job_id in look.tx.scalars(taken) if job_id is not None], look.now)
    for at in range(0, len(ids), 5000):
        is_one = (RolloutTarget.rollout_id == look.rollout_id, RolloutTarget.job_id.in_(ids[at : at + 5000]))
        values = {"state": TargetState.WAITING.value, "why": "", "since": look.now}
        look.tx.execute(sa.update(RolloutTarget).where(*is_one).values(values))


def _undo_of(tx: sa.Connection, look: Look, now: dt.datetime) -> Any:
    """The manifest that undoes the rollout."""
    if look.undoes_id is not None:
        raise RolloutError("This is a back-out itself: propose a change to bring it about again.")
    undone = sa.select(Rollout.id).where(Rollout.undoes_id == look.rollout_id, Rollout.state != RolloutState.CANCELLED)
    if (number := tx.scalar(undone.limit(1))) is not None:
        raise RolloutError(f"Rollout {number} undoes it already.")
    undo_id = tx.scalar(sa.select(Rollout.back_out_manifest_id).where(Rollout.id == look.rollout_id))
    undo = manifest(tx, undo_id) if undo_id is not None else None
    if undo is None:
        raise RolloutError(
            "Nothing of it can be undone by itself: it changed no packages. See the back-out plan of the change."
        )
    if not is_live(tx, undo_id, now):
        raise RolloutError(
            "Its back-out was withdrawn or its time is over: propose a change that brings the former versions back."
        )
    return undo
