"""The rule book: all rules, one with its form and what a change would have raised, and the versions with who has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from fettle_protocol import catalogue
from fettle_protocol.catalogue import Unit
from fettle_protocol.policy import CLASSES, SYSTEMS, Judge, Policy, Rule, to_mapping
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.people.rules import Act
from fettle_server.proactive import policies
from fettle_server.proactive.rulebook import actions, queries, rules, words
from fettle_server.proactive.rulebook.preview import Preview, preview
from fettle_server.proactive.rulebook.rules import Edit, NoSuchRule, Overtaken, RuleBookError
from fettle_server.proactive.rulebook.views import RuleRow
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages import ruleforms
from fettle_web.pages.parts import address, pages, respond

_WHICH = {"all": "All", "own": "Changed here", "off": "Switched off", "open": "With open faults"}


@pages.get("/proactive/rules")
def rule_book() -> ResponseReturnValue:
    """The rules by topic."""
    person, search = auth.person(), request.args.get("q", "").strip().lower()
    which = request.args.get("show", "all")
    with store.reading() as tx:
        version, rows = queries.book(tx, person)
        kept = [row for row in rows if _fits(row, search, which)]
        topics = [
            (topic, list(some)) for topic, some in groupby(sorted(kept, key=_topic(rows)), key=lambda row: row.rule.topic)
        ]
        return respond(
            "pages/rules.html",
            tx,
            nav="rules",
            topics=topics,
            shown=len(kept),
            version=version,
            count=len(rows),
            counts={name: sum(_fits(row, "", name) for row in rows) for name in _WHICH},
            which=_WHICH,
            show=which if which in _WHICH else "all",
            search=request.args.get("q", "").strip(),
            refusal=actions.may_edit(person),
            address=address,
        )


@pages.get("/proactive/rules/<key>")
def rule(key: str) -> ResponseReturnValue:
    """One rule: what it says, its form, and its history."""
    auth.person()
    with store.reading() as tx:
        version, row = _row(tx, key)
        return _rule_page(tx, row, version, ruleforms.shown(row.rule))


@pages.get("/proactive/rules/<key>/copy")
def copy_rule(key: str) -> ResponseReturnValue:
    """The form of a rule of one's own that begins as a copy."""
    _demand()
    with store.reading() as tx:
        version, row = _row(tx, key)
        if row.rule.judge is Judge.SERVER:
            abort(404)
        fields = ruleforms.shown(row.rule) | {"key": f"own-{key.removeprefix('own-')}"}
        return _rule_page(tx, row, version, fields, is_copy=True)


@pages.post("/proactive/rules/<key>/copy")
def add_rule(key: str) -> ResponseReturnValue:
    """Add it, or show what it would have raised."""
    person, fields = _demand(), ruleforms.entered(request.form)
    with store.reading() as tx:
        version, row = _row(tx, key)
    try:
        fresh = rules.made(_plain(row.rule, ruleforms.changes(fields, row.rule), str(fields["key"]).strip()))
        if request.form.get("deed") == "preview":
            return _previewed(row, version, fields, (None, fresh), is_copy=True)
        with store.writing() as tx:
            actions.add_rule(tx, person, to_mapping(Policy(1, (fresh,)))["rules"][0], fields["why"], utc_now())
    except RuleBookError as error:
        return _refused(key, fields, error, is_copy=True)
    flash("Added. Connected agents have it within seconds.")
    return redirect(url_for("pages.rule", key=fresh.key), 303)


@pages.post("/proactive/rules/<key>")
def change_rule(key: str) -> ResponseReturnValue:
    """Keep what was entered, restore or remove the rule; or show what it would have raised."""
    person, deed, fields = _demand(), request.form.get("deed", "save"), ruleforms.entered(request.form)
    edit = Edit(fields["why"], _seen())
    try:
        if deed in _PLAIN_DEEDS:
            action, told = _PLAIN_DEEDS[deed]
            with store.writing() as tx:
                action(tx, person, key, edit, utc_now())
            flash(told)
            return redirect(url_for("pages.rule_book") if deed == "remove" else url_for("pages.rule", key=key), 303)
        with store.reading() as tx:
            version, row = _row(tx, key)
        changes = ruleforms.changes(fields, row.rule)
        if deed == "preview":
            return _previewed(row, version, fields, (row.rule, rules.edited(row.rule, changes)))
        with store.writing() as tx:
            made = actions.edit_rule(tx, person, key, replace(edit, changes=changes), utc_now())
    except NoSuchRule:
        abort(404)
    except RuleBookError as error:
        return _refused(key, fields, error)
    flash("Nothing was changed." if made == version else f"Saved as version {made}. Connected agents have it within seconds.")
    return redirect(url_for("pages.rule", key=key), 303)


@pages.get("/proactive/rules/versions")
def rule_versions() -> ResponseReturnValue:
    """The versions, what each changed, and who has which."""
    person, after = auth.person(), request.args.get("after")
    with store.reading() as tx:
        return respond(
            "pages/rule_versions.html",
            tx,
            nav="rules",
            page=queries.versions(tx, person, after=after),
            spreading=queries.spreading(tx, person),
            further=after is not None,
            refusal=actions.may_edit(person),
            address=address,
            error=request.args.get("error", "")[:600],
        )


