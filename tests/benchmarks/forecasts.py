"""A night's work for forecasts: hours into days, and days into forecasts, on one core, for 30,000 endpoints.

A smaller estate is filled with packs of the played PCs' readings (as benchmarks/history.py sends them) and with days; both
parts are timed and scaled up by the number of endpoints: the work is piece by piece, and no piece knows of the others.
"""

from __future__ import annotations

import datetime as dt
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
import table
from fettle_protocol import catalogue, packing
from fettle_server import db, migrations
from fettle_server.config import Settings
from fettle_server.estate import history
from fettle_server.estate.tables import Endpoint, School
from fettle_server.proactive.actions import publish_shipped
from fettle_server.proactive.forecasts import judging, nightly
from fettle_server.proactive.forecasts.days import Reading, encode
from fettle_server.proactive.forecasts.tables import SHIFT, Daily
from fettle_server.reactive.actions import seed_priorities
from fettle_server.worker import forecasts
from fettle_server.worker.jobs import Work

ESTATE = 30_000
NIGHT_S = 600.0
PIECE_S = 1.0
HOURS = range(8, 17)
NOW = dt.datetime(2026, 11, 25, 3, 0, tzinfo=dt.UTC)
_NEWEST = nightly.newest_over(NOW)


def measure(run: table.Run) -> list[table.Row]:
    """Seconds for each half of the night, the longest piece, and what a day takes on disk."""
    count = int(run.pick(500, 2_000, 5_000))
    work = _work(run.work / "forecasts", count)
    days, longest = _timed(forecasts.summarise_days, work)
    with work.engine.begin() as tx:
        size = float(tx.scalar(sa.select(sa.func.avg(sa.func.length(Daily.body)))) or 0)
        _past(tx, count)
    told, slowest = _timed(forecasts.make_forecasts, work)
    scale = ESTATE / count
    each = f"{len(HOURS)} hours and {len(_series(random.Random(1)))} series each"
    night, kept = "the night: 6 h of one core", f"400 days of 30,000: {size * 400 * ESTATE / 1e9:.1f} GB"
    past = "sixty days and a year's thin tail each; one disk in ten fills"
    piece = f"{judging.PIECE} endpoints, or {nightly.PIECE} of hours"
    return [
        table.Row("hours into days, 30,000 endpoints", days * scale, "s", night, NIGHT_S, remark=f"from {count:,}; {each}"),
        table.Row("days into forecasts, 30,000 endpoints", told * scale, "s", night, NIGHT_S, remark=past),
        table.Row("forecasts: longest piece", max(longest, slowest), "s", "other jobs wait so long", PIECE_S, remark=piece),
        table.Row("an endpoint's day", size, "B", kept, 1_000),
    ]


def _timed(job: Callable[[Work, dt.datetime], bool], work: Work) -> tuple[float, float]:
    """Seconds of one core for all pieces of a job, and for the longest: whatever else the machine does."""
    pieces = []
    while True:
        began = time.process_time()
        more = job(work, NOW)
        pieces.append(time.process_time() - began)
        if not more:
            return sum(pieces), max(pieces)


def _work(data: Path, count: int) -> Work:
    data.mkdir()
    settings = Settings(data=data)
    engine = db.open_engine(settings.database_url)
    migrations.upgrade(engine)
    with engine.begin() as tx:
        seed_priorities(tx)
        publish_shipped(tx, NOW)
        school = tx.execute(sa.insert(School).values(name="Harbour School", created_at=NOW)).inserted_primary_key[0]
        rows = [
            {"id": f"{i:032x}", "name": f"pc-{i}", "school_id": school, "enrolled_at": NOW, "system": "windows"}
            for i in range(1, count + 1)
        ]
        tx.execute(sa.insert(Endpoint), rows)
        chance, packs = random.Random(7), []
        packs = [packing.pack(_series(chance)) for _ in range(200)]
        for hour in HOURS:
            at = _NEWEST * 24 + hour
            history.store(tx, [(pk, at, packs[(pk + hour) % len(packs)]) for pk in range(1, count + 1)], set())
        nightly.keep_mark(tx, nightly.DAYS, nightly.Mark(_NEWEST))
        nightly.keep_mark(tx, nightly.LATE, nightly.Mark(_NEWEST))
    return Work(settings, engine, db.open_engine(settings.database_url, readonly=True))


def _series(chance: random.Random) -> dict[tuple[int, str], list[float | None]]:
    """An hour of every reading that has no instances, and of two volumes, two disks and three sensors."""
    made: dict[tuple[int, str], list[float | None]] = {}
    several = {"volume": ("C:", "D:"), "disk": ("0", "1"), "sensor": ("a", "b", "c"), "interface": ("eth0",)}
    for spec in catalogue.ALL:
        if spec.number < catalogue.FIRST_OF_SERVER:
            for name in several.get(spec.instance, ("",)):
                level = min(spec.high, 50.0) if spec.unit != "bytes" else 8e10
                made[spec.number, name] = [max(spec.low, level * chance.uniform(0.9, 1)) for _ in range(packing.SLOTS)]
    return made


def _past(tx: sa.Connection, count: int) -> None:
    """A year of days for everybody; of weekdays only, as schools have them."""
    for day in range(_NEWEST - 400, _NEWEST):
        wanted = day > _NEWEST - 60 or day % 13 == 0
        if wanted and day % 7 not in (2, 3):
            rows = [{"id": day * SHIFT + pk, "body": _body(pk % 50, _NEWEST - day)} for pk in range(1, count + 1)]
            tx.execute(sa.insert(Daily), rows)


_bodies: dict[tuple[int, int], bytes] = {}


def _body(kind: int, age: int) -> bytes:
    if (kind, age) not in _bodies:
        chance = random.Random(kind * 1000 + age)
        free = 40 + age * (1.2 if kind % 10 == 0 else 0.0) + chance.gauss(0, 0.8)
        values = {
            ("disk.free_bytes", "C:"): free * 1e9, ("disk.free_percent", "C:"): free / 4.8, ("disk.free_bytes", "D:"): 9e11,
            ("disk.free_percent", "D:"): 90.0, ("memory.used_percent", ""): 50 + chance.gauss(0, 4),
            ("cpu.busy_percent", ""): 20.0,
            ("boot.uptime_days", ""): 0.4, ("boot.duration_seconds", ""): 30 + chance.gauss(0, 3), ("process.count", ""): 210.0,
            ("logon.duration_seconds", ""): 18 + chance.gauss(0, 3), ("battery.health_percent", ""): round(80 + age * 0.05),
            ("disk.smart_wear_percent", "0"): round(30 - age * 0.02), ("disk.smart_temperature", "0"): 38 + chance.gauss(0, 2),
            ("temperature.celsius", "a"): 48 + chance.gauss(0, 3), ("temperature.celsius", "b"): 41 + chance.gauss(0, 3),
        }  # fmt: skip
        day = {
            (catalogue.BY_KEY[key].number, name): Reading(value, value, value, value, 480)
            for (key, name), value in values.items()
        }
        _bodies[kind, age] = encode(day)
    return _bodies[kind, age]


if __name__ == "__main__":
    sys.exit(table.run_alone(measure))
