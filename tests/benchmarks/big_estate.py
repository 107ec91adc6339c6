"""A store as a large service has it after a year: 150,000 endpoints in 100 schools, with faults, incidents and some history.

Owns the rows, written straight into the tables: agents would take hours to bring them, and pages only see the store.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import table  # noqa: F401  puts packaging/ on the path
from crowd import estate as plan
from crowd import vitals
from fettle_protocol.v1 import link_pb2 as pb
from fettle_server import clock, config, db
from fettle_server.estate import history
from fettle_server.estate.endpoints.rules import Health, search_text
from fettle_server.estate.people import actions
from fettle_server.estate.people.rules import Person, Role
from fettle_server.schema import estate, proactive, reactive

SCHOOLS = 100
RESOLVED = 30_000
WITH_HISTORY = 20
_HISTORY_HOURS = 24 * 7
_HELD = {"disk-low": Health.WATCH, "disk-full": Health.ILL}

Row = dict[str, Any]


def fill(data: Path, endpoints: int) -> str:
    """Write the estate into a fresh data directory; the secret of a signed-in administrator's session."""
    settings = config.load(data)
    engine = db.open_engine(settings.database_url)
    now = clock.utc_now()
    with engine.begin() as tx:
        tx.execute(sa.delete(estate.School))
        schools = [{"id": number + 1, "name": plan.school_name(number), "created_at": now} for number in range(SCHOOLS)]
        tx.execute(sa.insert(estate.School), schools)
        for rows in _some(_endpoints(endpoints, now), 10_000):
            tx.execute(sa.insert(estate.Endpoint), rows)
        for incidents, faults, entries in _troubles(endpoints, now):
            tx.execute(sa.insert(reactive.Incident), incidents)
            tx.execute(sa.insert(proactive.Fault), faults)
            tx.execute(sa.insert(reactive.IncidentEntry), entries)
        _tell(tx, endpoints)
    with engine.begin() as tx:
        tx.exec_driver_sql("ANALYZE")
        secret = _sign_in(tx, settings, now)
    engine.dispose()
    return secret


def endpoint_id(pk: int) -> str:
    """The id of the endpoint of that key."""
    return f"{pk:032x}"


def _health(pk: int) -> Health:
    return Health.ILL if pk % 100 == 1 else Health.WATCH if pk % 33 == 2 else Health.UNKNOWN if pk % 10 == 3 else Health.WELL


def _endpoints(count: int, now: dt.datetime) -> Iterator[Row]:
    each = -(-count // SCHOOLS)
    for pk, pc in enumerate(itertools.islice(plan.plan(SCHOOLS, each, seed=1), count), start=1):
        health = _health(pk)
        sick = health in (Health.ILL, Health.WATCH)
        yield {
            "pk": pk, "id": endpoint_id(pk), "school_id": pc.place // each + 1, "name": pc.name, "system": pc.model.system,
            "system_version": pc.model.version, "agent_version": "0.1.0", "model": pc.model.name, "serial": pc.serial,
            "search": search_text(pc.name, pc.model.name, pc.serial), "connected": health is not Health.UNKNOWN,
            "last_seen": now - dt.timedelta(seconds=pk % 86_400), "state": health,
            "state_since": now - dt.timedelta(minutes=pk % 9999),
            "watch_faults": int(health is Health.WATCH), "ill_faults": int(health is Health.ILL), "open_incidents": int(sick),
            "enrolled_at": now - dt.timedelta(days=300),
        }  # fmt: skip


def _troubles(endpoints: int, now: dt.datetime) -> Iterator[tuple[list[Row], list[Row], list[Row]]]:
    """Incidents with their fault and their first line: old ones that were resolved, then one for each that is open."""
    dice, each = random.Random(1), -(-endpoints // SCHOOLS)
    resolved = ((dice.randint(1, endpoints), _before(now, dice.randint(2_000, 500_000)), True) for _ in range(RESOLVED))
    held = ((pk, _before(now, pk % 2_000), False) for pk in range(1, endpoints + 1) if _health(pk) in _HELD.values())
    for group in _some(enumerate(itertools.chain(resolved, held), start=1), 5_000):
        triples = [_trouble(number, pk, (pk - 1) // each + 1, at, done) for number, (pk, at, done) in group]
        yield [one[0] for one in triples], [one[1] for one in triples], [one[2] for one in triples]


def _before(now: dt.datetime, minutes: int) -> dt.datetime:
    return now - dt.timedelta(minutes=minutes)


def _trouble(number: int, pk: int, school: int, at: dt.datetime, done: bool) -> tuple[Row, Row, Row]:
    rule = "disk-full" if _health(pk) is Health.ILL else "disk-low"
    over = at + dt.timedelta(minutes=90) if done else None
    incident = {
        "number": number, "cause": f"endpoint:{pk}/disk-space", "state": "closed" if done else "new", "impact": "user",
        "urgency": "high" if rule == "disk-full" else "medium", "priority": 3 if rule == "disk-full" else 4,
        "title": "Disk C: is full", "school_id": school, "endpoint_pk": pk, "rule": rule, "origin": "agent", "opened_at": at,
        "resolved_at": over, "closed_at": over, "updated_at": over or at, "open_faults": 0 if done else 1,
    }  # fmt: skip
    fault = {
        "endpoint_pk": pk, "rule": rule, "instance": "C:", "severity": _HELD[rule], "since_at": at, "raised_at": at,
        "cleared_at": over, "clear_reason": "recovered" if done else "", "value": 2.5, "policy_version": 1,
        "incident_number": number,
        "evidence": {"raised": [[db.to_ms(at) - 60_000, 3.0], [db.to_ms(at), 2.5]]},
    }  # fmt: skip
    entry = {"incident_number": number, "at": at, "kind": "opened", "actor": "system", "text": "Disk C: is full"}
    return incident, fault, entry


def _tell(tx: sa.Connection, endpoints: int) -> None:
    """Vitals and a week of history for the first few."""
    now = time.time()
    made: set[int] = set()
    cast = plan.plan(1, -(-endpoints // SCHOOLS), seed=1)[:WITH_HISTORY]
    for pk, pc in enumerate(cast, start=1):
        readings = vitals.readings(vitals.at(pc, int(now // 60), ()))
        body = pb.Vitals(at_ms=int(now * 1000), readings=readings).SerializeToString()
        tx.execute(sa.insert(estate.Vitals), {"endpoint_pk": pk, "at": clock.utc_now(), "body": body})
        hours = range(int(now // 3600) - _HISTORY_HOURS, int(now // 3600))
        history.store(tx, [(pk, hour, vitals.hour(pc, hour, ())) for hour in hours], made)


def _sign_in(tx: sa.Connection, settings: config.Settings, now: dt.datetime) -> str:
    tx.execute(sa.update(estate.User).values(must_change_password=False))
    user = tx.execute(sa.select(estate.User.id, estate.User.name)).first()
    assert user is not None
    return actions.start_session(tx, Person(user.id, user.name, Role.ADMINISTRATOR, None), "127.0.0.1", "bench", settings, now)


def _some(rows: Iterator[Any], count: int) -> Iterator[list[Any]]:
    while chunk := list(itertools.islice(rows, count)):
        yield chunk
