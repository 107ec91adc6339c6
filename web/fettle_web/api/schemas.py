"""The shapes of the API's requests and answers, which /api/v1/openapi.json is printed from.

Names are those of the command line's JSON where both say the same thing. Values come from the wings' views as they are.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf, Range
from fettle_server.estate.endpoints.rules import Health
from fettle_server.estate.endpoints.views import SORTS
from fettle_server.estate.people.rules import Role
from fettle_server.paging import LIMIT
from fettle_server.reactive.rules import PRIORITIES, TEXT_MAXIMUM, IncidentState, Scope
from marshmallow import ValidationError

_STATES = [state.value for state in Health]
_AFTER = "the mark of the page before, from its `after`"


_NOT_A_TIME = "Not a time such as 2026-11-23T09:00:00Z."


class Time(fields.Field[dt.datetime]):
    """A time as RFC 3339 in UTC, to the millisecond."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return None if value is None else rfc3339(value)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dt.datetime:
        try:
            time = dt.datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise ValidationError(_NOT_A_TIME) from error
        if time.tzinfo is None:
            raise ValidationError(_NOT_A_TIME)
        return time.astimezone(dt.UTC)


def rfc3339(time: dt.datetime) -> str:
    """The time as RFC 3339 in UTC, to the millisecond."""
    return time.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_field(**more: Any) -> Time:
    """A Time field that OpenAPI knows as date-time."""
    return Time(metadata={"type": "string", "format": "date-time"}, **more)


def maybe_time() -> Time:
    """The same where there may be none."""
    return Time(allow_none=True, metadata={"type": "string", "format": "date-time"})


class PageQuery(Schema):
    """Which page of a list."""

    after = fields.String(load_default=None, metadata={"description": _AFTER})
    limit = fields.Integer(load_default=50, validate=Range(1, LIMIT))


class EndpointsQuery(PageQuery):
    """Which endpoints, and in which order."""

    search = fields.String(load_default="", validate=Length(max=200))
    state = fields.String(load_default=None, validate=OneOf(_STATES))
    school = fields.Integer(load_default=None, metadata={"description": "a school's id, from /schools"})
    system = fields.String(load_default=None, validate=OneOf(["windows", "linux", "macos"]))
    sort = fields.String(load_default="state", validate=OneOf(SORTS))


class EndpointOut(Schema):
    """One endpoint in a list."""

    id = fields.String()
    name = fields.String()
    school = fields.String()
    school_id = fields.Integer()
    state = fields.String(validate=OneOf(_STATES))
    state_since = maybe_time()
    connected = fields.Boolean()
    last_seen = maybe_time()
    open_incidents = fields.Integer()
    watch_faults = fields.Integer()
    ill_faults = fields.Integer()
    system = fields.String()
    system_version = fields.String()
    model = fields.String()


class EndpointsOut(Schema):
    """A page of endpoints."""

    endpoints = fields.List(fields.Nested(EndpointOut))
    after = fields.String(allow_none=True, metadata={"description": "the mark of the next page; null: this is the last"})
    total = fields.Integer(allow_none=True, metadata={"description": "how many there are; null: over 10,000"})


class FaultOut(Schema):
    """One fault of an endpoint."""

    id = fields.Integer()
    rule = fields.String()
    instance = fields.String()
    title = fields.String()
    meaning = fields.String()
    first_step = fields.String()
    severity = fields.String()
    value = fields.Float()
    unit = fields.String()
    detail = fields.String()
    since_at = time_field()
    raised_at = time_field()
    cleared_at = maybe_time()
    clear_reason = fields.String()
    incident = fields.Integer(attribute="incident_number", allow_none=True)


class EndpointDetailOut(EndpointOut):
    """One endpoint, with its open faults."""

    sentence = fields.String(metadata={"description": "its state explained in one sentence"})
    serial = fields.String()
    agent_version = fields.String()
    address = fields.String()
    connected_since = maybe_time()
    enrolled_at = time_field()
    revoked_at = maybe_time()
    policy_version = fields.Integer()
    certificate_not_after = maybe_time()
    faults = fields.List(fields.Nested(FaultOut))


class ReadingOut(Schema):
    """One reading's newest value."""

    key = fields.String()
    instance = fields.String()
    value = fields.Float()
    unit = fields.String()
    sentence = fields.String()


class ReadingsOut(Schema):
    """The newest readings of an endpoint; none where it has not told any yet."""

    at = maybe_time()
    readings = fields.List(fields.Nested(ReadingOut))


class HistoryQuery(Schema):
    """Which readings, from when to when (at most 31 days)."""

    key = fields.List(fields.String(), required=True, validate=Length(1, 20), metadata={"description": "may be repeated"})
    start = time_field(required=True)
    end = time_field(load_default=None)


class SeriesOut(Schema):
    """One reading of one instance over time: arrays of one length."""

    key = fields.String()
    instance = fields.String()
    unit = fields.String()
    times_ms = fields.List(fields.Integer(), metadata={"description": "milliseconds since 1970-01-01T00:00:00Z"})
    low = fields.List(fields.Float())
    mean = fields.List(fields.Float())
    high = fields.List(fields.Float())


class HistoryOut(Schema):
    """The series that were asked for."""

    series = fields.List(fields.Nested(SeriesOut))


