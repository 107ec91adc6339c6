"""The shapes of rollouts, their PCs and jobs in the API."""

from __future__ import annotations

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf
from fettle_server.change.jobs.rules import JobState
from fettle_server.change.rollouts.rules import Direction, RingState, RolloutState, TargetState

from fettle_web.api.schemas import PageQuery, maybe_time, time_field

_COUNTS = {"description": "how many PCs are in each state; what is not named is nought"}


class RolloutQuery(PageQuery):
    """Which rollouts."""

    state = fields.String(load_default="", validate=OneOf(["", *RolloutState]))
    change = fields.Integer(load_default=None, metadata={"description": "a change's number"})


class RolloutOut(Schema):
    """A rollout in a list. `not_ready` says why it cannot start yet."""

    id = fields.Integer()
    change = fields.Integer(attribute="change_id")
    title = fields.String(attribute="change_title")
    direction = fields.String(validate=OneOf(list(Direction)))
    undoes = fields.Integer(attribute="undoes_id", allow_none=True)
    state = fields.String(validate=OneOf(list(RolloutState)))
    why = fields.String()
    not_ready = fields.String()
    ring = fields.Integer()
    ring_name = fields.String()
    rings = fields.Integer()
    pcs = fields.Integer(attribute="total")
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), metadata=_COUNTS)
    incident = fields.Integer(attribute="incident_number", allow_none=True)
    created_by = fields.String()
    created_at = time_field()
    started_at = maybe_time()
    halted_at = maybe_time()
    ended_at = maybe_time()


class RolloutPageOut(Schema):
    """A page of rollouts."""

    rollouts = fields.List(fields.Nested(RolloutOut))
    after = fields.String(allow_none=True)


class GateOut(Schema):
    """A ring's gate as last reckoned, with its arithmetic in words and numbers."""

    verdict = fields.String(validate=OneOf(["", "pass", "wait", "halt"]))
    why = fields.String()
    at = maybe_time()
    limit = fields.Integer()
    unwell = fields.Integer()
    silent = fields.Integer()
    silent_limit = fields.Integer()
    seen = fields.Integer()
    seen_needed = fields.Integer()
    changed = fields.Integer()
    faulty = fields.Integer()
    expected = fields.Float()
    control = fields.Integer()
    control_faulty = fields.Integer()


class RingOut(Schema):
    """A ring of a rollout."""

    number = fields.Integer()
    name = fields.String()
    state = fields.String(validate=OneOf(list(RingState)))
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), metadata=_COUNTS)
    released_at = maybe_time()
    deadline_at = maybe_time()
    settled_at = maybe_time()
    soaks_until = maybe_time()
    passed_at = maybe_time()
    next_step = fields.String()
    gate = fields.Nested(GateOut)


class ManifestOut(Schema):
    """What is signed, or waits for it."""

    id = fields.String(attribute="uid")
    purpose = fields.String()
    serial = fields.Integer()
    sha256 = fields.String()
    signed_at = maybe_time()
    key = fields.String(attribute="key_id", allow_none=True)
    expires_at = time_field()


class RolloutDetailOut(Schema):
    """A rollout with its rings, plan and manifests. `may` names the acts that make sense now."""

    rollout = fields.Nested(RolloutOut)
    rings = fields.List(fields.Nested(RingOut))
    steps = fields.List(fields.Dict())
    plan = fields.Dict()
    back_outs = fields.List(fields.Integer())
    manifests = fields.List(fields.Nested(ManifestOut))
    may = fields.List(fields.String())


class TargetQuery(PageQuery):
    """Which PCs of a rollout."""

    ring = fields.Integer(load_default=None)
    state = fields.String(load_default="", validate=OneOf(["", *TargetState]))
    school = fields.Integer(load_default=None)


class TargetOut(Schema):
    """A PC of a rollout, with why it has not run yet or how it ended."""

    endpoint_id = fields.String()
    endpoint = fields.String(attribute="name")
    school = fields.String()
    room = fields.String()
    ring = fields.Integer()
    ring_name = fields.String()
    state = fields.String(validate=OneOf(list(TargetState)))
    why = fields.String()
    sick = fields.List(fields.String())
    since = time_field()
    changed_at = maybe_time()
    job = fields.String(attribute="job_uid")
    job_state = fields.String()
    step = fields.Integer()
    percent = fields.Integer()


class TargetPageOut(Schema):
    """A page of a rollout's PCs."""

    pcs = fields.List(fields.Nested(TargetOut))
    after = fields.String(allow_none=True)


class WhyIn(Schema):
    """Why it is done."""

    why = fields.String(load_default="", validate=Length(max=300))


class BackOutIn(WhyIn):
    """Why it is undone, and whether it waits for windows."""

    at_any_time = fields.Boolean(load_default=False)


class SignaturesIn(Schema):
    """What the signing commands printed: a line "<manifest id>:<base64>" for each."""

    signatures = fields.String(required=True, validate=Length(1, 20_000))


class JobOut(Schema):
    """A job: one manifest for one PC. `why`: why it has not run yet, or how it ended."""

    id = fields.String(attribute="uid")
    endpoint_id = fields.String()
    endpoint = fields.String(attribute="endpoint_name")
    school = fields.String()
    change = fields.Integer(attribute="change_id", allow_none=True)
    rollout = fields.Integer(attribute="rollout_id", allow_none=True)
    title = fields.String()
    state = fields.String(validate=OneOf(list(JobState)))
    why = fields.String()
    attempt = fields.Integer()
    step = fields.Integer()
    steps = fields.Integer()
    percent = fields.Integer()
    created_at = time_field()
    start_at = maybe_time()
    until_at = maybe_time()
    expires_at = time_field()
    released_at = maybe_time()
    received_at = maybe_time()
    started_at = maybe_time()
    reported_at = maybe_time()
    ended_at = maybe_time()


class JobEntryOut(Schema):
    """What the PC told, with the operating system's own words."""

    at = time_field()
    state = fields.String()
    step = fields.Integer()
    kind = fields.String()
    why = fields.String()
    words = fields.String()


class JobDetailOut(Schema):
    """A job with all that was said of it."""

    job = fields.Nested(JobOut)
    entries = fields.List(fields.Nested(JobEntryOut))
    result = fields.Dict(allow_none=True)


class JobsOut(Schema):
    """A PC's jobs, the newest first."""

    jobs = fields.List(fields.Nested(JobOut))
