"""What the routes make of the outbox: deliveries, in one transaction. Nothing is sent here (sending.py does that).

A message becomes one item of one delivery for each route that takes it: beside what else the route has to tell of that
incident or that school, so that a storm is one message. A resolved message goes where the opened one went; one that comes
before the opened one was sent takes that back instead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server import clock, observed
from fettle_server.db import insert_into, to_ms
from fettle_server.notify import rules
from fettle_server.notify.rules import GIVE_UP, Hours, NoticeError, State, Told, Verdict, Wanted
from fettle_server.notify.tables import Channel, Delivery, DeliveryItem, Escalation, Outbox, Route, Skip

PIECE = 200
_MOMENT_S = 0.1
"""Each route looks at each message by itself: of many routes a whole piece would keep agents' batches waiting for seconds."""
_UNSENT = Delivery.state.in_((State.PENDING, State.HELD))
_UNTOUCHED = (_UNSENT, Delivery.attempts == 0, Delivery.claimed_until.is_(None))
_OVER = "incident.resolved"
WAITING, DONE, ANSWERED = "waiting", "done", "answered"


@dataclass(frozen=True, slots=True)
class Around:
    """What the wings above know, passed in.

    A school's hours (None: the service's own), the schools that an incident touches, and whether an incident is open and
    nobody has acknowledged it.
    """

    hours: Callable[[int | None], Hours]
    schools_of: Callable[[int], frozenset[int]]
    is_unanswered: Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Way:
    """A route as it is when messages are looked at."""

    id: int
    channel_id: int
    wanted: Wanted
    escalate_to: int | None


def is_anything_new(tx: sa.Connection, now: dt.datetime) -> bool:
    """Whether `dispatch` or `escalate` would do anything: two looks into small indexes."""
    if tx.scalar(sa.select(Outbox.id).where(Outbox.dispatched_at.is_(None)).limit(1)) is not None:
        return True
    return tx.scalar(sa.select(Escalation.id).where(Escalation.state == WAITING, Escalation.due_at <= now).limit(1)) is not None


def dispatch(tx: sa.Connection, around: Around, now: dt.datetime) -> bool:
    """Let the routes look at the next messages of the outbox, for a moment; True where there may be more."""
    rows = tx.execute(sa.select(Outbox).where(Outbox.dispatched_at.is_(None)).order_by(Outbox.id).limit(PIECE)).all()
    if not rows:
        return False
    ways, until = routes(tx), clock.monotonic() + _MOMENT_S
    done: list[int] = []
    for row in rows:
        if done and clock.monotonic() >= until:
            break
        done.append(row.id)
        if row.kind == _OVER:
            _tell_over(tx, row, ways, around, now)
        else:
            _tell(tx, row, ways, around, now)
    tx.execute(sa.update(Outbox).where(Outbox.id.in_(done)).values(dispatched_at=now))
    return len(done) < len(rows) or len(rows) >= PIECE


def escalate(tx: sa.Connection, around: Around, now: dt.datetime) -> int:
    """Tell the next route of incidents that nobody acknowledged in time; returns how many were due."""
    statement = sa.select(Escalation).where(Escalation.state == WAITING, Escalation.due_at <= now)
    due = tx.execute(statement.order_by(Escalation.id).limit(PIECE)).all()
    ways = {way.id: way for way in routes(tx)} if due else {}
    for row in due:
        unanswered = around.is_unanswered(row.incident_number)
        state = DONE if unanswered else ANSWERED
        tx.execute(sa.update(Escalation).where(Escalation.id == row.id).values(state=state))
        if unanswered and row.route_id in ways:
            _escalate(tx, row, ways[row.route_id], around, now)
    return len(due)


def routes(tx: sa.Connection) -> list[Way]:
    """The routes in force, the oldest first."""
    statement = sa.select(Route.id, Route.channel_id, Route.wanted, Route.escalate_to).join(
        Channel, Channel.id == Route.channel_id
    )
    rows = tx.execute(statement.where(Route.removed_at.is_(None), Channel.removed_at.is_(None)).order_by(Route.id))
    return [way for row in rows if (way := _way(row)) is not None]


def _way(row: Any) -> Way | None:
    """The route; None where what it wants cannot be read: the others are asked all the same."""
    try:
        return Way(row.id, row.channel_id, rules.from_json(row.wanted), row.escalate_to)
    except NoticeError as error:
        observed.log().error("a route cannot be read; it tells nobody", route=row.id, error=str(error))
        return None