@pages.post("/proactive/rules/versions/<int:version>/roll-back")
def roll_back_rules(version: int) -> ResponseReturnValue:
    """Put an earlier version in force again."""
    person = _demand()
    try:
        with store.writing() as tx:
            made = actions.roll_back(tx, person, version, Edit(request.form.get("why", ""), _seen()), utc_now())
    except NoSuchRule:
        abort(404)
    except RuleBookError as error:
        return redirect(url_for("pages.rule_versions", error=str(error)), 303)
    flash(f"The rules of version {version} are in force again, as version {made}.")
    return redirect(url_for("pages.rule_versions"), 303)


_PLAIN_DEEDS = {
    "restore": (actions.restore_rule, "It is as it ships again. Connected agents have it within seconds."),
    "remove": (actions.remove_rule, "Removed. What it held open ends within seconds."),
}


def _demand() -> Any:
    person = auth.demand(Act.EDIT_RULES)
    if actions.may_edit(person):
        abort(403)
    return person


def _row(tx: Connection, key: str) -> tuple[int, RuleRow]:
    version, rows = queries.book(tx, auth.person())
    row = next((row for row in rows if row.rule.key == key), None)
    if row is None:
        abort(404)
    return version, row


def _seen() -> int | None:
    text = request.form.get("seen_version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _fits(row: RuleRow, search: str, which: str) -> bool:
    rule = row.rule
    text = " ".join((rule.key, rule.title, rule.meaning, rule.reading, rule.topic, *rule.classes)).lower()
    chosen = {"own": row.own, "off": not rule.enabled, "open": row.open_faults > 0}.get(which, True)
    return chosen and all(word in text for word in search.split())


def _topic(rows: Sequence[RuleRow]) -> Any:
    """Topics in the order in which the book first names them."""
    order: dict[str, int] = {}
    for row in rows:
        order.setdefault(row.rule.topic, len(order))
    return lambda row: order[row.rule.topic]


def _plain(rule: Rule, changes: dict[str, Any], key: str) -> dict[str, Any]:
    row: dict[str, Any] = to_mapping(Policy(1, (rule,)))["rules"][0]
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()}
    return row | lists | {"key": key}


def _previewed(
    row: RuleRow, version: int, fields: dict[str, Any], pair: tuple[Rule | None, Rule], *, is_copy: bool = False
) -> ResponseReturnValue:
    with store.reading() as tx:
        found = preview(tx, auth.person(), pair[0], pair[1], now=utc_now())
        differs = words.changes(pair[0], pair[1]) if pair[0] else ()
        return _rule_page(tx, row, _seen() or version, fields, found=found, differs=differs, is_copy=is_copy)


def _refused(key: str, fields: dict[str, Any], error: RuleBookError, *, is_copy: bool = False) -> ResponseReturnValue:
    with store.reading() as tx:
        version, row = _row(tx, key)
        seen = version if isinstance(error, Overtaken) else _seen() or version
        page = _rule_page(tx, row, seen, fields, problems=error.problems, is_copy=is_copy)
    return page, 409 if isinstance(error, Overtaken) else 400


def _rule_page(
    tx: Connection,
    row: RuleRow,
    version: int,
    fields: dict[str, Any],
    *,
    found: Preview | None = None,
    differs: Sequence[str] = (),
    problems: dict[str, str] | None = None,
    is_copy: bool = False,
) -> str:
    spec = catalogue.BY_KEY[row.rule.reading]
    original = policies.shipped().rule(row.rule.key)
    return render_template(
        "pages/rule.html",
        nav="rules",
        row=row,
        rule=row.rule,
        spec=spec,
        is_yes_no=spec.unit is Unit.YES_NO,
        unit=ruleforms.scale_of(spec.key)[1],
        fields=fields,
        units={short: name for short, (_, name) in ruleforms.UNITS.items()},
        classes=CLASSES,
        systems={name: words.SYSTEMS[name] for name in SYSTEMS},
        impacts=words.IMPACTS,
        severities=words.SEVERITIES,
        spreads=words.SPREADS,
        version=version,
        found=found,
        differs=differs,
        top=_top(found),
        problems=problems or {},
        is_copy=is_copy,
        is_own=rules.is_own(row.rule.key),
        is_servers=row.rule.judge is Judge.SERVER,
        shipped_differs=words.changes(original, row.rule) if original and row.own else (),
        history=() if is_copy else queries.history(tx, row.rule.key),
        refusal=actions.may_edit(auth.person()),
        gather=words.duration(row.rule.gather_s),
        gap=words.duration(row.rule.gap_s),
    )


def _top(found: Preview | None) -> int:
    """The highest bar of the days, at least 1."""
    outcomes = [one for one in (found.present, found.edited) if one] if found else []
    return max([1, *(count for one in outcomes for _, count in one.days)])
