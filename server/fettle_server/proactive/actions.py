"""What is done to policies, and to the faults that the server itself judges."""

from __future__ import annotations

import dataclasses
import datetime as dt

import sqlalchemy as sa
from fettle_protocol import policy as policies
from fettle_protocol.policy import Policy

from fettle_server.journal.actions import record
from fettle_server.proactive.policies import newest, newest_version, shipped
from fettle_server.proactive.tables import PolicyVersion

SHIPPED_BY = "system"


def publish(tx: sa.Connection, policy: Policy, actor: str, now: dt.datetime) -> int:
    """Put a policy in force under the next number, whatever number it carries; returns that number.

    Raises:
        PolicyError: its rules do not hold together, or it is too large for agents.
    """
    version = newest_version(tx) + 1
    body = policies.encode(dataclasses.replace(policy, version=version))
    policies.decode(body)
    tx.execute(sa.insert(PolicyVersion).values(version=version, body=body, created_at=now, created_by=actor))
    record(tx, "policy.published", actor, f"policy:{version}", None, {"rules": len(policy.rules)}, now)
    return version


def publish_shipped(tx: sa.Connection, now: dt.datetime) -> int:
    """Put the shipped policy in force where there is none, or only an older shipped one; returns the number in force.

    A policy that people made is never replaced.
    """
    present = newest(tx)
    if present is None:
        return publish(tx, shipped(), SHIPPED_BY, now)
    version = present.policy.version
    if present.created_by == SHIPPED_BY and present.policy != shipped(version):
        return publish(tx, shipped(), SHIPPED_BY, now)
    return version
