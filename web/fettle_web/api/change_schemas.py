"""The shapes of the API's requests and answers about changes; names are those of the command line's JSON."""

from __future__ import annotations

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf, Range
from fettle_server.change.requests import rules
from fettle_server.change.rules import ChangeKind, ChangeState, Linked, Outcome, RiskLevel, Step

from fettle_web.api.schemas import PageQuery, maybe_time, time_field

_TEXT = Length(max=rules.TEXT_LIMIT)


class ChangesQuery(PageQuery):
    """Which changes."""

    state = fields.String(load_default="open", validate=OneOf(["open", "all", *ChangeState]))
    kind = fields.String(load_default="", validate=OneOf(["", *ChangeKind]))
    school = fields.Integer(load_default=None, allow_none=True, validate=Range(1, 2**31 - 1))
    q = fields.String(load_default="", validate=Length(max=100), metadata={"description": "words in the title"})


class ChangeOut(Schema):
    """A change in a list. `schools` names up to three that you see, `school_count` counts all."""

    id = fields.Integer()
    kind = fields.String(validate=OneOf(list(ChangeKind)))
    state = fields.String(validate=OneOf(list(ChangeState)))
    title = fields.String()
    reach = fields.String(metadata={"description": "who is affected, in words"})
    risk = fields.String(validate=OneOf(list(RiskLevel)))
    proposer = fields.String()
    created_at = time_field()
    planned_from = maybe_time()
    planned_until = maybe_time()
    outcome = fields.String()
    schools = fields.List(fields.String())
    school_count = fields.Integer()
    everywhere = fields.Boolean()
    waits_for = fields.String()
    waits_for_me = fields.Boolean()


class ChangesOut(Schema):
    """A page of changes."""

    changes = fields.List(fields.Nested(ChangeOut))
    after = fields.String(allow_none=True)


class ApprovalOut(Schema):
    """A decision; `decision` is empty while it waits, and `mine` says that you may make it now."""

    step = fields.String(validate=OneOf(list(Step)))
    school_id = fields.Integer(allow_none=True)
    school = fields.String()
    decision = fields.String()
    actor = fields.String()
    why = fields.String()
    at = maybe_time()
    is_next = fields.Boolean()
    mine = fields.Boolean()
    why_not = fields.String()


class ChangeIncidentOut(Schema):
    """An incident that stands with a change, and why."""

    number = fields.Integer()
    title = fields.String()
    state = fields.String()
    priority = fields.Integer()
    school = fields.String()
    how = fields.String(validate=OneOf(list(Linked)))
    why = fields.String()
    linked_by = fields.String()
    linked_at = time_field()
    opened_at = time_field()


class ChangeRolloutOut(Schema):
    """A rollout of a change, in a line; /rollouts/<id> has it whole."""

    id = fields.Integer()
    direction = fields.String()
    state = fields.String()
    why = fields.String()
    pcs = fields.Integer()
    done = fields.Integer()
    failed = fields.Integer()


class ChangeEntryOut(Schema):
    """A line of a change's record."""

    at = time_field()
    kind = fields.String()
    actor = fields.String()
    text = fields.String()
    detail = fields.Dict()


class ChangeDetailOut(ChangeOut):
    """One change whole."""

    why = fields.String()
    what = fields.String()
    plan = fields.String()
    back_out_plan = fields.String()
    risk_reasons = fields.List(fields.String())
    template = fields.String()
    steps = fields.List(fields.Dict())
    notice_hours = fields.Integer()
    noticed_at = maybe_time()
    reminded_at = maybe_time()
    begun_at = maybe_time()
    ended_at = maybe_time()
    review = fields.String()
    reviewed_by = fields.String()
    reviewed_at = maybe_time()
    approvals = fields.List(fields.Nested(ApprovalOut))
    incidents = fields.List(fields.Nested(ChangeIncidentOut))
    rollouts = fields.List(fields.Nested(ChangeRolloutOut))
    record = fields.List(fields.Nested(ChangeEntryOut), attribute="entries")


class ReachIn(Schema):
    """Whom a change reaches: PCs by id, and those of schools and rooms; then only of these classes and systems. Empty: all."""

    endpoints = fields.List(fields.String(), load_default=list, validate=Length(max=20_000))
    schools = fields.List(fields.Integer(validate=Range(1, 2**31 - 1)), load_default=list, validate=Length(max=2000))
    rooms = fields.List(fields.Integer(validate=Range(1, 2**31 - 1)), load_default=list, validate=Length(max=5000))
    classes = fields.List(fields.String(), load_default=list, validate=Length(max=20))
    systems = fields.List(fields.String(), load_default=list, validate=Length(max=20))


class ProposalIn(Schema):
    """A change to be. `steps` are a job's; `rollout` is the rollout's plan as JSON, {} for the usual."""

    kind = fields.String(load_default=ChangeKind.NORMAL.value, validate=OneOf(list(ChangeKind)))
    title = fields.String(required=True, validate=Length(max=rules.TITLE_LIMIT))
    why = fields.String(load_default="", validate=_TEXT, metadata={"description": "left out: the template's"})
    reach = fields.Nested(ReachIn, required=True)
    steps = fields.List(fields.Dict(), required=True)
    what = fields.String(load_default="", validate=_TEXT)
    plan = fields.String(load_default="", validate=_TEXT)
    back_out_plan = fields.String(load_default="", validate=_TEXT)
    template_id = fields.Integer(load_default=None, allow_none=True, validate=Range(1, 2**31 - 1))
    planned_from = maybe_time()
    planned_until = maybe_time()
    notice_hours = fields.Integer(load_default=24, validate=Range(0, rules.MOST_NOTICE_HOURS))
    any_time = fields.Boolean(load_default=False, metadata={"description": "also outside the windows, in lessons"})
    rollout = fields.Dict(load_default=dict)
    update_ids = fields.List(fields.Integer(validate=Range(1, 2**63 - 1)), load_default=list, validate=Length(max=2000))
    mends = fields.List(fields.Integer(validate=Range(1, 2**31 - 1)), load_default=list, validate=Length(max=50))


