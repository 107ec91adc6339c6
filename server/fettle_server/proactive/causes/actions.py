"""What is done with faults that are held back: joined to a wider cause, told by themselves, or let go."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from fettle_server import clock
from fettle_server.proactive.causes import cases
from fettle_server.proactive.causes.finding import SLACK, calm_of, find, moments, storms
from fettle_server.proactive.causes.telling import Telling
from fettle_server.proactive.queries import current_policy
from fettle_server.reactive.tables import IS_OPEN, Incident


def triage(tx: sa.Connection, *, now: dt.datetime, reopen_within: dt.timedelta) -> bool:
    """Decide what is due; True where there is more to do at once."""
    policy = current_policy(tx)
    groups, due = find(tx, policy, cases.waiting(tx, now), now)
    quiet = tx.scalars(_quiet().where(Incident.quiet_until <= now)).all()
    if not groups and not due and not quiet:
        return False
    return Telling(tx, policy, now, reopen_within).run(groups, due, quiet)


def is_due(tx: sa.Connection, now: dt.datetime) -> bool:
    """Whether triage would find anything to do: for looking on the side that blocks nobody."""
    if tx.scalar(_quiet().where(Incident.quiet_until <= now).limit(1)) is not None:
        return True
    waiting = cases.waiting(tx, now)
    policy = current_policy(tx)
    calm = (calm_of(storm, faults) for storm, faults in storms(policy, waiting).items())
    fresh = any(moment is not None and now - SLACK < moment <= now for moment in calm)
    return fresh or any(moment <= now for moment in moments(policy, waiting, now))


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
