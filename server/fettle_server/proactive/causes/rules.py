"""What makes one cause of several endpoints' faults. Pure: cases and populations in, groups out.

By place: thirty silent machines in a room are one dead switch, when they are most of the room's machines that could have
been affected and fell silent together. By kind (causes.kinds): the same fault on machines far apart has one cause when so
many at a time would come about by chance once in ten million.
"""

from __future__ import annotations

import datetime as dt
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fettle_protocol.policy import EndpointClass, Impact

from fettle_server.proactive.causes.families import CONNECTION, NAMES, room_key, school_key
from fettle_server.reactive.rules import Scope

LEAST = 3
"""Fewer machines than this are told one by one."""
LEAST_SERVERS = 2
"""Machines that always run, where they are all of a school that did: nothing else is on at night."""
LEAST_UNPLACED = 5
"""Of a school whose rooms are not known."""
SHARE = 0.6
"""Of the machines that could have been affected: some are on another switch, some were off."""
TOGETHER = dt.timedelta(minutes=5)
"""Rooms that are lost so close to each other have one cause: a stream that nobody ends is missed up to minutes later."""
NEIGHBOURS = dt.timedelta(minutes=10)
"""A wave of faults: none of them began longer after the one before."""
CALM = dt.timedelta(seconds=30)
"""A storm is over when nothing joined it for so long..."""
STORM_LONGEST = dt.timedelta(seconds=120)
"""... or when the first of it has waited for so long."""
RECENT = dt.timedelta(hours=24)
"""Incidents that were opened longer ago are not taken over by a wider one."""
SPREADS = dt.timedelta(days=7)
"""So long an open incident of several schools takes in more of its kind: an update reaches laptops when they are opened."""


@dataclass(frozen=True, slots=True)
class Case:
    """An open fault of one endpoint. `since` is when it began, `joined` when the server heard of it.

    `incident` is the incident that it belongs to already, `is_held` whether it is still looked around for; `split_from`
    is the cause that was over while this one stayed ill.
    """

    fault_id: int
    endpoint_pk: int
    school_id: int
    room_id: int | None
    since: dt.datetime
    joined: dt.datetime
    klass: str = EndpointClass.FIXED
    model: str = ""
    build: str = ""
    severity: str = "ill"
    rule: str = ""
    incident: int | None = None
    is_held: bool = True
    split_from: str = ""


