"""Who went just now and ought to be there: servers, PCs that fell silent in lessons, restarts that did not come back.

Also whether it was the server itself that was cut off: then nobody is missing.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import EndpointClass

from fettle_server.estate.calendars.queries import calendars
from fettle_server.estate.calendars.rules import Calendar
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.presence import rules
from fettle_server.proactive.presence.looks import Look
from fettle_server.proactive.presence.rules import PATIENCE, RESTART_HELD, RESTART_SLACK, RESTART_USUAL, Expectation

LEFT = sa.text("endpoints.leave IN ('abrupt', 'restarting', 'server away')")
"""As the partial index on left_at says it, so that it can be used."""
_ARE_SERVERS = sa.text("endpoints.endpoint_class = 'server'")
_MISSING = (Endpoint.connected.is_(False), Endpoint.revoked_at.is_(None))
_COLUMNS = (
    Endpoint.pk, Endpoint.school_id, Endpoint.endpoint_class, Endpoint.leave, Endpoint.left_at, Endpoint.back_by
)  # fmt: skip
_DAY = dt.timedelta(days=1)
_SAME_DAY = dt.timedelta(hours=12)
_CUT_WITHIN = dt.timedelta(minutes=10)
_ALMOST = dt.timedelta(minutes=5)
"""A stream that nobody ends is found dead up to so much later than another one that was cut with it."""


def servers(tx: sa.Connection, look: Look) -> None:
    """Machines that always run and do not."""
    if look.expects(EndpointClass.SERVER) is Expectation.NEVER:
        return
    for row in silent_servers(tx):
        due = server_due(row, look.ready, look.now)
        if due <= look.now and row.pk not in look.absent:
            left = max(dt.timedelta(0), look.server_patience - PATIENCE)
            look.missing(row.pk, row.left_at, f"{rules.how_it_left(row.leave)}; it is expected always.", held=left)


def silent_servers(tx: sa.Connection) -> list[Any]:
    """Machines that always run and are not connected."""
    return list(tx.execute(sa.select(*_COLUMNS).where(_ARE_SERVERS, *_MISSING, Endpoint.left_at.is_not(None))).all())


def server_due(row: Any, ready: dt.datetime, now: dt.datetime) -> dt.datetime:
    """When a machine that always runs is missed."""
    return restart_due(row, ready, now) if row.leave == "restarting" else rules.silence_due(row.left_at, PATIENCE, ready, now)


def restart_due(row: Any, ready: dt.datetime, now: dt.datetime) -> dt.datetime:
    """When one that said it was restarting is missed."""
    back_by = row.back_by or min(row.left_at, now) + RESTART_USUAL
    return max(back_by, ready) + RESTART_SLACK  # type: ignore[no-any-return]


def sudden(tx: sa.Connection, look: Look) -> list[Any]:
    """PCs of fixed suites that went without a word while their school was open: each alone is no fault yet."""
    if look.now < look.ready + PATIENCE or look.expects(EndpointClass.FIXED) is Expectation.NEVER:
        return []
    upto = look.now - PATIENCE
    after = look.now - _DAY if look.looked < look.ready + PATIENCE else look.looked - PATIENCE
    which = (LEFT, Endpoint.leave == "abrupt", Endpoint.left_at > after, sa.or_(Endpoint.left_at <= upto, _ahead(look.now)))
    rows = tx.execute(sa.select(*_COLUMNS).where(*which, *_MISSING, Endpoint.endpoint_class == EndpointClass.FIXED)).all()
    kept = calendars(tx, {row.school_id for row in rows}) if rows else {}
    return [row for row in rows if row.pk not in look.absent and _was_in_lessons(row, look, kept[row.school_id])]


def _ahead(now: dt.datetime) -> Any:
    return Endpoint.left_at > now


def _was_in_lessons(row: Any, look: Look, calendar: Calendar) -> bool:
    due = rules.silence_due(row.left_at, PATIENCE, look.ready, look.now)
    left = min(row.left_at, look.now)
    return due - left <= _SAME_DAY and calendar.is_open(left) and calendar.is_open(due)


def miss_sudden(look: Look, rows: list[Any]) -> None:
    """Raise them, to wait for company: many have one cause, one alone is told when it stays away."""
    for row in rows:
        detail = (
            "It went without a word while the school was open; told alone only if it stays away when its room is next in use."
        )
        look.missing(row.pk, min(row.left_at, look.now), detail, held=rules.HELD)


def restarts(tx: sa.Connection, look: Look) -> None:
    """PCs of fixed suites that said that they would be back, and are not while their school is open."""
    if look.expects(EndpointClass.FIXED) is Expectation.NEVER:
        return
    which = (LEFT, Endpoint.leave == "restarting", Endpoint.left_at > look.now - 2 * _DAY, *_MISSING)
    rows = tx.execute(sa.select(*_COLUMNS).where(*which, Endpoint.endpoint_class == EndpointClass.FIXED)).all()
    due = [(row, restart_due(row, look.ready, look.now)) for row in rows if row.pk not in look.absent]
    due = [(row, at) for row, at in due if look.looked < at <= look.now]
    kept = calendars(tx, {row.school_id for row, _ in due}) if due else {}
    for row, at in due:
        if kept[row.school_id].is_open(at):
            detail = "It said that it was restarting, and has not come back."
            look.missing(row.pk, row.left_at, detail, held=RESTART_HELD)


def is_cut_off(tx: sa.Connection, look: Look, rows: list[Any]) -> int:
    """How many went at once, where that says that the server itself was cut off; else 0. They then went with the server."""
    if len(rows) + sum(_just_went(row, look) for row in silent_servers(tx)) < 2:
        return 0
    which = (LEFT, Endpoint.leave == "abrupt", Endpoint.left_at > look.now - PATIENCE - _CUT_WITHIN, *_MISSING)
    lost = tx.execute(sa.select(Endpoint.pk, Endpoint.school_id).where(*which)).all()
    if not rules.is_cut_off(len(lost), len({row.school_id for row in lost}), connected(tx)):
        return 0
    tx.execute(sa.update(Endpoint).where(*which).values(leave="server away"))
    return len(lost)


def _just_went(row: Any, look: Look) -> bool:
    """A server that is about to be missed."""
    went = look.now - PATIENCE
    return bool(row.leave == "abrupt" and went - _CUT_WITHIN < row.left_at <= went + _ALMOST)


def explain(tx: sa.Connection, pks: list[int]) -> None:
    """They went with others whose cause is over: that they went without a word says nothing of them alone any more."""
    if pks:
        tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pks), Endpoint.leave == "abrupt").values(leave="with others"))


def connected(tx: sa.Connection) -> int:
    """How many endpoints are connected."""
    return tx.scalar(sa.select(sa.func.count()).select_from(Endpoint).where(Endpoint.connected.is_(True))) or 0


def next_due(tx: sa.Connection, look: Look) -> list[dt.datetime]:
    """When those that went may be missed next."""
    found = [server_due(row, look.ready, look.now) for row in silent_servers(tx) if row.pk not in look.absent]
    restarting = tx.execute(
        sa.select(*_COLUMNS).where(LEFT, Endpoint.leave == "restarting", Endpoint.left_at > look.now - 2 * _DAY, *_MISSING)
    )
    found += [due for row in restarting if (due := restart_due(row, look.ready, look.now)) > look.looked]
    after = look.now - _DAY if look.looked < look.ready + PATIENCE else look.looked - PATIENCE
    first = tx.scalar(
        sa.select(sa.func.min(Endpoint.left_at, type_=Endpoint.left_at.type)).where(LEFT, Endpoint.left_at > after)
    )
    if first is not None:
        found.append(rules.silence_due(first, PATIENCE, look.ready, look.now))
    return found
