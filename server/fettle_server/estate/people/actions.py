"""What is done about people: adding and changing them, signing in and out, API tokens. Never commits.

Journal entries name the person, never a secret.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import sqlalchemy as sa

from fettle_server.config import Settings
from fettle_server.estate.people import passwords, queries
from fettle_server.estate.people.rules import (
    Act,
    Forbidden,
    PeopleError,
    Person,
    Role,
    check_name,
    check_password,
    demand,
    lower,
)
from fettle_server.estate.tables import ApiToken, School, Session, User, UserSchool
from fettle_server.journal import actions as journal

MAX_TOKEN_DAYS = 366
_TOKENS_EACH = 50
_TOKENS_SHOWN = dt.timedelta(days=90)


def add_user(
    tx: sa.Connection, actor: Person, name: str, role: Role, schools: Iterable[int] | None = None, *, now: dt.datetime
) -> str:
    """Add a person for those schools (None: all), and return the password that serves for the first sign-in only.

    Raises:
        Forbidden: the actor does not manage people.
        PeopleError: a name that cannot be or is taken, or schools that are not there.
    """
    demand(actor, Act.MANAGE_PEOPLE)
    name = check_name(name)
    if tx.scalar(sa.select(User.id).where(sa.func.lower(User.name) == name.lower())) is not None:
        raise PeopleError(f"There is a person named {name} already.")
    password = passwords.one_time_password()
    everywhere = schools is None or role is Role.ADMINISTRATOR
    user = {
        "name": name,
        "password_hash": passwords.hashed(password),
        "must_change_password": True,
        "role": role,
        "all_schools": everywhere,
        "active": True,
        "created_at": now,
    }
    user_id = tx.execute(sa.insert(User).values(user).returning(User.id)).scalar_one()
    _set_schools(tx, user_id, () if everywhere else tuple(schools or ()))
    journal.record(tx, "user.added", actor.actor, f"user:{name}", None, {"role": role}, now)
    return password


def set_user(
    tx: sa.Connection,
    actor: Person,
    user_id: int,
    role: Role,
    schools: Iterable[int] | None,
    active: bool,
    *,
    now: dt.datetime,
) -> None:
    """Give a person that role in those schools (None: all), or lock them out; sign-ins of a locked-out person end at once.

    Raises:
        Forbidden: the actor does not manage people.
        PeopleError: no such person or school, or nobody could manage people any more.
    """
    demand(actor, Act.MANAGE_PEOPLE)
    name = _name_of(tx, user_id)
    if not (active and role is Role.ADMINISTRATOR):
        _keep_an_administrator(tx, user_id)
    everywhere = schools is None or role is Role.ADMINISTRATOR
    tx.execute(sa.update(User).where(User.id == user_id).values(role=role, all_schools=everywhere, active=active))
    _set_schools(tx, user_id, () if everywhere else tuple(schools or ()))
    if not active:
        tx.execute(sa.delete(Session).where(Session.user_id == user_id))
    detail = {"role": role, "active": active, "all_schools": everywhere}
    journal.record(tx, "user.changed", actor.actor, f"user:{name}", None, detail, now)


def set_password(tx: sa.Connection, person: Person, new: str, now: dt.datetime) -> None:
    """Give the person a password of their choice, and end all their sign-ins (start a new session for the present one).

    Raises:
        Forbidden: an API token may not.
        PeopleError: a password that will not do.
    """
    if person.token:
        raise Forbidden("An API token may not change a password.")
    check_password(person.name, new)
    values = {"password_hash": passwords.hashed(new), "must_change_password": False}
    tx.execute(sa.update(User).where(User.id == person.id).values(values))
    tx.execute(sa.delete(Session).where(Session.user_id == person.id))
    journal.record(tx, "user.changed", person.actor, f"user:{person.name}", None, {"password": "changed"}, now)


def reset_password(tx: sa.Connection, actor: Person, user_id: int, now: dt.datetime) -> str:
    """A new one-time password for somebody who lost theirs; their sign-ins end.

    Raises:
        Forbidden: the actor does not manage people.
        PeopleError: no such person.
    """
    demand(actor, Act.MANAGE_PEOPLE)
    name, password = _name_of(tx, user_id), passwords.one_time_password()
    values = {"password_hash": passwords.hashed(password), "must_change_password": True}
    tx.execute(sa.update(User).where(User.id == user_id).values(values))
    tx.execute(sa.delete(Session).where(Session.user_id == user_id))
    journal.record(tx, "user.changed", actor.actor, f"user:{name}", None, {"password": "reset"}, now)
    return password


def sign_in(tx: sa.Connection, name: str, password: str, now: dt.datetime) -> Person | None:
    """Who that is, noted in the journal either way.

    The hash takes some 30 ms, during which a writing transaction keeps the others out: where that matters, ask
    queries.check_sign_in on a reading connection first and pass its answer to note_sign_in.
    """
    person = queries.check_sign_in(tx, name, password)
    note_sign_in(tx, person, name, now)
    return person


def note_sign_in(tx: sa.Connection, person: Person | None, name: str, now: dt.datetime, address: str = "") -> None:
    """Write down that somebody signed in, or that the name and password were refused (`person` None)."""
    detail = {"address": address[:80]} if address else {}
    if person is None:
        shown = "".join(letter for letter in name if letter.isprintable())[:80]
        journal.record(tx, "user.sign_in_failed", "system", f"user:{shown}", None, detail, now)
        return
    tx.execute(sa.update(User).where(User.id == person.id).values(signed_in_at=now))
    journal.record(tx, "user.signed_in", person.actor, f"user:{person.name}", None, detail, now)


def start_session(tx: sa.Connection, person: Person, address: str, device: str, settings: Settings, now: dt.datetime) -> str:
    """Begin a sign-in that ends by itself (settings.session_hours); the secret is for the cookie and kept nowhere."""
    secret = passwords.new_secret()
    row = {
        "secret_sha256": passwords.digest(secret),
        "user_id": person.id,
        "created_at": now,
        "seen_at": now,
        "expires_at": now + dt.timedelta(hours=settings.session_hours),
        "address": address[:80],
        "device": "".join(letter for letter in device if letter.isprintable())[:200],
    }
    tx.execute(sa.insert(Session).values(row))
    return secret


def touch_session(tx: sa.Connection, secret: str, now: dt.datetime) -> None:
    """Note that a session is in use (worth it where queries.touch_due says so)."""
    tx.execute(sa.update(Session).where(Session.secret_sha256 == passwords.digest(secret)).values(seen_at=now))


def end_session(tx: sa.Connection, secret: str, now: dt.datetime) -> None:
    """End the sign-in with that cookie secret; nothing where there is none."""
    _end(tx, Session.secret_sha256 == passwords.digest(secret), None, now)


def end_session_by_id(tx: sa.Connection, person: Person, session_id: str, now: dt.datetime) -> None:
    """End one of the person's own sign-ins, by the id that queries.sessions gives."""
    if len(session_id) == 16 and session_id.isalnum():
        _end(tx, sa.and_(Session.user_id == person.id, Session.secret_sha256.startswith(session_id)), person, now)


