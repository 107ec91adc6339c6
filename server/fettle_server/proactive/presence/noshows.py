"""Who did not come as usual: PCs, whole rooms and whole schools, judged by their own habits an hour or two into a school day.

Owns what a school's look makes of its register. The habits are counted in attendance.py, what they allow is in rules.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fettle_server.estate.calendars.rules import Calendar, DayKind
from fettle_server.proactive.presence import rules
from fettle_server.proactive.presence.attendance import Member, Register, room_key, rooms
from fettle_server.proactive.presence.looks import Look
from fettle_server.proactive.presence.rules import ROOM_AFTER, SCHOOL_AFTER, Expectation

_TOO_OLD = dt.timedelta(days=60)
"""One that was not heard for longer is not part of what a room or school loses today."""


class Begun(NamedTuple):
    """A school day that has gone on for long enough: when it opened, and whether silence says something of today yet."""

    opens: dt.datetime
    school_due: bool
    room_due: bool


@dataclass(frozen=True, slots=True)
class _Day:
    """The school day so far: who is expected, and who was heard."""

    fixed: tuple[Member, ...]
    servers: tuple[Member, ...]
    there: frozenset[int]
    school_due: bool
    room_due: bool

    @property
    def is_in_use(self) -> bool:
        """True where enough of the school was heard."""
        return rules.is_school_in_use(sum(member.pk in self.there for member in self.fixed), len(self.fixed))


def begun(look: Look, calendar: Calendar) -> Begun | None:
    """The school day, once an hour of it was heard; None before, and on other days. After closing only whole days count."""
    today = calendar.day(look.now.astimezone(calendar.zone).date())
    if today.kind is not DayKind.SCHOOL_DAY or today.opens is None or today.closes is None:
        return None
    heard_for, is_over = look.now - max(today.opens, look.ready), look.now >= today.closes
    if heard_for < SCHOOL_AFTER:
        return None
    return Begun(today.opens, not is_over, not is_over and heard_for >= ROOM_AFTER)


def judge(look: Look, register: Register, begun: Begun, there: frozenset[int]) -> None:
    """Find who is missing on a school day; `there` are those heard on it."""
    expected = [member for member in register.members if member.enrolled_at < begun.opens]
    fixed = tuple(member for member in expected if look.expects(member.endpoint_class) is Expectation.LESSONS)
    servers = tuple(member for member in expected if look.expects(member.endpoint_class) is Expectation.ALWAYS)
    day = _Day(fixed, servers, there, begun.school_due, begun.room_due)
    if _is_school_silent(look, register, day):
        _miss_all(look, (*day.servers, *day.fixed), "Nothing of the whole school was heard since it opened.")
    elif day.is_in_use:
        _miss_pcs(look, register, day, _silent_rooms(look, register, day))


def _is_school_silent(look: Look, register: Register, day: _Day) -> bool:
    everybody = (*day.fixed, *day.servers)
    if len(everybody) < rules.SOME_ENDPOINTS or any(member.pk in day.there for member in everybody):
        return False
    if not day.servers and not register.calendar.entries:
        return False  # nobody keeps its calendar: it is as likely on holiday
    return rules.is_school_silent(
        register.place_turnout(register.school),
        today=day.school_due,
        has_server=bool(day.servers),
        server_is_absent=any(member.pk in look.absent for member in day.servers),
    )


def _silent_rooms(look: Look, register: Register, day: _Day) -> frozenset[int]:
    """The rooms whose silence is a fault; their PCs are told to be missing at once."""
    silent = set()
    for room_id, members in rooms(day.fixed).items():
        turnout = register.place_turnout(room_key(room_id))
        if not any(member.pk in day.there for member in members) and rules.is_room_silent(turnout, today=day.room_due):
            silent.add(room_id)
            days = _days(turnout.missed + day.room_due)
            _miss_all(look, members, f"Nothing of its room was heard on {days} on which its school was in use.")
    return frozenset(silent)


def _miss_all(look: Look, members: Iterable[Member], detail: str) -> None:
    """They are missing since the last of them was heard: one cause began at one time, though they went home one by one."""
    heard = {member.pk: member.last_seen for member in members if not member.connected and member.last_seen is not None}
    lately = {pk: at for pk, at in heard.items() if look.now - at < _TOO_OLD}
    for pk in lately:
        look.missing(pk, max(lately.values()), detail)


def _miss_pcs(look: Look, register: Register, day: _Day, silent: frozenset[int]) -> None:
    by_room = rooms(day.fixed)
    used = {room_id for room_id, some in by_room.items() if _is_used(some, day)}
    gone = replaced(register.members)
    for member in day.fixed:
        if member.pk in day.there or member.last_seen is None or member.room_id in silent or member.pk in gone:
            continue
        today = day.room_due and (member.room_id in used if member.room_id in by_room else True)
        turnout = register.turnout(member.pk)
        if rules.is_no_show(turnout, _how(member, register), today=today):
            days = _days(turnout.missed + today)
            habit = f"it is usually there on {turnout.habit:.0%} of them"
            detail = f"Not heard on {days} on which its room was in use; {habit}. {rules.how_it_left(member.leave)}."
            look.missing(member.pk, member.last_seen, detail)


def _is_used(some: Sequence[Member], day: _Day) -> bool:
    return rules.is_room_in_use(sum(member.pk in day.there for member in some), len(some))


def _how(member: Member, register: Register) -> str:
    """How it left; what goes dark outside school hours is a master switch, which says nothing."""
    if member.leave == "abrupt" and member.left_at is not None and not register.calendar.is_open(member.left_at):
        return "clean"
    return member.leave


def replaced(members: Sequence[Member]) -> frozenset[int]:
    """Those whose machine or name came back as another endpoint, as after re-imaging."""
    newest: dict[str, Member] = {}
    for member in members:
        for key in _marks(member):
            other = newest.get(key)
            if other is None or member.enrolled_at > other.enrolled_at:
                newest[key] = member
    return frozenset(member.pk for member in members for key in _marks(member) if newest[key].enrolled_at > member.enrolled_at)


def _marks(member: Member) -> tuple[str, ...]:
    return tuple(mark for mark in (f"name {member.name.lower()}", member.fingerprint) if mark)


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
