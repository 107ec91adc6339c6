"""What cannot be told as a fault, but is worth a walk: tasks for machines of which nothing was heard for long.

Machines that come and go are never missed, but what is known of them ages: somebody is asked to wake and charge them. A PC that
is seldom used is missed late: somebody is asked to see whether it still starts.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from fettle_protocol.policy import EndpointClass

from fettle_server.estate.calendars.rules import DayKind
from fettle_server.estate.tables import Room
from fettle_server.proactive.maintenance.actions import propose, withdraw
from fettle_server.proactive.maintenance.rules import Task, TaskKind
from fettle_server.proactive.presence import noshows, rules
from fettle_server.proactive.presence.attendance import Member, Register, room_key
from fettle_server.proactive.presence.looks import Look
from fettle_server.proactive.presence.rules import Expectation

OLD_AFTER = dt.timedelta(days=21)
TERM_DAYS = 10
"""School days that must lie among those 21: a laptop may rest over a holiday."""
_DO_WITHIN = dt.timedelta(days=7)
_DAY = dt.timedelta(days=1)
_HEARD = "It was heard again."


def ask(tx: sa.Connection, look: Look, register: Register) -> None:
    """Ask to wake and charge what was unheard for three weeks of term; take that back where it was heard again."""
    comers = [member for member in register.members if member.expected is Expectation.NEVER]
    is_term = _is_term(look, register)
    old = [member for member in comers if is_old(member.connected, member.last_seen, look.now)]
    for member in comers:
        if member not in old and register.endpoints.get(member.pk) and register.endpoints[member.pk].asked:
            withdraw(tx, _key(member), _HEARD, look.now)
            register.record(member.pk).asked = False
    for member in old if is_term else ():
        if not _trolley(member):
            propose(tx, _task(member, register.school_id, look), look.now)
            register.record(member.pk).asked = True
    _ask_trolleys(tx, look, register, old if is_term else [], {member.room_id for member in old})


def ask_to_look(tx: sa.Connection, look: Look, register: Register) -> None:
    """Ask to see whether PCs that stay away for unusually long still start; take that back where one was heard again."""
    replaced = noshows.replaced(register.members)
    for member in register.members:
        if member.expected is not Expectation.LESSONS:
            continue
        key, turnout = f"look/endpoint:{member.pk}", register.turnout(member.pk)
        asked = member.pk in register.endpoints and register.endpoints[member.pk].asked
        if not turnout.missed or member.connected or member.pk in replaced:
            if asked:
                withdraw(tx, key, _HEARD, look.now)
                register.record(member.pk).asked = False
        elif not asked and rules.is_worth_a_look(turnout):
            propose(tx, _look_task(key, member, register, look), look.now)
            register.record(member.pk).asked = True


def _look_task(key: str, member: Member, register: Register, look: Look) -> Task:
    turnout = register.turnout(member.pk)
    reason = (
        f"Its room was in use on {turnout.missed} days without it, and it is usually there on {turnout.habit:.0%} of them. "
        "That may be chance, or it may be dead: nobody can tell from here."
    )
    title, due_on = f"See whether {member.name} still starts", (look.now + _DO_WITHIN).date()
    return Task(TaskKind.CHECK, key, title, reason, register.school_id, member.pk, member.room_id, due_on)


def is_old(connected: bool, last_seen: dt.datetime | None, now: dt.datetime) -> bool:
    """True where what is known of it is three weeks old."""
    return not connected and last_seen is not None and now - last_seen >= OLD_AFTER


def _ask_trolleys(tx: sa.Connection, look: Look, register: Register, old: list[Member], still: set[int | None]) -> None:
    """One task for all of a trolley."""
    silent: dict[int, int] = {}
    for member in old:
        room_id = _trolley(member)
        if room_id:
            silent[room_id] = silent.get(room_id, 0) + 1
    for room_id, count in silent.items():
        name = tx.scalar(sa.select(Room.name).where(Room.id == room_id)) or f"trolley {room_id}"
        title = f"Wake and charge {name}"
        reason = f"{count} of its machines {'was' if count == 1 else 'were'} not heard of for three weeks of term."
        due_on = (look.now + _DO_WITHIN).date()
        task = Task(TaskKind.CHARGE, f"charge/{room_key(room_id)}", title, reason, register.school_id, None, room_id, due_on)
        propose(tx, task, look.now)
        register.place(f"trolley:{room_id}").asked = True
    for key in [key for key, place in register.places.items() if key.startswith("trolley:") and place.asked]:
        room_id = int(key.removeprefix("trolley:"))
        if room_id not in still:
            withdraw(tx, f"charge/{room_key(room_id)}", _HEARD, look.now)
            register.place(key).asked = False


def _trolley(member: Member) -> int:
    """The trolley it lives in; 0 where it has none."""
    return member.room_id or 0 if member.endpoint_class == EndpointClass.TROLLEY else 0


def _key(member: Member) -> str:
    return f"charge/endpoint:{member.pk}"


def _task(member: Member, school_id: int, look: Look) -> Task:
    days = (look.now - member.last_seen).days if member.last_seen else 0
    reason = f"Not heard of for {days} days: nobody can say whether it is updated, protected or still there."
    title, due_on = f"Wake and charge {member.name}", (look.now + _DO_WITHIN).date()
    return Task(TaskKind.CHARGE, _key(member), title, reason, school_id, member.pk, member.room_id, due_on)


def _is_term(look: Look, register: Register) -> bool:
    """True on a school day with at least ten school days in the three weeks before it."""
    today = look.now.astimezone(register.calendar.zone).date()
    days = [register.calendar.day(today - back * _DAY).kind for back in range(OLD_AFTER.days)]
    return days[0] is DayKind.SCHOOL_DAY and sum(kind is DayKind.SCHOOL_DAY for kind in days) >= TERM_DAYS
