"""The shapes of the rule book's requests and answers."""

from __future__ import annotations

from apiflask import Schema, fields
from apiflask.validators import Length, Range

from fettle_web.api.schemas import PageQuery, maybe_time, time_field

_WHY = fields.String(required=True, validate=Length(1, 1000), metadata={"description": "why: the next person will ask"})
_RULE = {"description": "fields of the rule as docs/json.md names them"}


class RuleOut(Schema):
    """One rule, as data and in words."""

    rule = fields.Dict(metadata=_RULE)
    raises = fields.String(metadata={"description": "when it raises, in words"})
    clears = fields.String(metadata={"description": "when it clears, in words"})
    whom = fields.String(metadata={"description": "which endpoints it is for, in words"})
    own = fields.Boolean(metadata={"description": "people changed or added it here: an update of Fettle leaves it be"})
    open_faults = fields.Integer()


class RulesOut(Schema):
    """The rule book in force."""

    version = fields.Integer()
    rules = fields.List(fields.Nested(RuleOut))


class RuleChangeOut(Schema):
    """One rule changed by one version."""

    version = fields.Integer()
    rule = fields.String()
    kind = fields.String()
    actor = fields.String()
    why = fields.String()
    words = fields.List(fields.String())
    at = time_field()


class RuleDetailOut(RuleOut):
    """One rule with its history, the newest first."""

    version = fields.Integer()
    history = fields.List(fields.Nested(RuleChangeOut))


class RuleIn(Schema):
    """What is to be changed of a rule; of a rule of your own that is not there yet: all of it."""

    why = _WHY
    seen_version = fields.Integer(load_default=None, validate=Range(0), metadata={"description": "the version that you saw"})
    rule = fields.Dict(required=True, keys=fields.String(), metadata=_RULE)


class WhyIn(Schema):
    """Why, and the version that was seen."""

    why = _WHY
    seen_version = fields.Integer(load_default=None, validate=Range(0))


class BacktestIn(Schema):
    """What would be changed of the rule, and for how long to look."""

    rule = fields.Dict(load_default=dict, keys=fields.String(), metadata=_RULE)
    budget_s = fields.Float(
        load_default=3.0, validate=Range(0, 30), metadata={"description": "the more, the larger the sample"}
    )


class ExampleOut(Schema):
    """One fault that would have been."""

    endpoint_id = fields.String()
    endpoint = fields.String(attribute="name")
    school = fields.String()
    instance = fields.String()
    since = time_field()
    raised = time_field()
    cleared = maybe_time()


class OutcomeOut(Schema):
    """What a rule would have raised on the endpoints that were looked at."""

    faults = fields.Integer()
    endpoints = fields.Integer()
    schools = fields.Integer()
    days = fields.Function(
        lambda outcome: [{"day": day.isoformat(), "faults": count} for day, count in outcome.days],
        metadata={"type": "array", "items": {"type": "object"}},
    )
    longest_s = fields.Float()
    examples = fields.List(fields.Nested(ExampleOut))


class BacktestOut(Schema):
    """The past with the present rule and with the changed one; null where it cannot be replayed, and `note` says why."""

    days = fields.Integer()
    present = fields.Nested(OutcomeOut, allow_none=True)
    edited = fields.Nested(OutcomeOut, allow_none=True)
    looked = fields.Integer(metadata={"description": "endpoints that were looked at: a sample spread over the schools"})
    endpoints = fields.Integer(metadata={"description": "endpoints that the rule is for"})
    schools_looked = fields.Integer()
    schools = fields.Integer()
    hours = fields.Integer(metadata={"description": "hours of history that were read"})
    recorded = fields.Integer(metadata={"description": "faults of this rule on record in that time"})
    note = fields.String()


class RuleVersionOut(Schema):
    """One version of the rules; `endpoints` judge by it now."""

    version = fields.Integer()
    at = time_field()
    actor = fields.String()
    rules = fields.Integer()
    endpoints = fields.Integer()
    changes = fields.List(fields.Nested(RuleChangeOut))


class RuleVersionsOut(Schema):
    """A page of versions, the newest first."""

    versions = fields.List(fields.Nested(RuleVersionOut))
    after = fields.String(allow_none=True)


class RuleVersionsQuery(PageQuery):
    """Which page."""


class HoldingOut(Schema):
    """How many endpoints say that they judge by a version."""

    version = fields.Integer()
    endpoints = fields.Integer()
    connected = fields.Integer()


class SchoolHoldingOut(Schema):
    """How far the newest version has come in a school."""

    school_id = fields.Integer()
    school = fields.String()
    endpoints = fields.Integer()
    confirmed = fields.Integer()
    under_way = fields.Integer()
    away = fields.Integer()


class RefusalOut(Schema):
    """An agent that said that it cannot use the version."""

    endpoint_id = fields.String()
    endpoint = fields.String(attribute="name")
    school = fields.String()
    at = time_field()
    text = fields.String()


class HoldersOut(Schema):
    """Who has the version in force: `confirmed` by their agents, `under_way` (connected, not confirmed yet), `away`."""

    version = fields.Integer()
    since = maybe_time()
    endpoints = fields.Integer()
    confirmed = fields.Integer()
    under_way = fields.Integer()
    away = fields.Integer()
    holdings = fields.List(fields.Nested(HoldingOut))
    schools = fields.List(fields.Nested(SchoolHoldingOut))
    refusals = fields.List(fields.Nested(RefusalOut))


class VersionOut(Schema):
    """The version in force afterwards."""

    version = fields.Integer()
