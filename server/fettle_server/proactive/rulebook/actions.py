"""What people do to the rule book. Each deed publishes a new version, with who and why; agents have it within seconds.

Rules count for the whole estate, so only people of all schools may change them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import Policy, PolicyError, Rule

from fettle_server.estate.people.rules import Act, Forbidden, Person, demand
from fettle_server.proactive.actions import Deed, publish
from fettle_server.proactive.policies import newest, shipped
from fettle_server.proactive.rulebook import queries, rules
from fettle_server.proactive.rulebook.rules import Edit, NoSuchRule, Overtaken, RuleBookError

_LOCK = 7_444


def may_edit(person: Person) -> str | None:
    """None where the person may change rules; else a sentence that says why not."""
    try:
        _demand(person)
    except Forbidden as refusal:
        return refusal.reason
    return None


def edit_rule(tx: sa.Connection, person: Person, key: str, edit: Edit, now: dt.datetime) -> int:
    """Change fields of a rule (rules.EDITABLE); returns the new version, or the present one where nothing differs.

    Raises:
        Forbidden: the person may not.
        NoSuchRule: there is none of that key.
        Overtaken: the rule was changed since the version that the person saw.
        RuleBookError: the rule would not hold together, or no reason was given.
    """
    why, whole, present = _begin(tx, person, key, edit)
    fresh = rules.edited(present, edit.changes)
    kind = "edited"
    if set(edit.changes) == {"enabled"} and fresh.enabled != present.enabled:
        kind = "switched on" if fresh.enabled else "switched off"
    return _put(tx, person, whole, rules.replaced(whole, fresh), Deed(kind, why), now)


def add_rule(tx: sa.Connection, person: Person, row: Mapping[str, Any], why: str, now: dt.datetime) -> int:
    """Add a rule of people's own (plain values; the key begins with own-); returns the new version.

    Raises:
        Forbidden, RuleBookError: as edit_rule.
    """
    _demand(person)
    why = rules.reason(why)
    whole = _locked(tx)
    return _put(tx, person, whole, rules.replaced(whole, rules.added(whole, row)), Deed("added", why), now)


def remove_rule(tx: sa.Connection, person: Person, key: str, edit: Edit, now: dt.datetime) -> int:
    """Remove a rule of people's own; one that ships is switched off instead. Returns the new version.

    Raises:
        Forbidden, NoSuchRule, Overtaken, RuleBookError: as edit_rule.
    """
    why, whole, _ = _begin(tx, person, key, edit)
    if not rules.is_own(key):
        raise RuleBookError("A rule that ships with Fettle cannot be removed: switch it off.")
    return _put(tx, person, whole, rules.without(whole, key), Deed("removed", why), now)


def restore_rule(tx: sa.Connection, person: Person, key: str, edit: Edit, now: dt.datetime) -> int:
    """Make a rule as it ships again; returns the new version.

    Raises:
        Forbidden, NoSuchRule, Overtaken, RuleBookError: as edit_rule.
    """
    original = shipped().rule(key)
    if original is None:
        raise NoSuchRule(f"No rule {key} ships with Fettle.")
    _demand(person)
    why, whole = rules.reason(edit.why), _locked(tx)
    if whole.rule(key) is not None:
        _refuse_overtaken(tx, whole, key, edit.seen_version)
    return _put(tx, person, whole, rules.replaced(whole, original), Deed("restored", why), now)


def roll_back(tx: sa.Connection, person: Person, version: int, edit: Edit, now: dt.datetime) -> int:
    """Put an earlier version's rules in force again, as a new version; returns its number.

    Raises:
        Forbidden: the person may not.
        NoSuchRule: there is no such version.
        Overtaken: a newer version came since the one that the person saw.
    """
    _demand(person)
    why, whole = rules.reason(edit.why), _locked(tx)
    if edit.seen_version not in (None, whole.version):
        raise Overtaken(f"Version {whole.version} came meanwhile. {_said(queries.between(tx, edit.seen_version or 0, whole))}")
    old = queries.policy_of(tx, version)
    if old is None:
        raise NoSuchRule(f"There is no version {version} of the rules.")
    return _put(tx, person, whole, old, Deed("rolled back", f"to version {version}: {why}"), now)


def take_over(tx: sa.Connection, person: Person, document: Any, why: str, now: dt.datetime) -> int:
    """Put a whole rule book that was exported in force; returns the new version, or the present one where nothing differs.

    Raises:
        Forbidden: the person may not.
        RuleBookError: it cannot be read, or a rule of it does not hold together.
    """
    _demand(person)
    why, whole = rules.reason(why), _locked(tx)
    return _put(tx, person, whole, rules.taken_over(document, whole), Deed("imported", why), now)


def _demand(person: Person) -> None:
    demand(person, Act.EDIT_RULES)
    if person.schools is not None:
        raise Forbidden(f"The rules count for all schools; {person.name} may act only in some.")


def _begin(tx: sa.Connection, person: Person, key: str, edit: Edit) -> tuple[str, Policy, Rule]:
    _demand(person)
    why, whole = rules.reason(edit.why), _locked(tx)
    present = whole.rule(key)
    if present is None:
        raise NoSuchRule(f"There is no rule {key}.")
    _refuse_overtaken(tx, whole, key, edit.seen_version)
    return why, whole, present


def _locked(tx: sa.Connection) -> Policy:
    """The policy in force, which nobody else changes before this transaction ends."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    present = newest(tx)
    return present.policy if present else Policy(0)


def _refuse_overtaken(tx: sa.Connection, whole: Policy, key: str, seen_version: int | None) -> None:
    if seen_version in (None, whole.version):
        return
    theirs = [change for change in queries.between(tx, seen_version or 0, whole) if change.key == key]
    if theirs:
        raise Overtaken(
            f"Somebody changed this rule meanwhile (version {whole.version}). {_said(theirs)} Look again, then save."
        )


def _said(changes: list[rules.Change]) -> str:
    return " ".join(" ".join(change.words) or f"{change.key} was {change.kind}." for change in changes[:5])


def _put(tx: sa.Connection, person: Person, before: Policy, after: Policy, deed: Deed, now: dt.datetime) -> int:
    if not rules.diff(before, after):
        return before.version
    try:
        own = frozenset(rules.owned(after, shipped()))
        return publish(tx, after, person.actor, now, dataclasses.replace(deed, own=own))
    except PolicyError as error:
        raise RuleBookError(f"The rules do not hold together: {error}.") from error


__all__ = [
    "Edit",
    "add_rule",
    "edit_rule",
    "may_edit",
    "remove_rule",
    "restore_rule",
    "roll_back",
    "take_over",
]