def _tell(tx: sa.Connection, row: Any, ways: Iterable[Way], around: Around, now: dt.datetime) -> None:
    hours = around.hours(row.school_id)
    told = Told(row.kind, _schools(row, around), row.priority, row.is_test)
    verdicts = [(way, rules.verdict(way.wanted, told, hours, now)) for way in ways]
    is_taken = any(verdict.takes for way, verdict in verdicts if not way.wanted.rest)
    for way, verdict in verdicts:
        if verdict.takes and way.wanted.rest and is_taken:
            _skip(tx, row, way, "the route is for the rest, and another route takes it")
        elif verdict.takes and _take_back(tx, _unsent_end(tx, row, way), "it is back before its end was told", now):
            _skip(tx, row, way, "it was back before its end was told, so those who were told know of it")
        elif verdict.takes:
            _add(tx, row, way, verdict, "opened", now)
            _watch(tx, row, way, verdict)
        else:
            _skip(tx, row, way, verdict.reason)


def _schools(row: Any, around: Around) -> frozenset[int]:
    if row.school_id is not None:
        return frozenset((row.school_id,))
    return frozenset() if row.incident_number is None else around.schools_of(row.incident_number)


def _skip(tx: sa.Connection, row: Any, way: Way, reason: str) -> None:
    tx.execute(sa.insert(Skip).values(outbox_id=row.id, route_id=way.id, reason=reason[:300]))


def _add(tx: sa.Connection, row: Any, way: Way, verdict: Verdict, kind: str, now: dt.datetime) -> None:
    """Put the message into the delivery that it belongs to, or into a new one."""
    assert verdict.state is not None
    gathers = verdict.state is State.HELD
    delivery_id = _open_delivery(tx, row, way, verdict, kind)
    if delivery_id is None:
        values = {
            "key": f"{way.id}-{row.id}-{to_ms(now)}", "route_id": way.id, "channel_id": way.channel_id,
            "kind": "digest" if gathers else kind, "school_id": None if gathers else row.school_id, "state": verdict.state,
            "reason": verdict.reason, "is_test": row.is_test, "created_at": now, "next_at": verdict.at,
            "give_up_at": max(verdict.at, now) + GIVE_UP,
        }  # fmt: skip
        delivery_id = int(tx.execute(sa.insert(Delivery).values(values).returning(Delivery.id)).scalar_one())
    item = {"delivery_id": delivery_id, "outbox_id": row.id, "incident_number": row.incident_number}
    tx.execute(sa.insert(DeliveryItem).values(item))


def _open_delivery(tx: sa.Connection, row: Any, way: Way, verdict: Verdict, kind: str) -> int | None:
    """The delivery of that route which has not gone yet and tells of the same: a digest, the incident, or the school."""
    mine = sa.select(Delivery.id).where(Delivery.route_id == way.id, *_UNTOUCHED, Delivery.is_test == row.is_test)
    mine = mine.limit(1).with_for_update(of=Delivery)  # else it could be sent at this moment, without what is added now
    if verdict.state is State.HELD:
        return tx.scalar(mine.where(Delivery.state == State.HELD, Delivery.next_at == verdict.at))
    settling = mine.where(Delivery.state == State.PENDING, Delivery.kind == kind)
    if row.incident_number is not None:
        joined = settling.join(DeliveryItem).where(DeliveryItem.incident_number == row.incident_number)
        found: int | None = tx.scalar(joined)
        if found is not None:
            return found
    if row.school_id is None or row.incident_number is None or row.is_test:
        return None
    earlier = sa.select(sa.func.coalesce(sa.func.max(DeliveryItem.delivery_id), 0)).join(Delivery)
    mine_earlier = earlier.where(DeliveryItem.incident_number == row.incident_number, Delivery.route_id == way.id, _UNSENT)
    # Deliveries of a channel go in their order: what is told now must not overtake what was to be told before.
    return tx.scalar(settling.where(Delivery.school_id == row.school_id, Delivery.id > mine_earlier.scalar_subquery()))


def _watch(tx: sa.Connection, row: Any, way: Way, verdict: Verdict) -> None:
    """From now on somebody has to acknowledge the incident, where the route asks for that."""
    if way.escalate_to is None or not way.wanted.escalate_after_min or row.incident_number is None or row.is_test:
        return
    due_at = verdict.at + dt.timedelta(minutes=way.wanted.escalate_after_min)
    values = {"outbox_id": row.id, "from_route_id": way.id, "due_at": due_at, "state": WAITING}
    statement = insert_into(tx, Escalation).values(incident_number=row.incident_number, route_id=way.escalate_to, **values)
    again = row.kind == "incident.reopened"
    keys = ["incident_number", "route_id"]
    tx.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=values)
        if again
        else statement.on_conflict_do_nothing(index_elements=keys)
    )


