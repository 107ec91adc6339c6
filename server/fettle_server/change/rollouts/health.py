"""What a ring's gate is told: how its PCs fared, which of them have new faults that count, and how those compare.

Reads in bulk, and says of each changed PC whether it is sick; the arithmetic is gate.py's.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import Policy

from fettle_server.change.rollouts.gate import Compared, Tally, surprises
from fettle_server.change.rollouts.rules import DONE, TargetState
from fettle_server.change.rollouts.tables import RolloutTarget
from fettle_server.change.rollouts.telling import WHY_LIMIT
from fettle_server.db import from_ms, to_ms
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.queries import current_policy
from fettle_server.proactive.rules import FORECASTS, standing
from fettle_server.proactive.tables import Fault

PAST = dt.timedelta(days=28)
LEAST_PAST = dt.timedelta(days=1)
"""Reckoned as the past of a PC that is here for less: one bad minute of an hour's past would excuse anything."""
_HOUR_S = 3600.0
_CHUNK = 5000
UNCOUNTED = FORECASTS | {
    "test-fault", "proof-silent", "evidence-old", "restart-pending", "security-updates-waiting", "security-updates-overdue",
    "updates-not-checked", "uptime-long", "warranty-ending", "certificate-ending",
}  # fmt: skip
"""Rules that tell of no PC that works worse: what is only coming, the state of updates themselves, and Fettle's own."""


@dataclass(frozen=True, slots=True)
class Period:
    """A ring's time: let go at `released_at`; what came up to `counts_from` was borne by a person."""

    number: int
    released_at: dt.datetime
    counts_from: dt.datetime


@dataclass(frozen=True, slots=True)
class _Changed:
    pk: int
    state: str
    begun_at: dt.datetime
    changed_at: dt.datetime
    enrolled_at: dt.datetime
    sick: tuple[str, ...]


def tally(tx: sa.Connection, rollout_id: int, ring: Period, seen_s: int, now: dt.datetime) -> Tally:
    """The ring's PCs, each counted once; of those that failed or were silent only what a person has not borne already."""
    target = RolloutTarget
    counted_from = target.since > ring.counts_from
    waited_for = target.joined_at <= ring.released_at
    row = tx.execute(
        sa.select(
            _count(target.state == TargetState.WAITING),
            _count(target.state == TargetState.RUNNING),
            _count(target.state == TargetState.CHANGED),
            _count(target.state == TargetState.SICK),
            _count((target.state == TargetState.FAILED) & counted_from),
            _count((target.state == TargetState.SILENT) & counted_from),
            _count(target.state.in_(DONE) & (_observed_ms(now) >= seen_s * 1000)),
            _count(target.state.in_((TargetState.WAITING, TargetState.RUNNING)) & waited_for),
        )
        .join(Endpoint, Endpoint.pk == target.endpoint_pk)
        .where(target.rollout_id == rollout_id, target.ring == ring.number)
    ).one()
    return Tally(*(int(count or 0) for count in row))


def look(tx: sa.Connection, rollout_id: int, ring: Period, settle_s: int, now: dt.datetime) -> Compared:
    """Mark the ring's sick PCs as such, and compare the new faults of those changed."""
    changed = _changed(tx, rollout_id, ring)
    if not changed:
        return Compared()
    new = _new_faults(tx, rollout_id, ring, settle_s, now)
    _mark(tx, rollout_id, changed, _sick(tx, changed, new, now))
    if not new:
        return Compared(changed=len(changed))
    control, control_faulty = _control(tx, rollout_id, changed, settle_s, now)
    return Compared(len(changed), len(new), _expected(tx, rollout_id, ring, now), control, control_faulty)


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((condition, 1), else_=0))


def _observed_ms(now: dt.datetime) -> Any:
    """How long the PC was online in its present or last stay since its change: less than the truth, never more."""
    seen, came = _ms(Endpoint.last_seen), _ms(Endpoint.connected_since)
    changed = _ms(RolloutTarget.changed_at)
    until = sa.case((Endpoint.connected.is_(True), to_ms(now)), else_=sa.func.coalesce(seen, 0))
    return until - sa.case((sa.func.coalesce(came, 0) > changed, came), else_=changed)


