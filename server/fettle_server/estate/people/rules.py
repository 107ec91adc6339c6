"""Who may do what, where, and which names and passwords will do. Pure: no store, no clock."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

PASSWORD_MINIMUM = 12
PASSWORD_MAXIMUM = 1000
NAME_MAXIMUM = 80


class Role(StrEnum):
    """What a person may do; what it may be done to is the person's schools."""

    ADMINISTRATOR = "administrator"
    TECHNICIAN = "technician"
    APPROVER = "approver"
    """Somebody outside ICT, such as a head: sees, and has the last word on changes at their schools."""
    VIEWER = "viewer"


class Act(StrEnum):
    """The kinds of things that people do."""

    VIEW = "view"
    WORK_INCIDENTS = "work incidents"
    MANAGE_ENDPOINTS = "manage endpoints"
    MANAGE_PEOPLE = "manage people"
    EDIT_PRIORITIES = "edit priorities"
    SEE_AUDIT = "see audit"
    EDIT_PLACES = "edit places"
    """Rooms, classes of endpoint, and the calendars of schools."""
    EDIT_RULES = "edit rules"
    HOLD_BACK = "hold back"
    """Silences and maintenance windows."""
    WORK_TASKS = "work tasks"
    """Maintenance tasks and problems."""
    EDIT_NOTICES = "edit notices"
    PROVE_ALERTS = "prove alerts"
    PROPOSE_CHANGE = "propose change"
    REVIEW_CHANGE = "review change"
    APPROVE_CHANGE = "approve change"
    APPROVE_FINALLY = "approve finally"
    RUN_ROLLOUT = "run rollout"
    """Start, pause, halt, resume and back out what is approved and signed; freezes and change windows."""
    EDIT_LIBRARY = "edit library"
    MANAGE_KEYS = "manage keys"


class PeopleError(Exception):
    """Something about people that cannot be done; the message is for the person who asked."""


class Forbidden(PeopleError):
    """This person may not do that here; `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who acts, by a sign-in or an API token. `schools` None: all schools. `token` is the token's name, if any."""

    id: int
    name: str
    role: Role
    schools: frozenset[int] | None
    must_change_password: bool = False
    token: str = ""

    @property
    def actor(self) -> str:
        """How the journal and timelines name this person."""
        if self.id == 0:
            return "system"
        return f"token:{self.token}" if self.token else f"user:{self.name}"


SYSTEM = Person(0, "system", Role.ADMINISTRATOR, None)
"""Fettle itself, and whoever types its commands on the server."""

_ACTS: dict[Role, frozenset[Act]] = {
    Role.ADMINISTRATOR: frozenset(Act),
    Role.TECHNICIAN: frozenset(
        {
            Act.VIEW,
            Act.WORK_INCIDENTS,
            Act.MANAGE_ENDPOINTS,
            Act.EDIT_PLACES,
            Act.EDIT_RULES,
            Act.HOLD_BACK,
            Act.WORK_TASKS,
            Act.PROVE_ALERTS,
            Act.PROPOSE_CHANGE,
            Act.REVIEW_CHANGE,
            Act.RUN_ROLLOUT,
            Act.EDIT_LIBRARY,
        }
    ),
    Role.APPROVER: frozenset({Act.VIEW, Act.APPROVE_FINALLY}),
    Role.VIEWER: frozenset({Act.VIEW}),
}
_RANK = {Role.VIEWER: 0, Role.APPROVER: 1, Role.TECHNICIAN: 2, Role.ADMINISTRATOR: 3}


def may(person: Person, act: Act, school_id: int | None = None) -> str | None:
    """None where the person may do the act in that school (None: at all); else a sentence that says why not."""
    if act not in _ACTS[person.role]:
        needed = next(role for role in (Role.APPROVER, Role.TECHNICIAN, Role.ADMINISTRATOR) if act in _ACTS[role])
        return f"This needs the role {needed}; {person.name} has the role {person.role}."
    if school_id is None or sees(person, school_id):
        return None
    return f"{person.name} may not act in that school."


def demand(person: Person, act: Act, school_id: int | None = None) -> None:
    """Nothing, where the person may.

    Raises:
        Forbidden: the person may not.
    """
    reason = may(person, act, school_id)
    if reason is not None:
        raise Forbidden(reason)


def sees(person: Person, school_id: int) -> bool:
    """True where the school is among the person's."""
    return person.schools is None or school_id in person.schools


def lower(first: Role, second: Role) -> Role:
    """The weaker of two roles: what a token may do for its person."""
    return min(first, second, key=_RANK.__getitem__)


def check_name(name: str) -> str:
    """The name without surrounding blanks.

    Raises:
        PeopleError: not 1 to 80 visible characters.
    """
    name = name.strip()
    if not 1 <= len(name) <= NAME_MAXIMUM or any(unicodedata.category(letter)[0] == "C" for letter in name):
        raise PeopleError(f"A name has 1 to {NAME_MAXIMUM} visible characters.")
    return name


def check_password(name: str, password: str) -> None:
    """Nothing, where the password will do.

    Raises:
        PeopleError: too short, too long to be honest, or the name itself.
    """
    if len(password) < PASSWORD_MINIMUM:
        raise PeopleError(f"A password has at least {PASSWORD_MINIMUM} characters; four words in a row do well.")
    if len(password) > PASSWORD_MAXIMUM:
        raise PeopleError(f"A password has at most {PASSWORD_MAXIMUM} characters.")
    if password.casefold().strip() == name.casefold():
        raise PeopleError("A password must not be the name.")
