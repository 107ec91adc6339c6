"""What people set about where and when: change windows, freezes, and who always stands in an early ring."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import CLASSES

from fettle_server.change.rollouts.rules import RolloutError
from fettle_server.change.rollouts.tables import ChangeWindow, Freeze, RingPlace
from fettle_server.estate.calendars.rules import DAY_MINUTES
from fettle_server.estate.people.rules import Act, Forbidden, Person, demand, sees
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.journal.actions import record

LONGEST_FREEZE = dt.timedelta(days=90)
_NAME_LIMIT = 40
_TITLE_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Span:
    """Days of the week (0: Monday) and minutes of the day, over midnight where `to_minute` is not after `from_minute`.

    `when` is "term", "holiday" or "" (both).
    """

    days: Sequence[int]
    from_minute: int
    to_minute: int
    when: str = ""


def add_window(
    tx: sa.Connection,
    person: Person,
    span: Span,
    now: dt.datetime,
    *,
    school_id: int | None = None,
    room_id: int | None = None,
    endpoint_class: str | None = None,
) -> int:
    """A change window for a place (Act.RUN_ROLLOUT there; everywhere without a school); returns its number.

    Raises:
        RolloutError: the window or the place cannot be. Forbidden: the person may not there.
    """
    school_id = _place(tx, person, school_id, room_id)
    _check_span(span)
    if endpoint_class is not None and endpoint_class not in CLASSES:
        raise RolloutError(f"Classes of endpoint are {', '.join(CLASSES)}.")
    values = {
        "school_id": school_id, "room_id": room_id, "endpoint_class": endpoint_class, "days": sorted(set(span.days)),
        "from_minute": span.from_minute, "to_minute": span.to_minute, "when": span.when,
    }  # fmt: skip
    number = _insert(tx, ChangeWindow, values)
    record(tx, "window.added", person.actor, f"window:{number}", school_id, values, now)
    return number


def drop_window(tx: sa.Connection, person: Person, window_id: int, now: dt.datetime) -> None:
    """Take a change window away."""
    row = _mine(tx, person, ChangeWindow, window_id, "change window")
    tx.execute(sa.delete(ChangeWindow).where(ChangeWindow.id == window_id))
    record(tx, "window.dropped", person.actor, f"window:{window_id}", row.school_id, {}, now)


def freeze(
    tx: sa.Connection,
    person: Person,
    title: str,
    starts_at: dt.datetime,
    ends_at: dt.datetime,
    now: dt.datetime,
    *,
    school_id: int | None = None,
    room_id: int | None = None,
) -> int:
    """No change begins at that place between those times; returns the freeze's number.

    Raises:
        RolloutError: the times, the title or the place cannot be. Forbidden: the person may not there.
    """
    school_id = _place(tx, person, school_id, room_id)
    title = _text(title, "title", _TITLE_LIMIT)
    if ends_at <= starts_at or ends_at <= now:
        raise RolloutError("A freeze ends after it starts, and not in the past.")
    if ends_at - starts_at > LONGEST_FREEZE:
        raise RolloutError(f"A freeze lasts at most {LONGEST_FREEZE.days} days: fixes must not wait for ever.")
    values = {
        "school_id": school_id, "room_id": room_id, "title": title, "starts_at": starts_at, "ends_at": ends_at,
        "created_by": person.actor,
    }  # fmt: skip
    number = _insert(tx, Freeze, values)
    detail = {"title": title, "starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat(), "room": room_id}
    record(tx, "freeze.set", person.actor, f"freeze:{number}", school_id, detail, now)
    return number


def end_freeze(tx: sa.Connection, person: Person, freeze_id: int, now: dt.datetime) -> None:
    """A freeze is over now."""
    row = _mine(tx, person, Freeze, freeze_id, "freeze")
    if row.ended_at is not None or row.ends_at <= now:
        raise RolloutError(f"Freeze {freeze_id} is over already.")
    tx.execute(sa.update(Freeze).where(Freeze.id == freeze_id).values(ended_at=now))
    record(tx, "freeze.ended", person.actor, f"freeze:{freeze_id}", row.school_id, {"title": row.title}, now)


def place_in_ring(
    tx: sa.Connection,
    person: Person,
    ring: str,
    now: dt.datetime,
    *,
    endpoint_id: str | None = None,
    room_id: int | None = None,
) -> int:
    """An endpoint or a room always stands in the ring of that name, in rollouts drafted from now on.

    Raises:
        RolloutError: there is no such endpoint or room, or not one of the two was said. Forbidden: the person may not there.
    """
    ring = _text(ring, "ring's name", _NAME_LIMIT)
    if (endpoint_id is None) == (room_id is None):
        raise RolloutError("Say either an endpoint or a room.")
    school_id, pk = _whose(tx, person, endpoint_id, room_id)
    demand(person, Act.RUN_ROLLOUT, school_id)
    same = RingPlace.endpoint_pk == pk if pk is not None else RingPlace.room_id == room_id
    tx.execute(sa.delete(RingPlace).where(same))
    values = {"ring": ring, "endpoint_pk": pk, "room_id": room_id, "set_by": person.actor, "set_at": now}
    number = _insert(tx, RingPlace, values)
    detail = {"ring": ring, "endpoint": endpoint_id, "room": room_id}
    record(tx, "ring.placed", person.actor, f"ring_place:{number}", school_id, detail, now)
    return number


def drop_ring_place(tx: sa.Connection, person: Person, place_id: int, now: dt.datetime) -> None:
    """It stands where its hash puts it again."""
    school = sa.func.coalesce(Endpoint.school_id, Room.school_id)
    found = (
        sa.select(school)
        .select_from(RingPlace)
        .outerjoin(Endpoint, Endpoint.pk == RingPlace.endpoint_pk)
        .outerjoin(Room, Room.id == RingPlace.room_id)
    )
    school_id = tx.scalar(found.where(RingPlace.id == place_id))
    if school_id is None or not sees(person, school_id):
        raise RolloutError(f"There is no place {place_id} in a ring.")
    demand(person, Act.RUN_ROLLOUT, school_id)
    tx.execute(sa.delete(RingPlace).where(RingPlace.id == place_id))
    record(tx, "ring.place_dropped", person.actor, f"ring_place:{place_id}", school_id, {}, now)


def _place(tx: sa.Connection, person: Person, school_id: int | None, room_id: int | None) -> int | None:
    """The school of the place that is meant, where the person may set it there."""
    demand(person, Act.RUN_ROLLOUT)
    if room_id is not None:
        of_room = tx.scalar(sa.select(Room.school_id).where(Room.id == room_id))
        if of_room is None or school_id not in (None, of_room):
            raise RolloutError("There is no such room in that school.")
        school_id = of_room
    _demand_place(person, school_id)
    if school_id is not None and tx.scalar(sa.select(School.id).where(School.id == school_id)) is None:
        raise RolloutError("There is no such school.")
    return school_id


def _demand_place(person: Person, school_id: int | None) -> None:
    demand(person, Act.RUN_ROLLOUT, school_id)
    if school_id is None and person.schools is not None:
        raise Forbidden(f"This counts for all schools; {person.name} may act only in some.")


def _mine(tx: sa.Connection, person: Person, table: Any, number: int, what: str) -> Any:
    demand(person, Act.RUN_ROLLOUT)
    row = tx.execute(sa.select(table.__table__).where(table.id == number)).one_or_none()
    if row is None or (row.school_id is not None and not sees(person, row.school_id)):
        raise RolloutError(f"There is no {what} {number}.")
    _demand_place(person, row.school_id)
    return row


def _whose(tx: sa.Connection, person: Person, endpoint_id: str | None, room_id: int | None) -> tuple[int, int | None]:
    """The school of the endpoint or room, and the endpoint's pk."""
    if endpoint_id is not None:
        row = tx.execute(sa.select(Endpoint.school_id, Endpoint.pk).where(Endpoint.id == endpoint_id)).one_or_none()
        if row is not None and sees(person, row.school_id):
            return row.school_id, row.pk
        raise RolloutError("There is no such endpoint.")
    school_id = tx.scalar(sa.select(Room.school_id).where(Room.id == room_id))
    if school_id is None or not sees(person, school_id):
        raise RolloutError("There is no such room.")
    return school_id, None


def _check_span(span: Span) -> None:
    if not span.days or any(type(day) is not int or day not in range(7) for day in span.days):
        raise RolloutError("Days of the week are numbers from 0 (Monday) to 6.")
    minutes = (span.from_minute, span.to_minute)
    if any(type(minute) is not int or not 0 <= minute <= DAY_MINUTES for minute in minutes) or span.from_minute == DAY_MINUTES:
        raise RolloutError("Minutes of the day are numbers from 0 to 1440.")
    if span.when not in ("term", "holiday", ""):
        raise RolloutError("A window is for term, for holidays, or for both.")


def _text(text: str, what: str, limit: int) -> str:
    text = text.strip()
    if not 1 <= len(text) <= limit or not text.isprintable():
        raise RolloutError(f"A {what} has 1 to {limit} visible characters.")
    return text


def _insert(tx: sa.Connection, table: Any, values: dict[str, Any]) -> int:
    return int(tx.execute(sa.insert(table).values(values).returning(table.id)).scalar_one())