def _ms(column: Any) -> Any:
    return sa.type_coerce(column, sa.BigInteger)


def _changed(tx: sa.Connection, rollout_id: int, ring: Period) -> dict[int, _Changed]:
    target = RolloutTarget
    begun = sa.func.coalesce(target.begun_at, target.changed_at)
    columns = (target.endpoint_pk, target.state, begun, target.changed_at, Endpoint.enrolled_at, target.sick)
    rows = tx.execute(
        sa.select(*columns)
        .join(Endpoint, Endpoint.pk == target.endpoint_pk)
        .where(target.rollout_id == rollout_id, target.ring == ring.number, target.state.in_(DONE))
    )
    known: list[Any] = [row for row in rows if row[3] is not None]
    return {row[0]: _Changed(row[0], row[1], row[2], row[3], row[4], tuple(row[5])) for row in known}


def _new_faults(tx: sa.Connection, rollout_id: int, ring: Period, settle_s: int, now: dt.datetime) -> dict[int, Counter[str]]:
    """By changed PC: the rules that were raised since its change began and outlasted its settling, and how often."""
    target = RolloutTarget
    begun = sa.func.coalesce(target.begun_at, target.changed_at)
    settled_ms = _ms(target.changed_at) + settle_s * 1000
    lasted = sa.or_(Fault.cleared_at.is_(None), _ms(Fault.cleared_at) >= settled_ms)
    rows = tx.execute(
        sa.select(Fault.endpoint_pk, Fault.rule, Fault.instance, sa.func.count())
        .join(target, target.endpoint_pk == Fault.endpoint_pk)
        .where(
            target.rollout_id == rollout_id,
            target.ring == ring.number,
            target.state.in_(DONE),
            Fault.raised_at >= begun,
            Fault.since_at >= begun,
            Fault.since_at > ring.counts_from,
            settled_ms <= to_ms(now),
            lasted,
            Fault.rule.not_in(UNCOUNTED),
        )
        .group_by(Fault.endpoint_pk, Fault.rule, Fault.instance)
    )
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for pk, rule, instance, count in rows:
        found[pk][f"{rule} {instance}".strip()] += count
    return found


def _sick(
    tx: sa.Connection, changed: dict[int, _Changed], new: dict[int, Counter[str]], now: dt.datetime
) -> dict[int, tuple[str, ...]]:
    """Of each PC with new faults those that its own past does not explain."""
    past = _past(tx, [changed[pk] for pk in new if pk in changed])
    found: dict[int, tuple[str, ...]] = {}
    for pk, rules in new.items():
        one = changed.get(pk)
        if one is None:
            continue
        past_s = max(LEAST_PAST, min(PAST, one.begun_at - one.enrolled_at)).total_seconds()
        observed_s = max(_HOUR_S, (now - one.begun_at).total_seconds())
        counts = past.get(pk, Counter())
        names = tuple(sorted(rule for rule, count in rules.items() if surprises(count, counts[rule], past_s, observed_s)))
        if names:
            found[pk] = names
    return found


def _past(tx: sa.Connection, changed: Sequence[_Changed]) -> dict[int, Counter[str]]:
    """By PC: how often each rule was raised in the four weeks before its change."""
    begun = {one.pk: one.begun_at for one in changed}
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for chunk in _chunks(sorted(begun)):
        first = min(begun[pk] for pk in chunk) - PAST
        faults = sa.select(Fault.endpoint_pk, Fault.rule, Fault.instance, Fault.raised_at)
        for pk, rule, instance, at in tx.execute(faults.where(Fault.endpoint_pk.in_(chunk), Fault.raised_at >= first)):
            if begun[pk] - PAST <= at < begun[pk]:
                found[pk][f"{rule} {instance}".strip()] += 1
    return found


