"""What is coming: every forecast of the estate, soonest first; the drawing of one; warranties that people write down."""

from __future__ import annotations

import datetime as dt
from typing import Any

from fettle_server.clock import utc_now
from fettle_server.db import EPOCH, Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Act, Person
from fettle_server.proactive.forecasts import actions, queries
from fettle_server.proactive.forecasts.queries import ForecastFilter, ForecastView
from fettle_server.proactive.forecasts.rules import RULES
from fettle_server.reactive.rules import Refused
from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store, words
from fettle_web.pages.parts import CSV_ROWS, PAGE_ROWS, address, once, pages, respond, sheet, whole
from fettle_web.pages.projections import Ahead, Landing, ahead

KINDS = {
    "disk-will-fill": "Disks that fill",
    "sectors-growing": "Bad sectors",
    "battery-wearing": "Batteries",
    "ssd-wearing": "Solid-state disks",
    "memory-leak": "Memory",
    "sign-in-slower": "Sign-ins",
    "boot-slower": "Starts",
    "temperature-creeping": "Heat",
    "warranty-ending": "Warranties",
    "certificate-ending": "Certificates",
}
SEARCH_LENGTH = 100
_IMPORT_BYTES = 2_000_000
_HEAD = ("pc", "school", "what", "instance", "sentence", "due", "earliest", "latest", "sure_percent", "state")


@pages.get("/proactive/forecasts")
def forecasts() -> ResponseReturnValue:
    """One page of what is coming."""
    person = auth.person()
    rule, school = request.args.get("rule", ""), whole("school")
    wanted = ForecastFilter(school, rule if rule in RULES else "", request.args.get("q", "").strip()[:SEARCH_LENGTH])
    with store.reading() as tx:
        if request.args.get("form") == "csv":
            return sheet("forecasts", _HEAD, _rows(tx, person, wanted))
        after = request.args.get("after") or None
        return respond(
            "pages/forecasts.html",
            tx,
            nav="forecasts",
            wanted=wanted,
            kinds=KINDS,
            address=address,
            drawn=drawn,
            further=after is not None,
            schools=once(lambda: endpoints.schools(tx, person)),
            page=once(lambda: queries.coming(tx, person, wanted, after=after, limit=PAGE_ROWS)),
        )


@pages.post("/pcs/<endpoint_id>/warranty")
def set_warranty(endpoint_id: str) -> ResponseReturnValue:
    """Write down until when the PC's maker mends it; an empty day forgets it."""
    person, text = auth.person(), request.form.get("ends_on", "").strip()
    try:
        ends_on = dt.date.fromisoformat(text) if text else None
    except ValueError:
        return _back(endpoint_id, "That is not a day such as 2027-08-31.")
    with store.writing() as tx:
        if endpoints.endpoint(tx, person, endpoint_id) is None:
            abort(404)
        actions.set_warranty(tx, person, endpoint_id, ends_on, utc_now())
    return _back(endpoint_id, "The warranty is written down." if ends_on else "Nobody knows of a warranty now.")


@pages.post("/proactive/warranties")
def import_warranties() -> ResponseReturnValue:
    """Set the warranties that a CSV file lists; lines that could not be are named."""
    person = auth.demand(Act.MANAGE_ENDPOINTS)
    given = request.files.get("file")
    text = (given.read(_IMPORT_BYTES) if given else b"").decode("utf-8", errors="replace") or request.form.get("text", "")
    try:
        with store.writing() as tx:
            count, problems = actions.import_warranties(tx, person, text, utc_now())
    except Refused as refused:
        flash(refused.reason)
    else:
        more = f" {len(problems)} lines could not be: {' '.join(problems[:5])}" if problems else ""
        flash(f"{words.plural(count, 'warranty', 'warranties')} set.{more}")
    return redirect(url_for("pages.forecasts"), 303)


def drawn(one: ForecastView) -> Ahead | None:
    """The drawing of a forecast."""
    landing = None
    if one.due_at is not None and one.target is not None:
        edges = (None if time is None else _day(time) for time in (one.earliest, one.latest))
        landing = Landing(one.target, _day(one.due_at), *edges)
    return ahead(one.past, landing)


def of_pc(tx: Connection, person: Person, endpoint_id: str) -> list[ForecastView]:
    """What the PC's page tells: what comes first, then what does not, then what nobody can say."""
    order = {"raised": 0, "coming": 1, "quiet": 2}
    found = queries.of_endpoint(tx, person, endpoint_id, utc_now())
    return sorted(found, key=lambda one: (order[one.state], one.value is None))


def _day(time: dt.datetime) -> float:
    return (time - EPOCH) / dt.timedelta(days=1)


def _back(endpoint_id: str, said: str) -> ResponseReturnValue:
    flash(said)
    return redirect(url_for("pages.pc", endpoint_id=endpoint_id), 303)


def _rows(tx: Connection, person: Person, wanted: ForecastFilter) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    after: str | None = None
    while len(rows) < CSV_ROWS:
        page = queries.coming(tx, person, wanted, after=after, limit=500)
        for one in page.rows:
            times = [words.stamp(time) for time in (one.due_at, one.earliest, one.latest)]
            sure = "" if one.sure_percent is None else one.sure_percent
            rows.append((one.endpoint, one.school, one.rule, one.instance, one.sentence, *times, sure, one.state))
        after = page.after
        if after is None:
            break
    return rows
