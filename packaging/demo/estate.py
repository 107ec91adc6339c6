"""Fills a store with a dozen schools, three hundred PCs, and the faults and incidents of an ordinary week."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
import zlib
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fettle_protocol import catalogue, packing
from fettle_protocol.policy import Policy, Rule
from fettle_protocol.v1 import link_pb2
from fettle_server.db import to_ms
from fettle_server.estate import history
from fettle_server.estate.people import actions as people
from fettle_server.estate.people import queries as people_queries
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.estate.tables import Certificate, Endpoint, EndpointEvent, Inventory, School, User, Vitals
from fettle_server.journal.actions import record
from fettle_server.proactive.queries import current_policy
from fettle_server.proactive.rules import standing
from fettle_server.proactive.tables import Fault
from fettle_server.reactive import actions as desk
from fettle_server.reactive.rules import priority_of
from fettle_server.reactive.tables import Incident, IncidentEntry

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
ILL = ("disk-full", "service-stopped", "memory-exhausted", "disk-failing")
WATCH = ("disk-low", "wifi-weak", "dns-slow", "battery-worn", "hot", "disk-low", "battery-worn", "wifi-weak", "disk-low")
INSTANCES = {
    "disk-full": "C:",
    "disk-low": "C:",
    "hot": "CPU",
    "wifi-weak": "wlan0",
    "service-stopped": "Print Spooler",
    "disk-failing": "nvme0",
}
BEGAN_MINUTES = {
    "disk-full": 41, "service-stopped": 26, "memory-exhausted": 12, "disk-failing": 172, "disk-low": 1400, "wifi-weak": 150,
    "dns-slow": 34, "battery-worn": 4300, "hot": 55,
}  # fmt: skip
LONG_HISTORY, SHORT_HISTORY = 30 * 24, 26
PASSWORD = "four words in a row"


@dataclass(frozen=True, slots=True)
class Pc:
    """A demo PC: its keys, name and place, and the rule that it breaks, if any."""

    pk: int
    id: str
    name: str
    school_id: int
    model: str
    system: str
    version: str
    fault: str
    heard: bool


def fill(tx: sa.Connection, now: dt.datetime, *, healthy: bool = False) -> list[Pc]:
    """The whole estate, as of now; `healthy` leaves every fault out. The store is migrated and has its policy."""
    pcs = _pcs(random.Random(7), healthy=healthy)
    start = now - dt.timedelta(days=90)
    tx.execute(sa.delete(School))
    tx.execute(sa.insert(School), [{"id": i, "name": name, "created_at": start} for i, (name, _) in enumerate(SCHOOLS, 1)])
    policy = current_policy(tx)
    tx.execute(sa.insert(Endpoint), [_endpoint(pc, policy, now) for pc in pcs])
    tx.execute(sa.insert(Certificate), [_certificate(pc, now) for pc in pcs])
    tx.execute(sa.insert(Inventory), [row for pc in pcs for row in _inventory(pc, now)])
    for pc in pcs:
        _readings(tx, pc, now)
    staff = [_person(tx, name, role, now) for name, role in (("morag", Role.TECHNICIAN), ("ewan", Role.TECHNICIAN))]
    if not healthy:
        _past(tx, pcs, policy, now)
        _present(tx, pcs, policy, staff, now)
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
    if fault in ("wifi-weak", "battery-worn"):
        return Pc(
            pc.pk,
            pc.id,
            f"LT-{pc.name[-5:]}",
            pc.school_id,
            "HP ProBook 445 G10",
            "windows",
            "Windows 11 Education 23H2",
            fault,
            heard,
        )
    if fault:
        return Pc(
            pc.pk,
            pc.id,
            f"PC-{pc.name[-5:]}",
            pc.school_id,
            "Dell OptiPlex 7010",
            "windows",
            "Windows 11 Education 24H2",
            fault,
            heard,
        )
    return Pc(pc.pk, pc.id, pc.name, pc.school_id, pc.model, pc.system, pc.version, fault, heard)


def _endpoint(pc: Pc, policy: Policy, now: dt.datetime) -> dict[str, Any]:
    rule = policy.rule(pc.fault)
    state = "unknown" if not pc.heard else rule.severity.value if rule else "well"
    seen = now - dt.timedelta(seconds=pc.pk % 240) if pc.heard else now - dt.timedelta(hours=3 + pc.pk % 90)
    return {
        "pk": pc.pk, "id": pc.id, "school_id": pc.school_id, "name": pc.name, "system": pc.system, "system_version": pc.version,
        "agent_version": "0.1.0", "model": pc.model, "serial": f"5CG{pc.id[:7].upper()}", "policy_version": policy.version,
        "search": f"{pc.name} {pc.model} 5cg{pc.id[:7]}".lower(), "connected": pc.heard,
        "connected_since": now - dt.timedelta(hours=3, minutes=pc.pk % 60) if pc.heard else None,
        "address": f"10.{pc.school_id}.4.{pc.pk % 250 + 2}", "last_seen": seen, "state": state,
        "state_since": now - dt.timedelta(minutes=BEGAN_MINUTES.get(pc.fault, 180)), "watch_faults": int(state == "watch"),
        "ill_faults": int(state == "ill"), "open_incidents": int(bool(rule)), "enrolled_at": now - dt.timedelta(days=80 - pc.pk % 60),
    }  # fmt: skip


def _certificate(pc: Pc, now: dt.datetime) -> dict[str, Any]:
    mark = hashlib.sha256(f"certificate of {pc.id}".encode()).hexdigest()
    return {
        "fingerprint": mark,
        "endpoint_pk": pc.pk,
        "issued_at": now - dt.timedelta(days=20),
        "not_after": now + dt.timedelta(days=70),
    }


def _inventory(pc: Pc, now: dt.datetime) -> list[dict[str, Any]]:
    maker, _, model = pc.model.partition(" ")
    hardware = {
        "maker": maker, "model": model, "serial": f"5CG{pc.id[:7].upper()}", "chassis": "laptop" if pc.name.startswith("LT") else "desktop",
        "os": {"name": pc.version, "build": "26100.2454", "architecture": "x86_64"},
        "firmware": {"maker": maker, "version": "1.18.2", "date": "2026-03-11", "uefi": True, "secure_boot": True},
        "cpu": {"model": "Intel Core i5-13500T", "sockets": 1, "cores": 14, "threads": 20, "max_mhz": 4600},
        "memory": {"bytes": 17_179_869_184, "modules": [{"slot": "DIMM 1", "bytes": 17_179_869_184, "kind": "DDR4", "speed_mts": 3200, "maker": "Samsung"}]},
        "disks": [{"name": "nvme0", "model": "KIOXIA KBG50ZNV256G", "bytes": 256_060_514_304, "kind": "ssd", "bus": "nvme"}],
        "network": [{"name": "eth0", "model": "Intel I219-LM", "mac": "a4:bb:6d:1c:90:2f", "kind": "wired"}],
        "monitors": [{"maker": "Dell", "model": "P2422H", "year": 2023}], "tpm": {"present": True, "version": "2.0"},
    }  # fmt: skip
    names = (
        "7-Zip",
        "Google Chrome",
        "LibreOffice",
        "Microsoft Teams",
        "Mozilla Firefox",
        "Scratch 3",
        "Smart Notebook",
        "VLC media player",
    )
    software = {
        "packages": [
            {"name": name, "version": f"{i + 7}.{i}.2", "maker": "", "source": "registry"} for i, name in enumerate(names)
        ]
    }
    rows = []
    for section, body in (("hardware", hardware), ("software", software)):
        plain = json.dumps(body).encode()
        rows.append(
            {
                "endpoint_pk": pc.pk,
                "section": section,
                "digest": hashlib.sha256(plain).hexdigest(),
                "at": now - dt.timedelta(days=2),
                "body": zlib.compress(plain),
            }
        )
    return rows


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


def _present(tx: sa.Connection, pcs: list[Pc], policy: Policy, staff: list[Person], now: dt.datetime) -> None:
    """What is wrong now; some of it has somebody."""
    broken = sorted((pc for pc in pcs if pc.fault), key=lambda pc: -BEGAN_MINUTES[pc.fault])
    for i, pc in enumerate(broken):
        began = now - dt.timedelta(minutes=BEGAN_MINUTES[pc.fault] + 7 * i % 30)
        number = _incident(tx, pc, policy, began, None)
        if i % 3 == 1:
            person = staff[i % 2]
            desk.assign(tx, person, number, person.name, began + dt.timedelta(minutes=6))
            desk.start(tx, person, number, began + dt.timedelta(minutes=9))
            desk.comment(
                tx,
                person,
                number,
                "Rang the office: the room is free after second period. I will look at it then.",
                began + dt.timedelta(minutes=11),
            )
        elif i == 0:
            desk.assign(tx, staff[0], number, staff[0].name, began + dt.timedelta(minutes=30))
            desk.wait(tx, staff[0], number, "A new battery is on order, due on Thursday.", began + dt.timedelta(minutes=34))


def _past(tx: sa.Connection, pcs: list[Pc], policy: Policy, now: dt.datetime) -> None:
    """What was wrong in the last two weeks, and is over; today's are few."""
    chance = random.Random(11)
    rules = ("disk-low", "service-stopped", "dns-slow", "wifi-weak", "memory-exhausted", "hot")
    for day in range(13, -1, -1):
        for n in range(chance.randint(2, 7) if day % 7 not in (1, 2) else chance.randint(0, 1)):
            pc = pcs[chance.randrange(len(pcs))]
            if pc.fault:
                continue
            began = now - dt.timedelta(days=day, hours=n + 1, minutes=chance.randint(0, 50))
            ended = min(began + dt.timedelta(minutes=chance.randint(5, 240)), now - dt.timedelta(minutes=5))
            rule = rules[chance.randrange(len(rules))]
            past = Pc(pc.pk, pc.id, pc.name, pc.school_id, pc.model, pc.system, pc.version, rule, pc.heard)
            _incident(tx, past, policy, began, ended)


