"""A school's calendar: the year in a strip, its entries, its bell times, and calendar files in and out.

A file that is taken in is shown first: what it holds, what could not be placed, and what it would replace.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.calendars import actions, queries, transfer
from fettle_server.estate.calendars.rules import DEFAULT_BELLS, Calendar, CalendarError, Kind, school_year
from fettle_server.estate.calendars.views import BellRow, EntryRow, Lesson, NewEntry, Preview
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.views import SchoolTile
from fettle_server.estate.people.rules import Act
from fettle_server.estate.rooms import queries as rooms
from flask import Blueprint, Response, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.dates import WEEKDAYS, clock_text, months, read_date, read_minute
from fettle_web.pages.parts import whole

KIND_WORDS = {
    Kind.TERM: "Term",
    Kind.HALF_TERM: "Half term",
    Kind.HOLIDAY: "Holiday",
    Kind.INSET: "INSET day",
    Kind.BANK_HOLIDAY: "Bank holiday",
    Kind.EXAM: "Exam",
    Kind.CLOSURE: "Closure",
}
blueprint = Blueprint("calendars", __name__, url_prefix="/schools/<int:school_id>")


@blueprint.get("/calendar")
def show(school_id: int) -> ResponseReturnValue:
    """The calendar's page."""
    return _page(school_id)


@blueprint.get("/calendar.ics")
def export(school_id: int) -> Response:
    """The calendar as a file, to keep or to subscribe to."""
    person = auth.person()
    with store.reading() as tx:
        _school(tx, school_id)
        content = transfer.as_file(tx, person, school_id, utc_now())
    return Response(content, content_type="text/calendar; charset=utf-8", headers={"Content-Disposition": "attachment"})


@blueprint.post("/calendar/entries")
def add(school_id: int) -> ResponseReturnValue:
    """Enter something, for this school or for all of them."""
    person = _editor(school_id)
    where = None if request.form.get("where") == "all" else school_id
    try:
        with store.writing() as tx:
            actions.add_entry(tx, person, where, _entry(), utc_now())
    except CalendarError as error:
        return _page(school_id, error=str(error), status=400)
    flash("Entered.")
    return redirect(url_for(".show", school_id=school_id), 303)


@blueprint.post("/calendar/entries/<int:entry_id>/remove")
def remove(school_id: int, entry_id: int) -> ResponseReturnValue:
    """Remove an entry."""
    person = _editor(school_id)
    try:
        with store.writing() as tx:
            actions.remove_entry(tx, person, entry_id, utc_now())
    except CalendarError:
        abort(404)
    flash("Removed.")
    return redirect(url_for(".show", school_id=school_id), 303)


@blueprint.post("/calendar/bells")
def set_bells(school_id: int) -> ResponseReturnValue:
    """Keep the hours of each weekday."""
    person = _editor(school_id)
    try:
        bells = [bell for weekday in range(7) if (bell := _bell(weekday))]
        with store.writing() as tx:
            actions.set_bells(tx, person, school_id, bells, utc_now())
    except CalendarError as error:
        return _page(school_id, error=str(error), status=400)
    flash("Bell times kept.")
    return redirect(url_for(".show", school_id=school_id), 303)


@blueprint.post("/calendar/import")
def preview(school_id: int) -> ResponseReturnValue:
    """Show what a file holds, before anything is taken in."""
    person, file = _editor(school_id), request.files.get("file")
    if file is None or not file.filename:
        return _page(school_id, error="Choose a calendar file first.", status=400)
    try:
        with store.reading() as tx:
            found = transfer.preview(tx, person, school_id, file.read(), utc_now())
            return _preview_page(_school(tx, school_id), found, file.filename[:200])
    except CalendarError as error:
        return _page(school_id, error=str(error), status=400)


