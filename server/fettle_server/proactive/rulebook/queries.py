"""Reads of the rule book: its rules in words, who changed what, and which endpoints judge by which version."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from fettle_protocol import policy as policies
from fettle_protocol.policy import Policy

from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint, EndpointEvent, School
from fettle_server.paging import Page, bounded, mark, unmark
from fettle_server.proactive.policies import newest
from fettle_server.proactive.rulebook import rules, words
from fettle_server.proactive.rulebook.rules import Change
from fettle_server.proactive.rulebook.tables import RuleChange
from fettle_server.proactive.rulebook.views import (
    ChangeRow,
    Holding,
    Refusal,
    RuleRow,
    SchoolHolding,
    Spreading,
    VersionRow,
)
from fettle_server.proactive.tables import Fault, PolicyVersion

_REFUSED = "policy refused"
_ASKED_ABOUT = 200
"""Endpoints that are connected without having confirmed, of which it is looked up whether they refused."""


def book(tx: sa.Connection, person: Person) -> tuple[int, tuple[RuleRow, ...]]:
    """The version in force, and its rules in the order of the book, with the open faults of each in the person's schools."""
    present = newest(tx)
    if present is None:
        return 0, ()
    statement = sa.select(Fault.rule, sa.func.count()).where(Fault.cleared_at.is_(None)).group_by(Fault.rule)
    if person.schools is not None:
        statement = statement.join(Endpoint, Endpoint.pk == Fault.endpoint_pk).where(*scoped(person))
    open_faults: dict[str, int] = {row[0]: row[1] for row in tx.execute(statement)}
    own = present.own or frozenset()
    rows = (
        RuleRow(rule, words.raises(rule), words.clears(rule), words.whom(rule), rule.key in own, open_faults.get(rule.key, 0))
        for rule in present.policy.rules
    )
    return present.policy.version, tuple(rows)


def removed(tx: sa.Connection, shipped: Policy) -> tuple[str, ...]:
    """The shipped rules that the book in force lacks."""
    present = newest(tx)
    return tuple(rule.key for rule in shipped.rules if present is None or present.policy.rule(rule.key) is None)


def policy_of(tx: sa.Connection, version: int) -> Policy | None:
    """The policy of that version, as it was published."""
    body = tx.scalar(sa.select(PolicyVersion.body).where(PolicyVersion.version == version))
    return None if body is None else _decoded(bytes(body))


def between(tx: sa.Connection, version: int, whole: Policy) -> list[Change]:
    """What changed from that version to the policy; from one that is not there: everything."""
    return list(rules.diff(policy_of(tx, version) or Policy(0), whole))


def history(tx: sa.Connection, key: str, limit: int = 50) -> tuple[ChangeRow, ...]:
    """What was done to one rule, the newest first."""
    statement = sa.select(RuleChange).where(RuleChange.rule == key).order_by(RuleChange.version.desc()).limit(bounded(limit))
    return tuple(_change(row) for row in tx.execute(statement.with_only_columns(*RuleChange.__table__.c)))


def versions(tx: sa.Connection, person: Person, *, after: str | None = None, limit: int = 20) -> Page[VersionRow]:
    """The versions, the newest first, each with what it changed."""
    limit = bounded(limit)
    statement = sa.select(PolicyVersion).order_by(PolicyVersion.version.desc()).limit(limit + 1)
    if after is not None:
        statement = statement.where(PolicyVersion.version < unmark(after, int)[0])
    columns = (PolicyVersion.version, PolicyVersion.body, PolicyVersion.created_at, PolicyVersion.created_by)
    rows = tx.execute(statement.with_only_columns(*columns)).all()
    shown = rows[:limit]
    changes = _changes_of(tx, [row.version for row in shown])
    held = {one.version: one.endpoints for one in _holdings(tx, person)}
    found = tuple(
        VersionRow(
            version=row.version,
            at=row.created_at,
            actor=row.created_by,
            rules=len(_decoded(bytes(row.body)).rules),
            endpoints=held.get(row.version, 0),
            changes=tuple(changes[row.version]),
        )
        for row in shown
    )
    return Page(found, mark((shown[-1].version,)) if len(rows) > limit else None)