class PreviewOut(Schema):
    """What a proposal would be; `refusals` are what its template does not allow."""

    risk = fields.String(validate=OneOf(list(RiskLevel)))
    risk_reasons = fields.List(fields.String(), attribute="reasons")
    steps = fields.List(fields.String())
    final_approval_of = fields.List(fields.String(), attribute="finals")
    pcs = fields.Integer()
    servers = fields.Integer()
    schools = fields.List(fields.String())
    refusals = fields.List(fields.String())


class DecideIn(Schema):
    """Yes or no to one step; a no needs a reason."""

    step = fields.String(required=True, validate=OneOf(list(Step)))
    approved = fields.Boolean(required=True)
    why = fields.String(load_default="", validate=Length(max=rules.WHY_LIMIT))
    school = fields.Integer(load_default=None, allow_none=True, validate=Range(1, 2**31 - 1))


class ReasonIn(Schema):
    """Why."""

    why = fields.String(required=True, validate=Length(max=rules.WHY_LIMIT))


class ReviewIn(Schema):
    """What came of a change."""

    outcome = fields.String(required=True, validate=OneOf(list(Outcome)))
    text = fields.String(required=True, validate=_TEXT)
    lessons = fields.String(load_default="", validate=_TEXT)


class LinkIn(Schema):
    """An incident to put beside a change, or to take away from it."""

    incident = fields.Integer(required=True, validate=Range(1, 2**31 - 1))
    why = fields.String(required=True, validate=Length(max=300))


class SpanQuery(Schema):
    """A time, and a school; left out: the last 90 days, or the next 90 for the schedule."""

    since = maybe_time()
    until = maybe_time()
    school = fields.Integer(load_default=None, allow_none=True, validate=Range(1, 2**31 - 1))


class FiguresOut(Schema):
    """The change statistics of a school, or of all of yours together."""

    school = fields.String()
    requests = fields.Integer()
    standard = fields.Integer()
    normal = fields.Integer()
    emergency = fields.Integer()
    approved = fields.Integer()
    rejected = fields.Integer()
    withdrawn = fields.Integer()
    waiting = fields.Integer()
    reviewed = fields.Integer()
    successful = fields.Integer()
    partly = fields.Integer()
    failed = fields.Integer()
    backed_out = fields.Integer()
    incidents = fields.Integer()
    emergency_percent = fields.Float(allow_none=True)
    success_percent = fields.Float(allow_none=True)


class StatisticsOut(Schema):
    """FITS's change statistics of a time: all together, then each school."""

    since = time_field()
    until = time_field()
    statistics = fields.List(fields.Nested(FiguresOut))


class ScheduleItemOut(Schema):
    """Something in the forward schedule; an empty school is all of them."""

    kind = fields.String(validate=OneOf(["change", "freeze", "exam", "window"]))
    title = fields.String()
    school = fields.String()
    starts_at = time_field()
    ends_at = time_field()
    all_day = fields.Boolean()
    change_id = fields.Integer(allow_none=True)
    state = fields.String()
    risk = fields.String()


class ScheduleOut(Schema):
    """The forward schedule."""

    schedule = fields.List(fields.Nested(ScheduleItemOut))


class LimitsOut(Schema):
    """What a template allows; empty lists allow any."""

    pcs = fields.Integer(load_default=0, metadata={"description": "0: any"})
    providers = fields.List(fields.String(), load_default=list)
    packages = fields.List(fields.String(), load_default=list, metadata={"description": "patterns such as firefox*"})
    kinds = fields.List(fields.String(), load_default=list, metadata={"description": "kinds of steps"})
    reboot = fields.Boolean(load_default=False)
    servers = fields.Boolean(load_default=False)
    any_time = fields.Boolean(load_default=False)


class TemplateIn(Schema):
    """A standard change to approve beforehand."""

    name = fields.String(required=True, validate=Length(max=120))
    why = fields.String(required=True, validate=_TEXT)
    plan = fields.String(required=True, validate=_TEXT)
    back_out_plan = fields.String(required=True, validate=_TEXT)
    limits = fields.Nested(LimitsOut, load_default=dict)
    expires_at = time_field(required=True)


class TemplateOut(Schema):
    """A template of standard changes."""

    id = fields.Integer()
    name = fields.String()
    why = fields.String()
    plan = fields.String()
    back_out_plan = fields.String()
    limits = fields.Nested(LimitsOut)
    approved_by = fields.String()
    approved_at = time_field()
    expires_at = time_field()
    withdrawn_at = maybe_time()
    usable = fields.Boolean()
    used = fields.Integer()


class TemplateRowOut(TemplateOut):
    """A template in the list: the API's description takes no schema both alone and within another."""


class TemplatesOut(Schema):
    """The templates, those that can be used first."""

    templates = fields.List(fields.Nested(TemplateRowOut))


class SchoolChangesIn(Schema):
    """How a school takes changes."""

    needs_final = fields.Boolean(required=True)
    final_user_id = fields.Integer(load_default=None, allow_none=True, validate=Range(1, 2**31 - 1))
    at_once = fields.Integer(load_default=0, metadata={"description": "PCs that may download at once; 0: no limit"})
    cache_url = fields.String(load_default="", validate=Length(max=200))


class SchoolChangesOut(SchoolChangesIn):
    """How a school takes changes."""

    school_id = fields.Integer()
    school = fields.String()
    final_user = fields.String()
