"""How each school takes changes: who has its last word, how thin its line is, where its local cache stands."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import sqlalchemy as sa

from fettle_server.change.requests.views import SchoolSettings
from fettle_server.change.rules import ChangeError
from fettle_server.change.tables import SchoolChange
from fettle_server.db import insert_into
from fettle_server.estate.people.rules import Act, Person, Role, demand, sees
from fettle_server.estate.tables import School, User, UserSchool
from fettle_server.journal.actions import record

MOST_AT_ONCE = 10_000
_CACHE = re.compile(r"https?://[A-Za-z0-9.-]{1,180}(:[0-9]{1,5})?/?")


def settings_of(tx: sa.Connection, person: Person, school_id: int) -> SchoolSettings | None:
    """A school's settings; None where the person does not see it."""
    return next((row for row in every_school(tx, person) if row.school_id == school_id), None)


def every_school(tx: sa.Connection, person: Person) -> tuple[SchoolSettings, ...]:
    """The settings of the schools that the person sees, by name."""
    rows = tx.execute(
        sa.select(School.id, School.name, *_COLUMNS, User.name.label("user"))
        .outerjoin(SchoolChange, SchoolChange.school_id == School.id)
        .outerjoin(User, User.id == SchoolChange.final_user_id)
        .order_by(School.name)
    )
    return tuple(
        SchoolSettings(
            row.id, row.name, bool(row.needs_final), row.final_user_id, row.user or "", row.at_once or 0, row.cache_url or ""
        )
        for row in rows
        if sees(person, row.id)
    )


def approvers_of(tx: sa.Connection, person: Person, school_id: int) -> tuple[tuple[int, str], ...]:
    """The active people with the role approver who act in that school (id, name), by name."""
    if not sees(person, school_id):
        return ()
    own = sa.select(UserSchool.user_id).where(UserSchool.school_id == school_id)
    rows = tx.execute(
        sa.select(User.id, User.name)
        .where(User.active, User.role == Role.APPROVER, sa.or_(User.all_schools, User.id.in_(own)))
        .order_by(User.name)
    )
    return tuple((row.id, row.name) for row in rows)


def set_school(tx: sa.Connection, person: Person, wanted: SchoolSettings, now: dt.datetime) -> None:
    """Keep the settings. Who has the last word is set by who approves changes, the rest by who runs rollouts there.

    Raises:
        ChangeError: there is no such school or approver, or a number or address that cannot be. Forbidden: the person may not.
    """
    present = settings_of(tx, person, wanted.school_id)
    if present is None:
        raise ChangeError("There is no such school.")
    demand(person, Act.RUN_ROLLOUT, wanted.school_id)
    word = (wanted.needs_final, wanted.final_user_id)
    if word != (present.needs_final, present.final_user_id):
        demand(person, Act.APPROVE_CHANGE, wanted.school_id)
        _check_approver(tx, person, wanted)
    if not 0 <= wanted.at_once <= MOST_AT_ONCE:
        raise ChangeError(f"How many PCs may download at once is a number from 0 (no limit) to {MOST_AT_ONCE}.")
    cache_url = wanted.cache_url.strip()
    if cache_url and not _CACHE.fullmatch(cache_url):
        raise ChangeError("The local cache is written like http://cache.school.example:3142")
    values: dict[str, Any] = {
        "needs_final": wanted.needs_final,
        "final_user_id": wanted.final_user_id,
        "at_once": wanted.at_once,
        "cache_url": cache_url,
    }
    kept = insert_into(tx, SchoolChange).values(school_id=wanted.school_id, **values)
    tx.execute(kept.on_conflict_do_update(index_elements=["school_id"], set_=values))
    record(tx, "school.changes_set", person.actor, f"school:{wanted.school_id}", wanted.school_id, values, now)


def _check_approver(tx: sa.Connection, person: Person, wanted: SchoolSettings) -> None:
    known = approvers_of(tx, person, wanted.school_id)
    if wanted.final_user_id is not None and wanted.final_user_id not in dict(known):
        raise ChangeError("The final approver is somebody with the role approver at this school.")
    if wanted.needs_final and not known:
        raise ChangeError("Nobody has the role approver at this school yet: add the head under People first.")


_COLUMNS = (SchoolChange.needs_final, SchoolChange.final_user_id, SchoolChange.at_once, SchoolChange.cache_url)