def spreading(tx: sa.Connection, person: Person) -> Spreading:
    """Who has the policy in force, of the schools that the person sees."""
    newest_row = tx.execute(
        sa.select(PolicyVersion.version, PolicyVersion.created_at).order_by(PolicyVersion.version.desc()).limit(1)
    ).one_or_none()
    version, since = (newest_row.version, newest_row.created_at) if newest_row else (0, None)
    schools = _schools(tx, person, version)
    return Spreading(
        version=version,
        since=since,
        endpoints=sum(one.endpoints for one in schools),
        confirmed=sum(one.confirmed for one in schools),
        under_way=sum(one.under_way for one in schools),
        away=sum(one.away for one in schools),
        holdings=_holdings(tx, person),
        schools=schools,
        refusals=_refusals(tx, person, version),
    )


def _holdings(tx: sa.Connection, person: Person) -> tuple[Holding, ...]:
    counts: Counter[int] = Counter()
    connected: Counter[int] = Counter()
    for row in tx.execute(_counted(person, Endpoint.policy_version, Endpoint.connected)):
        counts[row.policy_version] += row.number
        if row.connected:
            connected[row.policy_version] += row.number
    return tuple(Holding(version, counts[version], connected[version]) for version in sorted(counts, reverse=True))


def _schools(tx: sa.Connection, person: Person, version: int) -> tuple[SchoolHolding, ...]:
    """Confirmed ones are counted from an index alone; only the others are looked at for their connection."""
    confirmed: Counter[int] = Counter()
    under_way: Counter[int] = Counter()
    away: Counter[int] = Counter()
    holds = Endpoint.policy_version == version
    for row in tx.execute(_counted(person, Endpoint.school_id).where(holds)):
        confirmed[row.school_id] = row.number
    for row in tx.execute(_counted(person, Endpoint.school_id, Endpoint.connected).where(~holds)):
        (under_way if row.connected else away)[row.school_id] += row.number
    seen = set(confirmed) | set(under_way) | set(away)
    names = tx.execute(sa.select(School.id, School.name).where(School.id.in_(sorted(seen))).order_by(School.name))
    return tuple(
        SchoolHolding(
            school_id=row.id,
            school=row.name,
            endpoints=confirmed[row.id] + under_way[row.id] + away[row.id],
            confirmed=confirmed[row.id],
            under_way=under_way[row.id],
            away=away[row.id],
        )
        for row in names
    )


def _counted(person: Person, *columns: Any) -> sa.Select[Any]:
    number = sa.func.count().label("number")
    return sa.select(*columns, number).where(Endpoint.revoked_at.is_(None), *scoped(person)).group_by(*columns)


def _refusals(tx: sa.Connection, person: Person, version: int) -> tuple[Refusal, ...]:
    """Of those that are connected without having confirmed: whose agent said that it cannot use this version."""
    waiting = (
        sa.select(Endpoint.pk, Endpoint.id, Endpoint.name, School.name.label("school"))
        .join(School, School.id == Endpoint.school_id)
        .where(Endpoint.policy_version != version, Endpoint.connected.is_(True), Endpoint.revoked_at.is_(None), *scoped(person))
        .order_by(Endpoint.policy_version, Endpoint.pk)
        .limit(_ASKED_ABOUT)
    )
    rows = {row.pk: row for row in tx.execute(waiting)}
    if not rows:
        return ()
    said = (
        sa.select(EndpointEvent.endpoint_pk, EndpointEvent.at, EndpointEvent.detail)
        .where(EndpointEvent.endpoint_pk.in_(sorted(rows)), EndpointEvent.kind == _REFUSED)
        .order_by(EndpointEvent.at)
    )
    found = {}
    for event in tx.execute(said):
        if event.detail.get("subject") == str(version):
            row = rows[event.endpoint_pk]
            found[row.pk] = Refusal(row.id, row.name, row.school, event.at, str(event.detail.get("text", "")))
    return tuple(found.values())


def _changes_of(tx: sa.Connection, numbers: Sequence[int]) -> dict[int, list[ChangeRow]]:
    found: dict[int, list[ChangeRow]] = defaultdict(list)
    statement = sa.select(*RuleChange.__table__.c).where(RuleChange.version.in_(numbers)).order_by(RuleChange.id)
    for row in tx.execute(statement):
        found[row.version].append(_change(row))
    return found


def _change(row: Any) -> ChangeRow:
    return ChangeRow(row.version, row.rule, row.kind, row.actor, row.why, tuple(row.words), row.at)


@functools.lru_cache(maxsize=32)
def _decoded(body: bytes) -> Policy:
    return policies.decode(body)
