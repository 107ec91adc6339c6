"""What queries of rollouts give: plain values for pages, API and commands."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from fettle_server.change.rollouts.rules import Direction, Plan, RingState, RolloutState, TargetState


@dataclass(frozen=True, slots=True)
class Reach:
    """Which endpoints: those named by id, and those of the schools and rooms, of the classes and systems said (empty: any).

    Late joiners are taken up where schools or rooms are said.
    """

    endpoints: tuple[str, ...] = ()
    schools: tuple[int, ...] = ()
    rooms: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A rollout to be: of which change, which way, who, what (fettle_protocol.steps) and how."""

    change_id: int
    reach: Reach
    steps: tuple[dict[str, Any], ...]
    plan: Plan = field(default_factory=Plan)
    direction: Direction = Direction.FORWARD


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """A rollout in a list. `counts` are its targets by state; `ring_name` the ring that it is at; `why` why it is as it is.

    `not_ready` says why it cannot start yet ("": it can, or has).
    """

    id: int
    change_id: int
    change_title: str
    direction: Direction
    undoes_id: int | None
    state: RolloutState
    why: str
    ring: int
    ring_name: str
    rings: int
    counts: dict[TargetState, int]
    created_by: str
    created_at: dt.datetime
    started_at: dt.datetime | None
    halted_at: dt.datetime | None
    ended_at: dt.datetime | None
    looked_at: dt.datetime | None
    manifest_id: int | None
    back_out_manifest_id: int | None
    incident_number: int | None
    not_ready: str = ""

    @property
    def total(self) -> int:
        """How many PCs it is for; those that left are not counted."""
        return sum(count for state, count in self.counts.items() if state is not TargetState.GONE)


@dataclass(frozen=True, slots=True)
class GateView:
    """A ring's gate as last reckoned: the verdict ("pass", "wait", "halt", "": not yet), its sentence, and its numbers.

    `expected`, `control` and the rest are gate.Compared's; `by_past` and `by_control` are likelihoods (None: cannot be said).
    """

    verdict: str = ""
    why: str = ""
    at: dt.datetime | None = None
    limit: int = 0
    unwell: int = 0
    silent: int = 0
    silent_limit: int = 0
    seen: int = 0
    seen_needed: int = 0
    changed: int = 0
    faulty: int = 0
    expected: float = 0.0
    control: int = 0
    control_faulty: int = 0
    by_past: float | None = None
    by_control: float | None = None


@dataclass(frozen=True, slots=True)
class RingView:
    """A ring: its PCs by state, its times, its gate. `soaks_until`: when it has soaked; `next_step`: what comes, in words."""

    number: int
    name: str
    state: RingState
    counts: dict[TargetState, int]
    released_at: dt.datetime | None
    deadline_at: dt.datetime | None
    settled_at: dt.datetime | None
    soaks_until: dt.datetime | None
    passed_at: dt.datetime | None
    gate: GateView
    next_step: str

    @property
    def total(self) -> int:
        """How many PCs stand in it; those that left are not counted."""
        return sum(count for state, count in self.counts.items() if state is not TargetState.GONE)


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A rollout with its rings. `may` names the acts that make sense now: start, pause, resume, halt, cancel, back out."""

    row: RolloutRow
    reach: Reach
    steps: tuple[dict[str, Any], ...]
    plan: Plan
    rings: tuple[RingView, ...]
    back_outs: tuple[int, ...]
    may: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One PC of a rollout. `why`: why it has not run yet, or how it ended; never empty while it has not begun."""

    endpoint_pk: int
    endpoint_id: str
    name: str
    school_id: int
    school: str
    room: str
    model: str
    build: str
    connected: bool
    last_seen: dt.datetime | None
    ring: int
    ring_name: str
    state: TargetState
    why: str
    sick: tuple[str, ...]
    since: dt.datetime
    changed_at: dt.datetime | None
    job_uid: str
    job_state: str
    step: int
    percent: int
    start_at: dt.datetime | None
    until_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class OfEndpoint:
    """A rollout that an endpoint is part of, for its page."""

    rollout_id: int
    change_id: int
    title: str
    direction: Direction
    rollout_state: RolloutState
    ring_name: str
    state: TargetState
    why: str
    sick: tuple[str, ...]
    joined_at: dt.datetime
    changed_at: dt.datetime | None
    job_uid: str


@dataclass(frozen=True, slots=True)
class WindowRow:
    """When a place takes changes. None of a place: all of them."""

    id: int
    school_id: int | None
    school: str
    room_id: int | None
    room: str
    endpoint_class: str | None
    days: tuple[int, ...]
    from_minute: int
    to_minute: int
    when: str


@dataclass(frozen=True, slots=True)
class FreezeRow:
    """No change begins at a place between those times."""

    id: int
    school_id: int | None
    school: str
    room_id: int | None
    room: str
    title: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    created_by: str
    ended_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class RingPlaceRow:
    """An endpoint or a room that always stands in the ring of that name."""

    id: int
    ring: str
    endpoint_id: str | None
    endpoint: str
    room_id: int | None
    room: str
    school_id: int | None
    school: str
    set_by: str
    set_at: dt.datetime
