"""The look at who is missing: what the worker's job "presence" does every few seconds.

Owns when anything is judged at all. Nothing is while the writer's mark is stale, until agents have had time to come back
after a start or a jump of the clock, or while the server itself seems to be cut off.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from fettle_server.config import Settings
from fettle_server.db import from_ms, insert_into, to_ms
from fettle_server.proactive import actions as proactive
from fettle_server.proactive.presence import losses, rules, schools, watching
from fettle_server.proactive.presence.looks import Look, absences, clear_those_back
from fettle_server.proactive.presence.tables import PresenceMark
from fettle_server.proactive.queries import current_policy
from fettle_server.proactive.rules import ABSENT
from fettle_server.proactive.stages.rules import Stage

_CUT_AT_MOST = dt.timedelta(days=1)


def tick(tx: sa.Connection, *, now: dt.datetime, settings: Settings) -> bool:
    """Judge what is due; True where there is more to do at once."""
    watch = watching.read(tx)
    if watch is None or not rules.is_heard(watch, to_ms(now)):
        return False
    mark = _mark(tx, from_ms(watch.since_ms), now)
    raised = absences(tx)
    look = _look(tx, mark, settings, frozenset(absence.endpoint_pk for absence in raised), now)
    clear_those_back(look, raised)
    losses.explain(tx, [absence.endpoint_pk for absence in raised if absence.stage == Stage.LATE])
    more = False
    if not _stays_cut(tx, mark, now):
        more = _find(tx, look, mark)
    proactive.judge(tx, look.signals, now=now, reopen_within=settings.reopen_within)
    proactive.release(tx, look.ripe, now)
    _write(tx, mark)
    return more


def next_due(tx: sa.Connection, now: dt.datetime, settings: Settings | None = None) -> dt.datetime | None:
    """The earliest moment at which a look could change anything (it may be past); None: only something new could."""
    watch = watching.read(tx)
    if watch is None:
        return None
    mark = _mark(tx, from_ms(watch.since_ms), now)
    raised = absences(tx)
    look = _look(tx, mark, settings, frozenset(absence.endpoint_pk for absence in raised), now)
    found = [
        absence.connected_since + (dt.timedelta(0) if absence.stage else rules.BACK_FOR)
        for absence in raised
        if absence.connected and absence.connected_since
    ]
    if mark["cut_at"] is None:
        found += losses.next_due(tx, look)
        school = schools.next_due(tx, look)
        found += [school] if school else []
    return min(found, default=None)


def _find(tx: sa.Connection, look: Look, mark: dict[str, Any]) -> bool:
    sudden = losses.sudden(tx, look)
    lost = losses.is_cut_off(tx, look, sudden)
    if lost:
        mark |= {"cut_at": look.now - rules.PATIENCE, "cut_lost": lost}
        return False
    losses.miss_sudden(look, sudden)
    losses.servers(tx, look)
    losses.restarts(tx, look)
    more = schools.look_at(tx, look)
    mark["looked_at"] = look.now
    return more


def _mark(tx: sa.Connection, since: dt.datetime, now: dt.datetime) -> dict[str, Any]:
    """How far presence has looked; a watch that began anew since, or a clock that was put back, begins it anew."""
    row = tx.execute(sa.select(PresenceMark).where(PresenceMark.id == 1)).one_or_none()
    if row is None or row.since_at > now or row.looked_at > now:
        return {"looked_at": min(since, now), "since_at": min(since, now), "cut_at": None, "cut_lost": 0}
    mark = {"looked_at": row.looked_at, "since_at": row.since_at, "cut_at": row.cut_at, "cut_lost": row.cut_lost}
    return mark | {"since_at": max(row.since_at, since), "cut_at": None if since > row.since_at else row.cut_at}


def _write(tx: sa.Connection, mark: dict[str, Any]) -> None:
    statement = insert_into(tx, PresenceMark).values(id=1, **mark)
    tx.execute(statement.on_conflict_do_update(index_elements=["id"], set_=mark))


def _stays_cut(tx: sa.Connection, mark: dict[str, Any], now: dt.datetime) -> bool:
    """True while the server itself is cut off: until half of those that went at once are back."""
    if mark["cut_at"] is None:
        return False
    if losses.connected(tx) * 2 < mark["cut_lost"] and now - mark["cut_at"] < _CUT_AT_MOST:
        return True
    watching.note_cut(tx, mark["cut_at"], now)
    mark |= {"cut_at": None, "cut_lost": 0, "since_at": now}
    return True


def _look(tx: sa.Connection, mark: dict[str, Any], settings: Settings | None, absent: frozenset[int], now: dt.datetime) -> Look:
    policy = current_policy(tx)
    grace = dt.timedelta(minutes=settings.presence_grace_minutes if settings else rules.GRACE_MINUTES)
    return Look(now, mark["looked_at"], mark["since_at"] + grace, policy.rule(ABSENT), policy.version, absent)
