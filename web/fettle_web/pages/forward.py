"""The forward schedule as a month and as an iCalendar feed, and FITS's change statistics."""

from __future__ import annotations

import calendar as months_of
import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from fettle_server.change.requests.schedule import as_ics, schedule
from fettle_server.change.requests.statistics import statistics
from fettle_server.change.requests.views import ScheduleItem
from fettle_server.clock import utc_now
from fettle_server.estate.calendars.queries import HOME, calendar_of
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people import actions as people
from fettle_server.estate.people import queries as people_queries
from fettle_server.estate.people.rules import Person, Role
from fettle_server.notify.sending import console_address
from flask import Response, abort, jsonify, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import address, pages, respond, sheet, whole

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
_BACK, _AHEAD = dt.timedelta(days=31), dt.timedelta(days=365)
_SHOWN = 4
_NAME = "Forward schedule of changes"


@dataclass(frozen=True, slots=True)
class Cell:
    """A day of the month: what is on, the first few to show, and how many more there are."""

    date: dt.date
    inside: bool
    is_today: bool
    items: tuple[ScheduleItem, ...]
    more: int
    frozen: bool


@pages.get("/changes/calendar")
def change_calendar() -> ResponseReturnValue:
    """A month of changes, freezes and exams; with one school also when it is open for changes."""
    return _calendar()


@pages.post("/changes/calendar/address")
def change_calendar_address() -> ResponseReturnValue:
    """An address to subscribe to, shown once: whoever has it sees the schedule that its maker sees."""
    person = auth.person()
    with store.writing() as tx:
        secret = people.create_api_token(tx, person, "Calendar of changes", Role.VIEWER, None, utc_now())
    return _calendar(url_for("pages.change_feed", secret=secret, _external=True))


@pages.get("/changes/calendar.ics")
def change_file() -> ResponseReturnValue:
    """The schedule as a file."""
    return _ics(auth.person())


@pages.get("/changes/feed/<secret>.ics")
@auth.public
def change_feed(secret: str) -> ResponseReturnValue:
    """The schedule for a calendar program, which cannot sign in: its address holds a token."""
    with store.reading() as tx:
        person = people_queries.person_of_token(tx, secret, utc_now())
    if person is None:
        abort(404)
    return _ics(person)


@pages.get("/changes/statistics")
def change_statistics() -> ResponseReturnValue:
    """FITS's change statistics of a period, by school; also as CSV and JSON."""
    person, now = auth.person(), utc_now()
    last = _day("until") or now.astimezone(HOME).date()
    first = min(_day("since") or last - dt.timedelta(days=90), last)
    start, end = _midnight(first), _midnight(last + dt.timedelta(days=1))
    with store.reading() as tx:
        rows = statistics(tx, person, start, end)
        form = request.args.get("form")
        if form == "json":
            return jsonify({"since": first.isoformat(), "until": last.isoformat(), "statistics": rows})
        if form == "csv":
            head = tuple(rows[0].__dataclass_fields__)
            return sheet("change-statistics", head, ([getattr(row, name) for name in head] for row in rows))
        spans = [(name, last - dt.timedelta(days=days)) for name, days in (("30 days", 30), ("90 days", 90), ("A year", 365))]
        return respond(
            "pages/change_statistics.html",
            tx,
            nav="statistics",
            rows=rows,
            first=first,
            last=last,
            spans=spans,
            address=address,
        )


def _calendar(made: str = "") -> str:
    person, school_id, now = auth.person(), whole("school"), utc_now()
    with store.reading() as tx:
        tiles = endpoints.schools(tx, person)
        zone = calendar_of(tx, school_id).zone if school_id is not None else HOME
        today = now.astimezone(zone).date()
        first = _month(today)
        days = [day for week in months_of.Calendar().monthdatescalendar(first.year, first.month) for day in week]
        start, end = _midnight(days[0], zone), _midnight(days[-1] + dt.timedelta(days=1), zone)
        items = schedule(tx, person, start, end, school_id, windows=school_id is not None)
        cells = [_cell(day, first.month, today, items, zone) for day in days]
        return respond(
            "pages/change_calendar.html",
            tx,
            nav="schedule",
            first=first,
            before=(first - dt.timedelta(days=1)).strftime("%Y-%m"),
            following=(first + dt.timedelta(days=32)).strftime("%Y-%m"),
            weeks=[cells[place : place + 7] for place in range(0, len(cells), 7)],
            days=[cell for cell in cells if cell.inside and _worth(cell)],
            windows=[one for one in items if one.kind == "window" and one.ends_at > now][:8],
            schools=tiles,
            school_id=school_id,
            local=lambda time: time.astimezone(zone),
            made=made,
            address=address,
        )


def _cell(day: dt.date, month: int, today: dt.date, items: tuple[ScheduleItem, ...], zone: ZoneInfo) -> Cell:
    start, end = _midnight(day, zone), _midnight(day + dt.timedelta(days=1), zone)
    on = [one for one in items if one.starts_at < end and one.ends_at > start and one.kind != "window"]
    on.sort(key=lambda one: (one.kind != "change", one.starts_at))
    frozen = any(one.kind == "freeze" for one in on)
    return Cell(day, day.month == month, day == today, tuple(on), max(0, len(on) - _SHOWN), frozen)


def _worth(cell: Cell) -> bool:
    return bool(cell.items)


def _month(today: dt.date) -> dt.date:
    found = _MONTH.fullmatch(request.args.get("month", ""))
    return dt.date(int(found[1]), int(found[2]), 1) if found else today.replace(day=1)


def _ics(person: Person) -> Response:
    now, school_id = utc_now(), whole("school")
    with store.reading() as tx:
        items = schedule(tx, person, now - _BACK, now + _AHEAD, school_id)
    content = as_ics(items, _NAME, console_address(store.settings()), now)
    return Response(content, content_type="text/calendar; charset=utf-8", headers={"Content-Disposition": "attachment"})


def _day(name: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(request.args.get(name, "")[:10])
    except ValueError:
        return None


def _midnight(day: dt.date, zone: ZoneInfo = HOME) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)