def _incident(tx: sa.Connection, pc: Pc, policy: Policy, began: dt.datetime, ended: dt.datetime | None) -> int:
    """A fault with its incident; `ended` None: it lasts. Returns the incident's number."""
    rule = policy.rule(pc.fault)
    assert rule is not None, pc.fault
    instance = INSTANCES.get(pc.fault, "")
    title = standing(policy, pc.fault, instance, pc.name).title
    urgency = "high" if rule.severity == "ill" else "medium"
    impact = rule.impact.value
    made = tx.execute(
        sa.insert(Incident).values(
            cause=f"endpoint:{pc.pk}/{rule.topic}", state="resolved" if ended else "new", impact=impact, urgency=urgency,
            priority=priority_of({}, impact, urgency), title=title, school_id=pc.school_id, endpoint_pk=pc.pk, rule=pc.fault,
            opened_at=began, updated_at=ended or began, resolved_at=ended, open_faults=0 if ended else 1,
        )
    )  # fmt: skip
    number = int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0
    _fault(tx, pc, rule, number, (began, ended))
    entries = [("opened", began, title)] + (
        [("fault cleared", ended, title), ("resolved", ended, "Its last fault is over.")] if ended else []
    )
    tx.execute(
        sa.insert(IncidentEntry),
        [
            {"incident_number": number, "at": at, "kind": kind, "actor": f"endpoint:{pc.id}", "text": text, "detail": {}}
            for kind, at, text in entries
        ],
    )
    detail = {"title": title, "endpoint_id": pc.id}
    record(tx, "incident.opened", f"endpoint:{pc.id}", f"incident:{number}", pc.school_id, detail, began)
    if ended:
        record(tx, "incident.resolved", f"endpoint:{pc.id}", f"incident:{number}", pc.school_id, detail, ended)
    return number


