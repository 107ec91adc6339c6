"""When places take changes: windows and freezes, set and taken away, and what opens next at a school."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from fettle_protocol.policy import CLASSES
from fettle_server.change.rollouts import queries, settings
from fettle_server.change.rollouts.rules import RolloutError
from fettle_server.change.rollouts.settings import Span
from fettle_server.change.rollouts.views import FreezeRow, WindowRow
from fettle_server.change.rollouts.windows import USUAL, Window
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.calendars import queries as calendars
from fettle_server.estate.calendars.rules import CalendarError
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Act, Person
from fettle_server.estate.rooms import queries as rooms
from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.dates import WEEKDAYS, clock_text, read_minute
from fettle_web.pages.parts import once, pages, respond, whole
from fettle_web.words import day

PREVIEWED = 4
_WHEN = {"term": "in term only", "holiday": "in holidays only"}
_WORKDAYS, _ALL = (0, 1, 2, 3, 4), tuple(range(7))


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A window to come, by the school's own clock."""

    start: dt.datetime
    day: str
    span: str


@pages.get("/settings/windows")
def change_windows() -> ResponseReturnValue:
    """What is set, and what opens next."""
    return _page()


@pages.post("/settings/windows")
def add_change_window() -> ResponseReturnValue:
    """A change window for a place."""
    person, form = auth.demand(Act.RUN_ROLLOUT), request.form
    try:
        with store.writing() as tx:
            school_id, room_id = _where(tx, person)
            span = Span(_days(), _minute("from"), _minute("to"), form.get("when", ""))
            one_class = form.get("class") or None
            settings.add_window(tx, person, span, utc_now(), school_id=school_id, room_id=room_id, endpoint_class=one_class)
    except (RolloutError, CalendarError) as error:
        return _page(refused=str(error), at="window"), 400
    flash("The window is set.")
    return redirect(url_for("pages.change_windows", school=school_id), 303)


@pages.post("/settings/windows/<int:window_id>/remove")
def remove_change_window(window_id: int) -> ResponseReturnValue:
    """Take a change window away."""
    person = auth.demand(Act.RUN_ROLLOUT)
    try:
        with store.writing() as tx:
            settings.drop_window(tx, person, window_id, utc_now())
    except RolloutError as error:
        return _page(refused=str(error)), 404
    flash("The window is gone.")
    return redirect(url_for("pages.change_windows"), 303)


@pages.post("/settings/freezes")
def add_freeze() -> ResponseReturnValue:
    """No change begins at a place for a while."""
    person, form = auth.demand(Act.RUN_ROLLOUT), request.form
    try:
        with store.writing() as tx:
            school_id, room_id = _where(tx, person)
            zone = calendars.calendar_of(tx, school_id).zone if school_id is not None else calendars.HOME
            starts, ends = _moment("starts", zone), _moment("ends", zone)
            title = form.get("title", "")
            settings.freeze(tx, person, title, starts, ends, utc_now(), school_id=school_id, room_id=room_id)
    except (RolloutError, CalendarError) as error:
        return _page(refused=str(error), at="freeze"), 400
    flash("Frozen: no change begins there in that time.")
    return redirect(url_for("pages.change_windows", school=school_id), 303)


@pages.post("/settings/freezes/<int:freeze_id>/end")
def end_freeze(freeze_id: int) -> ResponseReturnValue:
    """A freeze is over now."""
    person = auth.demand(Act.RUN_ROLLOUT)
    try:
        with store.writing() as tx:
            settings.end_freeze(tx, person, freeze_id, utc_now())
    except RolloutError as error:
        return _page(refused=str(error)), 404
    flash("The freeze is over.")
    return redirect(url_for("pages.change_windows"), 303)


def place(one: WindowRow | FreezeRow) -> str:
    """Where it counts, in words."""
    where = f"{one.room}, {one.school}" if one.room else one.school or "Every school"
    only = getattr(one, "endpoint_class", None)
    return f"{where}, {only} only" if only else where


def hours(one: WindowRow | Window) -> str:
    """When it is open: "Mon to Fri, 16:30 to 22:00, in term only"."""
    days = tuple(one.days)
    names = {_ALL: "every day", _WORKDAYS: "Monday to Friday", (5, 6): "at weekends"}
    said = names.get(days) or ", ".join(WEEKDAYS[number] for number in days)
    later = " of the next day" if one.to_minute <= one.from_minute else ""
    text = f"{said}, {clock_text(one.from_minute)} to {clock_text(one.to_minute)}{later}"
    return f"{text}, {_WHEN[one.when]}" if one.when in _WHEN else text


def _where(tx: Connection, person: Person) -> tuple[int | None, int | None]:
    """The school and the room that the form names: "school:1", "room:3", or "" for every school."""
    kind, _, text = request.form.get("where", "").partition(":")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not kind:
        return None, None
    if kind == "school":
        return number, None
    known = rooms.room_names(tx, person)
    if kind != "room" or number not in known:
        raise RolloutError("Choose a place from the list.")
    names = {school.name: school.id for school in endpoints.schools(tx, person)}
    return names.get(known[number][1]), number


def _days() -> list[int]:
    chosen = sorted({text for text in request.form.getlist("day") if text in "0123456" and len(text) == 1})
    if not chosen:
        raise RolloutError("Choose the days of the week on which the window is open.")
    return [int(text) for text in chosen]


def _minute(name: str) -> int:
    minute = read_minute(request.form.get(name, ""))
    if minute is None:
        raise RolloutError("Give the hours like 16:30.")
    return minute


def _moment(name: str, zone: dt.tzinfo) -> dt.datetime:
    try:
        date = dt.date.fromisoformat(request.form.get(f"{name}_on", ""))
    except ValueError as error:
        raise RolloutError("Give the day like 2026-11-24.") from error
    minute = _minute(f"{name}_at")
    midnight = dt.datetime.combine(date, dt.time(0), zone)
    return (midnight.replace(tzinfo=None) + dt.timedelta(minutes=minute)).replace(tzinfo=zone).astimezone(dt.UTC)


def _upcoming(tx: Connection, school_id: int | None, now: dt.datetime) -> list[Upcoming]:
    if school_id is None:
        return []
    zone = calendars.calendar_of(tx, school_id).zone
    found = []
    for start, end in queries.next_windows(tx, school_id, now, PREVIEWED):
        begins, ends = start.astimezone(zone), end.astimezone(zone)
        until = f"{ends:%H:%M}" if ends.date() == begins.date() else f"{day(ends.date())}, {ends:%H:%M}"
        found.append(Upcoming(start, day(begins.date()), f"{begins:%H:%M} to {until}"))
    return found


def _page(refused: str = "", at: str = "") -> str:
    person, now = auth.person(), utc_now()
    with store.reading() as tx:
        schools = endpoints.schools(tx, person)
        asked = whole("school")
        chosen = asked if asked in {school.id for school in schools} else next((school.id for school in schools), None)
        context: dict[str, Any] = {
            "schools": schools,
            "chosen": chosen,
            "rooms": rooms.room_names(tx, person),
            "classes": CLASSES,
            "weekdays": WEEKDAYS,
            "everywhere": person.schools is None,
            "form": request.form,
        }
        return respond(
            "pages/change_windows.html",
            tx,
            nav="windows",
            now=now,
            today=now.date(),
            windows=once(lambda: queries.windows(tx, person)),
            freezes=once(lambda: queries.freezes(tx, person, now)),
            upcoming=once(lambda: _upcoming(tx, chosen, now)),
            place=place,
            hours=hours,
            usual="; ".join(hours(one) for one in USUAL),
            refused=refused,
            at=at,
            **context,
        )