def end_sessions_of(tx: sa.Connection, actor: Person, user_id: int, now: dt.datetime) -> None:
    """End all sign-ins of a person: one's own, or anybody's for those who manage people.

    Raises:
        Forbidden: somebody else's, and the actor does not manage people.
    """
    if actor.id != user_id:
        demand(actor, Act.MANAGE_PEOPLE)
    _end(tx, Session.user_id == user_id, actor, now)


def create_api_token(tx: sa.Connection, person: Person, name: str, role: Role, days: int | None, now: dt.datetime) -> str:
    """A key for a script, at most in the person's own role, good for 1 to 366 days; shown once, kept as a digest.

    Raises:
        Forbidden: an API token may not make another.
        PeopleError: a name, a life or a number of tokens that cannot be.
    """
    if person.token:
        raise Forbidden("An API token may not make another one: sign in.")
    name = check_name(name)
    if days is not None and not 1 <= days <= MAX_TOKEN_DAYS:
        raise PeopleError(f"A token lives 1 to {MAX_TOKEN_DAYS} days.")
    alive = sa.select(sa.func.count()).where(ApiToken.user_id == person.id, ApiToken.revoked_at.is_(None))
    if (tx.scalar(alive) or 0) >= _TOKENS_EACH:
        raise PeopleError(f"Nobody has more than {_TOKENS_EACH} tokens: revoke some.")
    secret, granted = passwords.new_secret(passwords.TOKEN_PREFIX), lower(person.role, role)
    row = {
        "secret_sha256": passwords.digest(secret),
        "user_id": person.id,
        "name": name,
        "role": granted,
        "created_at": now,
        "expires_at": None if days is None else now + dt.timedelta(days=days),
    }
    token_id = tx.execute(sa.insert(ApiToken).values(row).returning(ApiToken.id)).scalar_one()
    detail = {"name": name, "role": granted, "days": days}
    journal.record(tx, "token.created", person.actor, f"api_token:{token_id}", None, detail, now)
    return secret


