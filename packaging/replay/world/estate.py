"""The played estate: schools with their rooms, and machines with a place, a model and a habit of being used.

Owns who the machines are; the same seed gives the same estate. Makers' names are real kinds, serial numbers are made up.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from replay.world import terms
from replay.world.terms import Year


class Kind(StrEnum):
    """What a machine is for."""

    SUITE = "suite"
    TEACHER = "teacher"
    TROLLEY = "trolley"
    STAFF = "staff"
    LOAN = "loan"
    SERVER = "server"


class Culture(StrEnum):
    """How a room is left in the evening."""

    AUTOMATIC = "shut down at half past six"
    SWEPT = "the caretaker turns the main switch"
    FREE = "as people leave it"


@dataclass(frozen=True, slots=True)
class Room:
    """A room or trolley of one school. `use` is the share of days on which it is used; `woken`: all are started together."""

    number: int
    school: int
    name: str
    is_trolley: bool
    use: float
    culture: Culture
    woken: bool
    free_weekday: int


@dataclass(frozen=True, slots=True)
class Pc:
    """One machine. `keen` is how likely it is used on a day on which its room is."""

    place: int
    school: int
    room: int | None
    kind: Kind
    name: str
    model: str
    system: str
    build: str
    keen: float
    small_disk: bool

    @property
    def fingerprint(self) -> str:
        """What stands for its hardware; the same after a new image."""
        return hashlib.sha256(f"hardware {self.name} {self.place}".encode()).hexdigest()

    @property
    def volume(self) -> str:
        """What its system volume is called."""
        return "C:" if self.system == "windows" else "/"

    @property
    def is_laptop(self) -> bool:
        """Whether it has a battery."""
        return self.kind in (Kind.TROLLEY, Kind.STAFF, Kind.LOAN)

    @property
    def is_fixed(self) -> bool:
        """Whether it stands in a room for good."""
        return self.kind in (Kind.SUITE, Kind.TEACHER, Kind.SERVER)


@dataclass(frozen=True, slots=True)
class School:
    """One school: its number, name and year."""

    number: int
    name: str
    year: Year


@dataclass(frozen=True, slots=True)
class Estate:
    """Everything that stands."""

    schools: tuple[School, ...]
    rooms: tuple[Room, ...]
    pcs: tuple[Pc, ...]

    def pcs_of_room(self, room: int) -> list[Pc]:
        """The machines of a room."""
        return [pc for pc in self.pcs if pc.room == room]

    def share_of_use(self, pc: Pc) -> float:
        """On what share of lesson days somebody wants to use the machine, weeks in a cupboard aside."""
        if pc.room is None:
            return 1.0
        room = self.rooms[pc.room]
        return pc.keen * room.use * (1.0 if room.free_weekday < 0 else 0.8)

    def pcs_of_school(self, school: int) -> list[Pc]:
        """The machines of a school."""
        return [pc for pc in self.pcs if pc.school == school]


_WIN = ("Windows 11 Education 24H2 (26100)", "Windows 11 Education 23H2 (22631)", "Windows 10 Education 22H2 (19045)")
_DESKTOPS = (
    ("Dell OptiPlex 7010", _WIN[0]),
    ("HP ProDesk 400 G7", _WIN[1]),
    ("Lenovo M70q", _WIN[0]),
    ("Dell OptiPlex 3050", _WIN[2]),
)
_LAPTOPS = (("Lenovo ThinkPad L14", _WIN[0]), ("HP ProBook 440", _WIN[1]), ("Dell Latitude 3340", _WIN[0]))
_SERVER = ("Dell PowerEdge T350", "Windows Server 2022 (20348)")
_LINUX = ("HP EliteDesk 705", "Ubuntu 24.04 LTS")
_NAMES = ("Arden Road", "Bishop's Green", "Canal Street", "Dunmore", "Eastfield", "Fairlight", "Grove Lane", "Hawthorn Park")
_SUBJECTS = ("ICT", "SCI", "ART", "LIB", "MUS", "DT", "LANG", "HUM", "MATH", "SIX")


def draw(seed: int, schools: int, pcs: int) -> Estate:
    """`schools` schools of `pcs` machines each."""
    snow = terms.draw_snow(random.Random(f"{seed}/snow"))
    built = _Builder()
    for number in range(schools):
        dice = random.Random(f"{seed}/school/{number}")
        turn, place = divmod(number, len(_NAMES))
        name = f"{_NAMES[place]} School" + (f" {turn + 1}" if turn else "")
        built.school(School(number, name, terms.draw_year(dice, snow)), pcs, dice)
    return Estate(tuple(built.schools), tuple(built.rooms), tuple(built.pcs))


class _Builder:
    """Adds a school at a time."""

    def __init__(self) -> None:
        self.schools: list[School] = []
        self.rooms: list[Room] = []
        self.pcs: list[Pc] = []

    def school(self, school: School, pcs: int, dice: random.Random) -> None:
        """Servers, staff laptops, loans, trolleys and classrooms first; the rest stand in suites."""
        self.schools.append(school)
        end = len(self.pcs) + pcs
        for _ in range(max(1, min(3, pcs // 140))):
            self._pc(school, None, Kind.SERVER, dice, *_SERVER)
        for _ in range(round(pcs * 0.12)):
            self._pc(school, None, Kind.STAFF, dice, *dice.choice(_LAPTOPS))
        for _ in range(round(pcs * 0.02)):
            self._pc(school, None, Kind.LOAN, dice, *dice.choice(_LAPTOPS))
        for size in _parts(round(pcs * 0.16), 8, 16):
            self._fill(school, self._room(school, "Trolley", dice), Kind.TROLLEY, size, dice)
        for number in range(round(pcs * 0.10)):
            self._fill(school, self._room(school, f"Classroom {number + 1}", dice), Kind.TEACHER, 1, dice)
        for size in _parts(end - len(self.pcs), 20, 32):
            self._fill(school, self._room(school, dice.choice(_SUBJECTS), dice), Kind.SUITE, size, dice)

    def _room(self, school: School, name: str, dice: random.Random) -> Room:
        number = len(self.rooms)
        culture = dice.choices(list(Culture), (50, 20, 30))[0]
        label = name if name.startswith("Classroom") else f"{name} {number % 100 + 1}"
        use = dice.uniform(0.75, 0.98)
        free = dice.choice((0, 1, 2, 3, 4, -1, -1, -1, -1, -1))
        room = Room(number, school.number, label, name == "Trolley", use, culture, dice.random() < 0.4, free)
        self.rooms.append(room)
        return room

    def _fill(self, school: School, room: Room, kind: Kind, size: int, dice: random.Random) -> None:
        fitted = dice.choice(_LAPTOPS if kind is Kind.TROLLEY else _DESKTOPS)
        if kind is Kind.SUITE and dice.random() < 0.08:
            fitted = _LINUX
        for _ in range(size):
            self._pc(school, room, kind, dice, *fitted)

    def _pc(self, school: School, room: Room | None, kind: Kind, dice: random.Random, model: str, build: str) -> None:
        place = len(self.pcs)
        system = "linux" if build.startswith("Ubuntu") else "windows"
        keen = 0.997 if room is not None and room.woken else dice.choice((0.97, 0.95, 0.9, 0.85, 0.7, 0.5))
        if kind is Kind.TEACHER:
            keen = dice.uniform(0.93, 0.99)
        name = f"S{school.number + 1:03}-{kind.value[:3].upper()}-{place:05}"
        self.pcs.append(
            Pc(
                place,
                school.number,
                room.number if room else None,
                kind,
                name,
                model,
                system,
                build,
                keen,
                dice.random() < 0.15,
            )
        )


def _parts(total: int, low: int, high: int) -> Iterator[int]:
    """Sizes between the two that add up to the total, as nearly alike as can be."""
    if total <= 0:
        return
    count = max(1, round(total / ((low + high) / 2)))
    for number in range(count):
        yield total * (number + 1) // count - total * number // count
