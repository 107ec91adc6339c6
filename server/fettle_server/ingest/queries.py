"""What the edge looks up while streams are open: news that concerns them. Bounded, and cheap enough for twice a second."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from fettle_server.estate.tables import Watch
from fettle_server.journal.queries import newest_id
from fettle_server.journal.tables import Entry
from fettle_server.proactive.tables import PolicyVersion

_OVERLAP = 200
"""Journal numbers read again each time: on PostgreSQL a lower one may become visible after a higher one."""


@dataclass(frozen=True, slots=True)
class News:
    """What happened since the last look. `revoked` may repeat; `policy` is empty unless its version is a new one."""

    newest_id: int
    revoked: frozenset[str]
    policy_version: int
    policy: bytes
    watches: tuple[tuple[int, dt.datetime], ...]


def newest_policy(tx: sa.Connection) -> int:
    """The version of the policy in force; 0: none."""
    return tx.execute(sa.select(sa.func.max(PolicyVersion.version))).scalar() or 0


def news(tx: sa.Connection, after_id: int, policy_version: int, now: dt.datetime) -> News:
    """Revocations after a journal number, the policy if it is newer than `policy_version`, and who is being looked at."""
    revoked = tx.execute(
        sa.select(Entry.subject).where(Entry.id > after_id - _OVERLAP, Entry.kind == "endpoint.revoked").order_by(Entry.id)
    ).scalars()
    policy = tx.execute(
        sa.select(PolicyVersion.version, PolicyVersion.body)
        .where(PolicyVersion.version > policy_version)
        .order_by(PolicyVersion.version.desc())
        .limit(1)
    ).one_or_none()
    watches = tx.execute(sa.select(Watch.endpoint_pk, Watch.until).where(Watch.until > now).limit(5000))
    return News(
        newest_id=newest_id(tx),
        revoked=frozenset(subject.removeprefix("endpoint:") for subject in revoked),
        policy_version=policy.version if policy else policy_version,
        policy=policy.body if policy else b"",
        watches=tuple((row.endpoint_pk, row.until) for row in watches),
    )