def revoke_api_token(tx: sa.Connection, person: Person, token_id: int, now: dt.datetime) -> None:
    """End a token at once: one's own, or anybody's for those who manage people.

    Raises:
        Forbidden: somebody else's, and the person does not manage people.
        PeopleError: no such token.
    """
    row = tx.execute(sa.select(ApiToken.user_id, ApiToken.name).where(ApiToken.id == token_id)).one_or_none()
    if row is None:
        raise PeopleError("There is no such token.")
    if row.user_id != person.id:
        demand(person, Act.MANAGE_PEOPLE)
    tx.execute(sa.update(ApiToken).where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None)).values(revoked_at=now))
    journal.record(tx, "token.revoked", person.actor, f"api_token:{token_id}", None, {"name": row.name}, now)


def touch_api_token(tx: sa.Connection, secret: str, now: dt.datetime) -> None:
    """Note that a token is in use (worth it where queries.token_touch_due says so)."""
    tx.execute(sa.update(ApiToken).where(ApiToken.secret_sha256 == passwords.digest(secret)).values(used_at=now))


def drop_ended(tx: sa.Connection, idle_before: dt.datetime, now: dt.datetime) -> None:
    """Drop sign-ins that ended by themselves, and API tokens three months after they stopped being good."""
    tx.execute(sa.delete(Session).where(sa.or_(Session.expires_at <= now, Session.seen_at <= idle_before)))
    long_ago = now - _TOKENS_SHOWN
    tx.execute(sa.delete(ApiToken).where(sa.or_(ApiToken.expires_at < long_ago, ApiToken.revoked_at < long_ago)))


def _end(tx: sa.Connection, where: sa.ColumnElement[bool], actor: Person | None, now: dt.datetime) -> None:
    ended = tx.execute(sa.delete(Session).where(where).returning(Session.user_id)).scalars().all()
    for user_id in sorted(set(ended)):
        name = _name_of(tx, user_id)
        detail = {"sessions": len(ended)}
        journal.record(tx, "session.ended", actor.actor if actor else f"user:{name}", f"user:{name}", None, detail, now)


def _name_of(tx: sa.Connection, user_id: int) -> str:
    name = tx.scalar(sa.select(User.name).where(User.id == user_id))
    if name is None:
        raise PeopleError("There is no such person.")
    return name


def _keep_an_administrator(tx: sa.Connection, user_id: int) -> None:
    administrators = set(tx.scalars(sa.select(User.id).where(User.role == Role.ADMINISTRATOR, User.active)))
    if administrators == {user_id}:
        raise PeopleError("This is the last administrator: make somebody else one first.")


def _set_schools(tx: sa.Connection, user_id: int, schools: tuple[int, ...]) -> None:
    wanted = set(schools)
    there = set(tx.scalars(sa.select(School.id).where(School.id.in_(wanted)))) if wanted else set()
    if wanted - there:
        raise PeopleError("One of these schools does not exist.")
    tx.execute(sa.delete(UserSchool).where(UserSchool.user_id == user_id))
    if wanted:
        tx.execute(sa.insert(UserSchool), [{"user_id": user_id, "school_id": school} for school in sorted(wanted)])
