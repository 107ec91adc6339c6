"""What is asked of requests for change and what queries about them return: plain frozen values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fettle_server.change.requests.rules import Limits
from fettle_server.change.rules import ChangeKind, ChangeState, RiskLevel, Step


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change as somebody proposes it; checked by actions.propose.

    `reach` and `rollout` are the rollout's (change.rollouts: reach {endpoints, schools, rooms, classes, systems}, plan as
    JSON, {} for the usual), `steps` those of fettle_protocol.steps. `reach_words` says who is affected where the
    proposer knows better than the count. `any_time` asks for no windows. `update_ids` are the updates (change.patches)
    that it brings.
    """

    kind: ChangeKind
    title: str
    why: str
    reach: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]
    what: str = ""
    plan: str = ""
    back_out_plan: str = ""
    reach_words: str = ""
    template_id: int | None = None
    planned_from: dt.datetime | None = None
    planned_until: dt.datetime | None = None
    notice_hours: int = 24
    any_time: bool = False
    rollout: Mapping[str, Any] = field(default_factory=dict)
    update_ids: tuple[int, ...] = ()
    mends: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a proposal would be: reckoned before it is made, and kept when it is."""

    risk: RiskLevel
    reasons: tuple[str, ...]
    steps: tuple[Step, ...]
    finals: tuple[str, ...]
    pcs: int
    servers: int
    schools: tuple[str, ...]
    refusals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A change in a list. `schools` are names of those that the reader sees, at most three; `school_count` all of them."""

    id: int
    kind: ChangeKind
    state: ChangeState
    title: str
    reach: str
    risk: str
    proposer: str
    created_at: dt.datetime
    planned_from: dt.datetime | None
    planned_until: dt.datetime | None
    outcome: str
    schools: tuple[str, ...]
    school_count: int
    everywhere: bool
    waits_for: str
    waits_for_me: bool


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A decision of a change: `decision` "" while it waits. `mine`: the reader may decide now; else `why_not` says why not."""

    step: Step
    school_id: int | None
    school: str
    decision: str
    actor: str
    why: str
    at: dt.datetime | None
    is_next: bool
    mine: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A line of a change's record."""

    at: dt.datetime
    kind: str
    actor: str
    text: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LinkedIncident:
    """An incident that stands with a change."""

    number: int
    title: str
    state: str
    priority: int
    school: str
    how: str
    why: str
    linked_by: str
    linked_at: dt.datetime
    opened_at: dt.datetime


@dataclass(frozen=True, slots=True)
class RolloutLine:
    """A rollout of a change, in a line."""

    id: int
    direction: str
    state: str
    why: str
    pcs: int
    done: int
    failed: int


@dataclass(frozen=True, slots=True)
class ChangeDetail:
    """A whole change. The `may_` fields say what the reader may do with it now."""

    row: ChangeRow
    why: str
    what: str
    plan: str
    back_out_plan: str
    risk_reasons: tuple[str, ...]
    template: str
    notice_hours: int
    noticed_at: dt.datetime | None
    reminded_at: dt.datetime | None
    begun_at: dt.datetime | None
    ended_at: dt.datetime | None
    review: str
    reviewed_by: str
    reviewed_at: dt.datetime | None
    school_ids: tuple[int, ...]
    approvals: tuple[ApprovalRow, ...]
    entries: tuple[EntryRow, ...]
    incidents: tuple[LinkedIncident, ...]
    rollouts: tuple[RolloutLine, ...]
    steps: tuple[Mapping[str, Any], ...]
    may_review: bool
    may_withdraw: bool
    may_link: bool
    any_time: bool
    """It does not wait for the schools' windows: in lessons too."""


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """A pre-approved standard change; `usable` is False once it expired or was withdrawn."""

    id: int
    name: str
    why: str
    plan: str
    back_out_plan: str
    limits: Limits
    approved_by: str
    approved_at: dt.datetime
    expires_at: dt.datetime
    withdrawn_at: dt.datetime | None
    usable: bool
    used: int


@dataclass(frozen=True, slots=True)
class ScheduleItem:
    """Something in the forward schedule: `kind` is "change", "freeze", "exam" or "window"; `school` "" is all schools.

    `change_id` and `state` of a change only. `all_day`: the times are whole days in the school's own time.
    """

    kind: str
    title: str
    school: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    all_day: bool = False
    change_id: int | None = None
    state: str = ""
    risk: str = ""
    change_kind: str = ""


@dataclass(frozen=True, slots=True)
class Statistics:
    """FITS's change statistics of a period: requests by when they were made, outcomes by when they were reviewed."""

    school: str
    requests: int
    standard: int
    normal: int
    emergency: int
    approved: int
    rejected: int
    withdrawn: int
    waiting: int
    reviewed: int
    successful: int
    partly: int
    failed: int
    backed_out: int
    incidents: int

    @property
    def emergency_percent(self) -> float | None:
        """The share of emergencies among the requests; None without any request."""
        return 100 * self.emergency / self.requests if self.requests else None

    @property
    def success_percent(self) -> float | None:
        """The share of successful ones among those that were carried out and reviewed; None without any."""
        return 100 * self.successful / self.reviewed if self.reviewed else None


@dataclass(frozen=True, slots=True)
class SchoolSettings:
    """How a school takes changes. `final_user` names its final approver, "" where any approver of the school will do."""

    school_id: int
    school: str
    needs_final: bool
    final_user_id: int | None
    final_user: str
    at_once: int
    cache_url: str
