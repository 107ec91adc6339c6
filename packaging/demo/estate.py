"""Fills a store with a dozen schools, three hundred PCs, and the faults and incidents of an ordinary week."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from fettle_protocol import catalogue, packing
from fettle_protocol.policy import Policy
from fettle_protocol.v1 import link_pb2
from fettle_server.db import to_ms
from fettle_server.estate import history
from fettle_server.estate.people import actions as people
from fettle_server.estate.people import queries as people_queries
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.estate.tables import Certificate, Endpoint, EndpointEvent, Inventory, School, User, Vitals
from fettle_server.journal.actions import record
from fettle_server.proactive.queries import current_policy

from demo import changes, coming, inventory, library, notices, places, rulings, storms, troubles
from demo.pcs import BEGAN_MINUTES, ILL, WATCH, Pc
from demo.readings import Curve, curves, key_of

SCHOOLS = (
    ("Ashgrove Primary", 18), ("Beechwood High", 62), ("Castle Road Infants", 9), ("Dunmore Academy", 48),
    ("Elm Park Primary", 16), ("Fernhill College", 44), ("Greenbank Special School", 12), ("Harbour View Primary", 14),
    ("Kingsmead Grammar", 38), ("Lakeside Nursery", 5), ("Moorland Primary", 15), ("St Columba's", 19),
)  # fmt: skip
MODELS = (
    ("Dell OptiPlex 7010", "windows", "Windows 11 Education 24H2", "PC"),
    ("HP ProDesk 400 G9", "windows", "Windows 11 Education 24H2", "PC"),
    ("Lenovo ThinkCentre M70q", "linux", "Ubuntu 24.04 LTS", "LAB"),
    ("HP ProBook 445 G10", "windows", "Windows 11 Education 23H2", "LT"),
    ("Lenovo 300e Yoga", "windows", "Windows 11 SE", "LT"),
    ("MacBook Air M2", "macos", "macOS 15.6", "MAC"),
)
_WINDOWS = "Windows 11 Education 24H2"
LONG_HISTORY, SHORT_HISTORY = 30 * 24, 26


def fill(tx: sa.Connection, now: dt.datetime, *, healthy: bool = False) -> list[Pc]:
    """The whole estate, as of now; `healthy` leaves every fault out. The store is migrated and has its policy."""
    pcs = _pcs(random.Random(7), healthy=healthy)
    start = now - dt.timedelta(days=90)
    tx.execute(sa.delete(School))
    tx.execute(sa.insert(School), [{"id": i, "name": name, "created_at": start} for i, (name, _) in enumerate(SCHOOLS, 1)])
    staff = [_person(tx, name, role, now) for name, role in (("morag", Role.TECHNICIAN), ("ewan", Role.TECHNICIAN))]
    if not healthy:
        rulings.rules(tx, staff[0], now)
    policy = current_policy(tx)
    tx.execute(sa.insert(Endpoint), [_endpoint(pc, policy, now) for pc in pcs])
    tx.execute(sa.insert(Certificate), [_certificate(pc, now) for pc in pcs])
    tx.execute(sa.insert(Inventory), [row for pc in pcs for row in inventory.rows(pc, now)])
    for pc in pcs:
        _readings(tx, pc, now)
    places.fill(tx, pcs, now)
    if not healthy:
        notices.ways(tx, now - dt.timedelta(days=40))
        notices.proved(tx, staff[0], now)
        changes.fill(tx, pcs, staff, now)
        library.fill(tx, pcs, staff[0], now)
        troubles.past(tx, pcs, policy, now)
        storms.past(tx, pcs, now)
        troubles.present(tx, pcs, policy, staff, now)
        storms.present(tx, pcs, staff, now)
        coming.fill(tx, pcs, now)
        rulings.problems(tx, staff, now)
        notices.tell(tx, now - dt.timedelta(minutes=2), down="webhook")
    record(
        tx,
        "endpoint.enrolled",
        f"endpoint:{pcs[-1].id}",
        f"endpoint:{pcs[-1].id}",
        pcs[-1].school_id,
        {"name": pcs[-1].name},
        now - dt.timedelta(hours=3),
    )
    return pcs


def _pcs(chance: random.Random, *, healthy: bool) -> list[Pc]:
    made: list[Pc] = []
    for school_id, (_, count) in enumerate(SCHOOLS, 1):
        for number in range(1, count + 1):
            model, system, version, short = chance.choice(MODELS)
            pk = len(made) + 1
            name = f"{short}-{school_id:02}{number:03}"
            made.append(
                Pc(pk, hashlib.sha256(name.encode()).hexdigest()[:32], name, school_id, model, system, version, "", True)
            )
    if healthy:
        return made
    places = chance.sample(range(len(made)), len(ILL) + len(WATCH) + 17)
    faults = dict(zip(places, (*ILL, *WATCH), strict=False))
    silent = set(places[len(faults) :])
    return [_with(pc, faults.get(i, ""), heard=i not in silent) for i, pc in enumerate(made)]


def _with(pc: Pc, fault: str, *, heard: bool) -> Pc:
    """The PC with that fault; a fault of laptops makes a laptop of it, any other a desktop."""
    if fault in ("wifi-weak", "battery-worn"):
        pc = replace(pc, name=f"LT-{pc.name[-5:]}", model="HP ProBook 445 G10", system="windows", version=_WINDOWS)
    elif fault:
        pc = replace(pc, name=f"PC-{pc.name[-5:]}", model="Dell OptiPlex 7010", system="windows", version=_WINDOWS)
    return replace(pc, fault=fault, heard=heard)


def _endpoint(pc: Pc, policy: Policy, now: dt.datetime) -> dict[str, Any]:
    rule = policy.rule(pc.fault)
    state = "unknown" if not pc.heard else rule.severity.value if rule else "well"
    seen = now - dt.timedelta(seconds=pc.pk % 240) if pc.heard else now - dt.timedelta(hours=3 + pc.pk % 90)
    return {
        "pk": pc.pk, "id": pc.id, "school_id": pc.school_id, "name": pc.name, "system": pc.system, "system_version": pc.version,
        "agent_version": "0.1.0", "model": pc.model, "serial": f"5CG{pc.id[:7].upper()}",
        "policy_version": policy.version if pc.heard else 1,
        "search": f"{pc.name} {pc.model} 5cg{pc.id[:7]}".lower(), "connected": pc.heard,
        "connected_since": now - dt.timedelta(hours=3, minutes=pc.pk % 60) if pc.heard else None,
        "address": f"10.{pc.school_id}.4.{pc.pk % 250 + 2}", "last_seen": seen, "state": state,
        "state_since": now - dt.timedelta(minutes=BEGAN_MINUTES.get(pc.fault, 180)), "watch_faults": int(state == "watch"),
        "ill_faults": int(state == "ill"), "open_incidents": int(bool(rule)),
        "enrolled_at": now - dt.timedelta(days=80 - pc.pk % 60),
    }  # fmt: skip


def _certificate(pc: Pc, now: dt.datetime) -> dict[str, Any]:
    mark = hashlib.sha256(f"certificate of {pc.id}".encode()).hexdigest()
    return {
        "fingerprint": mark,
        "endpoint_pk": pc.pk,
        "issued_at": now - dt.timedelta(days=20),
        "not_after": now + dt.timedelta(days=70),
    }


def _readings(tx: sa.Connection, pc: Pc, now: dt.datetime) -> None:
    drawn = curves(pc.pk, laptop=pc.name.startswith("LT"), fault=pc.fault)
    at = now - dt.timedelta(seconds=pc.pk % 200)
    message = link_pb2.Vitals(at_ms=to_ms(at), agent=link_pb2.AgentHealth(cpu_percent=0.09, memory_mib=39.4))
    for (name, instance), curve in drawn.items():
        message.readings.add(key=catalogue.BY_KEY[name].number, instance=instance, value=curve(0.0))
    tx.execute(sa.insert(Vitals).values(endpoint_pk=pc.pk, at=at, body=message.SerializeToString()))
    hours = LONG_HISTORY if pc.fault in ILL else SHORT_HISTORY if pc.fault or pc.pk <= 3 else 0
    first = history.hour_of(now) - hours
    history.store(tx, [(pc.pk, hour, _pack(drawn, hour, now)) for hour in range(first, first + hours + 1) if hours], set())
    if hours:
        events = [
            (now - dt.timedelta(hours=3, minutes=pc.pk % 60), "booted", {}),
            (now - dt.timedelta(hours=19), "shutting down", {}),
            (now - dt.timedelta(hours=2), "inventory", {"section": "software"}),
        ]
        tx.execute(
            sa.insert(EndpointEvent),
            [{"endpoint_pk": pc.pk, "at": at, "kind": kind, "detail": detail} for at, kind, detail in events],
        )


def _pack(drawn: dict[tuple[str, str], Curve], hour: int, now: dt.datetime) -> bytes:
    """An hour's series. Older than two days only each tenth minute is there, as from a PC that was thinned."""
    series: dict[packing.SeriesKey, list[float | None]] = {}
    step = 1 if to_ms(now) - hour * 3_600_000 < 172_800_000 else 10
    for (name, instance), curve in drawn.items():
        spec = catalogue.BY_KEY[name]
        slots: list[float | None] = [None] * packing.SLOTS
        for slot in range(0, packing.SLOTS, step):
            ago = (to_ms(now) - (hour * 3_600_000 + slot * 60_000)) / 3_600_000
            if ago >= 0:
                slots[slot] = min(max(curve(ago), spec.low), spec.high)
        series[key_of(name, instance)] = slots
    return packing.pack(series)


def _person(tx: sa.Connection, name: str, role: Role, now: dt.datetime) -> Person:
    people.add_user(tx, SYSTEM, name, role, None, now=now)
    tx.execute(sa.update(User).where(User.name == name).values(must_change_password=False))
    found = people_queries.person_named(tx, name)
    assert found is not None
    return found
