"""The policies that stand in the store, and the one that ships with this program: reads only."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

import sqlalchemy as sa
from fettle_protocol import policy as policies
from fettle_protocol.policy import Policy

from fettle_server.proactive.tables import PolicyVersion


@dataclass(frozen=True, slots=True)
class Published:
    """A policy with its encoded form, as agents get it."""

    policy: Policy
    body: bytes
    created_by: str

    @property
    def digest(self) -> int:
        """What an agent says in its Hello when it holds this very policy."""
        return policies.digest(self.body)


def shipped(version: int = 1) -> Policy:
    """The policy that comes with this program, under that number."""
    text = resources.files(__package__).joinpath("policy.toml").read_text(encoding="utf-8")
    return policies.from_mapping({"version": version} | tomllib.loads(text))


def newest_version(tx: sa.Connection) -> int:
    """The number of the policy in force; 0 where there is none yet."""
    return int(tx.scalar(sa.select(sa.func.max(PolicyVersion.version))) or 0)


def newest(tx: sa.Connection) -> Published | None:
    """The policy in force; None where there is none yet."""
    statement = sa.select(PolicyVersion.body, PolicyVersion.created_by).order_by(PolicyVersion.version.desc()).limit(1)
    row = tx.execute(statement).one_or_none()
    return None if row is None else Published(policies.decode(row.body), bytes(row.body), row.created_by)
