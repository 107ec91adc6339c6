"""The collectors: one file a subsystem, and the charter that each of them keeps.

The charter. A collector only reads; it changes nothing on the machine. It ends within its time limit. Hardware that is not
there is no data, not an error. Units and ranges are the catalogue's. It reports nothing about people: no user, window,
document or site names, no command lines, no event text. A parser takes text, so that captured output can test it.
A collector's file is named for its subsystem; where systems differ, the reader's file carries the system as suffix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Lane(StrEnum):
    """The cheap lane runs in memory every few seconds; the slow lane may start a tool and take seconds."""

    CHEAP = "cheap"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one reading of the catalogue; `detail` is a plain fact that helps a person, such as a program's name."""

    key: str
    value: float
    instance: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """What one run gave: readings, and whole inventory sections ("hardware", "software", "updates") as plain JSON values.

    With an `error` the run failed and its readings count for nothing, but its sections, which say what failed, still travel.
    """

    readings: tuple[Reading, ...] = ()
    inventory: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: str = ""


class CollectError(Exception):
    """A collector could not do its work; the message says what failed, in words, without any private text."""


class NothingKnown(CollectError):
    """The system has not looked yet, so there is nothing to read: said where it matters, but no failure of the reader."""


@dataclass(frozen=True, slots=True)
class Collector:
    """One subsystem's reader. `collect` may raise anything; the loop reports it and goes on with the neighbours."""

    name: str
    lane: Lane
    every_s: float
    timeout_s: float
    collect: Callable[[], Collected]


@dataclass(frozen=True, slots=True)
class Setup:
    """What collectors may know of their surroundings.

    `services` names those that should run; `clock_offset_s` gives this clock's lead over the server's, None when unknown;
    `collectors_failing` gives the agent's count of failing collectors; `proving` whether the server wants a test fault.
    """

    system: str
    state: Path
    services: Callable[[], tuple[str, ...]]
    clock_offset_s: Callable[[], float | None]
    collectors_failing: Callable[[], int]
    proving: Callable[[], bool] = bool
