"""What the demo estate's technicians decided: changes of the rule book, and whether a proposal is a problem."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from fettle_server.estate.people.rules import Person
from fettle_server.proactive.problems import actions
from fettle_server.proactive.problems.tables import Problem
from fettle_server.proactive.rulebook import actions as book
from fettle_server.proactive.rulebook.rules import Edit
from fettle_server.proactive.tables import PolicyVersion


def rules(tx: sa.Connection, person: Person, now: dt.datetime) -> None:
    """Two changes of what shipped, and their reasons."""
    tx.execute(sa.update(PolicyVersion).values(created_at=now - dt.timedelta(days=89)))
    for days, key, why, changes in (
        (33, "hot", "The new small PCs run warmer and are well.", {"raise_level": 97.0, "clear_level": 88.0}),
        (12, "wifi-weak", "The hall's access point is to be replaced at Easter.", {"raise_for_s": 900}),
    ):
        book.edit_rule(tx, person, key, Edit(why, None, changes), now - dt.timedelta(days=days))


def problems(tx: sa.Connection, staff: list[Person], now: dt.datetime) -> None:
    """What alike incidents propose; of three proposals one is accepted, one dismissed."""
    actions.propose(tx, now - dt.timedelta(hours=1))
    numbers = tx.scalars(sa.select(Problem.number).order_by(Problem.number)).all()
    if len(numbers) > 1:
        actions.accept(tx, staff[0], numbers[1], now - dt.timedelta(minutes=40), "The dealer sends new drivers this week.")
    if len(numbers) > 2:
        actions.dismiss(tx, staff[1], numbers[2], "Two rooms were being painted.", now - dt.timedelta(minutes=30))
