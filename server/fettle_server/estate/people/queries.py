"""Reads about people: who a cookie or a token belongs to, and the lists that administrators and people themselves see."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.config import Settings
from fettle_server.estate.people import passwords
from fettle_server.estate.people.rules import Act, Person, Role, demand, lower, may, sees
from fettle_server.estate.tables import ApiToken, School, Session, User, UserSchool

TOUCH_EVERY = dt.timedelta(minutes=1)
"""How old the note of a session's or token's last use may grow before it is written anew."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """A person in the administrator's list; `schools` are names, None: all schools."""

    id: int
    name: str
    role: Role
    schools: tuple[str, ...] | None
    school_ids: frozenset[int] | None
    active: bool
    must_change_password: bool
    created_at: dt.datetime
    signed_in_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A sign-in that is still good. `id` names it; it is not the secret."""

    id: str
    created_at: dt.datetime
    seen_at: dt.datetime
    expires_at: dt.datetime
    address: str
    device: str


@dataclass(frozen=True, slots=True)
class ApiTokenRow:
    """An API token; the secret itself is nowhere."""

    id: int
    name: str
    role: Role
    created_at: dt.datetime
    expires_at: dt.datetime | None
    used_at: dt.datetime | None
    revoked_at: dt.datetime | None


def check_sign_in(tx: sa.Connection, name: str, password: str) -> Person | None:
    """The active person of that name and password. Slow by design (argon2): ask on a reading connection."""
    row = tx.execute(sa.select(User.id, User.password_hash, User.active).where(User.name == name.strip())).one_or_none()
    good = passwords.matches(row.password_hash if row else None, password)
    return person_by_id(tx, row.id) if row and good and row.active else None


def person_by_id(tx: sa.Connection, user_id: int) -> Person | None:
    """The active person with that key."""
    return _person(tx, User.id == user_id)


def person_named(tx: sa.Connection, name: str) -> Person | None:
    """The active person of that name."""
    return _person(tx, User.name == name)


def person_of_session(tx: sa.Connection, secret: str, settings: Settings, now: dt.datetime) -> Person | None:
    """Who is signed in with that cookie secret; None once it is over, too long unused, or the person was disabled."""
    row = tx.execute(
        sa.select(Session.user_id)
        .where(Session.secret_sha256 == passwords.digest(secret), Session.expires_at > now)
        .where(Session.seen_at > now - dt.timedelta(minutes=settings.session_idle_minutes))
    ).one_or_none()
    return person_by_id(tx, row.user_id) if row else None


def touch_due(tx: sa.Connection, secret: str, now: dt.datetime) -> bool:
    """True where a session's last use is worth writing down again (actions.touch_session)."""
    seen = tx.scalar(sa.select(Session.seen_at).where(Session.secret_sha256 == passwords.digest(secret)))
    return seen is not None and seen < now - TOUCH_EVERY


def person_of_token(tx: sa.Connection, secret: str, now: dt.datetime) -> Person | None:
    """Whose API token that is, acting at most in the token's role."""
    if not secret.startswith(passwords.TOKEN_PREFIX):
        return None
    row = tx.execute(
        sa.select(ApiToken.user_id, ApiToken.name, ApiToken.role)
        .where(ApiToken.secret_sha256 == passwords.digest(secret), ApiToken.revoked_at.is_(None))
        .where(sa.or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now))
    ).one_or_none()
    owner = person_by_id(tx, row.user_id) if row else None
    if row is None or owner is None or owner.must_change_password:
        return None
    return Person(owner.id, owner.name, lower(owner.role, Role(row.role)), owner.schools, token=row.name)


def token_touch_due(tx: sa.Connection, secret: str, now: dt.datetime) -> bool:
    """True where a token's last use is worth writing down again (actions.touch_api_token)."""
    row = tx.execute(sa.select(ApiToken.used_at).where(ApiToken.secret_sha256 == passwords.digest(secret))).one_or_none()
    return row is not None and (row.used_at is None or row.used_at < now - TOUCH_EVERY)


