"""Standard changes: templates that were approved beforehand, each for a time, and can be withdrawn."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from fettle_server.change.requests import rules
from fettle_server.change.requests.rules import checked, limits_from
from fettle_server.change.requests.views import TemplateRow
from fettle_server.change.rules import ChangeError
from fettle_server.change.tables import Change, ChangeTemplate
from fettle_server.estate.people.rules import SYSTEM, Act, Forbidden, Person, demand
from fettle_server.journal.actions import record

LONGEST = dt.timedelta(days=400)
"""A template is looked at anew at least each school year."""
_NAME_LIMIT = 120


def templates(tx: sa.Connection, now: dt.datetime) -> tuple[TemplateRow, ...]:
    """All templates by name, those that can be used first."""
    used = sa.select(Change.template_id, sa.func.count().label("used")).group_by(Change.template_id).subquery()
    statement = sa.select(*ChangeTemplate.__table__.c, sa.func.coalesce(used.c.used, 0).label("used"))
    rows = tx.execute(
        statement.outerjoin(used, used.c.template_id == ChangeTemplate.id).order_by(ChangeTemplate.name).limit(500)
    )
    found = [_view(row, now) for row in rows]
    return tuple(sorted(found, key=lambda row: not row.usable))


def template(tx: sa.Connection, template_id: int, now: dt.datetime) -> TemplateRow | None:
    """One template."""
    return next((row for row in templates(tx, now) if row.id == template_id), None)


def usable_template(tx: sa.Connection, template_id: int | None, now: dt.datetime) -> TemplateRow:
    """The template.

    Raises:
        ChangeError: there is none, it expired or was withdrawn.
    """
    found = template(tx, template_id, now) if template_id is not None else None
    if found is None:
        raise ChangeError("A standard change follows a template: choose one.")
    if found.withdrawn_at is not None:
        raise ChangeError(f"The template “{found.name}” was withdrawn: propose a normal change.")
    if not found.usable:
        raise ChangeError(f"The approval of the template “{found.name}” ended on {found.expires_at:%-d %B %Y}.")
    return found


def add_template(
    tx: sa.Connection, person: Person, name: str, why: str, plan: str, back_out_plan: str, limits: Mapping[str, Any],
    expires_at: dt.datetime, now: dt.datetime,
) -> int:  # fmt: skip
    """Approve changes of one kind beforehand, within limits and for a time; returns the template's number.

    Raises:
        ChangeError: it cannot be. Forbidden: only who approves changes of all schools may.
    """
    _demand(person)
    name = " ".join(checked(name, "a name", _NAME_LIMIT).split())
    if tx.scalar(sa.select(ChangeTemplate.id).where(ChangeTemplate.name == name)) is not None:
        raise ChangeError(f"There is a template named “{name}” already: choose another name.")
    if not now < expires_at <= now + LONGEST:
        raise ChangeError(f"An approval beforehand ends within {LONGEST.days} days, and not in the past.")
    values = {
        "name": name,
        "why": checked(why, "why it is done"),
        "plan": checked(plan, "the plan"),
        "back_out_plan": checked(back_out_plan, "how it is undone"),
        "limits": {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(limits_from(limits)).items()
        },
        "approved_by": f"user:{person.name}",
        "approved_at": now,
        "expires_at": expires_at,
    }
    template_id = int(tx.execute(sa.insert(ChangeTemplate).values(values).returning(ChangeTemplate.id)).scalar_one())
    detail = {"name": name, "limits": values["limits"], "expires_at": expires_at.isoformat()}
    record(tx, "change.template_added", person.actor, f"change template:{template_id}", None, detail, now)
    return template_id


def withdraw_template(tx: sa.Connection, person: Person, template_id: int, why: str, now: dt.datetime) -> None:
    """No further change may follow it; those that did stay as they are.

    Raises:
        ChangeError: there is none, or it was withdrawn already. Forbidden: the person may not.
    """
    _demand(person)
    stands = sa.and_(ChangeTemplate.id == template_id, ChangeTemplate.withdrawn_at.is_(None))
    why = checked(why, "why", rules.WHY_LIMIT)
    if not tx.execute(sa.update(ChangeTemplate).where(stands).values(withdrawn_at=now)).rowcount:
        raise ChangeError("There is no such template, or it was withdrawn already.")
    record(tx, "change.template_withdrawn", person.actor, f"change template:{template_id}", None, {"why": why}, now)


def _demand(person: Person) -> None:
    demand(person, Act.APPROVE_CHANGE)
    if person.schools is not None:
        raise Forbidden(f"Templates count for all schools; {person.name} acts in some of them only.")
    if person.id == SYSTEM.id:
        raise ChangeError("An approval is a person's: say who approves (--as NAME).")


def _view(row: Any, now: dt.datetime) -> TemplateRow:
    usable = row.withdrawn_at is None and row.expires_at > now
    return TemplateRow(
        row.id, row.name, row.why, row.plan, row.back_out_plan, limits_from(row.limits), row.approved_by, row.approved_at,
        row.expires_at, row.withdrawn_at, usable, row.used,
    )  # fmt: skip
