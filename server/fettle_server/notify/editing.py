"""Channels and routes made, changed and removed, each written to the journal. The edge has asked whether the person may.

Nothing is deleted: what was told by a removed channel or route keeps its story.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from fettle_server.journal.actions import record
from fettle_server.notify import rules
from fettle_server.notify.channels import kind_of
from fettle_server.notify.channels.webhook import signing_key
from fettle_server.notify.rules import NoticeError, State, Wanted
from fettle_server.notify.tables import Channel, Delivery, Route
from fettle_server.notify.wording import flat

_NAME_LIMIT = 80
_MOST = 200
"""Channels or routes in force: more than that is a mistake of a script."""


def add_channel(
    tx: sa.Connection, actor: str, name: str, kind: str, target: str, *, key: str = "", now: dt.datetime
) -> tuple[int, str]:
    """Add a way to reach people; returns its id, and for a webhook its signing key (shown this once).

    Raises:
        NoticeError: the name is taken, or the target is not one of that kind.
    """
    name = _checked_name(tx, name, None)
    config, secret = kind_of(kind).check(target, key)
    if (tx.scalar(sa.select(sa.func.count()).where(Channel.removed_at.is_(None))) or 0) >= _MOST:
        raise NoticeError(f"There are {_MOST} channels already.")
    values = {"name": name, "kind": kind, "config": config, "secret": secret, "created_at": now}
    number = int(tx.execute(sa.insert(Channel).values(values).returning(Channel.id)).scalar_one())
    _record(tx, "channel.added", actor, f"channel:{number}", {"name": name, "kind": kind}, now)
    return number, signing_key(secret) if kind == "webhook" else ""


def set_channel(tx: sa.Connection, actor: str, channel_id: int, name: str, target: str, *, now: dt.datetime) -> None:
    """Rename a channel, and where a target is given, lead it elsewhere; a webhook keeps its signing key.

    Raises:
        NoticeError: there is no such channel, the name is taken, or the target will not do.
    """
    kept = _channel(tx, channel_id)
    values: dict[str, Any] = {"name": _checked_name(tx, name, channel_id), "retry_at": None, "misses": 0}
    if target.strip():
        key = signing_key(kept.secret) if kept.kind == "webhook" else ""
        values["config"], values["secret"] = kind_of(kept.kind).check(target, key)
    tx.execute(sa.update(Channel).where(Channel.id == channel_id).values(values))
    detail = {"name": values["name"], "leads_elsewhere": bool(target.strip())}
    _record(tx, "channel.changed", actor, f"channel:{channel_id}", detail, now)


def remove_channel(tx: sa.Connection, actor: str, channel_id: int, now: dt.datetime) -> None:
    """Remove a channel with its routes; what was not sent yet is not sent.

    Raises:
        NoticeError: there is no such channel.
    """
    kept = _channel(tx, channel_id)
    name = f"{kept.name[:60]} (removed {channel_id})"
    values = {"removed_at": now, "secret": "", "name": name}
    tx.execute(sa.update(Channel).where(Channel.id == channel_id).values(values))
    for route_id in tx.scalars(sa.select(Route.id).where(Route.channel_id == channel_id, Route.removed_at.is_(None))).all():
        remove_route(tx, actor, route_id, now)
    _cancel(tx, Delivery.channel_id == channel_id, "the channel was removed", now)
    _record(tx, "channel.removed", actor, f"channel:{channel_id}", {"name": kept.name}, now)


def set_route(
    tx: sa.Connection,
    actor: str,
    route_id: int | None,
    channel_id: int,
    wanted: Wanted,
    escalate_to: int | None = None,
    *,
    now: dt.datetime,
) -> int:
    """Add a route (None) or change one; returns its id.

    Raises:
        NoticeError: it does not make sense, or names a channel or route that is not there.
    """
    _channel(tx, channel_id)
    _check_further(tx, route_id, wanted, escalate_to)
    values = {"channel_id": channel_id, "wanted": rules.as_json(rules.check(wanted)), "escalate_to": escalate_to}
    if route_id is None:
        if (tx.scalar(sa.select(sa.func.count()).where(Route.removed_at.is_(None))) or 0) >= _MOST:
            raise NoticeError(f"There are {_MOST} routes already.")
        route_id = int(tx.execute(sa.insert(Route).values(**values, created_at=now).returning(Route.id)).scalar_one())
        kind = "route.added"
    else:
        _route(tx, route_id)
        tx.execute(sa.update(Route).where(Route.id == route_id).values(values))
        kind = "route.changed"
    _record(tx, kind, actor, f"route:{route_id}", values, now)
    return route_id


def remove_route(tx: sa.Connection, actor: str, route_id: int, now: dt.datetime) -> None:
    """Remove a route; what it has not sent yet is not sent.

    Raises:
        NoticeError: there is no such route.
    """
    _route(tx, route_id)
    tx.execute(sa.update(Route).where(Route.id == route_id).values(removed_at=now))
    tx.execute(sa.update(Route).where(Route.escalate_to == route_id).values(escalate_to=None))
    _cancel(tx, Delivery.route_id == route_id, "the route was removed", now)
    _record(tx, "route.removed", actor, f"route:{route_id}", {}, now)


def _check_further(tx: sa.Connection, route_id: int | None, wanted: Wanted, escalate_to: int | None) -> None:
    if escalate_to is not None:
        _route(tx, escalate_to)
        if escalate_to == route_id:
            raise NoticeError("A route cannot escalate to itself.")
    if wanted.escalate_after_min and escalate_to is None:
        raise NoticeError("Choose the route that is told when nobody acknowledges.")


def _checked_name(tx: sa.Connection, name: str, own_id: int | None) -> str:
    name = flat(name)
    if not 1 <= len(name) <= _NAME_LIMIT:
        raise NoticeError(f"A channel's name has 1 to {_NAME_LIMIT} characters.")
    other = tx.scalar(sa.select(Channel.id).where(Channel.name == name))
    if other is not None and other != own_id:
        raise NoticeError("There is a channel of that name already.")
    return name


def _channel(tx: sa.Connection, channel_id: int) -> Any:
    row = tx.execute(sa.select(Channel).where(Channel.id == channel_id, Channel.removed_at.is_(None))).one_or_none()
    if row is None:
        raise NoticeError("There is no such channel any more.")
    return row


def _route(tx: sa.Connection, route_id: int) -> None:
    if tx.scalar(sa.select(Route.id).where(Route.id == route_id, Route.removed_at.is_(None))) is None:
        raise NoticeError("There is no such route any more.")


def _cancel(tx: sa.Connection, which: Any, reason: str, now: dt.datetime) -> None:
    unsent = Delivery.state.in_((State.PENDING, State.HELD))
    tx.execute(sa.update(Delivery).where(which, unsent).values(state=State.CANCELLED, reason=reason, next_at=now))


def _record(tx: sa.Connection, kind: str, actor: str, subject: str, detail: dict[str, Any], now: dt.datetime) -> None:
    record(tx, f"notice-{kind}", actor, subject, None, detail, now)