def users(tx: sa.Connection, person: Person) -> tuple[UserRow, ...]:
    """Everybody, by name.

    Raises:
        Forbidden: the asker does not manage people.
    """
    demand(person, Act.MANAGE_PEOPLE)
    schools: dict[int, list[tuple[int, str]]] = {}
    join = sa.select(UserSchool.user_id, School.id, School.name).join(School, School.id == UserSchool.school_id)
    for user_id, school_id, school in tx.execute(join.order_by(School.name)):
        schools.setdefault(user_id, []).append((school_id, school))
    rows = tx.execute(sa.select(*User.__table__.c).order_by(User.name))
    return tuple(_user_row(row, schools.get(row.id, [])) for row in rows)


def sessions(tx: sa.Connection, person: Person, settings: Settings, now: dt.datetime) -> tuple[SessionRow, ...]:
    """The person's own sign-ins that are still good, the latest used first."""
    idle = now - dt.timedelta(minutes=settings.session_idle_minutes)
    rows = tx.execute(
        sa.select(*Session.__table__.c)
        .where(Session.user_id == person.id, Session.expires_at > now, Session.seen_at > idle)
        .order_by(Session.seen_at.desc())
        .limit(200)
    )
    return tuple(
        SessionRow(row.secret_sha256[:16], row.created_at, row.seen_at, row.expires_at, row.address, row.device) for row in rows
    )


def session_id(secret: str) -> str:
    """The name that lists give to the session of that secret, so that a page can mark "this one"."""
    return passwords.digest(secret)[:16]


def api_tokens(tx: sa.Connection, person: Person) -> tuple[ApiTokenRow, ...]:
    """The person's own API tokens, newest first; revoked ones too."""
    rows = tx.execute(
        sa.select(*ApiToken.__table__.c).where(ApiToken.user_id == person.id).order_by(ApiToken.id.desc()).limit(200)
    )
    return tuple(ApiTokenRow(r.id, r.name, Role(r.role), r.created_at, r.expires_at, r.used_at, r.revoked_at) for r in rows)


def people_for(tx: sa.Connection, act: Act, *school_ids: int) -> tuple[str, ...]:
    """The names of the active people who may do that in one of those schools, in order."""
    rows = tx.execute(
        sa.select(User.id, User.name, User.role, User.all_schools, UserSchool.school_id)
        .outerjoin(UserSchool, sa.and_(UserSchool.user_id == User.id, UserSchool.school_id.in_(school_ids)))
        .where(User.active)
        .order_by(User.name)
        .limit(5000)
    )
    people = (Person(r.id, r.name, Role(r.role), _scope(r.role, r.all_schools, {r.school_id} - {None})) for r in rows)
    found = (one.name for one in people if any(may(one, act, school_id) is None for school_id in school_ids))
    return tuple(dict.fromkeys(found))


def schools_named(tx: sa.Connection, person: Person, names: tuple[str, ...]) -> dict[str, int]:
    """The keys of those of the named schools that there are and that the person sees."""
    rows = tx.execute(sa.select(School.name, School.id).where(School.name.in_(names)))
    return {row.name: row.id for row in rows if sees(person, row.id)}


def _person(tx: sa.Connection, where: sa.ColumnElement[bool]) -> Person | None:
    row = tx.execute(
        sa.select(User.id, User.name, User.role, User.all_schools, User.must_change_password).where(where, User.active)
    ).one_or_none()
    if row is None:
        return None
    own = set(tx.scalars(sa.select(UserSchool.school_id).where(UserSchool.user_id == row.id)))
    return Person(row.id, row.name, Role(row.role), _scope(row.role, row.all_schools, own), row.must_change_password)


def _scope(role: str, all_schools: bool, own: set[int]) -> frozenset[int] | None:
    return None if all_schools or role == Role.ADMINISTRATOR else frozenset(own)


def _user_row(row: Any, own: list[tuple[int, str]]) -> UserRow:
    everywhere = _scope(row.role, row.all_schools, set()) is None
    return UserRow(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        schools=None if everywhere else tuple(name for _, name in own),
        school_ids=None if everywhere else frozenset(key for key, _ in own),
        active=row.active,
        must_change_password=row.must_change_password,
        created_at=row.created_at,
        signed_in_at=row.signed_in_at,
    )
