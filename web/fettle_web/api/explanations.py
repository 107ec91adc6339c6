"""Why an endpoint is in its state, why not in another, and who was told."""

from __future__ import annotations

from apiflask import Schema, fields
from fettle_server.clock import utc_now
from fettle_server.proactive.explain import queries
from fettle_server.proactive.explain.views import Explanation, Kind, Standing
from flask import abort

from fettle_web import auth, store
from fettle_web.api.blueprint import api
from fettle_web.api.endpoints import NO_SUCH
from fettle_web.api.schemas import maybe_time, time_field


class StepOut(Schema):
    """One link of a chain: a sentence, when it happened, and the incident that it names."""

    kind = fields.String(metadata={"enum": [kind.value for kind in Kind]})
    text = fields.String()
    at = maybe_time()
    state = fields.String()
    incident = fields.Integer(allow_none=True)


class ChainOut(Schema):
    """How one fault came to be told, or was not."""

    title = fields.String()
    state = fields.String()
    rule = fields.String()
    instance = fields.String()
    incident = fields.Integer(allow_none=True)
    steps = fields.List(fields.Nested(StepOut))


class CountdownOut(Schema):
    """A duration that runs: the fault is raised (or, `clearing`, over) at `ends_at` if the condition still holds then."""

    rule = fields.String()
    title = fields.String()
    instance = fields.String()
    clearing = fields.Boolean()
    since = time_field()
    ends_at = time_field()
    condition = fields.String()


class RuleLineOut(Schema):
    """How one rule stands with the endpoint; `distance` is how far the reading is from the raise level, negative: past it."""

    rule = fields.String()
    title = fields.String()
    instance = fields.String()
    standing = fields.String(metadata={"enum": [standing.value for standing in Standing]})
    text = fields.String()
    reading = fields.String()
    unit = fields.String()
    value = fields.Float(allow_none=True)
    raise_level = fields.Float(allow_none=True)
    clear_level = fields.Float(allow_none=True)
    distance = fields.Float(allow_none=True)
    countdown = fields.Nested(CountdownOut, allow_none=True)


class ExplanationOut(Schema):
    """All that can be said of one endpoint: why it is so, why not otherwise, whether it is expected, who was told."""

    endpoint_id = fields.String()
    endpoint = fields.String()
    school = fields.String()
    state = fields.String()
    sentence = fields.String()
    at = time_field()
    read_at = maybe_time()
    why = fields.List(fields.Nested(ChainOut))
    rules = fields.List(fields.Nested(RuleLineOut))
    presence = fields.List(fields.Nested(StepOut))
    messages = fields.List(fields.Nested(ChainOut))


@api.get("/endpoints/<endpoint_id>/explain")
@api.output(ExplanationOut)
@api.doc(security="token")
def explain(endpoint_id: str) -> Explanation:
    """Why it is in its state: readings, rules, stages, incidents and notices as chains of sentences."""
    with store.reading() as tx:
        found = queries.explain(tx, auth.person(), endpoint_id, utc_now())
    if found is None:
        abort(404, NO_SUCH)
    return found
