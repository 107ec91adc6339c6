"""What queries of the rule book give: plain values for pages, API and commands."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from fettle_protocol.policy import Rule


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule of the book in words. `own`: people changed or added it here."""

    rule: Rule
    raises: str
    clears: str
    whom: str
    own: bool
    open_faults: int


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One rule changed by one version."""

    version: int
    rule: str
    kind: str
    actor: str
    why: str
    words: tuple[str, ...]
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Holding:
    """How many endpoints judge by a version, as they themselves said, and how many of them are connected."""

    version: int
    endpoints: int
    connected: int


@dataclass(frozen=True, slots=True)
class SchoolHolding:
    """How far the newest version has come in a school. `under_way`: connected, but not confirmed yet; `away`: not connected."""

    school_id: int
    school: str
    endpoints: int
    confirmed: int
    under_way: int
    away: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """An endpoint whose agent said that it cannot use the version."""

    endpoint_id: str
    name: str
    school: str
    at: dt.datetime
    text: str


@dataclass(frozen=True, slots=True)
class Spreading:
    """Who has the policy in force."""

    version: int
    since: dt.datetime | None
    endpoints: int
    confirmed: int
    under_way: int
    away: int
    holdings: tuple[Holding, ...]
    schools: tuple[SchoolHolding, ...]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of the rules: who made it, when, how many rules it has, and what it changed."""

    version: int
    at: dt.datetime
    actor: str
    rules: int
    endpoints: int
    changes: tuple[ChangeRow, ...]
