"""Some months of a few PCs, so that forecasts, tasks and warranties have something true to tell."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable

import sqlalchemy as sa
from fettle_protocol import catalogue
from fettle_protocol.policy import EndpointClass
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.forecasts import actions, judging, nightly
from fettle_server.proactive.forecasts.days import Reading, encode
from fettle_server.proactive.forecasts.tables import SHIFT, Daily
from fettle_server.proactive.queries import current_policy

from demo.pcs import Pc

DAYS = 150
_GB = 1e9
OfDay = Callable[[int, random.Random], dict[tuple[str, str], float]]
"""The readings of a PC, so many days ago."""


def fill(tx: sa.Connection, pcs: list[Pc], now: dt.datetime) -> None:
    """Days of history for some healthy PCs, the last two nights' forecasts, and what was told of them one morning."""
    newest = nightly.newest_over(now)
    well = [pc for pc in pcs if pc.heard and not pc.fault]
    laptops = [pc for pc in well if pc.name.startswith("LT")]
    desktops = [pc for pc in well if pc.name.startswith("PC")]
    for pc, of_day in (
        (desktops[3], _filling(9, 1.6)), (desktops[8], _filling(16, 0.9)), (desktops[14], _filling(40, 0.8)),
        (laptops[2], _battery), (laptops[5], _battery), (desktops[20], _worn), (desktops[1], _steady), (desktops[2], _steady),
    ):  # fmt: skip
        _days(tx, pc.pk, newest, of_day)
    for pc, left in ((desktops[3], 34), (desktops[9], 12), (desktops[10], 12), (laptops[0], 51)):
        actions.set_warranty(tx, SYSTEM, pc.id, (now + dt.timedelta(days=left)).date(), now)
    worn = [laptops[2].pk, laptops[5].pk]
    tx.execute(
        sa.update(Endpoint).where(Endpoint.pk.in_(worn)).values(endpoint_class=EndpointClass.STAFF_LAPTOP, class_source="set")
    )
    for day in (newest - 1, newest):
        mark = nightly.Mark(day)
        while mark.day == day:
            judged = judging.judge(tx, mark, current_policy(tx), judging.Book(day))
            actions.store(tx, judged)
            mark = judged.then
    nightly.keep_mark(tx, nightly.DAYS, nightly.Mark(newest + 1))
    actions.tell(tx, current_policy(tx), _morning(now), dt.timedelta(days=1))


def _days(tx: sa.Connection, pk: int, newest: int, of_day: OfDay) -> None:
    chance = random.Random(pk)
    rows = []
    for age in range(DAYS):
        readings = of_day(age, chance)
        day = {
            (catalogue.BY_KEY[key].number, name): Reading(value, value, value, value, 480)
            for (key, name), value in readings.items()
        }
        if age < 2 or (newest - age) % 7 not in (2, 3):  # off at weekends, but for the last: day 0 of the epoch was a Thursday
            rows.append({"id": (newest - age) * SHIFT + pk, "body": encode(day)})
    tx.execute(sa.insert(Daily), rows)


def _filling(free_gb: float, a_day_gb: float) -> OfDay:
    def of_day(age: int, chance: random.Random) -> dict[tuple[str, str], float]:
        free = free_gb + min(age, 70) * a_day_gb + chance.gauss(0, a_day_gb / 2)
        return {("disk.free_bytes", "C:"): free * _GB, ("disk.free_percent", "C:"): free / 2.38} | _start(chance)

    return of_day


def _battery(age: int, chance: random.Random) -> dict[tuple[str, str], float]:
    return {("battery.health_percent", ""): round(56 + age * 0.15), ("battery.cycles", ""): 640 - age} | _start(chance)


def _worn(age: int, chance: random.Random) -> dict[tuple[str, str], float]:
    return {("disk.smart_wear_percent", "nvme0"): round(87 - age * 0.14)} | _start(chance)


def _steady(_age: int, chance: random.Random) -> dict[tuple[str, str], float]:
    free = 118 + chance.gauss(0, 0.4)
    return {("disk.free_bytes", "C:"): free * _GB, ("disk.free_percent", "C:"): free / 2.38} | _start(chance)


def _start(chance: random.Random) -> dict[tuple[str, str], float]:
    return {("boot.duration_seconds", ""): 31 + chance.gauss(0, 2), ("logon.duration_seconds", ""): 18 + chance.gauss(0, 2)}


def _morning(now: dt.datetime) -> dt.datetime:
    """Ten o'clock of the newest weekday."""
    morning = now.replace(hour=10, minute=0, second=0, microsecond=0)
    morning -= dt.timedelta(days=int(morning > now))
    return morning - dt.timedelta(days=max(0, morning.weekday() - 4))
