"""Reads about faults: an endpoint's faults with what their rules say, its state in a sentence, the policy in force."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

import sqlalchemy as sa
from fettle_protocol import catalogue
from fettle_protocol import policy as policies
from fettle_protocol.policy import Policy

from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint, Health
from fettle_server.paging import bounded
from fettle_server.proactive.forecasts import queries as forecasts
from fettle_server.proactive.rules import CLASH, FORECASTS, standing
from fettle_server.proactive.sentences import Condition, Trouble, explain, measured
from fettle_server.proactive.tables import Fault, PolicyVersion
from fettle_server.proactive.views import FaultRow

__all__ = ["FaultRow", "current_policy", "faults_of", "sentence"]

_EMPTY = Policy(version=0)
_TROUBLES = 100
_SERVERS_OWN = {
    CLASH: (
        "A second machine showed this PC's certificate and was turned away: one of the two is a copy of the other's disk.",
        "Enrol the copy with a token of its own; where nobody copied this PC, revoke it and enrol it anew.",
    )
}
"""Meaning and first step of the rules that the server judges itself, which stand in no policy."""


def current_policy(tx: sa.Connection) -> Policy:
    """The policy in force; an empty one of version 0 before the first. Read anew each time, decoded once."""
    body = tx.scalar(sa.select(PolicyVersion.body).order_by(PolicyVersion.version.desc()).limit(1))
    return _EMPTY if body is None else _decoded(bytes(body))


def faults_of(
    tx: sa.Connection, person: Person, endpoint_id: str, *, open_only: bool = False, limit: int = 50
) -> tuple[FaultRow, ...]:
    """An endpoint's faults: the open ones first, each part with the newest first."""
    policy = current_policy(tx)
    statement = (
        sa.select(*Fault.__table__.c, Endpoint.name.label("endpoint"))
        .join(Endpoint, Endpoint.pk == Fault.endpoint_pk)
        .where(Endpoint.id == endpoint_id, *scoped(person))
    )
    found = _newest(tx, statement.where(Fault.cleared_at.is_(None)), limit)
    if not open_only and len(found) < limit:
        found += _newest(tx, statement.where(Fault.cleared_at.is_not(None)), limit - len(found))
    return tuple(_row(row, policy) for row in found)


def sentence(tx: sa.Connection, person: Person, endpoint_id: str, now: dt.datetime) -> str:
    """The endpoint's state, explained; empty where the person sees no such endpoint."""
    columns = (Endpoint.pk, Endpoint.name, Endpoint.system, Endpoint.state, Endpoint.connected)
    times = (Endpoint.last_seen, Endpoint.enrolled_at, Endpoint.revoked_at)
    row = tx.execute(sa.select(*columns, *times).where(Endpoint.id == endpoint_id, *scoped(person))).one_or_none()
    if row is None:
        return ""
    policy = current_policy(tx)
    condition = Condition(
        state=Health(row.state),
        connected=row.connected,
        last_seen=row.last_seen,
        enrolled_at=row.enrolled_at,
        revoked_at=row.revoked_at,
        rules=sum(row.system in rule.systems for rule in policy.rules),
        troubles=_troubles(tx, row.pk, row.name, policy),
        coming=forecasts.sentences_of(tx, row.pk),
    )
    return explain(condition, now)


@functools.lru_cache(maxsize=8)
def _decoded(body: bytes) -> Policy:
    return policies.decode(body)


def _newest(tx: sa.Connection, statement: sa.Select[Any], limit: int) -> list[Any]:
    return list(tx.execute(statement.order_by(Fault.raised_at.desc(), Fault.id.desc()).limit(bounded(limit))))


def _troubles(tx: sa.Connection, endpoint_pk: int, endpoint: str, policy: Policy) -> tuple[Trouble, ...]:
    rows = tx.execute(
        sa.select(Fault.rule, Fault.instance, Fault.severity, Fault.value, Fault.since_at)
        .where(Fault.endpoint_pk == endpoint_pk, Fault.cleared_at.is_(None), Fault.rule.not_in(FORECASTS))
        .order_by(Fault.severity, Fault.since_at, Fault.id)  # "ill" comes before "watch"
        .limit(_TROUBLES)
    )
    return tuple(
        Trouble(
            severity=row.severity,
            title=standing(policy, row.rule, row.instance, endpoint).title,
            measured=_measured(policy, row.rule, row.value),
            since=row.since_at,
        )
        for row in rows
    )


def _measured(policy: Policy, rule: str, value: float) -> str:
    known = policy.rule(rule)
    return measured(value, catalogue.BY_KEY[known.reading].unit) if known else ""


def _row(row: Any, policy: Policy) -> FaultRow:
    rule = policy.rule(row.rule)
    return FaultRow(
        id=row.id,
        rule=row.rule,
        title=standing(policy, row.rule, row.instance, row.endpoint).title,
        meaning=rule.meaning if rule else _SERVERS_OWN.get(row.rule, ("", ""))[0],
        first_step=rule.first_step if rule else _SERVERS_OWN.get(row.rule, ("", ""))[1],
        instance=row.instance,
        severity=row.severity,
        since_at=row.since_at,
        raised_at=row.raised_at,
        cleared_at=row.cleared_at,
        clear_reason=row.clear_reason,
        value=row.value,
        unit=catalogue.BY_KEY[rule.reading].unit.value if rule else "",
        raise_level=rule.raise_level if rule else None,
        clear_level=rule.clear_level if rule else None,
        detail=row.detail,
        evidence=row.evidence,
        incident_number=row.incident_number,
        stage=row.stage,
        stage_reason=row.stage_reason,
        held_until=row.held_until,
    )
