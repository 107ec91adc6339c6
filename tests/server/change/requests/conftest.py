"""People of every duty, and a store with two schools of PCs to propose changes for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import argon2
import pytest
from fettle_server.change.requests import actions, queries
from fettle_server.change.requests.views import ChangeDetail, Proposal
from fettle_server.change.rules import ChangeKind, ChangeState, Step
from fettle_server.estate.people import actions as people
from fettle_server.estate.people import passwords
from fettle_server.estate.people import queries as people_queries
from fettle_server.estate.people.rules import SYSTEM, Person, Role

from tests.server.conftest import NOW, Store

UPGRADE = {"kind": "upgrade", "provider": "apt", "packages": [{"name": "tree", "version": "2.1-1"}]}


@dataclass(slots=True)
class Office:
    """A store, who works there, and what they do at a time."""

    store: Store
    now: dt.datetime = NOW
    staff: dict[str, Person] = field(default_factory=dict)

    def hire(self, name: str, role: Role, *schools: str) -> Person:
        with self.store.begin() as tx:
            people.add_user(tx, SYSTEM, name, role, [self.store_school(tx, one) for one in schools] or None, now=self.now)
            self.staff[name] = people_queries.person_named(tx, name)
        return self.staff[name]

    def store_school(self, tx: Any, name: str) -> int:
        return people_queries.schools_named(tx, SYSTEM, (name,))[name]

    def propose(self, who: str = "tom", **wanted: Any) -> int:
        values: dict[str, Any] = {"kind": ChangeKind.NORMAL, "title": "Update tree", "why": "CVE", "steps": (UPGRADE,)}
        values |= {"reach": {"schools": [self.store.school()]}} | wanted
        with self.store.begin() as tx:
            return actions.propose(tx, self.staff[who], Proposal(**values), self.now)

    def decide(self, who: str, number: int, step: Step, approved: bool = True, **more: Any) -> ChangeState:
        with self.store.begin() as tx:
            return actions.decide(tx, self.staff[who], number, step, approved, more.pop("why", "fine"), self.now, **more)

    def change(self, number: int, who: str = "ada") -> ChangeDetail | None:
        with self.store.begin() as tx:
            return queries.change(tx, self.staff[who], number)


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real hasher with the least work that it allows: these tests make hundreds of people."""
    monkeypatch.setattr(passwords, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def office(store: Store) -> Office:
    """Harbour with three PCs, Hilltop with one; administrators ada and abe, technicians tom and tina, heads hal and hilda."""
    for _ in range(3):
        store.endpoint()
    store.endpoint(school="Hilltop College")
    found = Office(store)
    for name, role, schools in (
        ("ada", Role.ADMINISTRATOR, ()), ("abe", Role.ADMINISTRATOR, ()),
        ("tom", Role.TECHNICIAN, ()), ("tina", Role.TECHNICIAN, ()),
        ("hal", Role.APPROVER, ("Harbour School",)), ("hilda", Role.APPROVER, ("Hilltop College",)),
        ("otto", Role.TECHNICIAN, ("Hilltop College",)),
    ):  # fmt: skip
        found.hire(name, role, *schools)
    return found
