"""The policies that stand in the store, and the one that ships with this program: reads only."""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from dataclasses import dataclass
from importlib import resources

import sqlalchemy as sa
from fettle_protocol import policy as policies
from fettle_protocol.policy import CLASSES, Policy

from fettle_server.proactive.tables import PolicyVersion


@dataclass(frozen=True, slots=True)
class Variant:
    """What agents of one class get of a policy; `digest` is what an agent says in its Hello when it holds this very one."""

    version: int
    body: bytes
    digest: int


@dataclass(frozen=True, slots=True)
class Published:
    """A policy with its encoded form, whole as the store keeps it."""

    policy: Policy
    body: bytes
    created_by: str
    own: frozenset[str] | None = None
    """Rules that people made differ from what ships; None where the store does not say."""

    def variant(self, endpoint_class: str) -> Variant:
        """The part of it that agents of that class judge by, as they get it."""
        return _variant(self.policy.version, self.body, endpoint_class)


@functools.lru_cache(maxsize=2 * len(CLASSES) + 2)
def _variant(version: int, body: bytes, endpoint_class: str) -> Variant:
    whole = dataclasses.replace(policies.decode(body), version=version)
    packed = policies.encode(policies.for_agents(whole, endpoint_class))
    return Variant(version, packed, policies.digest(packed))


def shipped(version: int = 1) -> Policy:
    """The policy that comes with this program, under that number."""
    text = resources.files(__package__).joinpath("policy.toml").read_text(encoding="utf-8")
    return policies.from_mapping({"version": version} | tomllib.loads(text))


def newest_version(tx: sa.Connection) -> int:
    """The number of the policy in force; 0 where there is none yet."""
    return int(tx.scalar(sa.select(sa.func.max(PolicyVersion.version))) or 0)


def newest(tx: sa.Connection) -> Published | None:
    """The policy in force; None where there is none yet."""
    columns = (PolicyVersion.version, PolicyVersion.body, PolicyVersion.created_by, PolicyVersion.own)
    row = tx.execute(sa.select(*columns).order_by(PolicyVersion.version.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    body = bytes(row.body)
    own = None if row.own is None else frozenset(row.own)
    return Published(dataclasses.replace(policies.decode(body), version=row.version), body, row.created_by, own)
