"""Signing in, sessions and tokens, on both stores."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server.config import Settings
from fettle_server.estate.people import actions, queries
from fettle_server.estate.people.rules import SYSTEM, Act, Forbidden, PeopleError, Person, Role
from fettle_server.estate.tables import Session, User
from fettle_server.journal.tables import Entry

NEW = "four words in a row"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


def _person(tx: sa.Connection, now: dt.datetime, name: str = "anna", role: Role = Role.TECHNICIAN, **more: Any) -> Person:
    actions.add_user(tx, SYSTEM, name, role, now=now, **more)
    person = queries.person_named(tx, name)
    assert person is not None
    return person


def test_a_one_time_password_signs_in_and_must_be_changed(store: Any, now: dt.datetime) -> None:
    with store.begin() as tx:
        once = actions.add_user(tx, SYSTEM, "anna", Role.VIEWER, now=now)
        person = actions.sign_in(tx, "anna", once, now)
        assert person is not None
        assert person.must_change_password
        actions.set_password(tx, person, NEW, now)
        assert actions.sign_in(tx, "anna", once, now) is None
        again = actions.sign_in(tx, "anna", NEW, now)
    assert again is not None
    assert not again.must_change_password


def test_a_wrong_name_is_refused_and_noted_like_a_wrong_password(store: Any, now: dt.datetime) -> None:
    with store.begin() as tx:
        actions.add_user(tx, SYSTEM, "anna", Role.VIEWER, now=now)
        assert actions.sign_in(tx, "anna", "not this one at all", now) is None
        assert actions.sign_in(tx, "nobody\n", "not this one at all", now) is None
    kinds = store.rows(sa.select(Entry.kind, Entry.subject).where(Entry.kind == "user.sign_in_failed").order_by(Entry.id))
    assert [row.subject for row in kinds] == ["user:anna", "user:nobody"]


def test_no_two_people_share_a_name_in_any_spelling(store: Any, now: dt.datetime) -> None:
    with store.begin() as tx:
        actions.add_user(tx, SYSTEM, "Anna", Role.VIEWER, now=now)
        with pytest.raises(PeopleError, match="already"):
            actions.add_user(tx, SYSTEM, "anna", Role.VIEWER, now=now)


def test_a_person_is_scoped_to_their_schools(store: Any, now: dt.datetime) -> None:
    school = store.school("Harbour School")
    with store.begin() as tx:
        assert _person(tx, now, schools=[school]).schools == frozenset({school})
        assert _person(tx, now, name="boss", role=Role.ADMINISTRATOR, schools=[school]).schools is None
        with pytest.raises(PeopleError, match="does not exist"):
            actions.add_user(tx, SYSTEM, "carl", Role.VIEWER, [school + 1000], now=now)


def test_a_session_ends_by_idleness_and_by_age(store: Any, now: dt.datetime, settings: Settings) -> None:
    with store.begin() as tx:
        secret = actions.start_session(tx, _person(tx, now), "10.0.0.1", "Firefox\x1b[2J", settings, now)
        nearly = now + dt.timedelta(minutes=settings.session_idle_minutes - 1)
        assert queries.person_of_session(tx, secret, settings, nearly) is not None
        assert queries.person_of_session(tx, secret, settings, nearly + dt.timedelta(minutes=2)) is None
        for hour in range(settings.session_hours):
            actions.touch_session(tx, secret, now + dt.timedelta(hours=hour))
        last = now + dt.timedelta(hours=settings.session_hours)
        assert queries.person_of_session(tx, secret, settings, last - dt.timedelta(minutes=1)) is not None
        assert queries.person_of_session(tx, secret, settings, last) is None


def test_a_session_keeps_no_secret(store: Any, now: dt.datetime, settings: Settings) -> None:
    with store.begin() as tx:
        secret = actions.start_session(tx, _person(tx, now), "10.0.0.1", "Firefox\x1b[2J", settings, now)
    row = store.rows(sa.select(Session.secret_sha256, Session.device))[0]
    assert secret not in row.secret_sha256
    assert row.device == "Firefox[2J"


def test_ending_sessions_ends_them_at_once(store: Any, now: dt.datetime, settings: Settings) -> None:
    with store.begin() as tx:
        person = _person(tx, now)
        secrets = [actions.start_session(tx, person, "10.0.0.1", "", settings, now) for _ in range(3)]
        actions.end_session(tx, secrets[0], now)
        actions.end_session_by_id(tx, person, queries.session_id(secrets[1]), now)
        assert [row.id for row in queries.sessions(tx, person, settings, now)] == [queries.session_id(secrets[2])]
        actions.end_sessions_of(tx, SYSTEM, person.id, now)
        assert queries.person_of_session(tx, secrets[2], settings, now) is None


def test_nobody_ends_the_sessions_of_others(store: Any, now: dt.datetime, settings: Settings) -> None:
    with store.begin() as tx:
        anna, carl = _person(tx, now), _person(tx, now, name="carl")
        secret = actions.start_session(tx, carl, "10.0.0.1", "", settings, now)
        with pytest.raises(Forbidden):
            actions.end_sessions_of(tx, anna, carl.id, now)
        actions.end_session_by_id(tx, anna, queries.session_id(secret), now)
        assert queries.person_of_session(tx, secret, settings, now) is not None


def test_a_locked_out_person_is_out_at_once(store: Any, now: dt.datetime, settings: Settings) -> None:
    with store.begin() as tx:
        person = _person(tx, now)
        actions.set_password(tx, person, NEW, now)
        secret = actions.start_session(tx, person, "10.0.0.1", "", settings, now)
        token = actions.create_api_token(tx, person, "script", Role.VIEWER, 30, now)
        actions.set_user(tx, SYSTEM, person.id, person.role, None, False, now=now)
        assert queries.person_of_session(tx, secret, settings, now) is None
        assert queries.person_of_token(tx, token, now) is None
        assert actions.sign_in(tx, "anna", NEW, now) is None


def test_the_last_administrator_stays(store: Any, now: dt.datetime) -> None:
    with store.begin() as tx:
        boss = _person(tx, now, name="boss", role=Role.ADMINISTRATOR)
        for role, active in ((Role.TECHNICIAN, True), (Role.ADMINISTRATOR, False)):
            with pytest.raises(PeopleError, match="last administrator"):
                actions.set_user(tx, boss, boss.id, role, None, active, now=now)


def test_a_token_acts_as_its_person_at_most_in_its_role(store: Any, now: dt.datetime) -> None:
    school = store.school()
    with store.begin() as tx:
        person = _person(tx, now, schools=[school])
        actions.set_password(tx, person, NEW, now)
        token = actions.create_api_token(tx, person, "script", Role.ADMINISTRATOR, 30, now)
        who = queries.person_of_token(tx, token, now)
        assert who is not None
        assert (who.role, who.schools, who.actor) == (Role.TECHNICIAN, frozenset({school}), "token:script")
        assert queries.person_of_token(tx, token, now + dt.timedelta(days=30)) is None
        with pytest.raises(Forbidden):
            actions.create_api_token(tx, who, "more", Role.VIEWER, 30, now)


def test_a_revoked_token_opens_nothing(store: Any, now: dt.datetime) -> None:
    with store.begin() as tx:
        person = _person(tx, now)
        actions.set_password(tx, person, NEW, now)
        token = actions.create_api_token(tx, person, "script", Role.VIEWER, None, now)
        actions.revoke_api_token(tx, person, queries.api_tokens(tx, person)[0].id, now)
        assert queries.person_of_token(tx, token, now) is None
        assert queries.person_of_token(tx, "fettle_pat_", now) is None


def test_people_for_names_those_who_may_work_there(store: Any, now: dt.datetime) -> None:
    here, there = store.school("Here"), store.school("There")
    with store.begin() as tx:
        _person(tx, now, name="everywhere")
        _person(tx, now, name="here", schools=[here])
        _person(tx, now, name="there", schools=[there])
        _person(tx, now, name="looks", role=Role.VIEWER)
        _person(tx, now, name="boss", role=Role.ADMINISTRATOR, schools=[there])
        assert queries.people_for(tx, Act.WORK_INCIDENTS, here) == ("boss", "everywhere", "here")


def test_only_administrators_see_who_there_is(store: Any, now: dt.datetime) -> None:
    with store.begin() as tx:
        anna = _person(tx, now)
        with pytest.raises(Forbidden):
            queries.users(tx, anna)
        assert [row.name for row in queries.users(tx, SYSTEM)] == ["anna"]


def test_what_ended_by_itself_is_dropped(store: Any, now: dt.datetime, settings: Settings) -> None:
    with store.begin() as tx:
        person = _person(tx, now)
        actions.start_session(tx, person, "", "", settings, now)
        fresh = actions.start_session(tx, person, "", "", settings, now + dt.timedelta(hours=3))
        actions.drop_ended(tx, now + dt.timedelta(hours=1), now + dt.timedelta(hours=3))
        assert queries.person_of_session(tx, fresh, settings, now + dt.timedelta(hours=3)) is not None
    assert store.value(sa.select(sa.func.count()).select_from(Session)) == 1
    assert store.value(sa.select(User.active)) in (True, 1)
