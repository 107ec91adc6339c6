"""What is held back and why, and the windows and silences that people order."""

from __future__ import annotations

import datetime as dt
from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf, Range
from fettle_server.clock import utc_now
from fettle_server.proactive.stages import actions, queries
from fettle_server.proactive.stages.actions import Span
from fettle_server.proactive.stages.rules import NAMES, Stage
from fettle_server.proactive.stages.views import HeldFilter, Reach, StagesError
from flask import abort
from marshmallow import RAISE

from fettle_web import auth, store
from fettle_web.api.blueprint import api
from fettle_web.api.schemas import PageQuery, maybe_time, time_field

_LONGEST_S = 14 * 86_400
_SENSELESS = {400: "a place, a time or a repetition that cannot be; `detail` says which", 403: "you may not hold back there"}


class HeldQuery(PageQuery):
    """Which held faults."""

    stage = fields.String(load_default="", validate=OneOf(["", *Stage]))
    school = fields.Integer(load_default=None, metadata={"description": "a school's id, from /schools"})
    endpoint = fields.String(load_default=None, metadata={"description": "an endpoint's id"})
    state = fields.String(load_default="all", validate=OneOf(["open", "over", "all"]))


class StageOut(Schema):
    """A stage, in the order in which they are asked, and how many faults it holds now."""

    stage = fields.String()
    name = fields.String()
    holding = fields.Integer()


class OrderOut(Schema):
    """A window or a silence; places and rule are empty where it reaches all."""

    id = fields.Integer()
    kind = fields.String(validate=OneOf(["window", "silence"]))
    title = fields.String()
    reason = fields.String()
    school = fields.String()
    room = fields.String()
    endpoint_id = fields.String()
    endpoint = fields.String()
    rule = fields.String()
    starts_at = time_field()
    ends_at = maybe_time()
    rrule = fields.String()
    duration_s = fields.Integer()
    created_by = fields.String()
    created_at = time_field()
    ended_at = maybe_time()
    held = fields.Integer(metadata={"description": "how many faults it ever held back"})
    state = fields.String(validate=OneOf(["on", "coming", "over"]))
    until = maybe_time()
    next_at = maybe_time()
    may_end = fields.Boolean()


class HeldOut(Schema):
    """A fault that is held back, or was so until it was over."""

    id = fields.Integer()
    stage = fields.String()
    stage_name = fields.String()
    reason = fields.String()
    held_until = maybe_time()
    rule = fields.String()
    instance = fields.String()
    title = fields.String()
    severity = fields.String()
    endpoint_id = fields.String()
    endpoint = fields.String()
    school = fields.String()
    raised_at = time_field()
    cleared_at = maybe_time()
    trail = fields.List(fields.Dict())


class HeldPageOut(Schema):
    """The stages, the orders in force, and a page of what was held back."""

    stages = fields.List(fields.Nested(StageOut))
    orders = fields.List(fields.Nested(OrderOut))
    held = fields.List(fields.Nested(HeldOut))
    after = fields.String(allow_none=True)


class ReachIn(Schema):
    """Where, and of which rule; what is left out means all."""

    school = fields.Integer(load_default=None)
    room = fields.Integer(load_default=None)
    endpoint = fields.String(load_default=None)
    rule = fields.String(load_default=None)


class SilenceIn(ReachIn):
    """Silence from now on, at most 90 days."""

    until = time_field(required=True)
    reason = fields.String(required=True, validate=Length(1, 200))


class WindowIn(ReachIn):
    """A maintenance window: once from `starts_at` to `ends_at`, or by `rrule` (RFC 5545) for `duration_s` each time."""

    title = fields.String(required=True, validate=Length(1, 120))
    reason = fields.String(load_default="", validate=Length(max=200))
    starts_at = time_field(required=True)
    ends_at = time_field(load_default=None)
    rrule = fields.String(load_default="", validate=Length(max=300))
    duration_s = fields.Integer(load_default=0, validate=Range(0, _LONGEST_S))


class OrderedOut(Schema):
    """The key of what was ordered."""

    id = fields.Integer()


@api.get("/held")
@api.input(HeldQuery, location="query", unknown=RAISE)
@api.output(HeldPageOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def held(query_data: dict[str, Any]) -> dict[str, Any]:
    """What each stage holds back now, the windows and silences in force, and a page of the log."""
    given, person = query_data, auth.person()
    wanted = HeldFilter(given["stage"], given["school"], given["endpoint"], given["state"])
    with store.reading() as tx:
        counts = queries.holding(tx, person)
        page = queries.held(tx, person, wanted, given["after"], given["limit"])
        orders = queries.suppressions(tx, person, utc_now())
    stages = [{"stage": stage.value, "name": NAMES[stage], "holding": counts.get(stage.value, 0)} for stage in Stage]
    return {"stages": stages, "orders": orders, "held": page.rows, "after": page.after}


@api.post("/silences")
@api.input(SilenceIn)
@api.output(OrderedOut, 201)
@api.doc(security="token", responses=_SENSELESS)
def silence(json_data: dict[str, Any]) -> dict[str, int]:
    """Ask for silence from now on, with an end."""
    given = json_data
    try:
        with store.writing() as tx:
            end, reason = given["until"], given["reason"]
            return {"id": actions.add_silence(tx, auth.person(), _reach(given), until=end, reason=reason, now=utc_now())}
    except StagesError as error:
        abort(400, str(error))


@api.post("/windows")
@api.input(WindowIn)
@api.output(OrderedOut, 201)
@api.doc(security="token", responses=_SENSELESS)
def window(json_data: dict[str, Any]) -> dict[str, int]:
    """Order a maintenance window, once or repeating."""
    given, now = json_data, utc_now()
    span = Span(given["starts_at"], given["ends_at"], given["rrule"], dt.timedelta(seconds=given["duration_s"]))
    title, reason = given["title"], given["reason"]
    try:
        with store.writing() as tx:
            return {"id": actions.add_window(tx, auth.person(), _reach(given), span, title=title, reason=reason, now=now)}
    except StagesError as error:
        abort(400, str(error))


@api.delete("/held/orders/<int:order_id>")
@api.output({}, 204)
@api.doc(security="token", responses={403: "you may not hold back there", 409: "there is none, or it is over"})
def end_order(order_id: int) -> str:
    """End a window (with all its repetitions) or a silence now."""
    try:
        with store.writing() as tx:
            actions.end_early(tx, auth.person(), order_id, utc_now())
    except StagesError as error:
        abort(409, str(error))
    return ""


def _reach(given: dict[str, Any]) -> Reach:
    return Reach(given["school"], given["room"], given["endpoint"], given["rule"])
