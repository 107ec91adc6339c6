"""The demo estate's faults and incidents: those of the last two weeks that are over, and those of now."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace

import sqlalchemy as sa
from fettle_protocol import catalogue
from fettle_protocol.policy import Policy, Rule
from fettle_server.db import to_ms
from fettle_server.estate.people.rules import Person
from fettle_server.journal.actions import record
from fettle_server.notify.actions import Message, enqueue
from fettle_server.proactive.rules import standing
from fettle_server.proactive.tables import Fault
from fettle_server.reactive import actions as desk
from fettle_server.reactive.rules import priority_of
from fettle_server.reactive.tables import Incident, IncidentEntry

from demo import notices
from demo.pcs import BEGAN_MINUTES, INSTANCES, Pc
from demo.readings import Curve


def present(tx: sa.Connection, pcs: list[Pc], policy: Policy, staff: list[Person], now: dt.datetime) -> None:
    """What is wrong now; some of it has somebody."""
    broken = sorted((pc for pc in pcs if pc.fault), key=lambda pc: -BEGAN_MINUTES[pc.fault])
    for i, pc in enumerate(broken):
        began = now - dt.timedelta(minutes=BEGAN_MINUTES[pc.fault] + 7 * i % 30)
        number = _incident(tx, pc, policy, began, None)
        notices.tell(tx, began)
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


def past(tx: sa.Connection, pcs: list[Pc], policy: Policy, now: dt.datetime) -> None:
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
            past = replace(pc, fault=rule)
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
    if not ended:
        priority = priority_of({}, impact, urgency)
        enqueue(tx, [Message("incident.opened", number, pc.school_id, priority, title, False, began)])
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
            endpoint_pk=pc.pk, rule=rule.key, instance=INSTANCES.get(rule.key, ""), severity=rule.severity.value,
            since_at=began,
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
