"""What an explanation is made of: plain frozen values, each sentence with its evidence."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Which part of the way a step is about."""

    READING = "reading"
    RULE = "rule"
    FAULT = "fault"
    STAGE = "stage"
    INCIDENT = "incident"
    PERSON = "person"
    NOTICE = "notice"
    PRESENCE = "presence"


class Standing(StrEnum):
    """How a rule stands with a PC, in the order in which they are shown."""

    RAISED = "raised"
    PENDING = "pending"
    QUIET = "quiet"
    NO_READING = "no reading"
    OTHER_CLASS = "other class"
    OTHER_SYSTEM = "other system"
    OFF = "switched off"


@dataclass(frozen=True, slots=True)
class Step:
    """One link of a chain: a sentence, when it happened, and what it rests on."""

    kind: Kind
    text: str
    at: dt.datetime | None = None
    state: str = ""
    incident: int | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """How one fault came to be told, or was not; `incident` is None where it is no incident's."""

    title: str
    state: str
    rule: str
    instance: str
    incident: int | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Countdown:
    """A duration that runs: the fault is raised (or, `clearing`, over) at `ends_at` if the condition still holds then."""

    rule: str
    title: str
    instance: str
    clearing: bool
    since: dt.datetime
    ends_at: dt.datetime
    condition: str


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule and, where it has them, one instance: how it stands, in a sentence, with the numbers behind it.

    `distance` is how far the newest reading is from the raise level, in the reading's unit; negative: past it.
    """

    rule: str
    title: str
    instance: str
    standing: Standing
    text: str
    reading: str
    unit: str
    value: float | None = None
    raise_level: float | None = None
    clear_level: float | None = None
    distance: float | None = None
    countdown: Countdown | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that can be said of one endpoint: why it is so, why not otherwise, whether it is expected, who was told.

    `why` has a chain for each open fault; `messages` one for each fault of the last days and what became of its notices.
    """

    endpoint_id: str
    endpoint: str
    school: str
    state: str
    sentence: str
    at: dt.datetime
    read_at: dt.datetime | None
    why: tuple[Chain, ...]
    rules: tuple[RuleLine, ...]
    presence: tuple[Step, ...]
    messages: tuple[Chain, ...]
