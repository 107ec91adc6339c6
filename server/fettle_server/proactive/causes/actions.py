"""What is done with faults that are held back: joined to a wider cause, told by themselves, or let go."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from fettle_server import clock
from fettle_server.proactive.causes import cases
from fettle_server.proactive.causes.cases import Waiting
from fettle_server.proactive.causes.finding import find, moments
from fettle_server.proactive.causes.rules import Group
from fettle_server.proactive.causes.telling import Telling
from fettle_server.proactive.queries import current_policy
from fettle_server.reactive.tables import IS_OPEN, Incident

PIECE = 250
"""Faults that one transaction moves at most: agents' batches wait for it."""
QUIET_PIECE = 25
_Item = TypeVar("_Item")


class Piece(NamedTuple):
    """So much of what is due as one transaction decides."""

    groups: tuple[Group, ...] = ()
    due: tuple[Waiting, ...] = ()
    quiet: tuple[int, ...] = ()

    def halves(self) -> tuple[Piece, Piece] | None:
        """The piece in two, each with its part of what waits or is quiet; None where it is one thing."""
        if len(self.due) > 1:
            middle = len(self.due) // 2
            return self._replace(due=self.due[:middle]), self._replace(due=self.due[middle:])
        if len(self.quiet) > 1:
            middle = len(self.quiet) // 2
            return self._replace(quiet=self.quiet[:middle]), self._replace(quiet=self.quiet[middle:])
        return None


def triage(tx: sa.Connection, *, now: dt.datetime, reopen_within: dt.timedelta) -> bool:
    """Decide all that is due in this transaction; True where there is more to do at once."""
    more = False
    for piece in plan(tx, now):
        more = carry_out(tx, piece, now=now, reopen_within=reopen_within) or more
    return more


def plan(tx: sa.Connection, now: dt.datetime) -> list[Piece]:
    """What is to be decided now, in pieces that one transaction each may write. Only reads, so it blocks nobody."""
    groups, due = find(tx, current_policy(tx), cases.waiting(tx, now), now)
    quiet = tx.scalars(_quiet().where(Incident.quiet_until <= now)).all()
    return [
        *(Piece(groups=(part,)) for group in groups for part in _parts(group)),
        *(Piece(due=tuple(part)) for part in _even(due, PIECE)),
        *(Piece(quiet=tuple(part)) for part in _even(quiet, QUIET_PIECE)),
    ]


def carry_out(tx: sa.Connection, piece: Piece, *, now: dt.datetime, reopen_within: dt.timedelta) -> bool:
    """Decide one piece of a plan, as far as it still holds; True where there is more to do at once."""
    return Telling(tx, current_policy(tx), now, reopen_within).run(piece.groups, piece.due, piece.quiet)


def _parts(group: Group) -> list[Group]:
    """A storm of thousands in pieces: the first opens the incident with those that it takes over, the others join it."""
    if len(group.members) <= PIECE:
        return [group]
    told = {case.incident: case for case in group.members if not case.is_held}
    members = [*told.values(), *(case for case in group.members if case.is_held)]
    return [replace(group, members=tuple(part)) for part in _even(members, PIECE)]


def _even(items: Sequence[_Item], most: int) -> list[Sequence[_Item]]:
    """The items in pieces of about the same size."""
    count = -(-len(items) // most)
    return [items[len(items) * place // count : len(items) * (place + 1) // count] for place in range(count)]


def next_due(tx: sa.Connection) -> dt.datetime | None:
    """The earliest moment at which triage could change anything; None: only something new could.

    Moments before the present are those at which something waits to be decided; what was looked at and left is not among
    them, so whoever runs triage at each moment that this returns comes to an end.
    """
    now = clock.utc_now()
    found = moments(current_policy(tx), cases.waiting(tx, _FOREVER), now)
    quiet = tx.scalar(sa.select(sa.func.min(Incident.quiet_until, type_=Incident.quiet_until.type)).where(*_QUIET))
    return min([*found, *([quiet] if quiet is not None else [])], default=None)


_FOREVER = dt.datetime(9000, 1, 1, tzinfo=dt.UTC)
_QUIET = (Incident.quiet_until.is_not(None), IS_OPEN)


def _quiet() -> sa.Select[Any]:
    return sa.select(Incident.number).where(*_QUIET).order_by(Incident.number)
