"""What a room may be called, which class an endpoint seems to be, which room its name speaks of. Pure: no store, no clock."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from fettle_protocol.policy import EndpointClass

NAME_MAXIMUM = 120
FEWEST = 3
"""How many PCs must share the beginning of a name before it is proposed as a room."""
_PORTABLE = ("laptop", "tablet")
_SERVER_SYSTEM = re.compile(r"\bserver\b", re.IGNORECASE)
_SERVER_MODEL = re.compile(
    r"poweredge|proliant|thinksystem|primergy|supermicro|\bsystem x\d|\bxserve\b|\bucs[- ]?[bc]\d|\bserver\b", re.IGNORECASE
)
_PORTABLE_MODEL = re.compile(
    r"\b(?:macbook|probook|elitebook|zbook|thinkpad|latitude|chromebook|travelmate|toughbook|surface (?:pro|laptop|go))",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"^(?P<place>.*?[A-Za-z0-9])[-_ .]+(?:(?:PC|WS|DT|LT|NB|D|L)[-_ ]?)?\d{1,5}[A-Za-z]?$", re.IGNORECASE)
_NO_PLACE = frozenset({"PC", "WS", "DT", "LT", "NB", "MAC", "DESKTOP", "LAPTOP", "WIN", "HOST", "SERVER", "SRV"})
_ROOM_CODE = re.compile(r"^(?:room|rm|r)[-_ .]?0*(?P<number>\d{1,4}[a-z]?)$", re.IGNORECASE)


class RoomError(Exception):
    """Something about rooms or classes that cannot be done; the message is for the person who asked."""


class RoomKind(StrEnum):
    """A room stands still; a trolley moves, and is away for days."""

    ROOM = "room"
    TROLLEY = "trolley"


class ClassSource(StrEnum):
    """Who said which class an endpoint is of; what a person set is never overwritten by a guess."""

    GUESSED = "guessed"
    SET = "set"


@dataclass(frozen=True, slots=True)
class Named:
    """A PC without a room: its id and its name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """PCs whose names speak of one place: the beginning that they share, the room it seems to be, and whether there is one."""

    prefix: str
    room: str
    room_id: int | None
    endpoints: tuple[Named, ...]


def check_name(name: str) -> str:
    """The room's name without surrounding blanks.

    Raises:
        RoomError: not 1 to 120 visible characters.
    """
    name = name.strip()
    if not 1 <= len(name) <= NAME_MAXIMUM or any(unicodedata.category(letter)[0] == "C" for letter in name):
        raise RoomError(f"A room's name has 1 to {NAME_MAXIMUM} visible characters.")
    return name


def check_kind(kind: str) -> RoomKind:
    """The kind of that word.

    Raises:
        RoomError: there is no such kind.
    """
    if kind not in tuple(RoomKind):
        raise RoomError(f"A room is one of: {', '.join(RoomKind)}.")
    return RoomKind(kind)


def check_class(word: str) -> EndpointClass:
    """The class of that word.

    Raises:
        RoomError: there is no such class.
    """
    if word not in tuple(EndpointClass):
        raise RoomError(f"A class is one of: {', '.join(EndpointClass)}.")
    return EndpointClass(word)


def guess_class(
    *, system_version: str, model: str, chassis: str, has_battery: bool, room_kind: str = RoomKind.ROOM
) -> EndpointClass:
    """What a machine seems to be: a server by its system, chassis or model; else by where it is; else by what it runs on."""
    if chassis == "server" or _SERVER_SYSTEM.search(system_version) or _SERVER_MODEL.search(model):
        return EndpointClass.SERVER
    if room_kind == RoomKind.TROLLEY:
        return EndpointClass.TROLLEY
    if chassis in _PORTABLE or (not chassis and (has_battery or _PORTABLE_MODEL.search(model))):
        return EndpointClass.STAFF_LAPTOP
    return EndpointClass.FIXED


def place_in(name: str) -> str:
    """The part of a PC's name before its number ("R12" of "R12-PC03"); nothing where it has no such part."""
    match = _NUMBERED.match(name.strip())
    place = match["place"].upper() if match else ""
    return "" if place in _NO_PLACE else place


def proposals(unplaced: Iterable[Named], rooms: Iterable[tuple[int, str]]) -> tuple[Proposal, ...]:
    """The rooms that names speak of, most PCs first. A room that is there already is proposed for a single PC too."""
    known = {_key(name): (room_id, name) for room_id, name in rooms}
    groups: dict[str, list[Named]] = {}
    for endpoint in unplaced:
        place = place_in(endpoint.name)
        if place:
            groups.setdefault(place, []).append(endpoint)
    found = []
    for prefix, members in groups.items():
        room_id, room = known.get(_key(prefix), (None, _room_name(prefix)))
        if room_id is not None or len(members) >= FEWEST:
            found.append(Proposal(prefix, room, room_id, tuple(members)))
    return tuple(sorted(found, key=lambda one: (-len(one.endpoints), one.prefix)))


def _room_name(prefix: str) -> str:
    match = _ROOM_CODE.match(prefix)
    return f"Room {match['number'].upper()}" if match else prefix


def _key(name: str) -> str:
    """What two spellings of one room have in common: "R12", "Room 12" and "room 012" are one."""
    match = _ROOM_CODE.match(name.strip())
    return match["number"].lower() if match else re.sub(r"[-_ .]+", " ", name.strip()).lower()
