"""One look at a rollout: what the worker does every two seconds, in one transaction.

Everything that it knows is in the store, and everything that it does is in the same transaction as the note that it did: a
server that dies in the middle loses nothing and repeats nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from fettle_server.change import record
from fettle_server.change.jobs.tables import Job
from fettle_server.change.manifests.queries import why_not_ready
from fettle_server.change.rollouts import following, handing, health, places, reaching, stopping
from fettle_server.change.rollouts.gate import Compared, Tally, judge
from fettle_server.change.rollouts.health import Period
from fettle_server.change.rollouts.looks import Look, Ring, open_look
from fettle_server.change.rollouts.rules import (
    Finish,
    Halt,
    Release,
    RingState,
    RolloutState,
    Standing,
    TargetState,
    Wait,
    is_settled,
    next_step,
)
from fettle_server.change.rollouts.tables import Rollout, RolloutTarget
from fettle_server.change.rollouts.telling import WHY_LIMIT, tell
from fettle_server.change.rules import ChangeState
from fettle_server.db import to_ms
from fettle_server.reactive.intake import resolve_cause

ACTOR = "system"
FULL_EVERY = dt.timedelta(seconds=15)
"""How often what costs more is looked at: late joiners, the words of why not yet, large rings' faults."""
LARGE = 500
_WATCHED_FOR = dt.timedelta(days=14)
"""So long after it passed, a ring's PCs are still looked after."""
_PIECE = 2000


def live(tx: sa.Connection, now: dt.datetime) -> list[int]:
    """The rollouts that must be looked at: those under way, and those over that somebody silent may still take."""
    under_way = sa.select(Rollout.id).where(Rollout.state.in_((RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.HALTED)))
    silent = sa.exists().where(
        RolloutTarget.rollout_id == Rollout.id,
        RolloutTarget.state.in_((TargetState.WAITING, TargetState.RUNNING, TargetState.SILENT)),
        RolloutTarget.job_id == Job.id,
        Job.ended_at.is_(None),
    )
    recent = sa.and_(
        Rollout.state.in_((RolloutState.FINISHED, RolloutState.CANCELLED)),
        Rollout.ended_at > now - dt.timedelta(days=60),
        silent,
    )
    return sorted({*tx.scalars(under_way), *tx.scalars(sa.select(Rollout.id).where(recent))})


def tick(tx: sa.Connection, rollout_id: int, now: dt.datetime) -> bool:
    """Look at the rollout and do what is due; True where there is more to do at once. Bounded, and safe to repeat."""
    look = open_look(tx, rollout_id, now)
    if look is None or look.state in (RolloutState.DRAFT, RolloutState.READY):
        return False
    more = following.follow(look)
    full = look.looked_at is None or now - look.looked_at >= FULL_EVERY
    if full:
        tx.execute(sa.update(Rollout).where(Rollout.id == rollout_id).values(looked_at=now))
    if look.state is RolloutState.FINISHED:
        return handing.hand_out(look, full=full) or more
    if look.state is not RolloutState.RUNNING:
        return stopping.take_back(look) or more
    if full:
        more = _take_in(look) or more
        held = why_not_ready(tx, look.manifest_id, now)
        if held:
            _say(look, held)
            return more
    if _advance(look, full=full):
        more = handing.make_jobs(look) or more
        more = handing.hand_out(look, full=full) or more
    return more


def _take_in(look: Look) -> bool:
    """Late joiners enter the ring that the rollout is at, and so do PCs that began what it undoes as that was taken back.

    Who left the estate leaves it.
    """
    new = reaching.joined(look.tx, look.rollout_id, look.reach, _PIECE)
    by_hand = reaching.placed_by_hand(look.tx, new) if new else {}
    late = ((one, places.late(look.plan.rings, one.id, look.ring, by_hand.get(one.pk))) for one in new)
    reaching.add(look.tx, look.rollout_id, late, look.now)
    if look.undoes_id is not None:
        begun = reaching.touched(look.tx, look.undoes_id, but_of=look.rollout_id)
        reaching.add(look.tx, look.rollout_id, ((one, look.ring) for one in begun), look.now)
    following.drop_left(look)
    return len(new) >= _PIECE


def _advance(look: Look, *, full: bool) -> bool:
    """Take the steps that are due; True where the rollout still runs. Empty rings pass in the same look."""
    for _ in range(len(look.plan.rings) + 1):
        ring = look.rings[look.ring]
        standing = _standing(look, ring, full=full)
        earlier = _earlier(look) if full else ()
        step = next_step(look.plan, standing, look.now, earlier)
        if isinstance(step, Halt):
            stopping.halt(look, ACTOR, step.why)
            return False
        if isinstance(step, Finish):
            _pass(look, ring, step.why)
            _finish(look, step.why)
            return False
        if isinstance(step, Wait):
            _say(look, step.why)
            return True
        _release(look, ring, step)
    return True