@dataclass(frozen=True, slots=True)
class Premises:
    """A school as its machines see it: its name, its rooms' names, and the machines that are connected now, by room.

    `roaming` are those of them that people carry home: they may be connected from anywhere.
    """

    school_id: int
    name: str
    rooms: Mapping[int, str]
    connected: Mapping[int | None, frozenset[int]]
    roaming: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of one cause, and what their incident is to say."""

    key: str
    scope: Scope
    school_id: int | None
    room_id: int | None
    title: str
    impact: str
    members: tuple[Case, ...]

    @property
    def schools(self) -> frozenset[int]:
        """The schools that the cause touches."""
        return frozenset(case.school_id for case in self.members)


def least_of(cases: Iterable[Case]) -> int:
    """How many machines it takes until their cause is told as one."""
    return LEAST_SERVERS if all(case.klass == EndpointClass.SERVER for case in cases) else LEAST


def calm_moments(held: Iterable[Case]) -> list[dt.datetime]:
    """When causes are looked for: each time that no held case joined for a while, and now and then in a long storm."""
    moments: list[dt.datetime] = []
    began = last = None
    for joined in sorted(case.joined for case in held):
        if began is None or last is None or joined - last > CALM:
            moments += [last + CALM] if last is not None else []
            began = joined
        elif joined - began >= STORM_LONGEST:
            moments.append(joined)
            began = joined
        last = joined
    return [*moments, last + CALM] if last is not None else moments


def waves(cases: Iterable[Case]) -> list[list[Case]]:
    """The cases in waves by when they began: what lies apart has different causes."""
    found: list[list[Case]] = []
    for case in sorted(cases, key=lambda one: one.since):
        if found and case.since - found[-1][-1].since <= NEIGHBOURS:
            found[-1].append(case)
        else:
            found.append([case])
    return found


def places(family: str, premises: Premises, cases: Sequence[Case], what: str = "") -> list[Group]:
    """The causes by place among one school's cases of a family; `what` is the rule's title where the family is a rule's own.

    A school that is lost is one group, else each room that is lost is one; cases that have neither are in none.
    """
    groups: list[Group] = []
    for wave in waves(cases):
        if any(case.is_held for case in wave):
            groups += _groups(_Scene(family, premises, tuple(wave), what))
    return [group for group in groups if any(case.is_held for case in group.members)]


@dataclass(frozen=True, slots=True)
class _Scene:
    family: str
    premises: Premises
    cases: tuple[Case, ...]
    what: str

    def population(self, room_id: int | None) -> set[int]:
        """The machines of a room that could have been affected: connected now, or affected."""
        affected = {case.endpoint_pk for case in self.cases if case.room_id == room_id}
        return affected | self.premises.connected.get(room_id, frozenset())

    def everybody(self) -> set[int]:
        """The same of the whole school; laptops that are still connected may be at home, and say nothing of it."""
        connected: frozenset[int] = frozenset().union(*self.premises.connected.values())
        return {case.endpoint_pk for case in self.cases} | (connected - self.premises.roaming)


def _groups(scene: _Scene) -> list[Group]:
    school = _school(scene)
    if school is not None and not _was_split(school):
        return [school]
    lost = _lost_rooms(scene)
    together = _lost_together(lost)
    if len(together) > 1:
        several = _several_rooms(scene, together)
        if not _was_split(several):
            return [several, *(_room(scene, room, cases) for room, cases in lost.items() if room not in together)]
    rooms = (_room(scene, room, cases) for room, cases in lost.items())
    return [group for group in rooms if not _was_split(group)]


def _was_split(group: Group) -> bool:
    """Whether the group is the rest of the very cause that is over."""
    return any(case.split_from == group.key for case in group.members)


def _school(scene: _Scene) -> Group | None:
    affected = _endpoints(scene.cases)
    rooms = {case.room_id for case in scene.cases}
    unplaced = None in rooms
    if rooms == {None} or (unplaced and len(rooms) == 2):  # at most one room is known, so nothing tells rooms apart
        enough = len(affected) >= LEAST_UNPLACED
    else:
        enough = len(affected) >= LEAST and len(rooms - {None}) >= 2
    if least_of(scene.cases) == LEAST_SERVERS:
        enough = len(affected) >= LEAST_SERVERS and affected == scene.everybody()
    elif len(affected) < SHARE * len(scene.everybody()):
        enough = False
    if not enough:
        return None
    count, places_lost = len(affected), len(rooms - {None})
    where = f" in {places_lost} rooms" if places_lost > 1 else ""
    if scene.family == CONNECTION:
        title = f"{scene.premises.name} is off the network or without power: {count} PCs{where}"
    elif scene.family == NAMES:
        title = f"{scene.premises.name} cannot resolve names (DNS): {count} of {len(scene.everybody())} PCs{where}"
    else:
        title = f"{scene.what} on {count} of {len(scene.everybody())} PCs of {scene.premises.name}"
    return _of_school(scene, title, scene.cases)


def _lost_rooms(scene: _Scene) -> dict[int, tuple[Case, ...]]:
    by_room: dict[int, list[Case]] = defaultdict(list)
    for case in scene.cases:
        if case.room_id is not None:
            by_room[case.room_id].append(case)
    lost: dict[int, tuple[Case, ...]] = {}
    for room, cases in by_room.items():
        count = len(_endpoints(cases))
        if count >= LEAST and count >= SHARE * len(scene.population(room)):
            lost[room] = (*cases, *_servers_beside(scene, cases))
    return lost


def _servers_beside(scene: _Scene, cases: Sequence[Case]) -> list[Case]:
    """Servers that stand nobody knows where, and vanished together with the room."""
    began = _median(cases)
    return [
        case
        for case in scene.cases
        if case.room_id is None and case.klass == EndpointClass.SERVER and abs(case.since - began) <= TOGETHER
    ]


def _lost_together(lost: Mapping[int, Sequence[Case]]) -> frozenset[int]:
    """The largest set of rooms that were lost one within two minutes of the next."""
    sets: list[list[int]] = []
    began = {room: _median(cases) for room, cases in lost.items()}
    for room in sorted(began, key=lambda one: began[one]):
        if sets and began[room] - began[sets[-1][-1]] <= TOGETHER:
            sets[-1].append(room)
        else:
            sets.append([room])
    return frozenset(max(sets, key=len, default=()))


def _several_rooms(scene: _Scene, rooms: frozenset[int]) -> Group:
    began = _median([case for case in scene.cases if case.room_id in rooms])
    members = tuple(case for case in scene.cases if case.room_id in rooms or abs(case.since - began) <= TOGETHER)
    count = len(_endpoints(case for case in members if case.room_id in rooms))
    of = len(set().union(*(scene.population(room) for room in rooms)))
    names = _listed(sorted(scene.premises.rooms.get(room, "?") for room in rooms))
    who = f"{names} of {scene.premises.name}"
    return _of_school(scene, _sentence(scene, f"Rooms {who}", f"{count} of {of} PCs", plural=True), members)


def _of_school(scene: _Scene, title: str, members: Sequence[Case]) -> Group:
    key = school_key(scene.premises.school_id, scene.family)
    return Group(key, Scope.SCHOOL, scene.premises.school_id, None, title[:300], Impact.SCHOOL, tuple(members))


def _room(scene: _Scene, room_id: int, cases: Sequence[Case]) -> Group:
    count, of = len(_endpoints(cases)), len(scene.population(room_id) | _endpoints(cases))
    name = scene.premises.rooms.get(room_id, "?")
    name = name if name.lower().startswith("room") else f"Room {name}"
    title = _sentence(scene, name, f"{count} of {of} PCs", plural=False)
    key = room_key(room_id, scene.family)
    return Group(key, Scope.ROOM, scene.premises.school_id, room_id, title[:300], Impact.ROOM, tuple(cases))


def _sentence(scene: _Scene, who: str, count: str, *, plural: bool) -> str:
    if scene.family == CONNECTION:
        return f"{who} {'have' if plural else 'has'} lost {'their' if plural else 'its'} network or power: {count}"
    if scene.family == NAMES:
        return f"{who} cannot resolve names (DNS): {count}"
    return f"{who}: {scene.what} on {count}"


def _listed(names: Sequence[str], most: int = 6) -> str:
    shown = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _endpoints(cases: Iterable[Case]) -> set[int]:
    return {case.endpoint_pk for case in cases}


def _median(cases: Sequence[Case]) -> dt.datetime:
    return statistics.median_low([case.since for case in cases])
