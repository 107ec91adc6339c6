"""What is told of a rollout: in its change's record and the journal; and why a PC has not run it yet, as a sentence."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from fettle_server.change import record
from fettle_server.change.rollouts.reaching import schools_of
from fettle_server.change.rollouts.windows import Opening
from fettle_server.journal.actions import Line, record_all
from fettle_server.reactive.reach import for_each_school

WHY_LIMIT = 500


def tell(
    tx: sa.Connection, rollout_id: int, change_id: int, what: str, actor: str, text: str, now: dt.datetime, **detail: Any
) -> None:
    """A line in the change's record and "rollout.<what>" in the journal, for each school that it reaches."""
    record.say(tx, change_id, f"rollout {what}", actor, text, {"rollout": rollout_id, **detail}, now)
    told = {"change": change_id, "why": text[:WHY_LIMIT], **detail}
    line = Line(
        at=now,
        kind=f"rollout.{what.replace(' ', '_')}",
        actor=actor,
        subject=f"rollout:{rollout_id}",
        school_id=None,
        detail=told,
    )
    record_all(tx, for_each_school(line, schools_of(tx, rollout_id)))


def of_window(opening: Opening | None, frozen: str, zone: ZoneInfo, now: dt.datetime) -> str:
    """Why a PC whose window is shut has not begun."""
    held = f"Changes are frozen there ({frozen}). " if frozen else ""
    if opening is None:
        return f"{held}No change window opens there within 90 days: set one, or end the freeze."
    return f"{held}Its next change window opens on {local(opening.start, zone, now)}."


def of_absence(opening: Opening, zone: ZoneInfo, now: dt.datetime, woken_at: dt.datetime | None) -> str:
    """Why a PC that is off has not begun in its window."""
    asked = f" A neighbour was asked to wake it at {woken_at.astimezone(zone):%H:%M}." if woken_at else ""
    return f"It is off or out of reach; it takes the change when it is there, until {local(opening.end, zone, now)}.{asked}"


def of_turn(at_once: int) -> str:
    """Why a PC waits for others of its school."""
    return f"It waits its turn: at most {at_once} PCs of its school download at the same time."


def of_ring(name: str, current: str) -> str:
    """Why a PC of a later ring has not begun."""
    return f"Its ring, {name}, has not begun: the ring {current} comes first."


def local(at: dt.datetime, zone: ZoneInfo, now: dt.datetime) -> str:
    """A time of day at the school, with the day where it is another one."""
    here = at.astimezone(zone)
    if here.date() == now.astimezone(zone).date():
        return f"{here:today at %H:%M}"
    return f"{here:%A} {here.day} {here:%B at %H:%M}"
