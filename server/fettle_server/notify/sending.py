"""Sending what is due: claim a delivery, send it with no transaction open, and note what the receiver said.

A claim is kept in the store, so that a server that dies while it sends tries again after the claim has run out, with the same
key. A receiver that is down holds up its own channel only, whose waits grow; what it refuses holds up nothing else.
"""

from __future__ import annotations

import datetime as dt
import random
import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server import clock, observed
from fettle_server.config import Settings
from fettle_server.db import to_ms
from fettle_server.notify.channels import Down, MailServer, Refused, kind_of
from fettle_server.notify.rules import GIVE_UP, State, wait_s
from fettle_server.notify.tables import Channel, Delivery, DeliveryItem, Escalation, Outbox, Skip
from fettle_server.notify.wording import Line, Notice

CLAIM = dt.timedelta(minutes=2)
_DUE_STATES = Delivery.state.in_((State.PENDING, State.HELD))


@dataclass(frozen=True, slots=True)
class Pages:
    """What a notice says beyond the outbox: the console's address ("" where it is not known), and the names of schools."""

    url: str
    school: Callable[[int], str]

    def incident(self, number: int | None) -> str:
        """The address of an incident."""
        return f"{self.url}/incidents/{number}" if self.url and number is not None else ""

    def change(self, change_id: int, kind: str) -> str:
        """The address of a change; where somebody is asked to decide, of the page for that."""
        page = f"{self.url}/changes/{change_id}" if self.url else ""
        return f"{page}/decide" if page and kind == "change.approval" else page


def console_address(settings: Settings) -> str:
    """Where notices link to: public_url, else where the console is served."""
    scheme = "https" if settings.http_certificate else "http"
    return (settings.public_url or f"{scheme}://{settings.http}").rstrip("/")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A claimed delivery with all that sending it needs."""

    delivery_id: int
    channel_id: int
    kind: str
    config: dict[str, Any]
    secret: str
    notice: Notice
    attempts: int
    misses: int
    give_up_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a try. `in_vain`: the receiver surely did not get it; `is_down`: nor would it get another."""

    is_sent: bool
    text: str
    in_vain: bool = False
    is_down: bool = False


def due_channels(tx: sa.Connection, now: dt.datetime) -> list[tuple[int, str]]:
    """The channels, id and kind, that have something to send now."""
    statement = (
        sa.select(Channel.id, Channel.kind)
        .join(Delivery, Delivery.channel_id == Channel.id)
        .where(_DUE_STATES, Delivery.next_at <= now, _unclaimed(now), _is_up(now))
        .distinct()
    )
    return [(row.id, row.kind) for row in tx.execute(statement.order_by(Channel.id))]


def claim(tx: sa.Connection, channel_id: int, pages: Pages, now: dt.datetime) -> Parcel | None:
    """The channel's next delivery that is due, for the caller alone to send; None: there is none."""
    statement = (
        sa.select(Delivery, Channel.kind.label("channel_kind"), Channel.config, Channel.secret, Channel.misses)
        .join(Channel, Channel.id == Delivery.channel_id)
        .where(Delivery.channel_id == channel_id, _DUE_STATES, Delivery.next_at <= now, _unclaimed(now), _is_up(now))
        .order_by(Delivery.id)  # so that an end never overtakes its beginning
    )
    row = tx.execute(statement.limit(1)).one_or_none()
    if row is None:
        return None
    mine = sa.update(Delivery).where(Delivery.id == row.id, _unclaimed(now))
    taken = tx.execute(
        mine.values(state=State.PENDING, claimed_until=now + CLAIM, attempts=row.attempts + 1, maybe_received=True)
    )
    if taken.rowcount != 1:
        return None
    return Parcel(
        delivery_id=row.id,
        channel_id=channel_id,
        kind=row.channel_kind,
        config=row.config,
        secret=row.secret,
        notice=_notice(tx, row, pages),
        attempts=row.attempts + 1,
        misses=row.misses,
        give_up_at=row.give_up_at,
    )


def send(parcel: Parcel, server: MailServer) -> Result:
    """Send it; whatever goes wrong is a result."""
    return _send(parcel.kind, parcel.config, parcel.secret, parcel.notice, server)


def note(tx: sa.Connection, parcel: Parcel, result: Result, now: dt.datetime) -> None:
    """Keep what became of the try, and when the next one is."""
    values: dict[str, Any] = {"claimed_until": None}
    channel: dict[str, Any] = {"answered_at": now, "answer": result.text[:300]}
    if result.is_sent:
        values |= {"state": State.SENT, "sent_at": now, "last_error": ""}
        channel |= {"misses": 0, "retry_at": None}
    else:
        tries = parcel.misses + 1 if result.is_down else parcel.attempts
        next_at = now + dt.timedelta(seconds=wait_s(tries, random.random()))
        values |= {"next_at": next_at, "last_error": result.text[:300], "maybe_received": not result.in_vain}
        if next_at > parcel.give_up_at:
            values |= {"state": State.EXPIRED if result.is_down else State.FAILED}
        channel |= {"misses": tries, "retry_at": next_at} if result.is_down else {"misses": 0, "retry_at": None}
        observed.log().warning(
            "a notice was not taken", channel=parcel.channel_id, attempts=parcel.attempts, down=result.is_down
        )
    tx.execute(sa.update(Delivery).where(Delivery.id == parcel.delivery_id).values(values))
    tx.execute(sa.update(Channel).where(Channel.id == parcel.channel_id).values(channel))


