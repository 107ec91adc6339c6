"""Reads about presence: what is expected of one endpoint, how it is usually there, and why its silence is a fault or not."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from fettle_server.estate.calendars.queries import calendar_of
from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.presence import rules, words
from fettle_server.proactive.presence.looks import IS_ABSENT
from fettle_server.proactive.presence.rules import Turnout
from fettle_server.proactive.presence.tables import Attendance
from fettle_server.proactive.tables import Fault


@dataclass(frozen=True, slots=True)
class PresenceView:
    """One endpoint's presence.

    `expectation` says when its class is expected; `usual` its learned hours in words (empty: not known yet) and `hours` how
    often it was there at each hour of the week (seven days from Monday, 24 shares of 0 to 1 each; empty: not known yet).
    `missed` is the present run of days in use without it, `habit` how often it is there on such days, `chance` how probable
    that run is by its habit. `absent_since` is set while its absence is a fault; `sentence` says why it is one or is not.
    """

    expectation: str
    connected: bool
    sentence: str
    how_it_left: str
    left_at: dt.datetime | None
    back_by: dt.datetime | None
    usual: str
    hours: tuple[tuple[float, ...], ...]
    missed: int
    habit: float
    chance: float
    absent_since: dt.datetime | None


def presence_of(tx: sa.Connection, person: Person, endpoint_id: str, now: dt.datetime) -> PresenceView | None:
    """The endpoint's presence; None where the person sees no such endpoint."""
    columns = (
        Endpoint.pk, Endpoint.school_id, Endpoint.endpoint_class, Endpoint.connected, Endpoint.last_seen, Endpoint.leave,
        Endpoint.left_at, Endpoint.back_by, Attendance.in_use, Attendance.present, Attendance.missed, Attendance.hours,
    )  # fmt: skip
    statement = sa.select(*columns).outerjoin(Attendance, Attendance.endpoint_pk == Endpoint.pk)
    row = tx.execute(statement.where(Endpoint.id == endpoint_id, *scoped(person))).one_or_none()
    if row is None:
        return None
    absent_since = tx.scalar(sa.select(Fault.since_at).where(IS_ABSENT, Fault.endpoint_pk == row.pk))
    turnout = Turnout() if row.in_use is None else Turnout(row.in_use, row.present, row.missed)
    known = words.Known(
        row.endpoint_class, row.connected, row.last_seen, row.leave, row.left_at, row.back_by, absent_since, turnout, row.hours
    )
    return PresenceView(
        expectation=rules.expectation(row.endpoint_class).value,
        connected=row.connected,
        sentence=words.sentence(known, calendar_of(tx, row.school_id), now),
        how_it_left="" if row.connected else f"{rules.how_it_left(row.leave)}.",
        left_at=row.left_at,
        back_by=row.back_by,
        usual=rules.usual_words(row.hours),
        hours=_table(row.hours),
        missed=turnout.missed,
        habit=turnout.habit,
        chance=turnout.chance(),
        absent_since=absent_since,
    )


def _table(hours: bytes | None) -> tuple[tuple[float, ...], ...]:
    if hours is None:
        return ()
    return tuple(tuple(rules.share(hours, weekday, hour) for hour in range(24)) for weekday in range(7))
