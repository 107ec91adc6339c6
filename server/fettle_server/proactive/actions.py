"""What is done to policies, and to the faults that the server itself judges."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from fettle_protocol import policy as policies
from fettle_protocol.policy import Policy, Severity

from fettle_server.db import to_ms
from fettle_server.estate.endpoints.reports import Event, record_events
from fettle_server.estate.tables import Endpoint, EndpointEvent
from fettle_server.journal.actions import Line, record, record_all
from fettle_server.proactive.detection import IS_OPEN, detect
from fettle_server.proactive.policies import newest, shipped
from fettle_server.proactive.rulebook import rules as book
from fettle_server.proactive.rulebook.rules import Change
from fettle_server.proactive.rulebook.tables import RuleChange
from fettle_server.proactive.rules import CLASH, CLASH_QUIET, REVOKED, SETTLED, Clear, Raise, Signal
from fettle_server.proactive.tables import Fault, PolicyVersion

SHIPPED_BY = "system"
_CLASH_EVENT = "identity clash"


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done to the rule book, in the words of rulebook.tables.RuleChange, and why.

    `own` are the rules that count as people's from now on; None: those in which a policy of theirs differs from the shipped.
    """

    kind: str = ""
    why: str = ""
    own: frozenset[str] | None = None


_PLAINLY = Deed()
_KINDS = {"added": "added", "removed": "removed", "changed": "edited"}


def publish(tx: sa.Connection, policy: Policy, actor: str, now: dt.datetime, deed: Deed = _PLAINLY) -> int:
    """Put a policy in force under the next number, whatever number it carries; returns that number.

    Raises:
        PolicyError: its rules do not hold together, or it is too large for agents.
    """
    before = newest(tx)
    version = before.policy.version + 1 if before else 1
    body = policies.encode(dataclasses.replace(policy, version=version))
    policies.decode(body)
    own = deed.own
    if own is None:
        own = frozenset() if actor == SHIPPED_BY else frozenset(book.owned(policy, shipped()))
    values = {"body": body, "created_at": now, "created_by": actor, "own": sorted(own)}
    tx.execute(sa.insert(PolicyVersion).values(version=version, **values))
    changes = book.diff(before.policy, policy) if before else ()
    _note(tx, changes, version, (actor, now), deed)
    detail = {"rules": len(policy.rules), "changed": [change.key for change in changes][:50], "why": deed.why}
    record(tx, "policy.published", actor, f"policy:{version}", None, detail, now)
    return version


def _note(tx: sa.Connection, changes: Sequence[Change], version: int, who: tuple[str, dt.datetime], deed: Deed) -> None:
    actor, now = who
    rows = [
        {
            "version": version, "rule": change.key, "kind": deed.kind or _KINDS[change.kind], "actor": actor, "why": deed.why,
            "words": list(change.words), "at": now,
        }
        for change in changes
    ]  # fmt: skip
    if rows:
        tx.execute(sa.insert(RuleChange), rows)


def publish_shipped(tx: sa.Connection, now: dt.datetime) -> int:
    """Put the shipped policy in force where there is none, or what is new in it; returns the number in force.

    Rules that people changed stay as they left them.
    """
    present = newest(tx)
    if present is None:
        return publish(tx, shipped(), SHIPPED_BY, now)
    own = present.own
    if own is None:
        own = frozenset() if present.created_by == SHIPPED_BY else book.own_of_old(present.policy, shipped())
    merged = book.merged(present.policy, own, shipped())
    if merged == present.policy:
        return present.policy.version
    return publish(tx, merged, SHIPPED_BY, now, Deed("shipped", "an update of Fettle brought it", own))


def record_clashes(
    tx: sa.Connection, clashes: Sequence[tuple[int, dt.datetime, str]], now: dt.datetime
) -> list[tuple[int, Signal]]:
    """Note that second machines showed endpoints' identities (pk, time, their address); returns what detection is to fold."""
    if not clashes:
        return []
    record_events(tx, [Event(pk, to_ms(at), _CLASH_EVENT, {"address": address}) for pk, at, address in clashes])
    columns = (Endpoint.pk, Endpoint.id, Endpoint.school_id, Endpoint.name)
    rows = {row.pk: row for row in tx.execute(sa.select(*columns).where(Endpoint.pk.in_([pk for pk, _, _ in clashes])))}
    known = [(rows[pk], at, address) for pk, at, address in clashes if pk in rows]
    record_all(tx, [_clash_line(row, address, now) for row, _, address in known])
    return [(row.pk, _clash(to_ms(at))) for row, at, _ in known]