def _expected(tx: sa.Connection, rollout_id: int, ring: Period, now: dt.datetime) -> float:
    """How many of the changed PCs would have a new fault by now if it went on as in the four weeks before."""
    target = RolloutTarget
    begun = _ms(sa.func.coalesce(target.begun_at, target.changed_at))
    past_ms = int(PAST.total_seconds() * 1000)
    in_past = sa.and_(
        Fault.endpoint_pk == target.endpoint_pk,
        _ms(Fault.raised_at) >= begun - past_ms,
        _ms(Fault.raised_at) < begun,
        Fault.rule.not_in(UNCOUNTED),
    )
    rows = tx.execute(
        sa.select(begun, _ms(Endpoint.enrolled_at), sa.func.count(Fault.id))
        .select_from(target)
        .join(Endpoint, Endpoint.pk == target.endpoint_pk)
        .join(Fault, in_past)
        .where(target.rollout_id == rollout_id, target.ring == ring.number, target.state.in_(DONE))
        .group_by(target.endpoint_pk, begun, Endpoint.enrolled_at)
    )
    now_ms = to_ms(now)
    least_ms = int(LEAST_PAST.total_seconds() * 1000)
    return math.fsum(
        _likely(count, max(least_ms, min(past_ms, begun_ms - enrolled_ms)), now_ms - begun_ms)
        for begun_ms, enrolled_ms, count in rows
    )


def _likely(count: int, past_ms: int, observed_ms: int) -> float:
    return 1.0 - math.exp(-count * max(0, observed_ms) / past_ms)


def _control(
    tx: sa.Connection, rollout_id: int, changed: dict[int, _Changed], settle_s: int, now: dt.datetime
) -> tuple[int, int]:
    """PCs of the rollout that were not changed yet and were online, and how many of them have a fault that began as lately."""
    mean_ms = sum(to_ms(now) - to_ms(one.begun_at) for one in changed.values()) // len(changed)
    since = from_ms(to_ms(now) - mean_ms)
    target = RolloutTarget
    waits = (
        target.rollout_id == rollout_id,
        target.state == TargetState.WAITING,
        sa.or_(Endpoint.connected.is_(True), Endpoint.last_seen >= since),
    )
    of = sa.join(target, Endpoint, Endpoint.pk == target.endpoint_pk)
    control = int(tx.scalar(sa.select(sa.func.count()).select_from(of).where(*waits)) or 0)
    lasted = sa.or_(Fault.cleared_at.is_(None), _ms(Fault.cleared_at) >= _ms(Fault.raised_at) + settle_s * 1000)
    faulty = (
        sa.select(sa.func.count(sa.distinct(Fault.endpoint_pk)))
        .select_from(of.join(Fault, Fault.endpoint_pk == target.endpoint_pk))
        .where(*waits, Fault.raised_at >= since, Fault.since_at >= since, lasted, Fault.rule.not_in(UNCOUNTED))
    )
    return control, int(tx.scalar(faulty) or 0)


def _mark(tx: sa.Connection, rollout_id: int, changed: dict[int, _Changed], sick: dict[int, tuple[str, ...]]) -> None:
    """Write what is new of who is sick; `since` stays the end of its change."""
    policy = current_policy(tx) if sick else None
    for pk, one in changed.items():
        names = sick.get(pk, ())
        state = TargetState.SICK if names else TargetState.CHANGED
        if (one.state, one.sick) != (state.value, names):
            is_one = (RolloutTarget.rollout_id == rollout_id, RolloutTarget.endpoint_pk == pk)
            values = {"state": state.value, "sick": list(names), "why": _why(policy, names)}
            tx.execute(sa.update(RolloutTarget).where(*is_one).values(values))


def _why(policy: Policy | None, names: Sequence[str]) -> str:
    """What came of a changed PC, its new faults by their rules' titles."""
    told = [standing(policy, *name.partition(" ")[::2], "").title for name in names]
    return f"It took the change. Since then: {'; '.join(told)}."[:WHY_LIMIT] if told else "It took the change."


def _chunks(items: Sequence[int]) -> Iterator[Sequence[int]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))
