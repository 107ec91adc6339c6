"""What the demo estate holds back (a window, a silence, an exam), and causes that reach many PCs: a switch, an update."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from fettle_server.db import to_ms
from fettle_server.estate.calendars import actions as calendars
from fettle_server.estate.calendars.rules import Kind
from fettle_server.estate.calendars.views import NewEntry
from fettle_server.estate.people.rules import SYSTEM, Person
from fettle_server.estate.tables import Endpoint, Room
from fettle_server.proactive import actions as proactive
from fettle_server.proactive.causes import triage
from fettle_server.proactive.queries import current_policy
from fettle_server.proactive.rules import ABSENT, Clear, Raise, Signal
from fettle_server.proactive.stages import actions as stages
from fettle_server.proactive.stages.actions import Span
from fettle_server.proactive.stages.views import Reach

from demo import notices
from demo.pcs import Pc

_REOPEN = dt.timedelta(hours=4)
_STEP = dt.timedelta(seconds=30)
_PATIENCE = dt.timedelta(minutes=9)
_DARK_SCHOOL, _EXAM_SCHOOL, _WINDOW_SCHOOL, _SILENT_SCHOOL, _NAMELESS_SCHOOL = 2, 4, 9, 6, 12


def past(tx: sa.Connection, pcs: list[Pc], now: dt.datetime) -> None:
    """Yesterday's storm, which is over: a school that could not resolve names."""
    began = now - dt.timedelta(hours=25)
    reached = [pc for pc in pcs if pc.school_id == _NAMELESS_SCHOOL and pc.heard and not pc.fault]
    pks = [pc.pk for pc in reached]
    tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pks)).values(connected_since=began - dt.timedelta(hours=1)))
    _fall(tx, reached, began, "dns-lost", (1.0, 0.0))
    _look(tx, began, began + dt.timedelta(minutes=4))
    _recover(tx, reached, began + dt.timedelta(minutes=38), "dns-lost")
    notices.tell(tx, began + dt.timedelta(minutes=39))


def present(tx: sa.Connection, pcs: list[Pc], staff: list[Person], now: dt.datetime) -> None:
    """The storms of now, and a fault in each of the stages."""
    well = [pc for pc in pcs if pc.heard and not pc.fault]
    _bad_update(tx, well, now - dt.timedelta(minutes=95))
    _orders(tx, pcs, staff[0], now)
    _held(tx, well, now)
    _dead_switch(tx, well, now - dt.timedelta(minutes=24))
    _looked_around_for(tx, well, now)


def _bad_update(tx: sa.Connection, well: list[Pc], began: dt.datetime) -> None:
    """Signing in takes long on one model, whatever the school."""
    elsewhere = [pc for pc in well if pc.school_id not in (_DARK_SCHOOL, _NAMELESS_SCHOOL)]
    for place, pc in enumerate([pc for pc in elsewhere if pc.model == "HP ProDesk 400 G9"][::4]):
        _fall(tx, [pc], began + place * _STEP, "sign-in-slow", (24.0, 131.0))
    _look(tx, began, began + dt.timedelta(minutes=36))


def _dead_switch(tx: sa.Connection, well: list[Pc], began: dt.datetime) -> None:
    """A room falls silent; two PCs come back by themselves, on another socket, and one of those loses it again."""
    room = tx.scalar(sa.select(Room.id).where(Room.school_id == _DARK_SCHOOL, Room.name == "IT 2"))
    inside = set(tx.scalars(sa.select(Endpoint.pk).where(Endpoint.room_id == room)))
    dark = [pc for pc in well if pc.pk in inside]
    _hear(tx, dark, began, heard=False)
    _fall(tx, dark, began + _PATIENCE, ABSENT, ())
    _look(tx, began + _PATIENCE, began + dt.timedelta(minutes=13))
    back, at = dark[:2], began + dt.timedelta(minutes=16)
    _hear(tx, back, at, heard=True)
    _recover(tx, back, at, ABSENT)
    _fall(tx, back[:1], began + dt.timedelta(minutes=19), "gateway-lost", (1.0, 0.0))


