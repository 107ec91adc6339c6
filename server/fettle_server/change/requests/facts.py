"""What the risk of a proposal is reckoned from, as the store has it: whom it reaches, what is proven, which exams are near."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import EndpointClass

from fettle_server.change.patches import queries as patches
from fettle_server.change.requests.rules import EXAM_NEAR, PROVEN_AT, Facts
from fettle_server.change.requests.views import Proposal
from fettle_server.change.rollouts.rules import Direction, TargetState
from fettle_server.change.rollouts.tables import Rollout, RolloutTarget
from fettle_server.change.rules import ChangeError, Outcome
from fettle_server.change.tables import Change
from fettle_server.estate.calendars.queries import calendars
from fettle_server.estate.calendars.rules import Kind
from fettle_server.estate.tables import Endpoint, Room, School

PLACES = ("endpoints", "schools", "rooms")
KINDS = ("classes", "systems")
_LOOKED_BACK = 200
_MOST_NAMED = 20_000
_SOON = dt.timedelta(days=14)
_SEVERITIES = ("critical", "important", "moderate", "low")


@dataclass(frozen=True, slots=True)
class Reached:
    """Whom a reach means now. `schools` maps the keys of their schools to names; `everywhere`: it names no place at all."""

    pks: tuple[int, ...]
    servers: int
    schools: Mapping[int, str]
    everywhere: bool

    @property
    def words(self) -> str:
        """Who is affected, in words."""
        pcs = len(self.pks) - self.servers
        who = f"{pcs} PC{'' if pcs == 1 else 's'}"
        if self.servers:
            who += f" and {self.servers} server{'' if self.servers == 1 else 's'}"
        names = sorted(self.schools.values())
        if self.everywhere:
            return f"{who} of all schools"
        return f"{who} of {names[0] if len(names) == 1 else f'{len(names)} schools'}" if names else who


def reached(tx: sa.Connection, reach: Mapping[str, Any]) -> Reached:
    """The endpoints that the reach means now, revoked ones left out.

    Raises:
        ChangeError: it has a part that no reach has, or names an endpoint, a room or a school that there is not.
    """
    places = _checked(tx, reach)
    where: list[Any] = [Endpoint.revoked_at.is_(None)]
    columns = {"endpoints": Endpoint.id, "schools": Endpoint.school_id, "rooms": Endpoint.room_id}
    named = [column.in_(places[name]) for name, column in columns.items()]
    everywhere = not any(places[name] for name in PLACES)
    if not everywhere:
        where.append(sa.or_(*named))
    if places["classes"]:
        where.append(Endpoint.endpoint_class.in_(places["classes"]))
    if places["systems"]:
        where.append(Endpoint.system.in_(places["systems"]))
    rows = tx.execute(sa.select(Endpoint.pk, Endpoint.school_id, Endpoint.endpoint_class).where(*where)).all()
    names: dict[int, str] = {row.id: row.name for row in tx.execute(sa.select(School.id, School.name))}
    own = {row.school_id for row in rows} | set(places["schools"])
    servers = sum(row.endpoint_class == EndpointClass.SERVER for row in rows)
    return Reached(tuple(row.pk for row in rows), servers, {key: names[key] for key in sorted(own) if key in names}, everywhere)


def _checked(tx: sa.Connection, reach: Mapping[str, Any]) -> dict[str, list[Any]]:
    places: dict[str, list[Any]] = {name: list(reach.get(name) or ()) for name in (*PLACES, *KINDS)}
    if set(reach) - set(places) or any(len(named) > _MOST_NAMED for named in places.values()):
        raise ChangeError(f"A reach names {', '.join((*PLACES, *KINDS))}, at most {_MOST_NAMED} of each.")
    for name, column, kind in (("endpoints", Endpoint.id, str), ("schools", School.id, int), ("rooms", Room.id, int)):
        wanted = {one for one in places[name] if type(one) is kind}
        known = set(tx.scalars(sa.select(column).where(column.in_(wanted)))) if wanted else set()
        missing = [one for one in places[name] if one not in known]
        if missing:
            raise ChangeError(f"There is no {name[:-1]} {missing[0]} (any more).")
    if set(places["classes"]) - set(EndpointClass):
        raise ChangeError(f"The classes of endpoints are {', '.join(EndpointClass)}.")
    return places


def facts_of(tx: sa.Connection, proposal: Proposal, found: Reached, now: dt.datetime) -> Facts:
    """What the risk is reckoned from."""
    proven = _proven_on(tx, proposal.steps)
    by = f"The same has gone well on {proven} PCs before." if proven >= PROVEN_AT else ""
    first, last = proposal.planned_from or now, proposal.planned_until or (proposal.planned_from or now) + _SOON
    severities = {row.severity for row in patches.updates_of(tx, proposal.update_ids)} if proposal.update_ids else set()
    return Facts(
        pcs=len(found.pks),
        servers=found.servers,
        schools=len(found.schools),
        steps=tuple(proposal.steps),
        proven_on=proven,
        proven_by=by,
        any_time=proposal.any_time,
        exam=_exam(tx, found.schools, first, last),
        severity=next((name for name in _SEVERITIES if name in severities), ""),
    )


def _proven_on(tx: sa.Connection, steps: Sequence[Mapping[str, Any]]) -> int:
    """On how many PCs these steps, or more than these, went well in changes that were reviewed as successful."""
    wanted = _parts(steps)
    if not wanted:
        return 0
    went_well = (
        sa.select(Rollout.id, Rollout.steps)
        .join(Change, Change.id == Rollout.change_id)
        .where(Rollout.direction == Direction.FORWARD, Change.outcome == Outcome.SUCCESSFUL)
        .order_by(Rollout.id.desc())
        .limit(_LOOKED_BACK)
    )
    alike = [row.id for row in tx.execute(went_well) if wanted <= _parts(row.steps)]
    if not alike:
        return 0
    changed = sa.select(sa.func.count(sa.distinct(RolloutTarget.endpoint_pk))).where(
        RolloutTarget.rollout_id.in_(alike), RolloutTarget.changed_at.is_not(None), RolloutTarget.state == TargetState.CHANGED
    )
    return tx.scalar(changed) or 0


def _parts(steps: Iterable[Mapping[str, Any]]) -> set[str]:
    """What the steps bring, each part as a text: a package in a version, a script by its hash, anything else as it is."""
    found = set()
    for step in steps:
        if "packages" in step:
            what = [step["kind"], step["provider"]]
            found |= {json.dumps([*what, one["name"], one.get("version") or ""]) for one in step["packages"]}
        else:
            found.add(json.dumps([step["kind"], step.get("sha256"), step.get("service"), step.get("url")]))
    return found


def _exam(tx: sa.Connection, schools: Iterable[int], first: dt.datetime, last: dt.datetime) -> str:
    """The first exam of those schools between a week before and a week after, in words; "" where there is none."""
    start, end = (first - EXAM_NEAR).date(), (last + EXAM_NEAR).date()
    found = sorted(
        (entry.starts_on, entry.title)
        for calendar in calendars(tx, tuple(schools)).values()
        for entry in calendar.entries
        if entry.kind is Kind.EXAM and entry.starts_on <= end and entry.ends_on >= start
    )
    return f"{found[0][1]}, {found[0][0]:%-d %B}" if found else ""
