"""What an edited rule would have raised over the last days, beside the present one: read from the store, within a budget.

Owns which endpoints are looked at, and how long. The folding itself is backtest's. Nobody waits for 30,000 PCs: the sample is
spread over the schools, grows until the time is over, and says how far it came.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import sqlalchemy as sa
from fettle_protocol import catalogue
from fettle_protocol.policy import Judge, Rule

from fettle_server import clock
from fettle_server.db import to_ms
from fettle_server.estate import history
from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint, School
from fettle_server.proactive.rulebook import backtest
from fettle_server.proactive.rulebook.backtest import Outcome, Place, Tally
from fettle_server.proactive.tables import Fault

DAYS = 30
BUDGET_S = 3.0
MOST_BUDGET_S = 600.0


@dataclass(frozen=True, slots=True)
class Preview:
    """What would have been. `present` None: the rule is new; both None: the past cannot be replayed, and `note` says why.

    `looked` of `endpoints` PCs that the rules concern were looked at, in `schools_looked` of `schools` schools; `hours` of
    history were read, from `days` days. `recorded` is how often the present rule did raise in that time, over all PCs.
    """

    days: int
    present: Outcome | None
    edited: Outcome | None
    looked: int
    endpoints: int
    schools_looked: int
    schools: int
    hours: int
    recorded: int
    note: str

    @property
    def is_sample(self) -> bool:
        """True where not all of them were looked at."""
        return self.looked < self.endpoints


def preview(
    tx: sa.Connection,
    person: Person,
    present: Rule | None,
    edited: Rule,
    *,
    now: dt.datetime,
    budget_s: float = BUDGET_S,
    days: int = DAYS,
) -> Preview:
    """What the edited rule would have raised over the last days, and what the present one would have."""
    recorded = _recorded(tx, person, edited.key, now - dt.timedelta(days=days))
    if edited.judge is Judge.SERVER:
        return Preview(days, None, None, 0, 0, 0, 0, 0, recorded, _SERVERS)
    rules = [edited] if present is None or present.reading != edited.reading else [present, edited]
    places = _concerned(tx, person, rules)
    start_ms, end_ms = to_ms(now - dt.timedelta(days=days)), to_ms(now)
    tallies = [Tally(start_ms, end_ms) for _ in rules]
    looked, hours, schools = 0, 0, set()
    ends_s = clock.monotonic() + min(budget_s, MOST_BUDGET_S)
    for place in _spread(places):
        packs = history.read(tx, place.pk, start_ms // backtest.HOUR_MS, end_ms // backtest.HOUR_MS)
        found, _ = backtest.episodes(rules, place, packs)
        for tally, own in zip(tallies, found, strict=True):
            tally.add(place, own)
        looked, hours = looked + 1, hours + len(packs)
        schools.add(place.school_id)
        if clock.monotonic() >= ends_s:
            break
    outcomes = [tally.outcome() for tally in tallies]
    return Preview(
        days=days,
        present=outcomes[0] if len(rules) == 2 else None,
        edited=outcomes[-1],
        looked=looked,
        endpoints=len(places),
        schools_looked=len(schools),
        schools=len({place.school_id for place in places}),
        hours=hours,
        recorded=recorded,
        note=_note(edited),
    )


_SERVERS = (
    "The server judges this rule by the calendar, by what it heard and by its own forecasts. These are not kept minute by "
    "minute, so the past cannot be replayed."
)
_MINUTES = "History keeps the mean of each minute, so what lasts for less than a minute or two is not seen here."


def _note(rule: Rule) -> str:
    spec = catalogue.BY_KEY[rule.reading]
    if rule.raise_for_s < 120 or spec.unit is catalogue.Unit.YES_NO:
        return _MINUTES
    return ""


def _recorded(tx: sa.Connection, person: Person, key: str, since: dt.datetime) -> int:
    statement = sa.select(sa.func.count()).select_from(Fault).where(Fault.rule == key, Fault.raised_at >= since)
    if person.schools is not None:
        statement = statement.join(Endpoint, Endpoint.pk == Fault.endpoint_pk).where(*scoped(person))
    return int(tx.scalar(statement) or 0)


def _concerned(tx: sa.Connection, person: Person, rules: Sequence[Rule]) -> list[Place]:
    """The endpoints that one of the rules judges."""
    systems = sorted({system for rule in rules for system in rule.systems})
    columns = (
        Endpoint.pk,
        Endpoint.id,
        Endpoint.name,
        Endpoint.school_id,
        School.name,
        Endpoint.system,
        Endpoint.endpoint_class,
    )
    statement = (
        sa.select(*columns)
        .join(School, School.id == Endpoint.school_id)
        .where(Endpoint.revoked_at.is_(None), Endpoint.system.in_(systems), *scoped(person))
    )
    if all(rule.classes for rule in rules):
        statement = statement.where(Endpoint.endpoint_class.in_(sorted({name for rule in rules for name in rule.classes})))
    return [Place(*row) for row in tx.execute(statement)]


def _spread(places: Sequence[Place]) -> Iterator[Place]:
    """One of each school in turn, in an order within the school that has nothing to do with names or age."""
    by_school: dict[int, list[Place]] = {}
    for place in sorted(places, key=lambda one: zlib.crc32(one.id.encode())):
        by_school.setdefault(place.school_id, []).append(place)
    for row in zip_longest(*by_school.values()):
        yield from (place for place in row if place is not None)
