"""Who is told in the demo estate, what was told, and the proofs that it works. Nothing leaves the machine."""

from __future__ import annotations

import datetime as dt
import functools

import sqlalchemy as sa
from fettle_server.db import to_ms
from fettle_server.estate.calendars.queries import calendar_of
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import School
from fettle_server.notify import dispatch, editing, sending
from fettle_server.notify.rules import SETTLE, Digest, Wanted, When
from fettle_server.proactive import actions as proactive
from fettle_server.proactive.proofs import actions as proofs
from fettle_server.proactive.proofs.tables import Proof
from fettle_server.proactive.rules import Clear, Raise, Signal
from fettle_server.reactive.rules import OPEN_STATES
from fettle_server.reactive.tables import Incident, IncidentSchool

_ANSWERS = {
    "email": "taken by mail.schools.example",
    "apprise": "taken by ntfy.schools.example",
    "webhook": "answered 200",
}
_AGO = {1: 3, 2: 6, 3: 1, 4: 12, 5: 16, 6: 19, 7: 22, 8: 24, 9: 26, 11: 28}
"""How many days ago a school was proved; the others never were."""


def ways(tx: sa.Connection, now: dt.datetime) -> None:
    """Channels and routes, as a service of that size would have them."""
    add = functools.partial(editing.add_channel, tx, "user:ada", now=now)
    mailbox, _ = add("IT mailbox", "email", "it@schools.example")
    phones, _ = add("Phones of the team", "apprise", "ntfys://ntfy.schools.example/fettle")
    helpdesk, _ = add("Helpdesk system", "webhook", "https://helpdesk.schools.example/fettle")
    route = functools.partial(editing.set_route, tx, "user:ada", None, now=now)
    on_call = route(phones, Wanted(priorities=(1, 2), when=When.ANY, resolved=False))
    route(helpdesk, Wanted(escalate_after_min=0, tests=True))
    route(mailbox, Wanted(priorities=(1, 2, 3), when=When.WORKING, escalate_after_min=30), on_call)
    route(mailbox, Wanted(priorities=(4, 5), digest=Digest.DAILY, tests=False))


def tell(tx: sa.Connection, at: dt.datetime, *, down: str = "") -> None:
    """Let the routes look at what is new, and send what is due soon; a channel of the kind `down` does not answer."""
    around = dispatch.Around(
        functools.partial(calendar_of, tx), functools.partial(_schools_of, tx), functools.partial(_open, tx)
    )
    dispatch.dispatch(tx, around, at)
    dispatch.escalate(tx, around, at)
    due = at + SETTLE
    pages = sending.Pages("", lambda school: str(tx.scalar(sa.select(School.name).where(School.id == school)) or ""))
    for channel_id, kind in sending.due_channels(tx, due):
        while parcel := sending.claim(tx, channel_id, pages, due):
            if kind == down:
                sending.note(tx, parcel, sending.Result(False, "connection refused", in_vain=True, is_down=True), due)
                break
            sending.note(tx, parcel, sending.Result(True, _ANSWERS[kind]), due)


def proved(tx: sa.Connection, person: Person, now: dt.datetime) -> None:
    """Proofs of the last month: most passed, one did not, one is under way, some schools were never proved."""
    for school_id, days in sorted(_AGO.items(), key=lambda item: -item[1]):
        at = (now - dt.timedelta(days=days)).replace(hour=10, minute=4 * school_id)
        at -= dt.timedelta(days=max(0, at.weekday() - 4))  # no school is open at the weekend
        _prove(tx, person, school_id, at, missing=school_id == 3)
    proofs.prove(tx, person, 10, now - dt.timedelta(seconds=40))


def _prove(tx: sa.Connection, person: Person, school_id: int, at: dt.datetime, *, missing: bool) -> None:
    number = proofs.prove(tx, person, school_id, at)
    pk = tx.scalar(sa.select(Proof.endpoint_pk).where(Proof.id == number))
    assert pk is not None
    if missing:
        proofs.follow(tx, at + dt.timedelta(minutes=16))
        return
    raised, over = at + dt.timedelta(seconds=4), at + dt.timedelta(minutes=2, seconds=6)
    began = Raise(to_ms(raised), proofs.RULE, "", "watch", 1.0, to_ms(raised), [], 1, "", False)
    _judge(tx, pk, began, raised)
    tell(tx, raised)
    _judge(tx, pk, Clear(to_ms(over), proofs.RULE, "", "recovered", 0.0, to_ms(over), [], False), over)
    tell(tx, over)
    proofs.follow(tx, over + dt.timedelta(seconds=5))


def _judge(tx: sa.Connection, pk: int, signal: Signal, at: dt.datetime) -> None:
    proactive.judge(tx, [(pk, signal)], now=at, reopen_within=dt.timedelta(hours=4))


def _schools_of(tx: sa.Connection, number: int) -> frozenset[int]:
    return frozenset(tx.scalars(sa.select(IncidentSchool.school_id).where(IncidentSchool.incident_number == number)))


def _open(tx: sa.Connection, number: int) -> bool:
    unanswered = (Incident.state.in_(OPEN_STATES), Incident.acknowledged_at.is_(None))
    return tx.scalar(sa.select(Incident.number).where(Incident.number == number, *unanswered)) is not None
