"""The list of PCs: search, filters that live in the address, keyset pages, CSV."""

from __future__ import annotations

from typing import Any

from fettle_protocol.policy import CLASSES
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries
from fettle_server.estate.endpoints.rules import ORDER
from fettle_server.estate.endpoints.views import SORTS, EndpointFilter, EndpointRow
from fettle_server.estate.people.rules import Person
from fettle_server.estate.rooms import queries as rooms
from flask import request
from flask.typing import ResponseReturnValue

from fettle_web import auth, store, words
from fettle_web.pages.parts import CSV_ROWS, PAGE_ROWS, address, once, pages, respond, sheet, whole

SYSTEMS = ("windows", "linux", "macos")
SEARCH_LENGTH = 100
_HEAD = ("id", "name", "school", "state", "connected", "last_seen", "system", "version", "model", "faults", "open_incidents")


@pages.get("/pcs")
def pcs() -> ResponseReturnValue:
    """One page of the PCs that the person sees."""
    person, wanted = auth.person(), _filter()
    with store.reading() as tx:
        if request.args.get("form") == "csv":
            return sheet("pcs", _HEAD, _rows(tx, person, wanted))
        after = request.args.get("after") or None
        return respond(
            "pages/pcs.html",
            tx,
            nav="pc",
            wanted=wanted,
            address=address,
            further=after is not None,
            systems=SYSTEMS,
            counts=once(lambda: queries.counts(tx, person)),
            rooms=once(lambda: rooms.rooms_of(tx, person, wanted.school_id) if wanted.school_id else ()),
            classes=CLASSES,
            schools=once(lambda: queries.schools(tx, person)),
            page=once(lambda: queries.endpoints(tx, person, wanted, after=after, limit=PAGE_ROWS)),
        )


def _filter() -> EndpointFilter:
    """What the address asks for; what makes no sense is left out."""
    state, system, sort, klass = (request.args.get(name, "") for name in ("state", "system", "sort", "class"))
    school_id = whole("school")
    return EndpointFilter(
        search=request.args.get("q", "").strip()[:SEARCH_LENGTH],
        state=state if state in ORDER else None,
        school_id=school_id,
        room_id=whole("room") if school_id else None,
        endpoint_class=klass if school_id and klass in CLASSES else None,
        system=system if system in SYSTEMS else None,
        sort=next((known for known in SORTS if known == sort), "state"),
    )


def _rows(tx: Connection, person: Person, wanted: EndpointFilter) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    after: str | None = None
    while len(rows) < CSV_ROWS:
        page = queries.endpoints(tx, person, wanted, after=after, limit=500)
        rows.extend(_cells(row) for row in page.rows)
        after = page.after
        if after is None:
            break
    return rows


def _cells(row: EndpointRow) -> tuple[Any, ...]:
    seen = words.stamp(row.last_seen)
    faults = row.ill_faults + row.watch_faults
    return (
        row.id, row.name, row.school, row.state.value, "yes" if row.connected else "no", seen, row.system, row.system_version,
        row.model, faults, row.open_incidents,
    )  # fmt: skip