def is_to_go_on(result: Result) -> bool:
    """Whether the channel's next delivery may be sent at once."""
    return not result.is_down


def begin_test(tx: sa.Connection, channel_id: int, pages: Pages, now: dt.datetime) -> Parcel | None:
    """A claimed delivery that only says that the channel works; None: there is no such channel."""
    channel = tx.execute(sa.select(Channel).where(Channel.id == channel_id, Channel.removed_at.is_(None))).one_or_none()
    if channel is None:
        return None
    key = f"test-{channel_id}-{to_ms(now)}-{secrets.token_hex(4)}"
    values = {
        "key": key, "channel_id": channel_id, "kind": "test", "state": State.PENDING, "is_test": True, "created_at": now,
        "reason": "asked for by a person", "next_at": now, "give_up_at": now + GIVE_UP, "attempts": 1,
        "maybe_received": True, "claimed_until": now + CLAIM,
    }  # fmt: skip
    number = int(tx.execute(sa.insert(Delivery).values(values).returning(Delivery.id)).scalar_one())
    return Parcel(
        delivery_id=number,
        channel_id=channel_id,
        kind=channel.kind,
        config=channel.config,
        secret=channel.secret,
        notice=Notice(key, "test", (), True, now, pages.url),
        attempts=1,
        misses=channel.misses,
        give_up_at=now,
    )


def test(writing: Callable[[], AbstractContextManager[sa.Connection]], channel_id: int, settings: Settings) -> Result | None:
    """Send a test by the channel now, and keep what the receiver said; None: there is no such channel.

    `writing` gives a transaction: none is open while the receiver is waited for.
    """
    pages = Pages(console_address(settings), str)
    with writing() as tx:
        parcel = begin_test(tx, channel_id, pages, clock.utc_now())
    if parcel is None:
        return None
    result = send(parcel, MailServer.of(settings))
    with writing() as tx:
        note(tx, parcel, result, clock.utc_now())
    return result


def drop_before(tx: sa.Connection, before: dt.datetime, limit: int) -> int:
    """Drop what was told or not told before that time, the oldest first; returns how many messages and deliveries."""
    done = sa.select(Delivery.id).where(Delivery.created_at < before, ~_DUE_STATES).order_by(Delivery.created_at)
    old = tx.scalars(done.limit(limit)).all()
    tx.execute(sa.delete(DeliveryItem).where(DeliveryItem.delivery_id.in_(old)))
    tx.execute(sa.delete(Delivery).where(Delivery.id.in_(old)))
    rows = sa.select(Outbox.id).where(Outbox.at < before, Outbox.dispatched_at.is_not(None)).order_by(Outbox.at)
    messages = tx.scalars(rows.limit(limit)).all()
    tx.execute(sa.delete(Skip).where(Skip.outbox_id.in_(messages)))
    tx.execute(sa.delete(Escalation).where(Escalation.outbox_id.in_(messages)))
    tx.execute(sa.delete(Outbox).where(Outbox.id.in_(messages)))
    return len(old) + len(messages)


def _unclaimed(now: dt.datetime) -> Any:
    return sa.or_(Delivery.claimed_until.is_(None), Delivery.claimed_until <= now)


def _is_up(now: dt.datetime) -> Any:
    return sa.or_(Channel.retry_at.is_(None), Channel.retry_at <= now)


def _send(kind: str, config: dict[str, Any], secret: str, notice: Notice, server: MailServer) -> Result:
    try:
        return Result(True, kind_of(kind).send(config, secret, notice, server))
    except Down as error:
        return Result(False, error.text, in_vain=error.in_vain, is_down=True)
    except Refused as error:
        return Result(False, error.text, in_vain=True)
    except Exception as error:  # a channel's own fault must stop neither its neighbours nor the next try
        observed.log().error("a channel failed", kind=kind, exc_info=True)
        return Result(False, f"an error of Fettle's own ({type(error).__name__})")


def _notice(tx: sa.Connection, row: Any, pages: Pages) -> Notice:
    statement = sa.select(Outbox, DeliveryItem.cancelled).join(DeliveryItem, DeliveryItem.outbox_id == Outbox.id)
    items = tx.execute(statement.where(DeliveryItem.delivery_id == row.id).order_by(Outbox.id)).all()
    lines = tuple(_line(item, pages) for item in items if not item.cancelled)
    return Notice(row.key, row.kind, lines, row.is_test, row.created_at, pages.url, _count_gone(items))


def _count_gone(items: Iterable[Any]) -> int:
    return len({item.incident_number for item in items if item.cancelled})


def _line(item: Any, pages: Pages) -> Line:
    return Line(
        kind=item.kind,
        title=item.title,
        text=item.text,
        school="" if item.school_id is None else pages.school(item.school_id),
        priority=item.priority,
        number=item.incident_number,
        at=item.at,
        url=pages.incident(item.incident_number) if item.change_id is None else pages.change(item.change_id, item.kind),
    )
