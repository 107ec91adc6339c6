"""The rule book: the rules in force, changing one, what that would have raised, the versions and who has them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fettle_protocol.policy import Policy, to_mapping
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.people.rules import Forbidden
from fettle_server.proactive.rulebook import actions, queries, rules
from fettle_server.proactive.rulebook.preview import Preview, preview
from fettle_server.proactive.rulebook.rules import Edit
from fettle_server.proactive.rulebook.views import RuleRow, Spreading
from flask import abort

from fettle_web import auth, store
from fettle_web.api import ruleshapes
from fettle_web.api.blueprint import api

NO_SUCH = "There is no rule of that key. /api/v1/rules lists them."
_REFUSALS = {400: "the rule would not hold together", 403: "your role or your schools do not allow it"}
_OVERTAKEN = {409: "somebody changed it since `seen_version`; `detail` says what"}


@api.get("/rules")
@api.output(ruleshapes.RulesOut)
@api.doc(security="token")
def rule_list() -> dict[str, Any]:
    """The rules in force, in the order of the book."""
    with store.reading() as tx:
        version, rows = queries.book(tx, auth.person())
    return {"version": version, "rules": [_row(row) for row in rows]}


@api.get("/rules/<key>")
@api.output(ruleshapes.RuleDetailOut)
@api.doc(security="token")
def rule_detail(key: str) -> dict[str, Any]:
    """One rule with its history."""
    with store.reading() as tx:
        return _detail(tx, key)


@api.put("/rules/<key>")
@api.input(ruleshapes.RuleIn)
@api.output(ruleshapes.RuleDetailOut)
@api.doc(security="token", responses=_REFUSALS | _OVERTAKEN)
def put_rule(key: str, json_data: dict[str, Any]) -> dict[str, Any]:
    """Change fields of a rule; a key that begins with own- and is not there yet is added."""
    person, given = auth.person(), json_data["rule"]
    with store.writing() as tx:
        _, rows = queries.book(tx, person)
        if rules.is_own(key) and all(row.rule.key != key for row in rows):
            actions.add_rule(tx, person, {**given, "key": key}, json_data["why"], utc_now())
        else:
            edit = Edit(json_data["why"], json_data["seen_version"], _changes(given))
            actions.edit_rule(tx, person, key, edit, utc_now())
        return _detail(tx, key)


@api.delete("/rules/<key>")
@api.input(ruleshapes.WhyIn)
@api.output(ruleshapes.VersionOut)
@api.doc(security="token", responses=_REFUSALS | _OVERTAKEN)
def delete_rule(key: str, json_data: dict[str, Any]) -> dict[str, Any]:
    """Remove a rule of your own; one that ships is switched off instead (`enabled`)."""
    with store.writing() as tx:
        return {"version": actions.remove_rule(tx, auth.person(), key, _edit(json_data), utc_now())}


@api.post("/rules/<key>/backtest")
@api.input(ruleshapes.BacktestIn)
@api.output(ruleshapes.BacktestOut)
@api.doc(security="token", responses=_REFUSALS)
def backtest(key: str, json_data: dict[str, Any]) -> Preview:
    """What the rule would have raised in the last 30 days, as it is and with those fields changed. Nothing is kept."""
    person = auth.person()
    refusal = actions.may_edit(person)
    if refusal is not None:
        raise Forbidden(refusal)
    with store.reading() as tx:
        rule = _found(tx, key)[1].rule
        edited = rules.edited(rule, _changes(json_data["rule"]))
        return preview(tx, person, rule, edited, now=utc_now(), budget_s=json_data["budget_s"])


@api.get("/rule-versions")
@api.input(ruleshapes.RuleVersionsQuery, location="query")
@api.output(ruleshapes.RuleVersionsOut)
@api.doc(security="token", responses={400: "`after` is no mark of this list"})
def rule_version_list(query_data: dict[str, Any]) -> dict[str, Any]:
    """The versions of the rules, each with what it changed and how many endpoints judge by it."""
    with store.reading() as tx:
        page = queries.versions(tx, auth.person(), after=query_data["after"], limit=query_data["limit"])
    return {"versions": page.rows, "after": page.after}


@api.get("/rule-versions/holders")
@api.output(ruleshapes.HoldersOut)
@api.doc(security="token")
def rule_holders() -> Spreading:
    """Who has the version in force."""
    with store.reading() as tx:
        return queries.spreading(tx, auth.person())


@api.post("/rule-versions/<int:version>/roll-back")
@api.input(ruleshapes.WhyIn)
@api.output(ruleshapes.VersionOut)
@api.doc(security="token", responses=_REFUSALS | _OVERTAKEN)
def roll_back(version: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Put an earlier version's rules in force again, as a new version."""
    with store.writing() as tx:
        return {"version": actions.roll_back(tx, auth.person(), version, _edit(json_data), utc_now())}


def _edit(given: dict[str, Any]) -> Edit:
    return Edit(given["why"], given["seen_version"])


def _changes(given: dict[str, Any]) -> dict[str, Any]:
    """The fields as given; what merely repeats the key is no change."""
    return {name: value for name, value in given.items() if name != "key"}


def _found(tx: Connection, key: str) -> tuple[int, RuleRow]:
    version, rows = queries.book(tx, auth.person())
    row = next((row for row in rows if row.rule.key == key), None)
    if row is None:
        abort(404, NO_SUCH)
    return version, row


def _detail(tx: Connection, key: str) -> dict[str, Any]:
    version, row = _found(tx, key)
    return _row(row) | {"version": version, "history": [asdict(one) for one in queries.history(tx, key)]}


def _row(row: RuleRow) -> dict[str, Any]:
    words = {"raises": row.raises, "clears": row.clears, "whom": row.whom, "own": row.own, "open_faults": row.open_faults}
    return {"rule": to_mapping(Policy(1, (row.rule,)))["rules"][0], **words}