class IncidentsQuery(PageQuery):
    """Which incidents."""

    state = fields.String(load_default="open", validate=OneOf(["open", "all", *(state.value for state in IncidentState)]))
    priority = fields.Integer(load_default=None, validate=OneOf(PRIORITIES))
    school = fields.Integer(load_default=None, metadata={"description": "a school's id, from /schools"})
    assignee = fields.String(load_default=None, metadata={"description": '"me" or "nobody"'}, validate=OneOf(["me", "nobody"]))
    endpoint = fields.String(load_default=None, metadata={"description": "an endpoint's id"})
    search = fields.String(load_default="", validate=Length(max=200))


class IncidentFieldsOut(Schema):
    """What every answer says of an incident."""

    number = fields.Integer()
    state = fields.String(validate=OneOf([state.value for state in IncidentState]))
    priority = fields.Integer()
    title = fields.String()
    school = fields.String()
    school_id = fields.Integer(allow_none=True, metadata={"description": "null: several schools, then `school` is empty"})
    endpoint = fields.String()
    endpoint_id = fields.String()
    rule = fields.String()
    scope = fields.String(validate=OneOf(list(Scope)), metadata={"description": "the level at which its cause is"})
    room = fields.String()
    endpoints = fields.Integer(metadata={"description": "how many a cause wider than one endpoint reached; else 0"})
    merged_into = fields.Integer(allow_none=True, metadata={"description": "the wider incident that goes on for it"})
    quiet_until = maybe_time()
    opened_at = time_field()
    acknowledged_at = maybe_time()
    resolved_at = maybe_time()
    updated_at = time_field()
    assignee = fields.String(allow_none=True)
    open_faults = fields.Integer(metadata={"description": "how many of its faults last"})
    reopened = fields.Integer(metadata={"description": "how often it was resolved and came back"})
    is_test = fields.Boolean(metadata={"description": "a proof that alerts work, or a test that somebody made"})


class FaultOfIncidentOut(Schema):
    """One fault of an incident; `cleared_at` is null while it lasts, `value` is the reading that raised it."""

    rule = fields.String()
    instance = fields.String()
    severity = fields.String()
    value = fields.Float()
    detail = fields.String(metadata={"description": "a plain fact beside it, such as a program's name"})
    raised_at = time_field()
    cleared_at = maybe_time()


class IncidentOut(IncidentFieldsOut):
    """One incident in a list, with its faults, oldest first."""

    faults = fields.List(fields.Nested(FaultOfIncidentOut))


class IncidentsOut(Schema):
    """A page of incidents."""

    incidents = fields.List(fields.Nested(IncidentOut))
    after = fields.String(allow_none=True, metadata={"description": "the mark of the next page; null: this is the last"})
    total = fields.Integer(allow_none=True, metadata={"description": "how many there are; null: over 10,000"})


class IncidentFaultOut(FaultOfIncidentOut):
    """A fault of an incident with the readings around its crossings, as [milliseconds since 1970, value]."""

    id = fields.Integer()
    detail = fields.String()
    since_at = time_field()
    clear_reason = fields.String()
    evidence = fields.Dict()


class TimelineOut(Schema):
    """One line of an incident's story."""

    id = fields.Integer()
    at = time_field()
    kind = fields.String()
    actor = fields.String()
    text = fields.String()
    detail = fields.Dict()


class ChildOut(Schema):
    """An endpoint that a wider cause reached; `cleared_at` is null while it still has it."""

    endpoint_id = fields.String()
    endpoint = fields.String()
    school = fields.String()
    state = fields.String()
    severity = fields.String()
    rule = fields.String()
    instance = fields.String()
    since_at = time_field()
    cleared_at = maybe_time()


class IncidentDetailOut(IncidentFieldsOut):
    """One incident with its whole story; `allowed` says what the token's person may do with it now."""

    impact = fields.String()
    urgency = fields.String()
    origin = fields.String()
    closed_at = maybe_time()
    faults = fields.List(fields.Nested(IncidentFaultOut))
    timeline = fields.List(fields.Nested(TimelineOut))
    assignees = fields.List(fields.String(), metadata={"description": "the people who could have it"})
    children = fields.List(fields.Nested(ChildOut), metadata={"description": "what a wider cause reached in your schools"})
    took_over = fields.List(fields.Integer(), metadata={"description": "incidents that became part of it"})
    allowed = fields.Function(
        lambda incident: sorted(incident.allowed), metadata={"type": "array", "items": {"type": "string"}}
    )


class TextIn(Schema):
    """A sentence for the timeline."""

    text = fields.String(required=True, validate=Length(1, TEXT_MAXIMUM))


class AssignIn(Schema):
    """Who shall have the incident."""

    assignee = fields.String(required=True, allow_none=True, metadata={"description": "a person's name; null: nobody"})


class SchoolOut(Schema):
    """One school in numbers."""

    id = fields.Integer()
    name = fields.String()
    endpoints = fields.Integer()
    ill = fields.Integer()
    watch = fields.Integer()
    unknown_ = fields.Integer(attribute="unknown", data_key="unknown")  # the bare name is marshmallow's own
    well = fields.Integer()
    open_incidents = fields.Integer()
    worst = fields.String(allow_none=True)


class SchoolsOut(Schema):
    """The schools that the token's person sees."""

    schools = fields.List(fields.Nested(SchoolOut))


class TokenOut(Schema):
    """An API token; its secret is nowhere."""

    id = fields.Integer()
    name = fields.String()
    role = fields.String(validate=OneOf([role.value for role in Role]))
    created_at = time_field()
    expires_at = maybe_time()
    used_at = maybe_time()
    revoked_at = maybe_time()


class TokensOut(Schema):
    """The person's own tokens, newest first."""

    tokens = fields.List(fields.Nested(TokenOut))
