"""Who may do what, and which names and passwords will do."""

from __future__ import annotations

import pytest
from fettle_server.estate.people import passwords
from fettle_server.estate.people.rules import (
    SYSTEM,
    Act,
    Forbidden,
    PeopleError,
    Person,
    Role,
    check_name,
    check_password,
    demand,
    lower,
    may,
)

OWN, OTHER = 1, 2
_MAY = {
    Role.ADMINISTRATOR: set(Act),
    Role.TECHNICIAN: set(Act)
    - {
        Act.MANAGE_PEOPLE,
        Act.EDIT_PRIORITIES,
        Act.SEE_AUDIT,
        Act.EDIT_NOTICES,
        Act.APPROVE_CHANGE,
        Act.APPROVE_FINALLY,
        Act.MANAGE_KEYS,
    },
    Role.APPROVER: {Act.VIEW, Act.APPROVE_FINALLY},
    Role.VIEWER: {Act.VIEW},
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("act", Act)
def test_each_role_may_do_its_acts_in_its_own_school_only(role: Role, act: Act) -> None:
    schools = None if role is Role.ADMINISTRATOR else frozenset({OWN})
    person = Person(7, "anna", role, schools)
    assert (may(person, act, OWN) is None) == (act in _MAY[role])
    assert (may(person, act, OTHER) is None) == (role is Role.ADMINISTRATOR)


def test_a_refusal_says_which_role_it_takes() -> None:
    with pytest.raises(Forbidden, match="needs the role administrator; anna has the role viewer"):
        demand(Person(7, "anna", Role.VIEWER, None), Act.MANAGE_PEOPLE)


def test_a_token_never_raises_its_persons_role() -> None:
    assert lower(Role.TECHNICIAN, Role.ADMINISTRATOR) is Role.TECHNICIAN
    assert lower(Role.TECHNICIAN, Role.VIEWER) is Role.VIEWER


def test_who_acts_is_named_by_kind() -> None:
    assert SYSTEM.actor == "system"
    assert Person(7, "anna", Role.VIEWER, None).actor == "user:anna"
    assert Person(7, "anna", Role.VIEWER, None, token="script").actor == "token:script"


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 81, "a\x00b", "a\u202eb"])
def test_a_name_that_cannot_be_seen_is_refused(name: str) -> None:
    with pytest.raises(PeopleError):
        check_name(name)


@pytest.mark.parametrize("password", ["short", "eleven_char", "anna.sokolova", "x" * 1001])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(PeopleError):
        check_password("Anna.Sokolova", password)


def test_a_one_time_password_can_be_read_aloud_and_will_do() -> None:
    made = passwords.one_time_password()
    assert [len(group) for group in made.split("-")] == [4, 4, 4, 4]
    assert not set(made) & set("il01o")
    check_password("anna", made)


def test_nobodys_password_matches_nothing() -> None:
    assert not passwords.matches(None, "whatever it is")
    assert not passwords.matches("not a hash", "whatever it is")