def _fault(tx: sa.Connection, pc: Pc, rule: Rule, number: int, span: tuple[dt.datetime, dt.datetime | None]) -> None:
    began, ended = span
    raised = began + dt.timedelta(minutes=5)
    curve = _crossing(rule)
    step = 20_000
    evidence = {"raised": [[to_ms(raised) - (59 - i) * step, round(curve(i / 59), 2)] for i in range(60)], "cleared": []}
    if ended:
        evidence["cleared"] = [[to_ms(ended) - (29 - i) * step, round(curve(1 - i / 29), 2)] for i in range(30)]
    tx.execute(
        sa.insert(Fault).values(
            endpoint_pk=pc.pk, rule=rule.key, instance=INSTANCES.get(rule.key, ""), severity=rule.severity.value, since_at=began,
            raised_at=raised, cleared_at=ended, clear_reason="recovered" if ended else "", value=curve(1.0), evidence=evidence,
            policy_version=1, incident_number=number,
        )
    )  # fmt: skip


def _crossing(rule: Rule) -> Curve:
    """From beyond the clear level to past the raise level, by a share of 0 to 1."""
    spec = catalogue.BY_KEY[rule.reading]
    if spec.unit == "yes/no":
        good, bad = rule.clear_level, rule.raise_level
        return lambda share: bad if share > 0.55 else good
    apart = max(abs(rule.raise_level - rule.clear_level), abs(rule.raise_level) * 0.05, 1.0)
    sign = 1 if rule.direction == "above" else -1
    chance = random.Random(rule.key)
    shakes = [chance.uniform(-0.12, 0.12) for _ in range(61)]
    return lambda share: min(
        max(rule.raise_level + sign * apart * (-2.4 + 3.2 * share + shakes[round(share * 60)]), spec.low), spec.high
    )
