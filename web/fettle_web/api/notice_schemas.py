"""The shapes of what the API says about notices and proofs."""

from __future__ import annotations

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf, Range
from fettle_server.notify.channels import KINDS
from fettle_server.notify.rules import PRIORITIES, Digest, State, When

from fettle_web.api.schemas import PageQuery, maybe_time, time_field

_STATES = [state.value for state in State]


class ChannelIn(Schema):
    """A channel to be."""

    name = fields.String(required=True, validate=Length(1, 80))
    kind = fields.String(required=True, validate=OneOf(list(KINDS)))
    target = fields.String(load_default="", validate=Length(max=2000), metadata={"description": "addresses, or a URL"})
    key = fields.String(
        load_default="", validate=Length(max=200), metadata={"description": "a webhook's signing key; empty: a fresh one"}
    )


class MadeOut(Schema):
    """What was made."""

    id = fields.Integer()


class ChannelMadeOut(MadeOut):
    """A channel that was made."""

    signing_key = fields.String(metadata={"description": "of a webhook; it is never shown again"})


class ChannelOut(Schema):
    """A channel, without its secret."""

    id = fields.Integer()
    name = fields.String()
    kind = fields.String(validate=OneOf(list(KINDS)))
    words = fields.String(metadata={"description": "where it leads"})
    waiting = fields.Integer(metadata={"description": "deliveries that wait"})
    retry_at = maybe_time()
    answered_at = maybe_time()
    answer = fields.String(metadata={"description": "the receiver's last words"})


class ChannelsOut(Schema):
    """The channels."""

    channels = fields.List(fields.Nested(ChannelOut))


class TestOut(Schema):
    """What became of a test."""

    sent = fields.Boolean()
    answer = fields.String()


class RouteIn(Schema):
    """What a route wants; minutes are since local midnight."""

    channel_id = fields.Integer(required=True)
    escalate_to = fields.Integer(load_default=None, allow_none=True, metadata={"description": "a route's id"})
    schools = fields.List(
        fields.Integer(), load_default=None, allow_none=True, metadata={"description": "schools' ids; null: all"}
    )
    priorities = fields.List(fields.Integer(validate=OneOf(PRIORITIES)), load_default=list(PRIORITIES))
    when = fields.String(load_default=When.ANY.value, validate=OneOf([when.value for when in When]))
    digest = fields.String(load_default=Digest.NONE.value, validate=OneOf([digest.value for digest in Digest]))
    digest_at_min = fields.Integer(load_default=450, validate=Range(0, 1439))
    digest_day = fields.Integer(load_default=0, validate=Range(0, 6), metadata={"description": "0: Monday"})
    quiet_from_min = fields.Integer(load_default=None, allow_none=True, validate=Range(0, 1439))
    quiet_until_min = fields.Integer(load_default=None, allow_none=True, validate=Range(0, 1439))
    rest = fields.Boolean(load_default=False, metadata={"description": "only what no other route takes"})
    resolved = fields.Boolean(load_default=True, metadata={"description": "say when it is over"})
    tests = fields.Boolean(load_default=True)
    problems = fields.Boolean(load_default=True)
    changes = fields.Boolean(load_default=True, metadata={"description": "planned changes, and decisions asked for"})
    escalate_after_min = fields.Integer(load_default=0, validate=Range(0, 1440))


class RouteOut(RouteIn):
    """A route."""

    id = fields.Integer()
    channel = fields.String()
    sentence = fields.String()


class RoutesOut(Schema):
    """The routes."""

    routes = fields.List(fields.Nested(RouteOut))


class DeliveriesQuery(PageQuery):
    """Which deliveries."""

    state = fields.String(load_default="", validate=OneOf(["", *_STATES]))
    incident = fields.Integer(load_default=None)


class ItemOut(Schema):
    """One message in a delivery."""

    kind = fields.String()
    title = fields.String()
    incident = fields.Integer(attribute="incident_number", allow_none=True)
    school_id = fields.Integer(allow_none=True)
    priority = fields.Integer()
    cancelled = fields.Boolean(metadata={"description": "it was over before it was told"})


class DeliveryOut(Schema):
    """One message to one receiver."""

    id = fields.Integer()
    channel = fields.String()
    route_id = fields.Integer(allow_none=True)
    kind = fields.String()
    state = fields.String(validate=OneOf(_STATES))
    reason = fields.String()
    is_test = fields.Boolean()
    created_at = time_field()
    next_at = time_field()
    sent_at = maybe_time()
    attempts = fields.Integer()
    last_error = fields.String()
    count = fields.Integer()
    items = fields.List(fields.Nested(ItemOut))


class DeliveriesOut(Schema):
    """A page of deliveries."""

    deliveries = fields.List(fields.Nested(DeliveryOut))
    after = fields.String(allow_none=True, metadata={"description": "the mark of the next page; null: this is the last"})


class ProofOut(Schema):
    """One proof; a step that was not reached is null."""

    id = fields.Integer()
    school_id = fields.Integer()
    school = fields.String()
    endpoint_id = fields.String()
    endpoint = fields.String()
    asked_by = fields.String()
    state = fields.String(validate=OneOf(["running", "passed", "failed", "void"]))
    note = fields.String()
    incident = fields.Integer(attribute="incident_number", allow_none=True)
    asked_at = time_field()
    raised_at = maybe_time()
    opened_at = maybe_time()
    told_at = maybe_time()
    cleared_at = maybe_time()
    resolved_at = maybe_time()
    ended_at = maybe_time()


class LastProofOut(ProofOut):
    """A school's last proof."""


class SchoolProofOut(Schema):
    """A school with its last proof."""

    school_id = fields.Integer()
    school = fields.String()
    last = fields.Nested(LastProofOut, allow_none=True)
    passed_at = maybe_time()
    due_at = maybe_time()
    connected = fields.Integer()
    endpoints = fields.Integer()


class ProofsOut(Schema):
    """The schools."""

    schools = fields.List(fields.Nested(SchoolProofOut))