def _standing(look: Look, ring: Ring, *, full: bool) -> Standing:
    """How the current ring stands, after marking who fell silent or sick in it, and noting when it settled."""
    if ring.released_at is None:
        return Standing(ring.number, Tally(), Compared())
    following.mark_silent(look)
    standing = _measured(look, ring, full=full)
    if ring.settled_at is None and is_settled(standing) and standing.tally.counted:
        look.write_ring(ring, settled_at=look.now, state=RingState.SOAKING.value)
        standing = _measured(look, ring, full=True)
    opens_at = handing.opens_at(look) if standing.tally.waiting else None
    return Standing(
        ring.number, standing.tally, standing.compared, ring.released_at, ring.deadline_at, ring.settled_at, opens_at
    )


def _measured(look: Look, ring: Ring, *, full: bool) -> Standing:
    """The ring's counts and comparison. Faults of a large ring are read every few seconds, and always before it may pass."""
    assert ring.released_at is not None
    period = Period(ring.number, ring.released_at, ring.counts_from(ring.released_at))
    seen_s = look.plan.rings[ring.number].gate.seen_s
    tally = health.tally(look.tx, look.rollout_id, period, seen_s, look.now)
    if not tally.done:
        compared = Compared()
    elif full or tally.counted <= LARGE or tally.pending == 0:
        compared = health.look(look.tx, look.rollout_id, period, look.plan.settle_s, look.now)
        tally = health.tally(look.tx, look.rollout_id, period, seen_s, look.now)
    else:
        compared = ring.compared()
    ruling = judge(look.plan.rings[ring.number].gate, tally, compared)
    numbers = {"unwell": tally.failed + tally.sick, "silent": tally.silent, "seen": tally.seen, **asdict(compared)}
    look.note_gate(ring, asdict(ruling) | {"verdict": ruling.verdict.value} | numbers)
    return Standing(ring.number, tally, compared, ring.released_at, ring.deadline_at, ring.settled_at)


def _earlier(look: Look) -> Sequence[Standing]:
    passed = [ring for ring in look.rings[: look.ring] if ring.released_at is not None and ring.passed_at is not None]
    return [_measured(look, ring, full=True) for ring in passed if look.now - ring.passed_at <= _WATCHED_FOR]  # type: ignore[operator]


def _release(look: Look, ring: Ring, step: Release) -> None:
    if step.ring != ring.number:
        _pass(look, ring, step.why)
    released = look.rings[step.ring]
    look.write_ring(released, released_at=look.now, state=RingState.RELEASED.value)
    look.tx.execute(sa.update(Rollout).where(Rollout.id == look.rollout_id).values(ring=step.ring))
    look.ring = step.ring
    look.write_ring(released, deadline_at=following.deadline(look, released))
    name = look.plan.rings[step.ring].name
    text = f"{step.why} The ring {name} begins." if step.ring != ring.number else step.why
    tell(look.tx, look.rollout_id, look.change_id, "ring released", ACTOR, text, look.now, ring=name)


def _pass(look: Look, ring: Ring, why: str) -> None:
    """The ring has passed its gate, with the sentence that says by which numbers."""
    look.write_ring(ring, passed_at=look.now, state=RingState.PASSED.value)
    look.note_gate(ring, ring.gate | {"verdict": "pass", "why": why})


def _finish(look: Look, why: str) -> None:
    look.tx.execute(
        sa.update(Rollout)
        .where(Rollout.id == look.rollout_id)
        .values(state=RolloutState.FINISHED.value, ended_at=look.now, why=why[:WHY_LIMIT])
    )
    tell(look.tx, look.rollout_id, look.change_id, "finished", ACTOR, why, look.now)
    if look.undoes_id is not None:
        resolve_cause(
            look.tx, stopping.cause_key(look.undoes_id), "Resolved by the back-out: what was there before is back", look.now
        )
    if not stopping.others_live(look.tx, look.change_id, look.rollout_id):
        record.set_state(look.tx, look.change_id, ChangeState.REVIEW, look.now, ACTOR, why)


def _say(look: Look, why: str) -> None:
    if look.why != why[:WHY_LIMIT]:
        look.tx.execute(sa.update(Rollout).where(Rollout.id == look.rollout_id).values(why=why[:WHY_LIMIT]))
        look.why = why[:WHY_LIMIT]


def counts_from_now(look: Look) -> None:
    """What came up until now was borne by a person: the gates of all rings count anew."""
    for ring in look.rings:
        if ring.released_at is not None:
            look.note_gate(ring, {"counts_from_ms": to_ms(look.now), "verdict": "", "why": ""}, whole=True)