def settle_clashes(tx: sa.Connection, now: dt.datetime) -> int:
    """Clear the clashes of which no second machine was seen for an hour; returns how many."""
    newest_clash = (
        sa.select(sa.func.max(EndpointEvent.at))
        .where(EndpointEvent.endpoint_pk == Fault.endpoint_pk, EndpointEvent.kind == _CLASH_EVENT)
        .correlate(Fault)
        .scalar_subquery()
    )
    rows = tx.execute(sa.select(Fault.endpoint_pk, Fault.raised_at, newest_clash).where(Fault.rule == CLASH, IS_OPEN))
    quiet = [pk for pk, raised_at, seen_at in rows if now - (seen_at or raised_at) >= CLASH_QUIET]
    at_ms = to_ms(now)
    signals: list[tuple[int, Signal]] = [(pk, Clear(at_ms, CLASH, "", SETTLED, 0.0, at_ms, [], False)) for pk in sorted(quiet)]
    if signals:
        detect(tx, signals, policy=None, now=now, reopen_within=CLASH_QUIET)
    return len(signals)


def revoked_faults(tx: sa.Connection, limit: int) -> list[tuple[int, str, str]]:
    """(endpoint pk, rule, instance) of faults that are open on endpoints that were revoked."""
    statement = (
        sa.select(Fault.endpoint_pk, Fault.rule, Fault.instance)
        .join(Endpoint, Endpoint.pk == Fault.endpoint_pk)
        .where(Endpoint.revoked_at.is_not(None), IS_OPEN)
        .order_by(Fault.endpoint_pk, Fault.id)
        .limit(limit)
    )
    return [(pk, rule, instance) for pk, rule, instance in tx.execute(statement)]


def settle_revoked(tx: sa.Connection, now: dt.datetime, reopen_within: dt.timedelta, limit: int) -> int:
    """Clear what is open on endpoints that were revoked: their agents can never do it; returns how many faults."""
    at_ms = to_ms(now)
    signals: list[tuple[int, Signal]] = [
        (pk, Clear(at_ms, rule, instance, REVOKED, 0.0, at_ms, [], False)) for pk, rule, instance in revoked_faults(tx, limit)
    ]
    if signals:
        published = newest(tx)
        detect(tx, signals, policy=published.policy if published else None, now=now, reopen_within=reopen_within)
    return len(signals)


def judge(tx: sa.Connection, signals: Sequence[tuple[int, Signal]], *, now: dt.datetime, reopen_within: dt.timedelta) -> None:
    """Take in faults that the server itself found (endpoint pk, signal): the one door for them, by the policy in force."""
    if signals:
        published = newest(tx)
        detect(tx, signals, policy=published.policy if published else None, now=now, reopen_within=reopen_within)


def release(tx: sa.Connection, faults: Sequence[tuple[int, str, str]], now: dt.datetime) -> None:
    """Looking around is over for these open faults (endpoint pk, rule, instance): the next triage tells them."""
    for pk, rule, instance in faults:
        which = (Fault.endpoint_pk == pk, Fault.rule == rule, Fault.instance == instance, IS_OPEN, Fault.stage == "gathering")
        tx.execute(sa.update(Fault).where(*which).values(held_until=now))


def _clash(at_ms: int) -> Raise:
    return Raise(at_ms, CLASH, "", Severity.ILL, 1.0, at_ms, [], 0, "", False)


def _clash_line(row: sa.Row[int, str, int, str], address: str, now: dt.datetime) -> Line:
    return Line(
        at=now,
        kind="endpoint.clashed",
        actor="system",
        subject=f"endpoint:{row.id}",
        school_id=row.school_id,
        detail={"name": row.name, "address": address},
    )
