"""What triage reads: faults that wait, faults that may have the same cause, and the machines that they are compared with."""

from __future__ import annotations

import datetime as dt
import weakref
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import EndpointClass

from fettle_server.db import Utc, from_ms, to_ms
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.proactive.causes.families import Place
from fettle_server.proactive.causes.kinds import MONTH, Estate
from fettle_server.proactive.causes.rules import RECENT, SHARE, SPREADS, Case, Premises
from fettle_server.proactive.stages.rules import FLAPS_WITHIN, HEARD_FOR, Stage
from fettle_server.proactive.stages.trail import held_since
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import IS_OPEN, Incident

IS_HELD = sa.text("stage <> '' AND cleared_at IS NULL")
WAITING = (Stage.GATHERING, Stage.WINDOW, Stage.FREEZE, Stage.SILENCE, Stage.LATE)
"""Stages that end by time."""
UNHEARD_EVERY = dt.timedelta(minutes=30)
"""How often it is looked whether a machine is there again that was unheard when its wider cause ended."""
_ROAMING = frozenset({EndpointClass.STAFF_LAPTOP, EndpointClass.LOAN})
_OF_A_BURST = (Stage.PARENT, Stage.LATE)
"""Stages of a fault that was no PC's own: part of a wider cause, or left behind by it until its PC was heard again."""
_BEFORE_LIMIT = 5000
_COUNTED_FOR = dt.timedelta(minutes=10)
_COLUMNS = (
    Fault.id, Fault.endpoint_pk, Fault.rule, Fault.instance, Fault.severity, Fault.since_at, Fault.raised_at, Fault.value,
    Fault.stage, Fault.held_until, Fault.trail, Endpoint.id.label("endpoint_id"), Endpoint.name,
    Endpoint.school_id, Endpoint.room_id, Endpoint.endpoint_class, Endpoint.model, Endpoint.system_version,
    Fault.stage_reason, Endpoint.connected, Endpoint.connected_since,
)  # fmt: skip


_IS_OVER = sa.and_(Fault.stage.in_(WAITING), Fault.held_until <= sa.bindparam("now", type_=Utc))
_WAITING = (
    sa.select(*_COLUMNS)
    .join(Endpoint, Endpoint.pk == Fault.endpoint_pk)
    .where(IS_HELD, sa.or_(Fault.stage == Stage.GATHERING, _IS_OVER))
    .order_by(Fault.id)
)  # made once: it is asked every two seconds


@dataclass(frozen=True, slots=True)
class Waiting:
    """A fault that is held back until some time, and its endpoint."""

    id: int
    endpoint_pk: int
    rule: str
    instance: str
    severity: str
    since_at: dt.datetime
    raised_at: dt.datetime
    value: float
    stage: str
    held_until: dt.datetime | None
    trail: list[dict[str, Any]]
    endpoint_id: str
    name: str
    school_id: int
    room_id: int | None
    klass: str
    model: str
    build: str
    reason: str
    connected: bool
    connected_since: dt.datetime | None

    def heard_again(self, now: dt.datetime) -> dt.datetime | None:
        """When to look again at what waits for its machine to be heard; None: it is heard long enough, or waits for nothing."""
        if self.stage != Stage.LATE:
            return None
        if not self.connected:
            return now + UNHEARD_EVERY
        heard = now if self.connected_since is None else self.connected_since + HEARD_FOR
        return heard if heard > now else None

    @property
    def joined(self) -> dt.datetime:
        """When the server began to hold it back; what is left of a wider cause has waited since it was raised."""
        if self.split_from:
            return self.raised_at
        return from_ms(held_since(self.trail, to_ms(self.raised_at)))

    @property
    def split_from(self) -> str:
        """The wider cause that was over while this fault was not; empty: none."""
        return str(self.trail[-1].get("split_from", "")) if self.trail else ""

    @property
    def place(self) -> Place:
        """Where its endpoint stands."""
        return Place(self.school_id, self.room_id, self.model, self.build)

    @property
    def case(self) -> Case:
        """The fault as the rules of causes see it."""
        return Case(
            fault_id=self.id,
            endpoint_pk=self.endpoint_pk,
            school_id=self.school_id,
            room_id=self.room_id,
            since=self.since_at,
            joined=self.joined,
            klass=self.klass,
            model=self.model,
            build=self.build,
            severity=self.severity,
            rule=self.rule,
            split_from=self.split_from,
        )


def waiting(tx: sa.Connection, now: dt.datetime) -> list[Waiting]:
    """The faults that are looked around for, and those of other stages whose time is over."""
    return [Waiting(*row) for row in tx.execute(_WAITING, {"now": now})]


def told_in_schools(tx: sa.Connection, schools: Iterable[int], rules: Iterable[str], now: dt.datetime) -> list[Case]:
    """Open faults of those rules in those schools which incidents of the last day have told already."""
    where = (Endpoint.school_id.in_(sorted(schools)), Fault.rule.in_(sorted(rules)))
    return _told(tx, where, now)


def cut_off(tx: sa.Connection, school_id: int, rules: Iterable[str]) -> frozenset[int]:
    """The machines of a school that have an open fault of their connection: it explains what rests on it."""
    statement = (
        sa.select(Fault.endpoint_pk)
        .join(Endpoint, Endpoint.pk == Fault.endpoint_pk)
        .where(Endpoint.school_id == school_id, Fault.rule.in_(sorted(rules)), Fault.cleared_at.is_(None))
    )
    return frozenset(tx.scalars(statement))


def told_of_kind(tx: sa.Connection, rule: str, instance: str, now: dt.datetime) -> list[Case]:
    """Open faults of that rule and instance which incidents of the last day have told already."""
    where = (Fault.rule == rule, Fault.instance == instance, Fault.raised_at >= now - RECENT)
    return _told(tx, where, now)