def _orders(tx: sa.Connection, pcs: list[Pc], person: Person, now: dt.datetime) -> None:
    """A window that is on, one that is to come, a silence for a PC, an exam that goes on today."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    day = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
    began = hour - dt.timedelta(hours=1)
    weekly = Span(began, None, f"FREQ=WEEKLY;BYDAY={day[began.weekday()]}", dt.timedelta(hours=4))
    reach = Reach(school_id=_WINDOW_SCHOOL)
    stages.add_window(
        tx, person, reach, weekly, title="New images in the ICT suites", reason="", now=began - dt.timedelta(days=8)
    )
    coming = hour + dt.timedelta(days=2)
    once = Span(coming, coming + dt.timedelta(hours=3))
    stages.add_window(
        tx, person, Reach(), once, title="Servers restart", reason="Firmware of the hosts", now=now - dt.timedelta(hours=30)
    )
    silent = next(pc for pc in pcs if pc.school_id == _SILENT_SCHOOL and pc.heard and not pc.fault)
    stages.add_silence(
        tx, person, Reach(endpoint_id=silent.id), until=now + dt.timedelta(days=2), reason="Waiting for the new disk",
        now=now - dt.timedelta(hours=20),
    )  # fmt: skip
    today = now.date()
    calendars.add_entry(tx, SYSTEM, _EXAM_SCHOOL, NewEntry(Kind.EXAM, "Year 10 assessment", today, today), now)


def _held(tx: sa.Connection, well: list[Pc], now: dt.datetime) -> None:
    """One fault for each order, and one that comes and goes."""
    for school_id, rule, minutes, readings in (
        (_WINDOW_SCHOOL, "disk-low", 50, (14.0, 8.9)),
        (_EXAM_SCHOOL, "dns-slow", 23, (30.0, 1180.0)),
        (_SILENT_SCHOOL, "disk-low", 190, (13.0, 9.2)),
    ):
        pc = next(pc for pc in well if pc.school_id == school_id)
        _fall(tx, [pc], now - dt.timedelta(minutes=minutes), rule, readings, "C:" if rule == "disk-low" else "")
    flapping = next(pc for pc in well if pc.school_id == 8)
    for hours in (5.0, 3.1, 1.2):
        began = now - dt.timedelta(hours=hours)
        _fall(tx, [flapping], began, "hot", (78.0, 96.0), "CPU")
        _recover(tx, [flapping], began + dt.timedelta(minutes=7), "hot", "CPU")
        notices.tell(tx, began)


def _looked_around_for(tx: sa.Connection, well: list[Pc], now: dt.datetime) -> None:
    """One that is looked around for just now, and one that was over before it was told."""
    first, second = [pc for pc in well if pc.school_id == 3][:2]
    began = now - dt.timedelta(minutes=140)
    _fall(tx, [first], began, "gateway-lost", (1.0, 0.0))
    _recover(tx, [first], began + dt.timedelta(seconds=40), "gateway-lost")
    _fall(tx, [second], now - dt.timedelta(seconds=20), "gateway-lost", (1.0, 0.0))


def _hear(tx: sa.Connection, pcs: list[Pc], at: dt.datetime, *, heard: bool) -> None:
    values = {"connected": heard, "last_seen": at, "connected_since": at if heard else None}
    tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_([pc.pk for pc in pcs])).values(values))


def _fall(
    tx: sa.Connection, pcs: list[Pc], at: dt.datetime, rule: str, readings: tuple[float, ...], instance: str = ""
) -> None:
    """The fault begins on each of the PCs; `readings` are those before and after the crossing."""
    since = to_ms(at - (dt.timedelta(minutes=1) if readings else _PATIENCE))
    evidence = [(since + (i - 20) * 20_000, readings[i >= 20]) for i in range(24)] if readings else []
    value = readings[-1] if readings else _PATIENCE.total_seconds() / 60
    known = current_policy(tx).rule(rule)
    assert known is not None, rule
    one = Raise(to_ms(at), rule, instance, known.severity.value, value, since, evidence, 1, "", False)
    _judge(tx, [(pc.pk, one) for pc in pcs], at)


def _recover(tx: sa.Connection, pcs: list[Pc], at: dt.datetime, rule: str, instance: str = "") -> None:
    one = Clear(to_ms(at), rule, instance, "recovered", 1.0, to_ms(at), [], False)
    _judge(tx, [(pc.pk, one) for pc in pcs], at)


def _judge(tx: sa.Connection, said: list[tuple[int, Signal]], at: dt.datetime) -> None:
    proactive.judge(tx, said, now=at, reopen_within=_REOPEN)


def _look(tx: sa.Connection, start: dt.datetime, end: dt.datetime) -> None:
    """Let causes be looked for, as the worker does, and people be told."""
    at = start
    while at <= end:
        triage(tx, now=at, reopen_within=_REOPEN)
        at += _STEP
    notices.tell(tx, end)