def _escalate(tx: sa.Connection, due: Any, way: Way, around: Around, now: dt.datetime) -> None:
    first = tx.execute(sa.select(Outbox).where(Outbox.id == due.outbox_id)).one_or_none()
    if first is None:
        return
    minutes = round((now - first.at).total_seconds() / 60)
    copied = {name: getattr(first, name) for name in ("incident_number", "school_id", "priority", "title", "is_test")}
    text = f"Nobody has acknowledged this for {minutes} minutes."
    values = copied | {"at": now, "kind": "incident.escalated", "text": text, "dispatched_at": now}
    number = tx.execute(sa.insert(Outbox).values(values).returning(Outbox.id)).scalar_one()
    row = tx.execute(sa.select(Outbox).where(Outbox.id == number)).one()
    hours = around.hours(row.school_id)
    verdict = rules.timing(way.wanted, hours, now, is_test=True)  # without the wait for company: it has waited enough
    _add(tx, row, way, verdict, "escalated", now)
    _watch(tx, row, way, verdict)


def _tell_over(tx: sa.Connection, row: Any, ways: Iterable[Way], around: Around, now: dt.datetime) -> None:
    """Tell those who were told, and take back what was not sent yet."""
    if row.incident_number is None:
        return
    answered = sa.update(Escalation).where(Escalation.incident_number == row.incident_number, Escalation.state == WAITING)
    tx.execute(answered.values(state=ANSWERED))
    told, untold = set(), []
    for item in _told_of(tx, row):
        if item.state == State.SENT or item.maybe_received:
            told.add(item.route_id)
        elif item.state in (State.PENDING, State.HELD):
            untold.append(item)
    _take_back(tx, untold, "over before it was told", now)
    for way in ways:
        if way.id in told and way.wanted.resolved:
            verdict = rules.timing(way.wanted, around.hours(row.school_id), now, is_test=row.is_test)
            _add(tx, row, way, verdict, "over", now)


_ITEM = (DeliveryItem.outbox_id, Delivery.id, Delivery.route_id, Delivery.state, Delivery.maybe_received, Outbox.kind)


def _told_of(tx: sa.Connection, row: Any) -> list[Any]:
    """The items about the incident with their deliveries, of each route those since it was last told of an end."""
    since_end: dict[int | None, list[Any]] = {}
    for item in tx.execute(_items_of(row).order_by(DeliveryItem.outbox_id)):
        mine = since_end.setdefault(item.route_id, [])
        if item.kind == _OVER:
            mine.clear()
        else:
            mine.append(item)
    return [item for mine in since_end.values() for item in mine]


def _unsent_end(tx: sa.Connection, row: Any, way: Way) -> list[Any]:
    """What was to tell the route of the incident's end, and has not gone yet."""
    if row.incident_number is None:
        return []
    return list(tx.execute(_items_of(row).where(Outbox.kind == _OVER, Delivery.route_id == way.id, *_UNTOUCHED)).all())


def _items_of(row: Any) -> Any:
    joined = sa.select(*_ITEM).join(Delivery, Delivery.id == DeliveryItem.delivery_id)
    fitting = joined.join(Outbox, Outbox.id == DeliveryItem.outbox_id).where(
        DeliveryItem.incident_number == row.incident_number, DeliveryItem.cancelled.is_(sa.false())
    )
    return fitting.with_for_update(of=Delivery)


def _take_back(tx: sa.Connection, items: Iterable[Any], why: str, now: dt.datetime) -> bool:
    """Take items out of their deliveries; True where there was any."""
    found = False
    for item in items:
        found = True
        mine = (DeliveryItem.delivery_id == item.id, DeliveryItem.outbox_id == item.outbox_id)
        tx.execute(sa.update(DeliveryItem).where(*mine).values(cancelled=True))
        left = sa.select(DeliveryItem.outbox_id).where(
            DeliveryItem.delivery_id == item.id, DeliveryItem.cancelled.is_(sa.false())
        )
        if tx.scalar(left.limit(1)) is None:
            values = {"state": State.CANCELLED, "reason": why, "next_at": now}
            tx.execute(sa.update(Delivery).where(Delivery.id == item.id).values(values))
            observed.log().info("a notice was taken back before it was sent", delivery=item.id)
    return found