def premises(tx: sa.Connection, school_id: int) -> Premises:
    """A school with its rooms and the machines that are connected now."""
    connected: dict[int | None, set[int]] = defaultdict(set)
    roaming: set[int] = set()
    here = sa.select(Endpoint.pk, Endpoint.room_id, Endpoint.endpoint_class).where(
        Endpoint.school_id == school_id, Endpoint.connected, Endpoint.revoked_at.is_(None)
    )
    for pk, room_id, klass in tx.execute(here):
        connected[room_id].add(pk)
        if klass in _ROAMING:
            roaming.add(pk)
    rooms = {row.id: row.name for row in tx.execute(sa.select(Room.id, Room.name).where(Room.school_id == school_id))}
    name = tx.scalar(sa.select(School.name).where(School.id == school_id)) or "?"
    return Premises(school_id, name, rooms, {room: frozenset(pks) for room, pks in connected.items()}, frozenset(roaming))


def estate(tx: sa.Connection, rule: str, instance: str, now: dt.datetime) -> Estate:
    """How many machines there are of each sort, and when the same fault was raised before by itself."""
    statement = (
        sa.select(Fault.raised_at, Endpoint.school_id)
        .join(Endpoint, Endpoint.pk == Fault.endpoint_pk)
        .where(Fault.rule == rule, Fault.instance == instance, Fault.raised_at >= now - MONTH, Fault.stage.not_in(_OF_A_BURST))
        .order_by(Fault.raised_at.desc())
        .limit(_BEFORE_LIMIT)
    )
    schools, models, builds, names = _counts(tx, now)
    return Estate(schools, names, models, builds, [(row[0], row[1]) for row in tx.execute(statement)])


def openings(tx: sa.Connection, pks: Sequence[int], now: dt.datetime) -> dict[tuple[int, str, str], list[dt.datetime]]:
    """When each fault of those endpoints was raised in the last hours, oldest first."""
    found: dict[tuple[int, str, str], list[dt.datetime]] = defaultdict(list)
    columns = (Fault.endpoint_pk, Fault.rule, Fault.instance, Fault.raised_at)
    recent = (Fault.endpoint_pk.in_(sorted(pks)), Fault.raised_at >= now - FLAPS_WITHIN)
    for pk, rule, instance, raised_at in tx.execute(sa.select(*columns).where(*recent).order_by(Fault.raised_at)):
        found[pk, rule, instance].append(raised_at)
    return found


def alike(tx: sa.Connection, fault: Waiting, now: dt.datetime) -> tuple[str, ...]:
    """The causes of the open incidents of several schools whose machines mostly have the fault, and its build or model.

    An update breaks a build that runs on two models: of one many were on when it began, the other is opened days later.
    """
    open_ones = (Incident.rule == fault.rule, Incident.school_id.is_(None), IS_OPEN, Incident.opened_at >= now - SPREADS)
    found = []
    for number, cause in tx.execute(sa.select(Incident.number, Incident.cause).where(*open_ones)):
        same = sa.or_(Endpoint.system_version == fault.build, Endpoint.model == fault.model)
        members = sa.select(sa.func.count(), sa.func.sum(sa.case((same, 1), else_=0))).select_from(Fault)
        of = members.join(Endpoint, Endpoint.pk == Fault.endpoint_pk).where(Fault.incident_number == number)
        count, shared = tx.execute(of).one()
        if cause.endswith(f"/{fault.rule}/{fault.instance}") and count and shared >= SHARE * count:
            found.append(cause)
    return tuple(found)


def _told(tx: sa.Connection, where: Sequence[sa.ColumnElement[bool]], now: dt.datetime) -> list[Case]:
    columns = (
        Fault.id, Fault.endpoint_pk, Endpoint.school_id, Endpoint.room_id, Fault.since_at, Fault.raised_at,
        Endpoint.endpoint_class, Endpoint.model, Endpoint.system_version, Fault.severity, Fault.rule, Fault.incident_number,
    )  # fmt: skip
    statement = (
        sa.select(*columns)
        .join(Endpoint, Endpoint.pk == Fault.endpoint_pk)
        .join(Incident, Incident.number == Fault.incident_number)
        .where(Fault.cleared_at.is_(None), Incident.resolved_at.is_(None), Incident.opened_at >= now - RECENT, *where)
    )
    return [Case(*row, is_held=False) for row in tx.execute(statement)]


_Counts = tuple[dict[int, int], dict[str, int], dict[str, int], dict[int, str]]
_counted: weakref.WeakKeyDictionary[sa.Engine, tuple[dt.datetime, _Counts]] = weakref.WeakKeyDictionary()


def _counts(tx: sa.Connection, now: dt.datetime) -> _Counts:
    """Machines by school, model and build, counted anew every ten minutes; and the schools' names."""
    known = _counted.get(tx.engine)
    if known is not None and dt.timedelta(0) <= now - known[0] < _COUNTED_FOR:
        return known[1]
    by = (Endpoint.school_id, Endpoint.model, Endpoint.system_version)
    schools: dict[int, int] = defaultdict(int)
    models: dict[str, int] = defaultdict(int)
    builds: dict[str, int] = defaultdict(int)
    counted = sa.select(*by, sa.func.count()).where(Endpoint.revoked_at.is_(None)).group_by(*by)
    for school_id, model, build, count in tx.execute(counted):
        schools[school_id] += count
        models[model] += count
        builds[build] += count
    names = {row.id: row.name for row in tx.execute(sa.select(School.id, School.name))}
    found = (dict(schools), dict(models), dict(builds), names)
    _counted[tx.engine] = (now, found)
    return found
