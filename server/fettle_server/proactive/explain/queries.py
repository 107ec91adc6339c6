"""The facts behind an explanation, read for one endpoint: bounded, and only for who may see it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import Policy

from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.views import VitalsView
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint, User
from fettle_server.notify import queries as notices
from fettle_server.proactive import queries as proactive
from fettle_server.proactive.explain import rules
from fettle_server.proactive.explain.rules import Case, Machine, Told, Value, Way
from fettle_server.proactive.explain.views import Chain, Countdown, Explanation, Kind, Step
from fettle_server.proactive.presence.queries import presence_of
from fettle_server.proactive.rules import standing
from fettle_server.proactive.stages.rules import NAMES
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import Incident

FAULTS = 20
LATELY = dt.timedelta(days=7)
_NAMES = {stage.value: name for stage, name in NAMES.items()}
_CASE = (
    Incident.number, Incident.title, Incident.state, Incident.priority, Incident.scope, Incident.opened_at,
    Incident.acknowledged_at, Incident.resolved_at, sa.func.coalesce(User.name, "").label("assignee"), Incident.merged_into,
    Incident.quiet_until, Incident.is_test, Incident.open_faults,
)  # fmt: skip


def explain(tx: sa.Connection, person: Person, endpoint_id: str, now: dt.datetime) -> Explanation | None:
    """All that can be said of that endpoint; None where there is none of that id among the person's schools."""
    detail = endpoints.endpoint(tx, person, endpoint_id)
    if detail is None:
        return None
    policy, vitals = proactive.current_policy(tx), endpoints.vitals(tx, person, endpoint_id)
    ways = _ways(tx, detail.pk, detail.name, policy, now)
    open_ways = [way for way in ways if way.cleared_at is None]
    running = {(one.rule, one.instance): one for one in _countdowns(vitals, policy, now, is_live=detail.connected)}
    klass = tx.scalar(sa.select(Endpoint.endpoint_class).where(Endpoint.pk == detail.pk)) or ""
    failing = tuple(one.name for one in vitals.agent.collectors if one.error) if vitals and vitals.agent else ()
    return Explanation(
        endpoint_id=detail.id,
        endpoint=detail.name,
        school=detail.school,
        state=detail.state.value,
        sentence=proactive.sentence(tx, person, endpoint_id, now),
        at=now,
        read_at=vitals.at if vitals else None,
        why=tuple(rules.chain(way, _NAMES, now) for way in open_ways),
        rules=rules.lines(
            policy.rules,
            Machine(detail.system, klass, failing),
            _values(vitals),
            running,
            frozenset((way.key, way.instance) for way in open_ways),
        ),
        presence=_presence(tx, person, endpoint_id, now),
        messages=_messages(tx, ways, now),
    )


def countdowns(tx: sa.Connection, person: Person, endpoint_id: str, now: dt.datetime) -> tuple[Countdown, ...]:
    """The durations under way on that endpoint that are still believed, the next to end first."""
    detail = endpoints.endpoint(tx, person, endpoint_id)
    if detail is None:
        return ()
    vitals = endpoints.vitals(tx, person, endpoint_id)
    return _countdowns(vitals, proactive.current_policy(tx), now, is_live=detail.connected)


def _countdowns(vitals: VitalsView | None, policy: Policy, now: dt.datetime, *, is_live: bool) -> tuple[Countdown, ...]:
    if vitals is None or not is_live:
        return ()
    by_key = {rule.key: rule for rule in policy.rules}
    found = (
        rules.countdown(by_key[one.rule], one.instance, one.since, clearing=one.clearing)
        for one in vitals.pending
        if one.rule in by_key
    )
    return tuple(sorted((one for one in found if rules.counts_down(one, vitals.at, now)), key=lambda one: one.ends_at))


def _values(vitals: VitalsView | None) -> dict[str, list[Value]]:
    values: dict[str, list[Value]] = {}
    for one in vitals.readings if vitals else ():
        values.setdefault(one.key, []).append(Value(one.instance, one.value))
    return values


def _ways(tx: sa.Connection, pk: int, endpoint: str, policy: Policy, now: dt.datetime) -> list[Way]:
    """The open faults, the worst and oldest first, then those of the last days, the latest first."""
    mine = sa.select(Fault).where(Fault.endpoint_pk == pk)
    standing_open = mine.where(Fault.cleared_at.is_(None)).order_by(Fault.severity, Fault.since_at, Fault.id).limit(FAULTS)
    over = mine.where(Fault.cleared_at > now - LATELY).order_by(Fault.cleared_at.desc(), Fault.id.desc()).limit(FAULTS)
    rows = [*tx.execute(standing_open), *tx.execute(over)]
    cases = _cases(tx, {row.incident_number for row in rows if row.incident_number is not None})
    return [_way(row, endpoint, policy, cases.get(row.incident_number)) for row in rows]


def _way(row: Any, endpoint: str, policy: Policy, case: Case | None) -> Way:
    return Way(
        title=standing(policy, row.rule, row.instance, endpoint).title,
        rule=policy.rule(row.rule),
        key=row.rule,
        instance=row.instance,
        severity=row.severity,
        value=row.value,
        since_at=row.since_at,
        raised_at=row.raised_at,
        cleared_at=row.cleared_at,
        stage=row.stage,
        stage_reason=row.stage_reason.rstrip("."),
        held_until=row.held_until,
        trail=row.trail,
        incident=case,
    )


def _cases(tx: sa.Connection, numbers: set[int]) -> dict[int, Case]:
    statement = sa.select(*_CASE).outerjoin(User, User.id == Incident.assignee_id).where(Incident.number.in_(sorted(numbers)))
    return {row.number: Case(**row._asdict()) for row in tx.execute(statement)} if numbers else {}


def _messages(tx: sa.Connection, ways: list[Way], now: dt.datetime) -> tuple[Chain, ...]:
    is_configured = notices.is_configured(tx)
    told: dict[int, list[Told]] = {}
    for number in {way.incident.number for way in ways if way.incident is not None}:
        told[number] = [Told(one.at, one.kind, one.channel, one.outcome, one.text) for one in notices.story(tx, number)]
    return tuple(
        rules.messages(way, told.get(way.incident.number, []) if way.incident else [], _NAMES, now, is_configured=is_configured)
        for way in ways[:FAULTS]
    )


def _presence(tx: sa.Connection, person: Person, endpoint_id: str, now: dt.datetime) -> tuple[Step, ...]:
    view = presence_of(tx, person, endpoint_id, now)
    if view is None:
        return ()
    state = "ill" if view.absent_since else "well" if view.connected else "unknown"
    steps = [Step(Kind.PRESENCE, view.sentence, view.absent_since, state)]
    if not view.connected and view.how_it_left and view.left_at is not None:
        steps.append(Step(Kind.PRESENCE, view.how_it_left, view.left_at))
    if view.back_by is not None and not view.connected:
        steps.append(Step(Kind.PRESENCE, "It said by when it would be back.", view.back_by))
    steps.append(Step(Kind.PRESENCE, f"Its class is expected {view.expectation}."))
    if view.usual:
        steps.append(Step(Kind.PRESENCE, f"By its own habit it is {view.usual}."))
    return tuple(steps)
