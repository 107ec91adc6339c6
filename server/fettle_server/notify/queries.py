"""Reads about notices: channels, routes, what became of each delivery, and why somebody was told nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.notify import rules
from fettle_server.notify.channels import KINDS
from fettle_server.notify.rules import State, Wanted
from fettle_server.notify.tables import Channel, Delivery, DeliveryItem, Escalation, Outbox, Route, Skip
from fettle_server.paging import Page, bounded, mark, unmark

_ITEMS = 20


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A way to reach people; `words` where it leads, without its secret. `retry_at`: its receiver is down until then."""

    id: int
    name: str
    kind: str
    words: str
    target: str
    retry_at: dt.datetime | None
    answered_at: dt.datetime | None
    answer: str
    waiting: int


@dataclass(frozen=True, slots=True)
class RouteRow:
    """A route with what it wants; its sentence needs the names of schools: rules.sentence."""

    id: int
    channel_id: int
    channel: str
    words: str
    wanted: Wanted
    escalate_to: int | None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One message in a delivery."""

    kind: str
    title: str
    incident_number: int | None
    school_id: int | None
    priority: int
    cancelled: bool


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One message to one receiver, and what became of it; `items` at most the first 20 of `count`."""

    id: int
    channel: str
    route_id: int | None
    kind: str
    state: str
    reason: str
    is_test: bool
    created_at: dt.datetime
    next_at: dt.datetime
    sent_at: dt.datetime | None
    attempts: int
    last_error: str
    count: int
    items: tuple[ItemRow, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What one route did about one message of an incident: `outcome` is a State, "skipped" or "escalation"; `text` says why."""

    at: dt.datetime
    kind: str
    route_id: int | None
    channel: str
    outcome: str
    text: str


def is_configured(tx: sa.Connection) -> bool:
    """Whether any route is in force: where none is, nobody is told anything."""
    live = sa.select(Route.id).join(Channel, Channel.id == Route.channel_id)
    return tx.scalar(live.where(Route.removed_at.is_(None), Channel.removed_at.is_(None)).limit(1)) is not None


def channels(tx: sa.Connection) -> tuple[ChannelRow, ...]:
    """The channels in force, by name."""
    waiting = (
        sa.select(Delivery.channel_id, sa.func.count().label("waiting"))
        .where(Delivery.state.in_((State.PENDING, State.HELD)))
        .group_by(Delivery.channel_id)
        .subquery()
    )
    statement = sa.select(Channel, sa.func.coalesce(waiting.c.waiting, 0).label("waiting")).outerjoin(
        waiting, waiting.c.channel_id == Channel.id
    )
    rows = tx.execute(statement.where(Channel.removed_at.is_(None)).order_by(Channel.name))
    return tuple(
        ChannelRow(
            id=row.id,
            name=row.name,
            kind=row.kind,
            words=channel_words(row.kind, row.config),
            target=", ".join(row.config.get("to", ())),
            retry_at=row.retry_at,
            answered_at=row.answered_at,
            answer=row.answer,
            waiting=row.waiting,
        )
        for row in rows
    )


def routes(tx: sa.Connection) -> tuple[RouteRow, ...]:
    """The routes in force, the oldest first."""
    columns = (Route.id, Route.channel_id, Route.wanted, Route.escalate_to, Channel.name, Channel.kind, Channel.config)
    statement = sa.select(*columns).join(Channel, Channel.id == Route.channel_id)
    rows = tx.execute(statement.where(Route.removed_at.is_(None), Channel.removed_at.is_(None)).order_by(Route.id))
    return tuple(
        RouteRow(
            id=row.id,
            channel_id=row.channel_id,
            channel=row.name,
            words=channel_words(row.kind, row.config),
            wanted=rules.from_json(row.wanted),
            escalate_to=row.escalate_to,
        )
        for row in rows
    )


def channel_words(kind: str, config: dict[str, Any]) -> str:
    """Where a channel leads, without its secret."""
    return KINDS[kind].words(config)


def deliveries(
    tx: sa.Connection, *, state: str = "", incident_number: int | None = None, after: str | None = None, limit: int = 50
) -> Page[DeliveryRow]:
    """A page of deliveries, the newest first.

    Raises:
        PageError: `after` is no mark of this list.
    """
    limit = bounded(limit)
    statement = sa.select(Delivery, Channel.name.label("channel")).join(Channel, Channel.id == Delivery.channel_id)
    if state:
        statement = statement.where(Delivery.state == state)
    if incident_number is not None:
        about = sa.select(DeliveryItem.delivery_id).where(DeliveryItem.incident_number == incident_number)
        statement = statement.where(Delivery.id.in_(about))
    if after is not None:
        statement = statement.where(Delivery.id < unmark(after, int)[0])
    rows = tx.execute(statement.order_by(Delivery.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    items = _items(tx, [row.id for row in shown])
    return Page(
        tuple(_delivery(row, items.get(row.id, [])) for row in shown), mark((shown[-1].id,)) if len(rows) > limit else None
    )


def first_sent(tx: sa.Connection, incident_number: int, since: dt.datetime) -> dt.datetime | None:
    """When a receiver took the first notice of what the incident told since then."""
    statement = sa.select(sa.func.min(Delivery.sent_at)).join(DeliveryItem, DeliveryItem.delivery_id == Delivery.id)
    joined = statement.join(Outbox, Outbox.id == DeliveryItem.outbox_id)
    return tx.scalar(joined.where(*_about(incident_number, since), Delivery.state == State.SENT))


def outcomes(tx: sa.Connection, incident_number: int, since: dt.datetime) -> tuple[str, ...]:
    """The states of the deliveries of what the incident told since then; "waiting": no route has looked at some of it yet."""
    joined = sa.select(Delivery.state).join(DeliveryItem, DeliveryItem.delivery_id == Delivery.id)
    told = joined.join(Outbox, Outbox.id == DeliveryItem.outbox_id).where(*_about(incident_number, since))
    untold = sa.select(Outbox.id).where(*_about(incident_number, since), Outbox.dispatched_at.is_(None)).limit(1)
    return (*tx.scalars(told.order_by(Delivery.id)).all(), *(("waiting",) if tx.scalar(untold) is not None else ()))


def _about(incident_number: int, since: dt.datetime) -> tuple[Any, ...]:
    return Outbox.incident_number == incident_number, Outbox.at >= since


def story(tx: sa.Connection, incident_number: int) -> tuple[Step, ...]:
    """What each route did about each message of the incident, and why, in the order of time."""
    rows = tx.execute(sa.select(Outbox).where(Outbox.incident_number == incident_number).order_by(Outbox.id).limit(200)).all()
    messages = {row.id: row for row in rows}
    steps = [*_told(tx, messages), *_skipped(tx, messages), *_undecided(messages), *_escalations(tx, incident_number)]
    return tuple(sorted(steps, key=lambda step: (step.at, step.route_id or 0)))


def _told(tx: sa.Connection, messages: dict[int, Any]) -> list[Step]:
    columns = (Delivery, Channel.name.label("channel"), DeliveryItem.outbox_id, DeliveryItem.cancelled)
    statement = sa.select(*columns).join(DeliveryItem, DeliveryItem.delivery_id == Delivery.id)
    rows = tx.execute(
        statement.join(Channel, Channel.id == Delivery.channel_id).where(DeliveryItem.outbox_id.in_(list(messages)))
    ).all()
    counts = _counts(tx, [row.id for row in rows])
    steps = []
    for row in rows:
        message = messages[row.outbox_id]
        outcome = State.CANCELLED if row.cancelled else State(row.state)
        text = _why(row, outcome, counts.get(row.id, 1))
        steps.append(Step(message.at, message.kind, row.route_id, row.channel, outcome, text))
    return steps


def _why(row: Any, outcome: State, count: int) -> str:
    company = f", in one message with {count - 1} more" if count > 1 else ""
    if outcome is State.CANCELLED:
        return (
            f"not sent: {row.reason or 'over before it was told'}"
            if row.state == State.CANCELLED
            else "taken back before it was sent"
        )
    if outcome is State.SENT:
        tries = f" at try {row.attempts}" if row.attempts > 1 else ""
        return f"sent{tries}{company}" + (f" ({row.reason})" if row.reason else "")
    if outcome is State.HELD:
        return f"{row.reason}{company}"
    if outcome is State.PENDING:
        return f"tried {row.attempts} times: {row.last_error}" if row.attempts else f"waits a moment for company{company}"
    return f"given up after {row.attempts} tries: {row.last_error}"


def _skipped(tx: sa.Connection, messages: dict[int, Any]) -> list[Step]:
    statement = sa.select(Skip.outbox_id, Skip.route_id, Skip.reason, Channel.name).join(Route, Route.id == Skip.route_id)
    rows = tx.execute(statement.join(Channel, Channel.id == Route.channel_id).where(Skip.outbox_id.in_(list(messages))))
    return [
        Step(messages[row.outbox_id].at, messages[row.outbox_id].kind, row.route_id, row.name, "skipped", row.reason)
        for row in rows
    ]


def _undecided(messages: dict[int, Any]) -> list[Step]:
    return [
        Step(row.at, row.kind, None, "", "waiting", "the routes have not been looked at yet: is the worker running?")
        for row in messages.values()
        if row.dispatched_at is None
    ]


def _escalations(tx: sa.Connection, incident_number: int) -> list[Step]:
    statement = (
        sa.select(Escalation, Channel.name)
        .join(Route, Route.id == Escalation.route_id)
        .join(Channel, Channel.id == Route.channel_id)
        .where(Escalation.incident_number == incident_number)
    )
    words = {
        "waiting": "told next if nobody acknowledges by then",
        "done": "told because nobody had acknowledged",
        "answered": "not told: it was acknowledged or over in time",
    }
    return [
        Step(row.due_at, "escalation", row.route_id, row.name, "escalation", words[row.state]) for row in tx.execute(statement)
    ]


def _counts(tx: sa.Connection, ids: list[int]) -> dict[int, int]:
    statement = sa.select(DeliveryItem.delivery_id, sa.func.count()).where(DeliveryItem.delivery_id.in_(ids))
    return {row[0]: row[1] for row in tx.execute(statement.group_by(DeliveryItem.delivery_id))}


def _items(tx: sa.Connection, ids: list[int]) -> dict[int, list[Any]]:
    columns = (DeliveryItem.delivery_id, DeliveryItem.cancelled, Outbox.kind, Outbox.title)
    more = (Outbox.incident_number, Outbox.school_id, Outbox.priority)
    statement = sa.select(*columns, *more).join(Outbox, Outbox.id == DeliveryItem.outbox_id)
    found: dict[int, list[Any]] = {}
    for row in tx.execute(statement.where(DeliveryItem.delivery_id.in_(ids)).order_by(Outbox.id)):
        found.setdefault(row.delivery_id, []).append(row)
    return found


def _delivery(row: Any, items: list[Any]) -> DeliveryRow:
    names = [name for name in DeliveryRow.__dataclass_fields__ if name not in ("count", "items")]
    shown = tuple(
        ItemRow(item.kind, item.title, item.incident_number, item.school_id, item.priority, item.cancelled)
        for item in items[:_ITEMS]
    )
    return DeliveryRow(**{name: getattr(row, name) for name in names}, count=len(items), items=shown)