@blueprint.post("/calendar/import/confirm")
def confirm(school_id: int) -> ResponseReturnValue:
    """Take in the entries of the preview that are ticked."""
    person, ticked = _editor(school_id), set(request.form.getlist("take"))
    try:
        entries = [_unpacked(text) for text in request.form.getlist("entry") if json.loads(text)["uid"] in ticked]
        series = [str(one) for one in json.loads(request.form.get("series", "[]"))]
    except (ValueError, KeyError, TypeError):
        abort(400)
    try:
        with store.writing() as tx:
            source = request.form.get("source", "")
            actions.take_in(tx, person, school_id, entries, now=utc_now(), series=series, source=source)
    except CalendarError as error:
        return _page(school_id, error=str(error), status=400)
    flash(f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'} taken in.")
    return redirect(url_for(".show", school_id=school_id), 303)


def _page(school_id: int, error: str = "", status: int = 200) -> ResponseReturnValue:
    person = auth.person()
    with store.reading() as tx:
        school = _school(tx, school_id)
        calendar = queries.calendar_of(tx, school_id)
        today = utc_now().astimezone(calendar.zone).date()
        year = whole("year", range(2000, 2100)) or school_year(today)
        page = render_template(
            "pages/calendar.html",
            nav="calendar",
            school=school,
            year=year,
            today=today,
            months=months(calendar, year, today),
            entries=[row for row in queries.entries(tx, person, school_id) if _touches(row, year)],
            bells=_shown_bells(queries.bells(tx, person, school_id)),
            rooms=rooms.rooms_of(tx, person, school_id),
            kinds=KIND_WORDS,
            weekdays=WEEKDAYS,
            everywhere=person.schools is None,
            known_until=_known_until(calendar, today),
            clock_text=clock_text,
            error=error,
        )
    return make_response(page, status)


def _preview_page(school: SchoolTile, found: Preview, source: str) -> str:
    return render_template(
        "pages/calendar_import.html",
        nav="calendar",
        school=school,
        found=found,
        packed=[_packed(entry) for entry, _ in found.taken],
        series=json.dumps(sorted(found.series)),
        source=source,
        kinds=KIND_WORDS,
        clock_text=clock_text,
    )


def _school(tx: Connection, school_id: int) -> SchoolTile:
    found = next((tile for tile in endpoints.schools(tx, auth.person()) if tile.id == school_id), None)
    if found is None:
        abort(404)
    return found


def _editor(school_id: int) -> Any:
    """Who asks, where they see the school and may change it."""
    with store.reading() as tx:
        _school(tx, school_id)
    return auth.demand(Act.EDIT_PLACES, school_id)


def _entry() -> NewEntry:
    form = request.form
    if form.get("kind", "") not in tuple(Kind):
        raise CalendarError("Choose what it is from the list.")
    kind, first = Kind(form["kind"]), read_date(form.get("starts_on", ""))
    last = read_date(form["ends_on"]) if form.get("ends_on") else first
    if kind is not Kind.EXAM:
        return NewEntry(kind, form.get("title", "").strip() or KIND_WORDS[kind], first, last)
    room = form.get("room", "")
    return NewEntry(
        kind,
        form.get("title", "").strip() or KIND_WORDS[kind],
        first,
        last,
        read_minute(form.get("from", "")),
        read_minute(form.get("to", "")),
        int(room) if room.isdigit() else None,
    )


def _bell(weekday: int) -> BellRow | None:
    """The hours of a weekday as the form has them; None where both are empty."""
    opens, closes = (read_minute(request.form.get(f"{name}{weekday}", "")) for name in ("opens", "closes"))
    if opens is None and closes is None:
        return None
    if opens is None or closes is None:
        raise CalendarError(f"{WEEKDAYS[weekday]} has only one of its two times.")
    lines = request.form.get(f"lessons{weekday}", "").replace(";", "\n").splitlines()
    return BellRow(weekday, opens, closes, tuple(_lesson(line) for line in lines if line.strip()))


def _lesson(line: str) -> Lesson:
    """A lesson from "09:00-10:00 Period 1"."""
    times, _, name = line.strip().partition(" ")
    first, _, last = times.replace("–", "-").partition("-")
    starts, ends = read_minute(first), read_minute(last)
    if starts is None or ends is None:
        raise CalendarError(f"A lesson is written as 09:00-10:00 Period 1, not as {line.strip()[:40]}.")
    return Lesson(name.strip() or "Lesson", starts, ends)


def _shown_bells(own: tuple[BellRow, ...]) -> dict[int, BellRow]:
    if own:
        return {bell.weekday: bell for bell in own}
    return {weekday: BellRow(weekday, bell.opens, bell.closes) for weekday, bell in DEFAULT_BELLS.items()}


def _touches(row: EntryRow, year: int) -> bool:
    return row.starts_on < dt.date(year + 1, 9, 1) and row.ends_on >= dt.date(year, 9, 1)


def _known_until(calendar: Calendar, today: dt.date) -> dt.date | None:
    """The end of the last term, where it is near or past: what comes after it counts as term until dates are entered."""
    ends = max((entry.ends_on for entry in calendar.entries if entry.kind is Kind.TERM), default=None)
    return ends if ends is not None and ends - today < dt.timedelta(days=60) else None


def _packed(entry: NewEntry) -> str:
    return json.dumps(
        {
            "kind": entry.kind,
            "title": entry.title,
            "first": entry.starts_on.isoformat(),
            "last": entry.ends_on.isoformat(),
            "from": entry.from_minute,
            "to": entry.to_minute,
            "room": entry.room_id,
            "uid": entry.uid,
            "series": entry.series,
        },
        separators=(",", ":"),
    )


def _unpacked(text: str) -> NewEntry:
    """An entry of the preview's form; what is wrong with it, actions say.

    Raises:
        ValueError, KeyError, TypeError: nothing that the preview wrote.
    """
    said = json.loads(text)
    begins, ends, room = (None if said[name] is None else int(said[name]) for name in ("from", "to", "room"))
    first, last = dt.date.fromisoformat(said["first"]), dt.date.fromisoformat(said["last"])
    uid, series = str(said["uid"]), str(said["series"])
    return NewEntry(Kind(said["kind"]), str(said["title"]), first, last, begins, ends, room, uid, series)
